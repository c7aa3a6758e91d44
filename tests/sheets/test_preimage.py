"""What a layer cannot tell apart, by Python."""

import json

import numpy as np
import pytest
from torch import nn

import microtome as mt
from microtome.errors import UnknownName
from microtome.sheets.preimage import PreimageSheet


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model("zoo:simpleconvnet")


@pytest.fixture(scope="module")
def sheet(model: mt.Model) -> PreimageSheet:
    return mt.preimage(model, mt.open_images("digits", model)[0], "fc4")


def test_a_layer_is_read_behind_its_rectifier_and_compared_with_before(sheet: PreimageSheet) -> None:
    assert (sheet.site, sheet.blind.outputs, sheet.blind.inputs) == ("relu_3", 64, 784)
    assert sheet.blind.rank.lowest == sheet.blind.on < sheet.before.rank.lowest == 64
    assert sheet.blind.dimension == (784 - sheet.blind.on,) * 2


def test_a_unit_has_one_direction(model: mt.Model) -> None:
    found = mt.preimage(model, "line:45", "conv2:3@5,6", towards="dot")
    assert (found.target, found.site, found.blind.outputs) == ("dot", "relu_1", 1)
    assert found.before.rank.lowest == 1
    assert found.blind.rank.lowest == found.blind.on


def test_numbers_are_plain(sheet: PreimageSheet) -> None:
    told = json.loads(json.dumps(sheet.numbers()))
    assert told["method"] == "preimage"
    assert told["rank"]["lowest"] == sheet.blind.rank.lowest
    assert told["dimension"] == list(sheet.blind.dimension)
    assert told["moved"]["change"] == sheet.moved.change < 1e-5 < told["moved"]["random_change"]
    np.testing.assert_allclose(told["rank"]["values"], sheet.blind.rank.values)


def test_the_sentences_say_set_distance_and_control(sheet: PreimageSheet) -> None:
    lines = sheet.sentences()
    assert lines[0].endswith(f"on array (read at relu_3): 64 numbers of 784, {sheet.blind.on} of them on")
    assert lines[2].startswith(f"Inputs with the same activation form a set of {784 - sheet.blind.on} dimensions")
    assert lines[3] == "Before the rectifier the rank is 64"
    assert "straight on, the network bends after" in lines[4]
    assert "grey levels away (root mean square) is read the same" in lines[5]
    assert lines[6].startswith("Control: the same changes at shuffled pixels change it by ")


def test_what_sees_everything_has_nothing_to_move() -> None:
    model = mt.open_model(nn.Conv2d(1, 4, 1), size=4, mean=(0.5,), std=(0.5,))
    found = mt.preimage(model, "line:45", model.sites.output)
    assert found.sentences()[-1] == "No direction is lost: nothing can be moved"
    assert (found.moved, found.straight, found.before) == (None, None, None)
    found.plot().draw_without_rendering()


def test_the_plot_shows_the_moved_picture_and_marks_the_rank(sheet: PreimageSheet) -> None:
    figure = sheet.plot()
    figure.draw_without_rendering()
    moved = figure.axes[2].images[0].get_array()[..., 0]
    assert np.abs(moved - sheet.moved.pixels[0]).max() <= 0.5
    labels = [text.get_text() for text in figure.axes[4].get_legend().get_texts()]
    assert labels == ["rounding", f"rank {sheet.blind.rank.lowest}", "pixels 784"]


def test_the_target_without_a_name_is_noise_by_its_seed(model: mt.Model, sheet: PreimageSheet) -> None:
    again = mt.preimage(model, mt.open_images("digits", model)[0], "fc5", seed=1)
    assert sheet.target == again.target == "noise"
    assert (sheet.towards != again.towards).mean() > 0.9


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("conv9", "Site 'conv9' does not exist"),
        ("conv2:99", "conv2:99 does not exist. conv2 has the shape 64 x 14 x 14"),
        ("conv2:1@20,0", "conv2:1@20,0 does not exist"),
        ("fc4:1@2,2", "fc4:1@2,2 does not exist. fc4 has the shape 64"),
        ("conv2:x", "Unit 'conv2:x' cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused(model: mt.Model, where: str, said: str) -> None:
    with pytest.raises(UnknownName, match=said):
        mt.preimage(model, "dot", where)
