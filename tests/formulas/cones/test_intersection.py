"""Cones that meet, against linear programs over whole images."""

import numpy as np
import pytest
from scipy.optimize import linprog

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.intersection import facing, meeting_point
from microtome.formulas.cones.written_out import rows_of


def some(count: int, channels: int, grid: tuple[int, int], seed: int) -> ConeSet:
    random = np.random.default_rng(seed)
    kernels, biases = random.normal(size=(count, channels, 3, 3)), random.normal(size=count)
    return ConeSet(kernels=kernels, biases=biases, grid=grid)


def feasible(cones: ConeSet) -> bool:
    rows = np.concatenate([-rows_of(cones[place]) for place in range(len(cones.biases))])
    bounds = np.repeat(cones.biases, cones.places)
    found = linprog(np.zeros(rows.shape[1]), rows, bounds, bounds=(None, None))
    assert found.status in (0, 2)
    return found.status == 0


def test_slices_meet_where_the_linear_program_over_all_pixels_says() -> None:
    met = 0
    for seed in range(300):
        cones = some(2 + seed % 2, 1, (5, 5), seed)
        point = meeting_point(cones)
        assert (point is not None) == feasible(cones)
        met += point is not None
        if point is not None:
            assert (cones.sums @ point + cones.biases >= -1e-12).all()
    assert 150 < met < 290  # both happen


@pytest.mark.parametrize("count", [2, 3, 6])
def test_filters_meet_where_the_linear_program_over_all_pixels_says(count) -> None:
    met = 0
    for seed in range(60):
        cones = some(count, 2, (4, 4), seed)
        if count == 6:
            cones = ConeSet(kernels=cones.kernels, biases=cones.biases - 0.5, grid=(4, 4))
        point = meeting_point(cones)
        assert (point is not None) == feasible(cones)
        met += point is not None
        if point is not None:
            inside = [rows_of(cones[p]) @ np.repeat(point, 16) + cones.biases[p] for p in range(count)]
            assert np.min(inside) >= -1e-8
    assert met == 60 if count == 2 else 0 < met < 60  # two half-planes meet, unless they are parallel


def test_two_slices_meet_unless_they_look_away_from_each_other() -> None:
    one, other = some(400, 1, (5, 5), 0), some(400, 1, (5, 5), 1)
    found = facing(one, other)
    for place in range(400):
        kernels = np.stack([one.kernels[place], other.kernels[place]])
        both = ConeSet(kernels=kernels, biases=np.array([one.biases[place], other.biases[place]]), grid=(5, 5))
        assert (meeting_point(both) is not None) == found[place]
    assert found[one.orientation == other.orientation].all() and 0 < (~found).sum() < 200


def test_what_is_empty_meets_nothing_and_what_is_everything_meets_all() -> None:
    edge = np.array([[[1.0, -1.0]], [[0.5, 0.25]]])[:, None]
    for bias, meets in ((0.3, True), (0.0, True), (-0.3, False)):
        cones = ConeSet(kernels=edge, biases=np.array([bias, -1.0]), grid=(4, 4))
        assert (meeting_point(cones) is not None) == feasible(cones) == meets
        assert facing(cones[0], cones[1]) == facing(cones[1], cones[0]) == meets
    nothing = ConeSet(kernels=np.zeros((2, 3, 3, 3)), biases=np.array([0.0, 1.0]), grid=(4, 4))
    np.testing.assert_array_equal(meeting_point(nothing), np.zeros(3))


def test_parallel_filters_that_look_away_from_each_other_do_not_meet() -> None:
    kernels = np.random.default_rng(0).normal(size=(1, 3, 3, 3)) * np.array([1, -2])[:, None, None, None]
    for bias, meets in ((-0.9, False), (0.0, True), (0.9, True)):
        cones = ConeSet(kernels=kernels, biases=np.array([bias, 0.0]), grid=(4, 4))
        assert (meeting_point(cones) is not None) == feasible(cones) == meets


def test_strides_and_filters_in_place_of_slices_are_refused() -> None:
    cones = ConeSet(kernels=np.ones((2, 1, 3, 3)), biases=np.zeros(2), grid=(4, 4), stride=(2, 2))
    with pytest.raises(UsageError, match="stride .2, 2.*Make them with stride 1"):
        meeting_point(cones)
    with pytest.raises(UsageError, match="2 and 2 channels.*Ask meeting_point"):
        facing(some(2, 2, (4, 4), 0), some(2, 2, (4, 4), 1))
