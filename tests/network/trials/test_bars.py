"""Bars lie where they should, and the answers to them are those of the network."""

import numpy as np
import pytest
import torch
from torch import nn

from microtome.network.trials.bars import bar_answers, bars, map_sums
from toys import InPlace, Tokens, noise, opened, prepared, seeded


@pytest.mark.parametrize("size", [(28, 28), (40, 64)], ids=str)
def test_bars_are_whole_alike_in_every_place_and_turned_by_their_angle(size: tuple[int, int]) -> None:
    drawn = bars(size, 4, 3).astype(float)
    assert drawn.shape == (4, 9, *size) and not drawn[:, :, [0, -1]].any() and not drawn[..., [0, -1]].any()
    np.testing.assert_allclose(drawn.sum((2, 3)), drawn.sum((2, 3))[:, :1] * np.ones(9))
    middle = drawn[:, 4] / drawn[:, 4].sum((1, 2), keepdims=True)
    rows, columns = np.mgrid[: size[0], : size[1]]
    row, column = (middle * rows).sum((1, 2)), (middle * columns).sum((1, 2))
    np.testing.assert_allclose(row, row[0], atol=0.05)
    up, right = row[:, None, None] - rows, columns - column[:, None, None]
    angle = np.degrees(0.5 * np.arctan2((middle * 2 * up * right).sum((1, 2)),
                                        (middle * (right**2 - up**2)).sum((1, 2))))  # fmt: skip
    np.testing.assert_allclose(angle % 180, [0, 45, 90, 135], atol=1)


def test_answers_are_the_largest_of_the_networks_maps_by_angle_and_place() -> None:
    module = seeded(InPlace)
    model = opened(module)
    found = bar_answers(model, {"conv1": "act", "fc": "fc"}, 4, 3)
    pictures = torch.from_numpy(bars((12, 12), 4, 3))[:, :, None].repeat(1, 1, 3, 1, 1)
    with torch.no_grad():
        x = model.preprocessing.normalise(pictures.flatten(0, 1))
        maps, logits = torch.relu(module.conv1(x)), module(x.clone())
    expected = maps.amax((2, 3)).T.reshape(4, 4, 9)
    np.testing.assert_allclose(found["conv1"].pooled, expected, atol=1e-5)
    assert found["conv1"].single.shape == (4, 0, 4, 9)  # 144 places are not few
    np.testing.assert_allclose(found["fc"].pooled, logits.T.reshape(3, 4, 9), atol=1e-5)


def test_small_maps_are_kept_place_by_place() -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, 2, 3, stride=4), nn.ReLU()).eval())
    answers = bar_answers(model, {"0": "1"}, 4, 2)["0"]
    assert answers.single.shape == (2, 9, 4, 4)
    np.testing.assert_allclose(answers.single.max(1), answers.pooled)


def test_sums_are_over_all_images_with_channels_first_whatever_the_layout() -> None:
    module = seeded(Tokens)
    model = opened(module)
    x = prepared(model, noise(model, 9))
    sums = map_sums(model, {"mix": "relu", "embed": "embed", "head": "head"}, x)
    with torch.no_grad():
        patches = module.embed(x).flatten(2)
        mixed = torch.relu(module.mix(patches.transpose(1, 2))).transpose(1, 2)
        logits = module.head(mixed.mean(2))[..., None]
    for layer, expected in (("embed", patches), ("mix", mixed), ("head", logits)):
        assert sums[layer].count == 9
        np.testing.assert_allclose(sums[layer].total, expected.double().sum(0), atol=1e-5)
        np.testing.assert_allclose(sums[layer].squares, (expected.double() ** 2).sum(0), atol=1e-5)
