"""Whole maps of chosen images, against the tensors themselves and a slow average over areas."""

import math

import numpy as np
import pytest
import torch

from feeding import LAYOUTS, cut, feed
from microtome.statistics import Maps

each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def slow_areas(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every output is the mean of all positions that its area touches."""
    small = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            top, bottom = row * picture.shape[0] // height, math.ceil((row + 1) * picture.shape[0] / height)
            left, right = column * picture.shape[1] // width, math.ceil((column + 1) * picture.shape[1] / width)
            small[row, column] = picture[top:bottom, left:right].mean()
    return small


@each_layout
def test_small_maps_are_kept_exactly(layout) -> None:
    tensor = LAYOUTS[layout]()
    answer = feed(Maps(places=(17, 3), side=64), tensor, cut(range(20), 6)).compute()
    np.testing.assert_array_equal(answer.index, [3, 17])
    expected = tensor[[3, 17]].float().numpy()
    np.testing.assert_array_equal(answer.values.reshape(expected.shape), expected)
    assert answer.values.ndim == 4


@each_layout
def test_energy_is_the_sum_of_squares_of_the_whole_map(layout) -> None:
    tensor = LAYOUTS[layout]()
    answer = feed(Maps(places=(3,), side=2), tensor).compute()
    expected = np.square(tensor[3].float().double().numpy()).reshape(6, -1).sum(1)
    np.testing.assert_allclose(answer.energy[0], expected, rtol=1e-12)


@pytest.mark.parametrize("side", [1, 3, 4, 8])
def test_large_maps_are_averaged_over_areas_in_their_proportions(side) -> None:
    tensor = LAYOUTS["maps"]()  # (20, 6, 9, 7)
    answer = feed(Maps(places=(3, 4), side=side), tensor).compute()
    height, width = side, max(1, round(7 * side / 9))
    expected = [[slow_areas(tensor[image, channel].numpy(), height, width) for channel in range(6)] for image in (3, 4)]
    np.testing.assert_allclose(answer.values, expected, atol=1e-6)


def test_a_side_of_zero_keeps_every_position() -> None:
    tensor = torch.randn(2, 3, 70, 90)
    np.testing.assert_array_equal(feed(Maps(places=(1,)), tensor).compute().values[0], tensor[1].numpy())


def test_maps_with_depth_lie_below_each_other() -> None:
    tensor = torch.randn(2, 3, 4, 5, 6)
    np.testing.assert_array_equal(feed(Maps(places=(0,)), tensor).compute().values[0], tensor[0].reshape(3, 20, 6))


def test_a_batch_without_the_chosen_images_leaves_no_trace() -> None:
    tensor = LAYOUTS["maps"]()
    assert feed(Maps(places=(3, 17)), tensor, [np.array([0, 1, 2]), np.array([4, 5])]).state() == {}


def test_a_later_batch_does_not_overwrite_what_is_kept() -> None:
    tensor = LAYOUTS["maps"]()
    accumulator = feed(Maps(places=(3,)), tensor)
    before = tensor[3].numpy().copy()
    tensor.zero_()
    np.testing.assert_array_equal(accumulator.compute().values[0], before)
