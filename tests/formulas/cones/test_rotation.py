"""Rotation against dense matrices: the least angle between one row and all rows of the other, without their axes."""

import time

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.rotation import axis_tilt, rotation_between
from microtome.formulas.cones.written_out import rows_of


def some(count: int, channels: int, size: int, grid: tuple[int, int], seed: int = 0, **more: object) -> ConeSet:
    random = np.random.default_rng(seed)
    kernels = random.normal(size=(count, channels, size, size))
    return ConeSet(kernels=kernels, biases=random.normal(size=count), grid=grid, **more)


def dense(one: ConeSet, other: ConeSet) -> float:
    """By the matrices: rows without the mean of each channel."""

    def turned(cone: ConeSet) -> np.ndarray:
        rows = rows_of(cone).reshape(cone.places, -1, cone.places)
        rows = (rows - rows.mean(-1, keepdims=True)).reshape(cone.places, -1)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    first, seconds = turned(one)[0], turned(other)
    chords = np.linalg.norm(first - seconds, axis=1)
    return float(2 * np.arcsin(chords.min() / 2))


@pytest.mark.parametrize("grid", [(6, 6), (8, 7), (9, 8), (12, 5)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sizes", [(3, 3), (3, 5), (1, 3)])
def test_the_rotation_is_the_least_angle_between_a_row_and_all_rows_of_the_other(sizes, channels, grid) -> None:
    one, other = some(4, channels, sizes[0], grid), some(5, channels, sizes[1], grid, seed=1)
    wanted = [[dense(one[a], other[b]) for b in range(5)] for a in range(4)]
    np.testing.assert_allclose(rotation_between(one, other), wanted, atol=1e-12)
    np.testing.assert_allclose(rotation_between(other, one).T, wanted, atol=1e-12)


@pytest.mark.parametrize("grid", [(4, 4), (3, 9), (2, 3), (1, 6)])
@pytest.mark.parametrize("sizes", [(3, 3), (5, 3)])
def test_on_small_grids_kernels_come_around(sizes, grid) -> None:
    one, other = some(4, 2, sizes[0], grid), some(4, 2, sizes[1], grid, seed=1)
    wanted = [[dense(one[a], other[b]) for b in range(4)] for a in range(4)]
    np.testing.assert_allclose(rotation_between(one, other), wanted, atol=1e-12)


def test_dilated_kernels_are_turned_like_their_spread_out_twins() -> None:
    one, other = some(4, 1, 3, (9, 8), dilation=(2, 1)), some(4, 1, 3, (9, 8), seed=1)
    wanted = [[dense(one[a], other[b]) for b in range(4)] for a in range(4)]
    np.testing.assert_allclose(rotation_between(one, other), wanted, atol=1e-12)


def test_a_kernel_s_own_shift_and_multiple_is_not_turned_at_all_and_its_opposite_stays_below_a_straight_angle() -> None:
    one = some(6, 2, 3, (8, 8))
    moved = np.pad(2.5 * one.kernels, ((0, 0), (0, 0), (2, 0), (0, 1)))
    other = ConeSet(kernels=moved, biases=one.biases, grid=(8, 8))
    assert np.diag(rotation_between(one, other)).max() < 1e-14
    assert np.diag(rotation_between(one, ConeSet(kernels=-moved, biases=one.biases, grid=(8, 8)))).min() > 1


def test_a_constant_added_to_the_map_of_weights_does_not_turn() -> None:
    one = some(5, 1, 4, (4, 4))
    other = ConeSet(kernels=one.kernels + 0.7, biases=one.biases, grid=(4, 4))  # they fill the grid
    assert np.diag(rotation_between(one, other)).max() < 1e-14


def test_it_does_not_depend_on_the_grid_but_for_the_sums_and_random_kernels_are_sixty_four_degrees_apart() -> None:
    one, other = some(200, 1, 3, (32, 32)), some(200, 1, 3, (32, 32), seed=1)
    assert np.degrees(rotation_between(one, other)).mean() == pytest.approx(63.7, abs=0.5)
    larger = [ConeSet(kernels=each.kernels, biases=each.biases, grid=(512, 512)) for each in (one, other)]
    assert np.abs(rotation_between(*larger) - rotation_between(one, other)).max() < 0.02


def test_single_precision_is_the_same_to_its_digits() -> None:
    one, other = some(300, 1, 3, (8, 8)), some(300, 1, 3, (8, 8), seed=1)
    found = rotation_between(one, other, np.float32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rotation_between(one, other), atol=2e-6)


def test_batches_are_compared_one_by_one() -> None:
    one, other = some(6, 1, 3, (6, 6)), some(8, 1, 3, (6, 6), seed=1)
    pairs = [
        ConeSet(kernels=each.kernels.reshape(2, -1, 1, 3, 3), biases=each.biases.reshape(2, -1), grid=(6, 6))
        for each in (one, other)
    ]
    found = rotation_between(*pairs)
    assert found.shape == (2, 3, 4)
    np.testing.assert_allclose(found[1], rotation_between(one[3:], other[4:]), atol=1e-14)


def test_where_nothing_can_turn_the_rotation_is_0() -> None:
    points = some(3, 1, 1, (5, 5))
    assert not rotation_between(points, points).any()
    boxes = ConeSet(kernels=np.full((2, 1, 4, 4), 0.3), biases=np.zeros(2), grid=(4, 4))
    assert not rotation_between(boxes, some(3, 1, 3, (4, 4))).any()


def test_axes_tilt_by_the_angle_between_channel_sums() -> None:
    one, other = some(5, 3, 3, (6, 6)), some(5, 3, 3, (6, 6), seed=1)
    lengths = np.linalg.norm(one.sums, axis=1) * np.linalg.norm(other.sums, axis=1)
    wanted = np.arccos((one.sums * other.sums).sum(1) / lengths)
    np.testing.assert_allclose(axis_tilt(one, other), wanted, rtol=1e-12)
    assert axis_tilt(one, one).max() < 1e-15
    assert np.isnan(axis_tilt(ConeSet(kernels=0 * one.kernels, biases=one.biases, grid=(6, 6)), other)).all()


def test_the_grid_costs_nothing() -> None:
    def seconds(side: int) -> float:
        one, other = some(64, 1, 3, (side, side)), some(64, 1, 3, (side, side), seed=1)
        best = np.inf
        for _ in range(5):
            started = time.process_time()
            rotation_between(one, other)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(1024) < 5 * seconds(8)


def test_cones_of_different_spaces_are_refused() -> None:
    one = some(3, 1, 3, (6, 6))
    for other in (some(3, 1, 3, (6, 7)), some(3, 2, 3, (6, 6)), some(3, 1, 3, (6, 6), stride=(2, 2))):
        with pytest.raises(UsageError, match="are compared on the same grid.*Put both on the grid of the map between"):
            rotation_between(one, other)
