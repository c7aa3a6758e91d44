"""What silencing units does to the answers: planted, on a trained network, and what is said of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.effects import Effects, EffectsResult
from microtome.errors import NotApplicable
from microtome.images.collection import Images, wrap
from microtome.network.model import Model
from microtome.network.recording.edits import Edit
from microtome.runs.runner import Look
from portrait import differences, portrait
from toys import Plain, noise, opened, seeded, seen

COUNT = 60  # images
NAMES = ("red", "green", "blue")
DEAD = 3  # the channel that never fires


class Colours(nn.Module):
    """One channel a colour, and one that is dead; the class is the brightest colour, but red only above a threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 3)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:3, :, 0, 0] = torch.eye(3)
            self.conv.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -5.0]))
            self.fc.weight.copy_(torch.eye(3, 4))
            self.fc.bias.copy_(torch.tensor([-0.5, 0.0, 0.0]))  # red at its mean is no longer red

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def colours(model: Model) -> Images:
    """Pictures of one colour of three, class by class, more or less bright."""
    random = np.random.default_rng(0)
    labels = np.arange(COUNT) % 3
    pixels = random.integers(0, 10, (COUNT, *model.preprocessing.size, 3))
    pixels[np.arange(COUNT), :, :, labels] = random.integers(230, 256, (COUNT, 1, 1))
    return wrap("colours", pixels.astype(np.uint8), labels, NAMES, model.preprocessing)


def specimen(labelled: bool = True, **how: object) -> mt.Specimen:
    model = mt.open_model(Colours(), size=12, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=NAMES)
    images = colours(model)
    images = images if labelled else dataclasses.replace(images, labels=np.full(COUNT, -1))
    return mt.Specimen(model=model, images=images, **how)


def look(of: mt.Specimen, **settings: int) -> EffectsResult:
    outcome = Look(of, batch_size=7).run([Effects(**settings)])
    assert not outcome.skipped, outcome.skipped
    return outcome.results["effects"]


@pytest.fixture(scope="module")
def result() -> EffectsResult:
    return look(specimen())


def test_the_channel_that_alone_decides_a_class_takes_its_recall_away_and_nothing_else(result) -> None:
    red = result.label == 0
    assert (result.before == result.label).all() and 5 <= red.sum() < result.images == 30
    assert result.units["conv"].tolist() == [0, 1, 2, DEAD] and result.drawn["conv"].all()
    assert (result.after["conv"][0][red] != 0).all()
    assert np.array_equal(result.after["conv"][0][~red], result.before[~red])
    assert all(np.array_equal(result.after["conv"][unit], result.before) for unit in (1, 2, DEAD))
    cost, low, high = (each[0] for each in result.cost("conv"))
    assert cost == pytest.approx(100 * red.mean()) and 0 < low < cost < high
    assert result.certain("conv").tolist() == [True, False, False, False]
    assert result.classes["conv"][0][0] == 0
    assert f"Recall of red: {red.sum()} of {red.sum()} before, 0 after." in line(result, "conv", 0)


def test_what_falls_is_what_the_arithmetic_of_the_network_says(result) -> None:
    specimen_ = specimen()
    pixels = np.stack([specimen_.images[place] for place in range(COUNT)]) / 255
    held = np.argsort(specimen_.images.hashes, kind="stable")[::2]
    others = np.setdiff1d(np.arange(COUNT), held)
    brightness = pixels.mean((2, 3))
    assert sorted(result.label) == sorted(specimen_.images.labels[held])
    for unit in range(3):
        away = brightness[held, unit] - brightness[others, unit].mean()  # of that class's logit; a third of it is mean
        falls = np.where(specimen_.images.labels[held] == unit, 2 / 3 * away, -away / 3)
        assert result.mean_fall("conv")[unit] == pytest.approx(falls.mean(), abs=1e-6)


def test_a_dead_unit_has_no_effect_at_all(result) -> None:
    assert (result.fall["conv"][DEAD] == 0).all() and (result.interval["conv"][DEAD] == 0).all()
    assert np.array_equal(result.after["conv"][DEAD], result.before)
    assert result.cost("conv")[0][DEAD] == 0 and result.estimate["conv"][DEAD] == 0


def line(result: EffectsResult, layer: str, unit: int) -> str:
    (card,) = [card for card in result.cards() if card.per_unit and card.layer == layer]
    return card.content.lines[unit]


def test_the_findings_say_the_planted_unit_its_cost_and_what_random_units_cost(result) -> None:
    likeliest, costliest = result.findings()  # seven units are too few to compare with estimates
    red, cost = result.label == 0, 100 * (result.label == 0).mean()
    assert np.isnan(result.agreement).all() and result.last == "fc"
    assert (
        likeliest.sentence.startswith("Silencing conv:") and "the unit with the largest estimate" in likeliest.sentence
    )
    assert "In 0 of 1 layers no unit" in costliest.sentence
    assert f"the costliest of 4, conv:0, costs {cost:.0f} points of accuracy" in costliest.sentence
    assert "(means of 3)" in costliest.control and " and 0.0 points" in costliest.control and red.any()


def test_without_labels_it_says_how_many_answers_are_kept() -> None:
    found = look(specimen(labelled=False))
    assert not found.labelled and np.array_equal(found.label, found.before)
    kept = (found.after["conv"][0] == found.before).mean()
    assert line(found, "conv", 0).startswith(f"Answers kept: 100% before, {kept:.0%} after")
    assert "points of the answers" in found.findings()[1].sentence and "image's answer" in found.findings()[0].sentence
    assert (found.cost("conv")[0] >= 0).all()


def test_some_units_are_those_of_the_largest_estimates_the_others_random_and_named_ones_are_among_them() -> None:
    model = opened(seeded(Plain))
    of = mt.Specimen(model=model, images=noise(model, 40), units=("conv2:4",))
    found, everything = look(of, units=2), look(of)
    for layer, units in found.units.items():
        strongest = int(np.abs(found.estimate[layer]).argmax())
        assert strongest in units and not found.drawn[layer][units.tolist().index(strongest)]
        assert len(units) - found.drawn[layer].sum() in (1, 2) and found.drawn[layer].sum() == 1
        places = np.isin(everything.units[layer], units)
        np.testing.assert_allclose(found.fall[layer], everything.fall[layer][places], atol=1e-6)
        assert everything.drawn[layer].all() and len(everything.units[layer]) == len(found.estimate[layer])
    assert 4 in found.units["conv2"]
    missing = sorted(set(range(5)) - set(found.units["conv2"].tolist()))
    assert line(found, "conv2", missing[0]).startswith("Not silenced. To first order")
    (column,) = [column for column in found.columns() if column.name == "effect"]
    assert np.flatnonzero(np.isnan(column.values["conv2"])).tolist() == missing


def test_the_model_comes_back_as_it_was() -> None:
    module = seeded(Plain).train()
    model = opened(module)
    before = portrait(module)
    look(mt.Specimen(model=model, images=noise(model, 20)))
    assert differences(before, portrait(module)) == []


def test_one_image_is_not_enough() -> None:
    model = opened(seeded(Plain))
    with pytest.raises(NotApplicable, match="There are 1 images that can be used. One gives a unit's mean"):
        Effects().check(mt.Specimen(model=model, images=noise(model, 1)))


@pytest.mark.data
def test_on_a_trained_network_the_numbers_are_those_of_an_edit_by_hand(data_folder: Path) -> None:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10jpeg.safetensors'}")
    images = mt.open_images(data_folder / "cifar10" / "test", like=model).limit(24)
    of = mt.Specimen(model=model, images=images, units=("layer2.1.conv1:2",), effort="quick")
    found = look(of, units=2)
    order = np.argsort(images.hashes, kind="stable")
    held, others = images.take(order[::2]), images.take(order[1::2])
    (column,) = [column for column in found.columns() if column.name == "effect on answers"]
    for layer in ("conv1", "layer2.1.conv1", "layer3.2.conv2"):
        site, units = of.reading()[layer], found.units[layer]
        ((maps,),) = seen(model, others, site)
        for place, unit in enumerate(units):
            edit = Edit(site=site, channels=(int(unit),), offset=(float(maps[:, unit].mean(dtype=np.float64)),))
            before, after = (seen(model, held, "linear", edits=edits)[0][0] for edits in ([], [edit]))
            assert np.array_equal(found.before, before.argmax(1)) and np.array_equal(found.label, held.labels)
            assert np.array_equal(found.after[layer][place], after.argmax(1))
            rows = (each[np.arange(len(held)), held.labels] - each.mean(1) for each in (before, after))
            fall = np.subtract(*rows)
            np.testing.assert_allclose(found.fall[layer][place], fall, atol=1e-4)
            lost = (before.argmax(1) == held.labels).mean() - (after.argmax(1) == held.labels).mean()
            assert column.values[layer][unit] == pytest.approx(100 * lost)
    assert found.before.shape == (12,)
