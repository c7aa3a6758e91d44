"""Occlusion of one picture, by Python."""

import json

import numpy as np
import pytest

import microtome as mt
from microtome.network.trials.occlusion import Squares, occlude, occlude_class
from microtome.sheets.occlusion import OcclusionSheet
from toys import Plain, Tokens, noise, opened, seeded


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model("zoo:simpleconvnet_pruned")


@pytest.fixture(scope="module")
def of_class(model) -> OcclusionSheet:
    return mt.occlusion(model, "line:45")


@pytest.fixture(scope="module")
def of_unit(model) -> OcclusionSheet:
    return mt.occlusion(model, "line:45", "conv2:3", size=6, stride=4, fill="blur")


def test_it_is_what_the_network_part_finds(model, of_class, of_unit) -> None:
    direct = occlude_class(model, of_class.pixels, of_class.aim.channel)
    np.testing.assert_array_equal(of_class.found.value, direct.value)
    assert of_class.answer == of_class.aim.words
    unit = occlude(model, of_unit.pixels, "conv2", 3, Squares(size=6, stride=4, fill="blur"))
    np.testing.assert_array_equal(of_unit.found.value, unit.value)


def test_a_position_may_stand_in_the_units_name_or_beside_it(model) -> None:
    for unit, at in (("conv2:3@2,5", "strongest"), ("conv2:3", (2, 5)), ("conv2:3@0,0", (2, 5))):
        assert mt.occlusion(model, "dot", unit, at=at).found.at == (2, 5)
    assert mt.occlusion(model, "dot", "conv2:3", at="anywhere").found.at is None


def test_numbers_are_plain(of_class, of_unit) -> None:
    told = json.loads(json.dumps(of_class.numbers()))
    assert (told["method"], told["size"], told["stride"], told["fill"]) == ("occlusion", 4, 2, "mean")
    np.testing.assert_allclose(told["probability"], of_class.found.probability)
    row, column = of_class.found.largest
    assert told["largest"] == {
        "drop": of_class.found.drop[row, column], "box": of_class.found.boxes[row, column].tolist()}  # fmt: skip
    unit = json.loads(json.dumps(of_unit.numbers()))
    assert "probability" not in unit
    assert unit["control"]["squares"] == of_unit.found.seen.sum() < of_unit.found.seen.size


def test_the_sentences_say_defaults_finding_and_control(of_class, of_unit) -> None:
    lines = of_class.sentences()
    assert lines[0].startswith(f"simpleconvnet_pruned, {of_class.aim.words} on line:45: logit ")
    assert lines[0].endswith("(the network's answer)")
    mean = round(255 * opened_mean(of_class))
    assert lines[1] == f"169 squares of 4 pixels in steps of 2, filled with the data set's mean colour ({mean} of 255)"
    assert lines[2].startswith("Largest fall: ") and lines[3].startswith("Control: a random square that it can see")
    assert lines[4].startswith("There the probability goes from ")
    unit = of_unit.sentences()
    row, column = of_unit.found.at
    assert unit[0].endswith(f"at row {row}, column {column} (read at relu_1)")
    assert unit[1].endswith("filled with the blurred picture")
    assert unit[2] == f"{of_unit.found.seen.sum()} of them touch what this position sees; the others change nothing"


def opened_mean(sheet: OcclusionSheet) -> float:
    return sheet.mean[0] / 255


def test_other_units_are_described_too() -> None:
    plain, tokens = opened(seeded(Plain)), opened(seeded(Tokens))
    picture = noise(plain)[0]
    assert mt.occlusion(plain, picture, "fc:1").sentences()[0].endswith("(read at fc)")
    anywhere = mt.occlusion(plain, picture, "conv2:3", at="anywhere").sentences()[0]
    assert anywhere.endswith("(read at relu, the largest value anywhere)")
    assert " at position " in mt.occlusion(tokens, picture, "mix:2").sentences()[0]


def test_a_silent_unit_is_said_to_be_silent() -> None:
    module = seeded(Plain)
    module.conv2.bias.data.fill_(-1000)
    sheet = mt.occlusion(module, noise(opened(module))[0].transpose(1, 2, 0), "conv2:0")
    assert sheet.sentences()[-1] == "The unit is silent here, whatever is covered"
    sheet.plot().draw_without_rendering()


def test_the_plot_shows_falls_of_logit_and_probability_and_where_the_largest_is(of_class, of_unit) -> None:
    figure = of_class.plot()
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert [label for label in labels if label] == ["fall of the logit", "fall of the probability"]
    assert [label for axes in of_unit.plot().axes if (label := axes.get_ylabel())] == ["fall of the activation"]
    top, left, bottom, right = of_class.found.boxes[of_class.found.largest]
    for axes in figure.axes[:3]:
        frame = axes.patches[-1]
        assert (frame.get_x(), frame.get_y()) == (left - 0.5, top - 0.5)
        assert (frame.get_width(), frame.get_height()) == (right - left, bottom - top)
    over = of_class.found.over_pixels(of_class.found.drop, (28, 28))
    colours = figure.axes[1].images[0].get_array()
    worst, best = (np.unravel_index(place, (28, 28)) for place in (over.argmax(), over.argmin()))
    assert colours[worst][0] > colours[worst][2]  # orange
    assert over.min() < 0 and colours[best][2] > colours[best][0]  # blue
    figure.draw_without_rendering()
