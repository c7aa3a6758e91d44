"""Which layer could be left out: a planted one, none where there is none, and a real network."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.omission import Omission, OmissionResult
from microtome.errors import NotApplicable
from microtome.images.sources import open_images
from microtome.runs.runner import Look
from toys import noise, opened


class Digits(nn.Module):
    """Three convolutions for digits; the second hands its input on, one row lower."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 8, 5, padding=2)
        self.conv3, self.head = nn.Conv2d(8, 16, 5), nn.Linear(16 * 9, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head(F.relu(self.conv3(x)).flatten(1))


def look(specimen: mt.Specimen, **settings: int) -> OmissionResult:
    return Look(specimen).run([Omission(**settings)]).results["omission"]


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    """Trained for a moment around the planted layer, which is not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Digits()
    module.conv2.requires_grad_(False)
    nn.init.dirac_(module.conv2.weight)
    module.conv2.weight.copy_(module.conv2.weight.roll(-1, 2))
    module.conv2.bias.zero_()
    model = mt.open_model(module, size=28, mean=(0.13,), std=(0.31,))
    images = open_images("digits", model.preprocessing).limit(600)
    pixels = model.preprocessing.normalise(torch.from_numpy(np.stack([images[i] for i in range(300)])))
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=3e-3)
    for step in range(40):
        some = (torch.arange(64) + 64 * step) % len(pixels)
        loss = F.cross_entropy(module(pixels[some]), torch.from_numpy(images.labels[:300])[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.requires_grad_(True)
    return mt.Specimen(model=model, images=images)


@pytest.fixture(scope="module")
def result(specimen: mt.Specimen) -> OmissionResult:
    return look(specimen)


def test_the_planted_layer_is_the_one_that_could_be_left_out(result) -> None:
    assert result.labelled and result.original.mean() > 0.6
    alive = ~np.isnan(result.score["conv2"])
    assert result.score["conv2"][alive].min() > 0.99 and (result.shift["conv2"][alive] == (-1, 0)).all()
    lost = {layer: float((result.original - shares["copy"]).mean()) for layer, shares in result.shares.items()}
    assert lost["conv2"] < 0.001 < lost["conv1"] and lost["conv3"] > 0.1
    (finding,) = result.findings()
    assert finding.sentence.startswith("conv2 could be left out") and finding.number < 0.001
    assert "with a copy of one input channel for each unit in its place, without any training" in finding.sentence
    assert "mean activation of conv2" in finding.control and "in 2 of the others" in finding.control


def test_the_table_says_what_the_finding_says(result) -> None:
    table, *others = result.cards()
    verdicts = {row[0]: row[-1] for row in table.content.rows}
    assert verdicts["conv2"] == "replicates its input" and verdicts["conv3"] == "needed"
    copied = next(card for card in others if card.per_unit and card.layer == "conv2")
    alive = int(np.flatnonzero(~np.isnan(result.score["conv2"]))[0])
    assert copied.content.lines[alive].startswith(f"Most like channel {alive} of its layer's input, taken -1 rows")
    assert result.columns()[0].values["conv2"][alive] == result.score["conv2"][alive]
    result.plot().draw_without_rendering()


def test_shares_are_over_images_that_nothing_was_fitted_on(specimen, result) -> None:
    order = np.argsort(specimen.images.hashes, kind="stable")[: 2 * len(result.original)]
    tested = order[1::2]
    pixels = np.stack([specimen.images[i] for i in tested])
    with torch.no_grad():
        said = specimen.model.module(specimen.model.preprocessing.normalise(torch.from_numpy(pixels))).argmax(1)
    assert np.array_equal(result.original, said.numpy() == specimen.images.labels[tested])
    assert result.fitted == len(tested) == 100


def test_without_labels_it_counts_the_answers_that_stay_the_same(specimen) -> None:
    blind = dataclasses.replace(specimen.images, labels=np.full(len(specimen.images), -1), _kept={}, _shuffled={})
    found = look(dataclasses.replace(specimen, images=blind), images=30)
    assert not found.labelled and (found.original == 1).all() and "own answers kept" in found.findings()[0].sentence
    assert found.shares["conv2"]["copy"].mean() == 1 > found.shares["conv3"]["copy"].mean()


def test_the_rest_may_learn_around_a_stand_in(specimen) -> None:
    found = look(specimen, images=40, fine_tune=30)
    assert list(found.tuned) == ["conv1", "conv2", "conv3"] and list(found.tuned["conv3"]) == ["copy", "1x1"]
    better = [found.tuned[layer][kind].mean() - found.shares[layer][kind].mean()
              for layer in ("conv1", "conv3") for kind in ("copy", "1x1")]  # fmt: skip
    assert np.mean(better) > 0.05
    assert "after 30 steps of training" in found.findings()[0].sentence


def test_a_network_that_cannot_be_copied_has_no_scores_of_shuffled_weights(specimen, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise NotApplicable("It cannot be copied", "A copy is needed", "None")

    monkeypatch.setattr("microtome.network.specimen.randomised", refuse)
    found = look(specimen, images=12)
    assert all(np.isnan(value) for value in found.shuffled.values()) and found.cards() and found.findings()


def test_layers_that_cannot_be_afforded_are_not_tested_and_that_is_said(specimen, monkeypatch) -> None:
    macs = sum(site.macs for site in specimen.sites.values())
    monkeypatch.setattr("microtome.analyses.omission.BUDGET", {"normal": macs * (4 * 32 + 20 * 7 + 1.0)})
    found, limits = look(specimen), Omission().limits(specimen)
    assert len(found.shares) == 2 and "conv2" in found.shares
    assert "Only the 2 most promising of 3 layers are tested" in limits[0].reason
    assert "not tested" in {row[-1] for row in found.cards()[0].content.rows}


def test_without_convolutions_it_is_refused() -> None:
    model = opened(nn.Sequential(nn.Flatten(), nn.Linear(432, 3)).eval())
    fit = Omission().fit(mt.Specimen(model=model, images=noise(model, 4)))
    assert fit.verdict == "refused" and "has 0 convolutions" in fit.reason


@pytest.mark.data
def test_a_trained_residual_network_needs_its_first_layer(data_folder: Path) -> None:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10jpeg.safetensors'}")
    images = open_images(str(data_folder / "cifar10" / "test"), model.preprocessing).limit(60)
    found = look(mt.Specimen(model=model, images=images), images=20)
    lost = {layer: float((found.original - shares["copy"]).mean()) for layer, shares in found.shares.items()}
    assert found.original.mean() > 0.7 and lost["conv1"] > 0.4 and min(lost.values()) < 0.15
