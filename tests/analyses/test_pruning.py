"""What could go: importance to first order and by silencing, and what is said of it."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.pruning import Pruning, PruningResult
from microtome.errors import UnknownName, UsageError
from microtome.images.collection import wrap
from toys import seeded

COUNT, CLASSES = 48, 3


class Small(nn.Module):
    """Two convolutions and a row of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.fc = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(torch.relu(self.one(x)))

    def behind(self, first: Tensor) -> Tensor:
        return self.fc(torch.relu(self.two(first)).mean((2, 3)))


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model(seeded(Small), size=12, mean=(0.5,) * 3, std=(0.2,) * 3, class_names=("a", "b", "c"))
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, COUNT)
    labels[:4] = -1  # some are unknown
    pixels = random.integers(0, 256, (COUNT, *model.preprocessing.size, 3)).astype(np.uint8)
    return mt.Specimen(model=model, images=wrap("noise", pixels, labels, model.class_names, model.preprocessing))


def look(of: mt.Specimen, tmp_path, **settings: object) -> PruningResult:
    run = mt.look(of.model, of.images, out=tmp_path, analyses=["pruning"], settings={
        "pruning": settings, "superstimuli": {"climb": 2, "units": 2},
    })  # fmt: skip
    assert not run.info["skipped"], run.info["skipped"]
    return run["pruning"]


@pytest.fixture(scope="module")
def ablated(specimen, tmp_path_factory) -> PruningResult:
    return look(specimen, tmp_path_factory.mktemp("ablated"), importance="ablation", ablation_images=30)


def test_ablation_is_the_rise_of_the_loss_with_a_channel_at_its_mean(specimen, ablated):
    """Against the network's own forward pass, channel by channel."""
    model, images = specimen.model, specimen.images
    assert ablated.by == "ablation" and ablated.judged == 30
    order = np.argsort(images.hashes, kind="stable")
    places = order[images.labels[order] >= 0][:30]
    with torch.no_grad():
        seen = model.preprocessing.normalise(torch.from_numpy(np.stack([images.pixels(i) for i in range(COUNT)])))
        first = torch.relu(model.module.one(seen))
        labels = torch.from_numpy(images.labels[places])
        whole = F.cross_entropy(model.module.behind(first[places]), labels)
        for channel in range(6):
            without = first[places].clone()
            without[:, channel] = first[:, channel].mean()
            rise = F.cross_entropy(model.module.behind(without), labels) - whole
            assert ablated.importance["one"][channel] == pytest.approx(float(rise), abs=2e-6)
    assert np.isfinite(ablated.importance["two"]).all()


def test_what_is_said_names_how_importance_was_measured(specimen, ablated, tmp_path):
    estimated = look(specimen, tmp_path)
    assert estimated.by == "taylor" and estimated.judged == COUNT
    for result, words in (
        (ablated, "by how much the loss rises when it is replaced by its mean, mean over 30 images"),
        (estimated, "how far the loss would move to first order if it were 0, mean over 48 images"),
    ):
        (column,) = [each for each in result.columns() if each.name == "importance"]
        assert column.how_to_read.casefold() == f"{words}.".casefold()
        assert all(words in card.how_to_read for card in result.cards())


def test_strange_settings_are_refused(specimen):
    with pytest.raises(UnknownName, match="Importance 'tailor' does not exist.*Did you mean 'taylor'"):
        Pruning(importance="tailor").check(specimen)
    with pytest.raises(UsageError, match="ablation_images is 0"):
        Pruning(ablation_images=0).check(specimen)


def test_loss_by_ablation_does_not_depend_on_how_images_come_in_parts(specimen, ablated, tmp_path, monkeypatch):
    monkeypatch.setattr("microtome.network.trials.silencing_plan.TOGETHER", 7)
    again = look(specimen, tmp_path, importance="ablation", ablation_images=30)
    for layer in ("one", "two"):
        assert np.allclose(again.importance[layer], ablated.importance[layer], atol=1e-6)
    assert dataclasses.asdict(again).keys() == dataclasses.asdict(ablated).keys()
