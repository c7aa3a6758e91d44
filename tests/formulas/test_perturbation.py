"""Areas and blurs against brute force, and what a fair control must keep."""

import math

import numpy as np
import pytest
import torch

from microtome.formulas.perturbation import (
    area_size,
    blurred,
    edge_strength,
    middle_area,
    random_area,
    replaced,
    strength,
    strongest_area,
)
from microtome.formulas.resampling import bootstrap_mean, percent_in_words, points_in_words

RANDOM = np.random.default_rng(0)


def test_strength_is_the_euclidean_norm_over_colours() -> None:
    maps = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = [[[math.hypot(*maps[n, :, y, x].tolist()) for x in range(5)] for y in range(4)] for n in range(2)]
    np.testing.assert_allclose(strength(maps), expected, rtol=1e-6)
    assert (strength(-maps[:, :1]) == np.abs(maps[:, 0])).all()


@pytest.mark.parametrize(("shape", "share", "size"), [((7, 7), 0.1, 5), ((28, 28), 0.1, 78), ((1, 1), 0.1, 1),
                                                      ((3, 3), 0.1, 1), ((4, 4), 1.0, 16)])  # fmt: skip
def test_an_area_has_the_rounded_share_of_its_box_and_a_pixel_at_least(shape, share, size) -> None:
    values = RANDOM.random(shape)
    area = strongest_area(values, share)
    assert area_size(shape, share) == area.sum() == size
    assert not (~area).any() or values[area].min() >= values[~area].max()
    assert middle_area(shape, share).sum() == size


def test_of_equal_pixels_those_that_come_first_are_taken() -> None:
    values = np.zeros((4, 5))
    values[3, 4] = 1
    area = strongest_area(values, 0.2)
    assert np.flatnonzero(area).tolist() == [0, 1, 2, 19]


def test_the_middle_is_nearest_to_the_middle() -> None:
    assert middle_area((3, 3), 0.1).nonzero() == (np.array([1]), np.array([1]))
    area = middle_area((9, 21), 0.2)
    far = np.hypot(*np.meshgrid(np.arange(9) - 4, np.arange(21) - 10, indexing="ij"))
    assert far[area].max() <= far[~area].min()


def test_a_random_area_is_the_same_area_moved_and_mirrored() -> None:
    area = np.zeros((4, 6), bool)
    area[0, :3] = area[1, 0] = True  # its mirror images differ
    allowed = {
        np.roll(area, (down, right), (0, 1))[::rows, ::columns].tobytes()
        for down in range(4) for right in range(6) for rows in (1, -1) for columns in (1, -1)
    }  # fmt: skip
    drawn = {random_area(area, np.random.default_rng(seed)).tobytes() for seed in range(600)}
    assert len(allowed) == 96
    assert drawn == allowed


def test_edges_are_where_the_luminance_changes() -> None:
    pixels = np.zeros((3, 9, 9), np.uint8)
    pixels[1, :, 5:] = 200  # green
    edges = edge_strength(pixels)
    assert set(edges[4].argsort()[-2:]) == {4, 5}
    np.testing.assert_allclose(edges, edges[:1].repeat(9, 0), atol=1e-9)
    blue, grey = pixels[[0, 2, 1]], pixels[1:2]
    np.testing.assert_allclose(edge_strength(blue) / 0.114, edges / 0.587, atol=1e-9)
    np.testing.assert_allclose(edge_strength(grey), edges / 0.587, atol=1e-9)
    assert (edge_strength(np.full((1, 5, 5), 7.0)) < 1e-9).all()


def test_a_blur_is_a_weighted_mean_of_the_pixels_there_are() -> None:
    image = torch.from_numpy(RANDOM.normal(size=(2, 5, 8)))
    sigma = 0.1 * 8
    expected = np.zeros((2, 5, 8))
    for y, x in np.ndindex(5, 8):
        there = np.array([[math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2)) for u in range(8)]
                          for v in range(5)])  # fmt: skip
        expected[:, y, x] = (image.numpy() * there).sum((1, 2)) / there.sum()
    np.testing.assert_allclose(blurred(image, 0.1), expected, rtol=1e-12)
    assert blurred(image.float()).dtype == torch.float32
    np.testing.assert_allclose(blurred(torch.full((1, 6, 6), 3.0)), 3.0, rtol=1e-6)
    assert torch.equal(blurred(image, 0.0), image)


def test_only_the_area_is_replaced() -> None:
    image, other = torch.rand(3, 4, 4), torch.rand(3, 4, 4)
    areas = torch.zeros(2, 4, 4, dtype=torch.bool)
    areas[1, 2, 3] = True
    found = replaced(image[None], areas, other[None])
    assert torch.equal(found[0], image)
    assert torch.equal(found[1, :, 2, 3], other[:, 2, 3])
    assert (found[1] != image).sum() == 3


def test_a_bootstrap_interval_is_that_of_the_mean() -> None:
    values = RANDOM.normal(2, 3, 400)
    mean, low, high = bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert (mean - low, high - mean) == (pytest.approx(half, rel=0.15), pytest.approx(half, rel=0.15))
    assert bootstrap_mean(values) == (mean, low, high)


def test_few_values_have_no_interval() -> None:
    assert np.isnan(bootstrap_mean(np.zeros(0))).all()
    assert bootstrap_mean(np.ones(1))[0] == 1
    assert (percent_in_words(np.full(1, 0.25)), points_in_words(np.full(1, -0.25))) == ("25%", "-25")
    assert (percent_in_words(np.full(3, 0.25)), points_in_words(np.full(3, 0.25))) == ("25% [25, 25]", "+25 [+25, +25]")
