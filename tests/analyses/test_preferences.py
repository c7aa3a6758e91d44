"""Which classes units prefer: planted selectivity is found, noise is not, and few images are not enough."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.analyses.preferences import Preferences, PreferencesResult, strongest
from microtome.images.collection import Images, wrap
from microtome.network.open import Model
from microtome.runs.runner import Look

CLASSES, EACH, SIDE = 4, 30, 6


class Colours(nn.Module):
    """Unit 0 sees red alone, unit 1 every colour alike, units 2 to 41 mix single pixels of noise."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(3, 42, 1), nn.ReLU(), nn.Linear(42, CLASSES)
        with torch.no_grad():
            self.conv.bias.zero_()
            self.conv.weight[0] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
            self.conv.weight[1] = 1.0
            self.conv.weight[2:, 0] = 0  # blind for red
            self.conv.bias[0] = -0.25  # what is not red stays below zero

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


def model_of(classes: tuple[str, ...] = ("other", "red", "others", "more")) -> Model:
    torch.manual_seed(0)
    return mt.open_model(Colours().eval(), size=SIDE, mean=(0,) * 3, std=(1,) * 3, class_names=classes)


def images_of(model: Model, labels: np.ndarray) -> Images:
    """Noise in green and blue; red where the label is 1."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (len(labels), SIDE, SIDE, 3), dtype=np.uint8)
    pixels[..., 0] = np.where(labels == 1, 255, 0)[:, None, None]
    return wrap("colours", pixels, labels, model.class_names, model.preprocessing)


@pytest.fixture(scope="module")
def result() -> PreferencesResult:
    model = model_of()
    images = images_of(model, np.arange(CLASSES * EACH) % CLASSES)
    return Look(mt.Specimen(model=model, images=images)).run([Preferences()]).results["preferences"]


def test_a_planted_class_selective_unit_prefers_its_class_and_no_other(result) -> None:
    assert result.selectivity["conv"][0] == pytest.approx(1)
    assert result.best_class["conv"][0].tolist() == [1, -1, -1, -1]  # the others give no response at all
    assert result.best_mean["conv"][0, 0] == pytest.approx(0.75, abs=1e-6)
    assert result.selectivity["conv"][0] > result.null["conv"]


def test_units_that_see_noise_prefer_a_class_as_often_as_chance_gives(result) -> None:
    beyond = (result.selectivity["conv"][2:] > result.null["conv"]).mean()
    assert beyond <= 0.25  # 5% are expected of 40


def test_selectivity_and_means_are_those_of_a_slow_loop(result) -> None:
    model = model_of()
    labels = np.arange(CLASSES * EACH) % CLASSES
    images = images_of(model, labels)
    for unit in (0, 1, 17):
        kernel, bias = (p.detach().double().numpy()[unit] for p in (model.module.conv.weight, model.module.conv.bias))
        means = np.zeros(CLASSES)
        for place, label in enumerate(labels):
            seen = (images[place] / 255 * kernel).sum(0) + bias
            means[label] += np.maximum(seen, 0).mean() / EACH
        order = np.argsort(-means)
        best, others = means[order[0]], means[order[1:]].mean()
        np.testing.assert_allclose(result.best_mean["conv"][unit], np.sort(means)[::-1], atol=1e-6)
        assert result.selectivity["conv"][unit] == pytest.approx((best - others) / max(best + others, 1e-30), abs=1e-5)


def test_the_planted_unit_is_named_by_its_class_in_column_and_headline(result) -> None:
    (selectivity, name) = result.columns()
    assert (selectivity.name, name.name) == ("selectivity", "class")
    assert name.values["conv"][0] == "red"
    headlines = [card.content.lines for card in result.cards() if card.section == "headline"]
    assert headlines[0][0] == "strongest classes: red"


def test_the_finding_counts_units_beyond_the_shuffled_labels(result) -> None:
    (finding,) = result.findings()
    beyond = {layer: int((values > result.null[layer]).sum()) for layer, values in result.selectivity.items()}
    assert finding.number == sum(beyond.values()) >= 1
    assert finding.sentence == (
        f"{sum(beyond.values())} of 46 units prefer a class more than with shuffled labels; "
        f"in head {beyond['head']} of 4 do"
    )
    assert finding.control == "about 2 would, if labels meant nothing to them"  # 5% of 46


def test_with_four_images_a_class_it_says_underpowered_and_shows_no_column() -> None:
    model = model_of()
    images = images_of(model, np.arange(CLASSES * 4) % CLASSES)
    found = Look(mt.Specimen(model=model, images=images)).run([Preferences()]).results["preferences"]
    (finding,) = found.findings()
    assert finding.sentence == "Underpowered: 4 image(s) a class cannot show which classes units prefer"
    assert finding.control == "5 images a class or more are needed"
    assert found.columns() == []
    assert np.isnan(list(found.null.values())).all()


def test_images_without_a_label_do_not_count(result) -> None:
    model = model_of()
    labels = np.arange(CLASSES * EACH) % CLASSES
    images = images_of(model, np.concatenate([labels, [1] * 9]))
    images = dataclasses.replace(images, labels=np.concatenate([labels, [-1] * 9]))
    found = Look(mt.Specimen(model=model, images=images)).run([Preferences()]).results["preferences"]
    assert found.per_class == EACH
    assert found.best_mean["conv"][0, 0] == pytest.approx(0.75, abs=1e-6)


def test_the_strongest_classes_are_the_first_of_a_stable_sort() -> None:
    means = np.array([[0.5, 0.0], [np.nan, np.nan], [0.5, 0.1], [0.7, 0.0]])
    classes, values = strongest(means, 3)
    assert classes.tolist() == [[3, 0, 2], [2, -1, -1]]
    assert values.tolist() == [[0.7, 0.5, 0.5], [0.1, 0, 0]]
