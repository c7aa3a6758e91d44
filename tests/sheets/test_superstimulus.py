"""Pictures grown for units that one names, by Python."""

import json

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.errors import UnknownName, UsageError
from microtome.network.dreaming.cut import cut
from toys import Plain, noise, opened, prepared, seeded

STEPS = 30


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return opened(seeded(Plain))


@pytest.fixture(scope="module")
def found(model):
    return mt.superstimuli(
        model, ["conv2:3", "class:1", "conv2:0"], images=noise(model), n=2, negative=True, steps=STEPS
    )


def test_units_come_back_in_the_order_in_which_they_were_asked_for(found) -> None:
    assert [unit.aim.words for unit in found.units] == ["conv2:3", "class 1", "conv2:0"]
    assert [(unit.site, unit.where) for unit in found.units] == [("relu", "map"), ("fc", "map"), ("relu", "map")]
    assert all(unit.signs == (1, 1, -1) and unit.pictures.shape[:2] == (3, 3) for unit in found.units)


def test_what_was_reached_stands_beside_the_largest_of_the_images_and_another_units_picture(model, found) -> None:
    with cut(model, "relu") as network, torch.no_grad():
        seen = network.run(prepared(model, noise(model))).amax((0, 2, 3))
    first, _, last = found.units
    assert [first.largest, last.largest] == pytest.approx([float(seen[3]), float(seen[0])])
    assert first.ratio[:2] == pytest.approx(first.reached[:2] / first.largest) and np.isnan(first.ratio[2])
    assert first.reached[2] < first.reached[:2].min()
    assert (first.other[:2] < first.reached[:2]).all()
    assert np.isnan(found.units[1].other).all()  # no other class was asked for


def test_the_pictures_of_a_unit_differ(found) -> None:
    for unit in found.units:
        assert (unit.pictures[0] != unit.pictures[1]).mean() > 0.5


def test_a_position_is_where_the_picture_grows(model) -> None:
    (unit,) = mt.superstimuli(model, "conv1:2", at=(0, 0), steps=STEPS).units
    assert unit.where == (0, 0) and unit.pictures.shape[2:] == (2, 2)  # what of the picture the corner sees
    (middle,) = mt.superstimuli(model, "conv1:2", steps=STEPS).units
    assert middle.where == "centre" and middle.pictures.shape[2:] == (3, 3)


def test_sentences_say_what_was_chosen_and_what_it_is_worth(model, found) -> None:
    lines = found.sentences()
    assert lines[0] == "Plain: 30 steps, written as pixels, moved by up to 1 pixels; seed 0"
    assert lines[1] == "Colours and largest activations are those of 10 images of noise"
    assert (
        lines[2].startswith("conv2:3 (read at relu, over its map): reaches ") and "times the data's largest" in lines[2]
    )
    assert lines[4].startswith("against conv2:3 (") and "data" not in lines[4]
    assert lines[5].startswith("Control: on another unit's picture conv2:3 reaches ")
    assert any(line.startswith("class 1 (read at fc): reaches ") for line in lines)
    alone = mt.superstimuli(model, 1, steps=2)
    assert "Colours are assumed" in alone.sentences()[1] and np.isnan(alone.units[0].ratio).all()


def test_numbers_are_plain(found) -> None:
    told = json.loads(json.dumps(found.numbers(), allow_nan=False))
    assert told["steps"] == STEPS and told["count"] == 10
    assert [picture["kind"] for picture in told["units"][0]["pictures"]] == ["for", "for", "against"]


def test_the_figure_has_a_row_a_unit(found) -> None:
    figure = found.plot()
    figure.draw_without_rendering()
    assert len(figure.axes) == 9 and figure.axes[2].get_title().startswith("against conv2:3")


def test_equal_seeds_give_equal_bits_and_every_step_is_counted(model) -> None:
    one, other, third = (mt.superstimuli(model, "conv2:1", steps=5, seed=seed).units[0].pictures for seed in (4, 4, 5))
    assert np.array_equal(one, other) and not np.array_equal(one, third)


def test_what_nothing_wakes_is_said() -> None:
    module = seeded(Plain)
    module.conv2.bias.data.fill_(-1000.0)
    silent = mt.superstimuli(opened(module), "conv2:1", steps=5)
    assert "nothing woke it" in silent.sentences()[2] and "nothing woke it" in silent.units[0].captions()[0]


def test_what_cannot_be_grown_is_refused(model) -> None:
    for units, given, error, words in [
        ("class", {}, UsageError, "the network's own answer"),
        ("conv2:9", {}, UnknownName, "units are 0 to 4"),
        ("class:9", {}, UnknownName, "classes are 0 to 2"),
        ("conv2:1", {"at": (40, 0)}, UsageError, "no position"),
        ("class:1", {"at": (0, 0)}, UsageError, "Only units of maps"),
        ("conv2:1", {"n": 0}, UsageError, "n is 0"),
        ("conv2:1", {"steps": 0}, UsageError, "steps is 0"),
    ]:
        with pytest.raises(error, match=words):
            mt.superstimuli(model, units, **given)
