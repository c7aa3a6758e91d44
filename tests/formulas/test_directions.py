"""Cones from 0: mean directions, angles and what shuffling gives."""

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.directions import (
    angles_to,
    directions,
    own_angles,
    shuffled_resultants,
    two_sided,
    unit_rows,
)


def about_an_axis(kappa: float, count: int) -> tuple[np.ndarray, float]:
    """Von Mises-Fisher on the sphere by inverting its distribution function, and the angle that holds 95% of it."""
    random = np.random.default_rng(0)
    height = 1 + np.log(random.uniform(size=count) * (1 - np.exp(-2 * kappa)) + np.exp(-2 * kappa)) / kappa
    turn = random.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(np.maximum(0, 1 - height**2))
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], 1)
    return points, float(
        np.degrees(np.arccos(1 + np.log(0.05 * (1 - np.exp(-2 * kappa)) + np.exp(-2 * kappa)) / kappa))
    )


def test_the_half_angle_of_von_mises_and_fishers_points_is_theirs() -> None:
    points, angle = about_an_axis(10.0, 3000)
    found = directions(points * np.random.default_rng(1).uniform(0.1, 9, (3000, 1)))
    assert found.half_angle == pytest.approx(angle, abs=3)
    assert found.resultant == pytest.approx(1 / np.tanh(10) - 1 / 10, abs=0.01)
    assert found.concentration == pytest.approx(10, rel=0.1)
    assert found.rayleigh < 1e-10
    assert np.allclose(found.axis, [0, 0, 1], atol=0.02)


def test_rayleighs_p_value_is_as_often_small_as_it_says() -> None:
    random = np.random.default_rng(2)
    found = [directions(random.standard_normal((50, 8))).rayleigh for _ in range(400)]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09


def test_angles_are_those_of_the_arc_cosine_and_exact_where_it_is_not() -> None:
    random = np.random.default_rng(3)
    points, axis = random.standard_normal((20, 5)), random.standard_normal(5)
    cosines = points @ axis / np.linalg.norm(points, axis=1) / np.linalg.norm(axis)
    assert np.allclose(angles_to(points, axis), np.degrees(np.arccos(cosines)))
    tiny = angles_to(np.array([[1.0, 1e-9]]), np.array([1.0, 0.0]))
    assert tiny == pytest.approx(np.degrees(1e-9), rel=1e-9, abs=0)
    assert np.isnan(angles_to(np.zeros((1, 2)), np.ones(2))).all()


def test_angles_to_the_own_axis_are_what_the_half_angle_is_read_off() -> None:
    points = np.random.default_rng(4).standard_normal((200, 3)) + 2
    assert np.quantile(own_angles(points), 0.95) == pytest.approx(directions(points).half_angle)


def test_points_that_cancel_have_no_axis_and_zeros_are_left_out() -> None:
    found = directions(np.array([[1.0, 0], [-2.0, 0], [0, 0]]))
    assert found.points == 2 and found.resultant == 0
    assert np.isnan(found.axis).all() and np.isnan(found.half_angle)
    assert directions(np.zeros((3, 2))).points == 0
    assert np.allclose(unit_rows(np.array([[3e-200, 4e-200]])), [[0.6, 0.8]])


def test_shuffled_entries_of_independent_numbers_have_the_resultants_of_random_directions() -> None:
    points = np.random.default_rng(5).standard_normal((100, 40)) + np.linspace(0, 3, 40)
    assert directions(points).resultant > shuffled_resultants(points).max()
    centred = np.random.default_rng(5).standard_normal((100, 40))
    assert np.median(shuffled_resultants(centred)) == pytest.approx(0.1, abs=0.01)  # n ** -.5


def test_shuffling_within_columns_keeps_the_mean_of_every_column() -> None:
    """Features behind a rectifier: half-normal numbers have a resultant of sqrt(2 / pi) for no other reason."""
    points = np.abs(np.random.default_rng(6).standard_normal((400, 60)))
    within = shuffled_resultants(points, 20, within=True)
    assert within.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.01)
    apart = points * (np.arange(60) < 5)
    assert shuffled_resultants(apart, 20, within=True).mean() > 2 * shuffled_resultants(apart, 20).mean()


def test_p_values_are_two_sided_and_never_0() -> None:
    drawn = np.arange(1, 200) / 200
    assert two_sided(0.0, drawn) == (0.01, 1.0)
    assert two_sided(1.0, drawn) == (1.0, 0.01)
    assert two_sided(0.5, drawn) == (1.0, 1.0)


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(UsageError, match="The number of draws is 0"):
        shuffled_resultants(np.ones((2, 2)), 0)
