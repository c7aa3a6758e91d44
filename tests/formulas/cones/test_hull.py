"""Hulls against non-negative least squares on the rays of all cones."""

import numpy as np
import pytest
from scipy.optimize import nnls

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.hull import hull_holds
from microtome.formulas.cones.inclusion import inclusion
from microtome.formulas.cones.written_out import rows_of


def some(count: int, seed: int, grid: tuple[int, int] = (4, 4)) -> ConeSet:
    random = np.random.default_rng(seed)
    kernels, biases = random.normal(size=(count, 1, 3, 3)), random.normal(size=count)
    return ConeSet(kernels=kernels, biases=biases, grid=grid)


def aligned(cones: ConeSet) -> ConeSet:
    """All opening towards bright images, apices where they were."""
    sigma = cones.orientation
    return ConeSet(kernels=cones.kernels * sigma[:, None, None, None], biases=cones.biases * sigma, grid=cones.grid)


def reached(inner: ConeSet, cones: ConeSet) -> list[bool]:
    """Which extreme rays of the inner cone are non-negative sums of the others' rays."""
    rays = np.concatenate([np.linalg.inv(rows_of(cones[place])) for place in range(len(cones.biases))], axis=1)
    rays /= np.linalg.norm(rays, axis=0)
    own = np.linalg.inv(rows_of(inner))
    return [nnls(rays, ray / np.linalg.norm(ray))[1] < 1e-7 for ray in own.T]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_hull_holds_a_cone_where_the_lowest_apex_is_not_above_and_one_ray_is_a_sum_of_rays(count) -> None:
    held = 0
    for seed in range(20):
        inner, cones = aligned(some(1, 100 + seed))[0], aligned(some(count, seed))
        rays = reached(inner, cones)
        assert all(rays) or not any(rays)  # one stands for all
        wanted = rays[0] and inner.apex[0] >= cones.apex.min()
        found = hull_holds(inner, cones)
        assert found.holds == wanted and not found.everything
        held += found.holds
        if count == 1:
            assert found.holds == inclusion(inner, cones[0]).full
    assert held > 0 if count == 4 else held < 20


def test_a_hull_holds_each_of_its_cones_also_of_dark_ones() -> None:
    cones = aligned(some(3, 5))
    dark = ConeSet(kernels=-cones.kernels, biases=-cones.biases, grid=cones.grid)
    for each in (cones, dark):
        assert all(hull_holds(each[place], each).holds for place in range(3))
    assert not hull_holds(dark[0], cones).holds


def test_the_hull_of_cones_that_open_against_each_other_is_everything() -> None:
    for seed in range(10):
        pair = aligned(some(2, seed))
        sign = np.array([1, -1])
        against = ConeSet(kernels=pair.kernels * sign[:, None, None, None], biases=pair.biases * sign, grid=pair.grid)
        rays = np.concatenate([np.linalg.inv(rows_of(against[place])) for place in range(2)], axis=1)
        assert all(nnls(rays, direction)[1] < 1e-7 for direction in np.r_[np.eye(16), -np.eye(16)])
        found = hull_holds(some(1, 200 + seed)[0], against)
        assert found.holds and found.everything


def test_what_it_cannot_be_asked_is_refused() -> None:
    cones = some(3, 0)
    box = ConeSet(kernels=np.ones((1, 2, 2)), biases=np.array(0.0), grid=(4, 4))
    flat = ConeSet(kernels=np.zeros((3, 1, 3, 3)), biases=np.zeros(3), grid=(4, 4))
    for inner, others in ((cones, cones), (box, cones), (cones[0], flat), (some(1, 0, (9, 8))[0], some(2, 1, (9, 8)))):
        with pytest.raises(UsageError, match="One slice that misses no frequency is held against several with an apex"):
            hull_holds(inner, others)
