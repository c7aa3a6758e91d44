"""What one site makes of one picture, by Python."""

import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import microtome as mt
from microtome.errors import UnknownName, UsageError
from microtome.sheets.activation import ActivationSheet
from toys import Plain, noise, opened, seeded


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model("zoo:simpleconvnet_pruned")


@pytest.fixture(scope="module")
def found(model) -> ActivationSheet:
    return mt.maps(model, "line:45", "conv2")


def by_hand(model: mt.Model, pixels: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        x = model.preprocessing.normalise(torch.from_numpy(pixels)[None])
        before = model.module.conv2(F.max_pool2d(F.relu(model.module.conv1(x)), 2))
        maps = {"before": before, "after": F.relu(before), "pool": F.max_pool2d(F.relu(before), 2)}
    return {stage: values[0].numpy() for stage, values in maps.items()}


def line(model: mt.Model) -> np.ndarray:
    from microtome.formulas.stimuli import stimulus

    return stimulus("line:45", (28, 28), 1)


def test_the_maps_are_the_networks_own_and_whole(model, found) -> None:
    expected = by_hand(model, line(model))
    assert list(found.maps) == list(expected)
    for stage, maps in expected.items():
        np.testing.assert_allclose(found.maps[stage], maps, atol=1e-6)
    assert found.sites == {"before": "relu_1:in", "after": "relu_1", "pool": "max_pool2d_1"}
    assert (found.model, found.picture, found.site) == ("simpleconvnet_pruned", "line:45", "conv2")


def test_the_shares_are_what_is_missing_of_the_energy(model, found) -> None:
    energy = {stage: (maps.astype(float) ** 2).sum((1, 2)) for stage, maps in by_hand(model, line(model)).items()}
    known = energy["after"] > 0
    np.testing.assert_allclose(found.lost["after"], 1 - energy["after"] / energy["before"], atol=1e-6)
    np.testing.assert_allclose(found.lost["pool"][known], (1 - energy["pool"] / energy["after"])[known], atol=1e-6)
    assert found.share_lost("pool") == pytest.approx(np.nanmean(found.lost["pool"]))
    assert np.isnan(found.share_lost("before"))


def test_one_unit_is_one_channel_of_all(model, found) -> None:
    alone = mt.maps(model, "line:45", "conv2", unit=3)
    assert alone.channels.tolist() == [3]
    np.testing.assert_array_equal(alone.maps["after"], found.maps["after"][3:4])
    np.testing.assert_array_equal(alone.lost["pool"], found.lost["pool"][3:4])


def test_any_picture_will_do(model) -> None:
    images = mt.open_images("digits", like=model).limit(5)
    one, other = mt.maps(model, 2, "conv1", images=images), mt.maps(model, images[2], "conv1")
    np.testing.assert_array_equal(one.maps["before"], other.maps["before"])
    assert one.picture == images.ids[2]


def test_a_module_of_ones_own_and_any_site_will_do() -> None:
    module = seeded(Plain)
    picture = noise(opened(module))[0].transpose(1, 2, 0)
    sheet = mt.maps(module, picture, "mean")
    assert {stage: maps.shape for stage, maps in sheet.maps.items()} == {"after": (5, 1, 1)}
    assert sheet.lost == {}


def test_numbers_are_plain_and_say_what_was_found(found) -> None:
    told = json.loads(json.dumps(found.numbers()))
    assert [stage["stage"] for stage in told["stages"]] == ["before", "after", "pool"]
    after = told["stages"][1]
    assert after["shape"] == [16, 14, 14]
    assert after["lowest"] == 0
    assert after["highest"] == pytest.approx(float(found.maps["after"].max()))
    np.testing.assert_allclose(after["lost"], found.lost["after"])
    np.testing.assert_allclose(after["energy"], (found.maps["after"].astype(float) ** 2).sum((1, 2)))


def test_a_dead_channel_has_no_share_and_json_has_a_word_for_that(model) -> None:
    zeros = mt.maps(_zeros(), np.zeros((12, 12, 3), np.uint8), "conv1")
    assert zeros.numbers()["stages"][1]["lost"] == [None] * 4
    zeros.plot().draw_without_rendering()


def _zeros() -> nn.Module:
    module = seeded(Plain)
    for parameter in module.parameters():
        parameter.data.zero_()
    return module


def test_a_plot_has_a_sheet_a_stage_in_one_scale(found) -> None:
    figure = found.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.splitlines()[0].partition(" (")[0] for title in titles] == [
        "before the rectifier", "after the rectifier", "after the pool"]  # fmt: skip
    assert len({re.search(r"full colour at \S+", title)[0] for title in titles}) == 1
    assert f"{found.share_lost('after'):.0%} of the energy thrown away (mean of channels)" in titles[1]
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    assert (pictures[0][..., 2].astype(int) > pictures[0][..., 0]).any()  # blue: below zero
    assert not (pictures[1][..., 2].astype(int) > pictures[1][..., 0]).any()


def test_a_plot_is_pale_where_a_stage_is_weak() -> None:
    values = {"before": np.full((1, 40, 40), -4.0), "after": np.full((1, 40, 40), 1.0)}
    weak = ActivationSheet(
        model="m", picture="p", site="s", channels=np.arange(1), maps=values, sites={"before": "s:in", "after": "s"},
        lost={},
    )  # fmt: skip
    middle = weak.plot().axes[1].images[0].get_array()[20, 20]
    assert middle.tolist() == [213, 168, 126]  # half way from (247, 247, 247) to (179, 88, 6): a quarter of the scale


@pytest.mark.parametrize(
    ("unit", "error", "message"),
    [
        (16, UnknownName, "Unit 16 of conv2 does not exist. Its units are 0 to 15. Units count from 0: give one of "
                          "them."),
        (-1, UsageError, "unit is -1. It must be 0 or more. Give unit a larger number."),
    ],
)  # fmt: skip
def test_a_unit_that_does_not_exist_is_refused(model, unit, error, message) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        mt.maps(model, "dot", "conv2", unit)
