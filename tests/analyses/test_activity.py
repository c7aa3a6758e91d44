"""What activity says of a network in which facts are planted, against slow loops over all activations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import microtome as mt
from microtome.analyses.activity import Activity, ActivityResult
from microtome.images.sources import open_images
from microtome.runs.runner import Look
from toys import prepared

DEAD, CONSTANT = 5, 7  # units of conv1 and conv2


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet")
    with torch.no_grad():
        model.module.conv1.bias[DEAD] = -1e3
        model.module.conv2.weight[CONSTANT] = 0
        model.module.conv2.bias[CONSTANT] = 0.3  # no binary fraction: its sums are rounded
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(60))


@pytest.fixture(scope="module")
def result(specimen) -> ActivityResult:
    return Look(specimen, batch_size=16).run([Activity(k=5)]).results["activity"]


@pytest.fixture(scope="module")
def maps(specimen) -> dict[str, np.ndarray]:
    """Where the units of every layer are read, (N, C, positions)."""
    module = specimen.model.module
    with torch.no_grad():
        one = F.relu(module.conv1(prepared(specimen.model, specimen.images)))
        two = F.relu(module.conv2(F.max_pool2d(one, 2)))
        three = F.relu(module.conv3(F.max_pool2d(two, 2)))
        four = F.relu(module.fc4(F.max_pool2d(three, 3).flatten(1)))
        found = {"conv1": one, "conv2": two, "conv3": three, "fc4": four, "fc5": module.fc5(four)}
    return {name: tensor.double().flatten(2).numpy() if tensor.ndim > 2 else tensor.double().numpy()[..., None]
            for name, tensor in found.items()}  # fmt: skip


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "fc4", "fc5"])
def test_mean_deviation_share_and_largest_are_those_of_all_values(result, maps, layer) -> None:
    values = np.moveaxis(maps[layer], 1, 0).reshape(maps[layer].shape[1], -1)  # (C, N * positions)
    np.testing.assert_allclose(result.mean[layer], values.mean(1), atol=1e-6)
    np.testing.assert_allclose(result.std[layer], values.std(1), atol=1e-4)
    np.testing.assert_allclose(result.active[layer], (values > 0).mean(1), atol=1e-3)
    np.testing.assert_allclose(result.largest[layer], values.max(1), rtol=1e-5, atol=1e-6)


def test_the_planted_dead_unit_is_the_only_one_in_its_layer(result, maps) -> None:
    assert np.flatnonzero(result.dead["conv1"]).tolist() == [DEAD]
    assert not maps["conv1"][:, DEAD].any()


def test_the_planted_constant_unit_is_the_only_dead_one_in_its_layer(result, maps) -> None:
    assert np.flatnonzero(result.dead["conv2"]).tolist() == [CONSTANT]
    assert result.active["conv2"][CONSTANT] == 1


def test_an_output_that_is_never_positive_but_varies_is_not_dead(result, maps) -> None:
    negative = (maps["fc5"] <= 0).all((0, 2))
    assert negative.any()
    assert not result.dead["fc5"].any()


def test_the_number_of_dead_units_is_a_finding_with_the_layer_that_has_most(result, maps) -> None:
    dead = {layer: int((values <= 0).all((0, 2)).sum()) for layer, values in maps.items() if layer != "fc5"}
    dead["conv2"] += 1  # the constant one
    worst = max(dead, key=dead.get)
    (finding,) = result.findings()
    assert finding.number == sum(dead.values())
    assert finding.sentence.startswith(f"{sum(dead.values())} of 298 units ")
    assert finding.sentence.endswith(f"; {dead[worst]} of them in {worst}")
    assert finding.link == f"#/layer/{worst}?filter=dead"
    assert finding.control == "a unit that fires on more than 5.00% of images is seen with 95% probability"  # 3 / 60


@pytest.mark.parametrize("layer", ["conv1", "conv3", "fc4"])
def test_the_strongest_images_are_those_of_a_full_sort(result, maps, layer) -> None:
    largest = maps[layer].max(2)  # (N, C)
    for unit in np.flatnonzero(~result.dead[layer]):
        order = sorted(range(len(largest)), key=lambda image, u=unit: (-largest[image, u], image))[:5]
        np.testing.assert_allclose(result.top_value[layer][unit], largest[order, unit], rtol=1e-5, atol=1e-6)
        if (np.diff(largest[order, unit]) < -1e-5).all():  # closer ones may be rounded either way
            assert result.top_index[layer][unit].tolist()[:4] == order[:4]


def test_a_dead_unit_has_no_strongest_image(result) -> None:
    assert (result.top_index["conv1"][DEAD] == -1).all()
    assert (result.lower_index["conv1"][DEAD] == -1).all()
    assert (result.top_index["conv1"][DEAD + 1] >= 0).all()


def test_the_crop_of_a_strongest_image_makes_the_activation_that_is_claimed(specimen, result) -> None:
    module = specimen.model.module
    pixels = prepared(specimen.model, specimen.images)
    checked = 0
    for unit in np.flatnonzero(~result.dead["conv1"]):
        for image, value, box in zip(*(part["conv1"][unit] for part in (result.top_index, result.top_value,
                                                                       result.top_box)), strict=True):  # fmt: skip
            top, left, bottom, right = box
            if (bottom - top, right - left) == (5, 5):  # not cut at the border
                crop = pixels[image, 0, top:bottom, left:right]
                made = (module.conv1.weight[unit, 0] * crop).sum() + module.conv1.bias[unit]
                np.testing.assert_allclose(value, made.detach(), rtol=1e-4)
                checked += 1
    assert checked > 50


def test_lower_images_go_down_in_even_steps_of_the_ranking(result, maps) -> None:
    np.testing.assert_allclose(result.levels, [0.9, 0.7, 0.5, 0.3, 0.1])
    ranked = np.sort(maps["fc5"].max(2), axis=0)  # (N, C), weakest first
    np.testing.assert_allclose(result.lower_value["fc5"], ranked[[54, 42, 30, 18, 6]].T, atol=1e-5)


def test_a_histogram_counts_eight_positions_an_image_within_the_range_of_the_unit(result, maps) -> None:
    for layer in ("conv1", "fc4"):
        assert (result.counts[layer].sum(1) == 8 * 60).all()
        assert (result.low[layer] >= maps[layer].min((0, 2)) - 1e-5).all()
        assert (result.high[layer] <= maps[layer].max((0, 2)) + 1e-5).all()
