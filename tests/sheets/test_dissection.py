"""A unit taken apart on one picture, by Python; and who feeds whom."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.network.parts.feeders import feeders, sources
from microtome.network.parts.filters_on_pictures import words_of_filters
from microtome.network.parts.linear_layers import linear_layers
from microtome.sheets.dissection import SHOWN, DissectionSheet
from toys import noise, opened, seeded


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model("zoo:simpleconvnet_pruned")


@pytest.fixture(scope="module")
def found(model) -> DissectionSheet:
    return mt.dissect(model, "line:45", "conv2:3")


def test_rows_are_named_by_the_units_behind_them_and_labels_can_be_given(model, found) -> None:
    assert found.feeding == tuple(f"conv1:{number}" for number in range(8))
    assert found.labels == words_of_filters(model)["conv1"]
    given = [f"pattern {number}" for number in range(8)]
    again = mt.dissect(model, "line:45", "conv2:3", labels={"conv1": given})
    assert again.labels == tuple(given) and any("pattern" in words for words in again.words)
    np.testing.assert_array_equal(again.dissection.a, found.dissection.a)


def test_numbers_are_plain_and_in_order_of_their_share(found) -> None:
    told = json.loads(json.dumps(found.numbers()))
    shares = [row["covariance_share"] for row in told["rows"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-9)
    assert told["error"] < 1e-5 and (told["layer"], told["unit"]) == ("conv2", 3)


def test_the_sentences_add_up(found) -> None:
    lines = found.sentences()
    assert "8 channels and a bias of" in lines[0] and len(lines) == 1 + 8 + 1
    assert lines[-1] == "(share of the covariance with the sum; an even one is 12%)"


def test_many_channels_are_shown_as_a_few_and_the_rest_together(model) -> None:
    many = mt.dissect(model, "line:45", "conv3:3")
    assert len(many.dissection.index) == 16 > SHOWN
    assert many.sentences()[1 + SHOWN].endswith(f"the other {16 - SHOWN} channels together")
    figure = many.plot()
    figure.draw_without_rendering()
    grid = np.array(figure.axes).reshape(SHOWN + 2, 6)
    rows = sorted(many.dissection.order[:SHOWN])
    assert grid[0, 1].texts[0].get_text().startswith(f"conv2:{rows[0]}\n")
    assert grid[SHOWN, 1].texts[0].get_text() == f"the other {16 - SHOWN} channels"


def test_the_last_sum_is_what_the_figure_shows_as_the_output(found) -> None:
    figure = found.plot()
    grid = np.array(figure.axes).reshape(9, 6)
    last, output = grid[-1, 4].images[0].get_array(), grid[0, 5].images[0].get_array()
    assert last.shape == output.shape
    strongest = np.unravel_index(np.abs(found.dissection.y[0]).argmax(), found.dissection.y[0].shape)
    assert (np.argmax(last[strongest]) == np.argmax(output[strongest])) or found.dissection.y[0][strongest] == 0


def test_of_a_linear_layer_there_is_a_row_a_channel_of_the_flattened_map(model) -> None:
    sheet = mt.dissect(model, "dot", "fc4:2")
    assert sheet.feeding == tuple(f"conv3:{number}" for number in range(24))


class Mixed(nn.Module):
    """Concatenation, sum, a shuffle of channels, and a layer behind each."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, 1)
        self.joined, self.summed = nn.Conv2d(5, 5, 1), nn.Conv2d(5, 4, 1)
        self.shuffled, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([torch.relu(self.two(x)), self.one(x)], 1)
        x = self.summed(both + self.joined(both))
        x = self.shuffled(x)
        x = x.reshape(len(x), 2, 2, *x.shape[2:]).transpose(1, 2).reshape(len(x), 4, *x.shape[2:])
        return self.last(x)


def test_sources_go_through_what_keeps_channels_apart_joins_and_adds() -> None:
    model = opened(seeded(Mixed))
    layers = linear_layers(model)
    behind = {name: feeders(model, layers[name]) for name in layers}
    assert behind["joined"] == tuple(
        ((name, unit),) for name, units in (("two", 3), ("one", 2)) for unit in range(units)
    )
    assert behind["summed"][3] == (("one", 0), ("joined", 3)) and behind["summed"][0] == (("two", 0), ("joined", 0))
    assert behind["shuffled"][1] == (("summed", 1),)
    assert behind["last"] == ((),) * 4  # which channel is which after a shuffle is not told by shapes
    assert behind["one"] == ((),) * 3
    assert sources(model.sites, "one")[1] == (("one", 1),)


def test_fire_modules_are_fed_by_both_expansions() -> None:
    model = mt.open_model("torchvision:squeezenet1_0")
    found = feeders(model, linear_layers(model)["features.4.squeeze"])
    assert (
        len(found) == 128 and found[0] == (("features.3.expand1x1", 0),) and found[64] == (("features.3.expand3x3", 0),)
    )


def test_only_filters_on_the_picture_itself_are_labelled(model) -> None:
    assert len(words_of_filters(model)["conv1"]) == 8
    assert "conv2" not in words_of_filters(model)
    planted = seeded(Mixed)
    assert "one" not in words_of_filters(opened(planted))  # one pixel looks for no pattern


def test_a_planted_filter_on_colour_pictures_is_labelled_by_its_main_mixture() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 5), nn.ReLU(), nn.Conv2d(2, 2, 1)).eval()
    slash = np.fliplr(np.eye(5)).copy()
    with torch.no_grad():
        for channel, amount in enumerate((1.0, 0.5, 0.2)):
            module[0].weight[0, channel] = amount * torch.from_numpy(slash)
            module[0].weight[1, channel] = 0.5
    model = opened(module)
    assert words_of_filters(model)["0"] == ("line at slope 45", "")
    sheet = mt.dissect(model, 0, "2:0", images=noise(model, 1))
    assert sheet.labels == ("line at slope 45", "")
