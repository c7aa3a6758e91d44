"""Cones with a free apex: the statistic beside SciPy, nulls beside slow loops, size and power."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from microtome.errors import UsageError
from microtome.formulas.weight_cone import (
    chance,
    column_null,
    cone_test,
    funnel,
    gauss_null,
    leading_scores,
    norm_null,
    principal,
    sign_null,
    synthetic_cone,
)


def slow(points: np.ndarray) -> float:
    """T by a singular value decomposition and SciPy's rank correlations."""
    basis, values, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    scores = (basis * values)[:, :3]
    return max(
        abs(spearmanr(scores[:, axis], np.linalg.norm(np.delete(scores, axis, 1), axis=1))[0])
        for axis in range(scores.shape[1])
    )


@pytest.mark.parametrize("shape", [(40, 6), (12, 50), (30, 3), (20, 2)])
def test_t_is_the_largest_of_scipys_rank_correlations_along_principal_axes(shape) -> None:
    points = np.random.default_rng(1).gamma(1.0, size=shape)
    assert funnel(principal(points).scores)[0] == pytest.approx(slow(points), abs=1e-10)
    assert funnel(leading_scores(points))[0] == pytest.approx(slow(points), abs=1e-10)


@pytest.mark.parametrize("shape", [(40, 6), (12, 50)])
def test_variances_and_shares_are_those_of_the_covariance(shape) -> None:
    points = np.random.default_rng(2).standard_normal(shape)
    wanted = np.linalg.eigvalsh(np.cov(points.T, bias=True))[::-1]
    found = principal(points)
    assert np.allclose(found.variances, wanted[: len(found.variances)])
    assert np.allclose(found.explained, wanted[:3] / wanted.sum())
    assert np.allclose(found.scores.var(0), wanted[:3])


def test_t_knows_no_scale_no_sign_no_place_and_no_turn() -> None:
    random = np.random.default_rng(3)
    points = synthetic_cone(50, random)
    turn = np.linalg.qr(random.standard_normal((3, 3)))[0]
    for other in (7 * points, -points, points + 100, points @ turn):
        assert cone_test(other).statistic == pytest.approx(cone_test(points).statistic)


@pytest.mark.parametrize("shape", [(40, 6), (12, 50)])
def test_mirrored_points_are_worked_out_from_one_product_as_from_the_points(shape) -> None:
    points = np.random.default_rng(4).standard_normal(shape) + 1
    found = sign_null(points, 3, np.random.default_rng(5))
    random = np.random.default_rng(5)
    wanted = [slow(points * random.choice((-1.0, 1.0), size=(len(points), 1))) for _ in range(3)]
    assert np.allclose(found, wanted)


def test_the_test_calls_few_gaussian_clouds_a_cone() -> None:
    """Size at .05: within [.01, .10] on 200 clouds, for clouds and mirrored points; the verdict's level is .01."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        points = random.standard_normal((64, 5))
        statistic = float(funnel(leading_scores(points))[0])
        spread = principal(points).variances
        found.append([chance(statistic, gauss_null(64, spread, 99, random)),
                      chance(statistic, sign_null(points, 99, random))])  # fmt: skip
    size = (np.array(found) <= 0.05).mean(0)
    assert (size >= 0.01).all() and (size <= 0.10).all(), size
    assert (np.array(found).max(1) <= 0.01).mean() <= 0.04


def test_the_test_sees_a_cone_of_35_degrees_and_says_so_beforehand() -> None:
    tests = [cone_test(synthetic_cone(64, np.random.default_rng(seed)), seed=seed) for seed in range(40)]
    assert np.mean([test.p_gauss <= 0.05 for test in tests]) >= 0.95
    assert np.mean([test.verdict == "cone" for test in tests]) >= 0.9
    assert np.mean([test.away for test in tests]) >= 0.9
    assert np.mean([test.power for test in tests]) >= 0.95


def test_ten_points_are_underpowered_whatever_they_are() -> None:
    for points in (synthetic_cone(10, np.random.default_rng(0), noise=0.0), np.eye(10)):
        test = cone_test(points)
        assert test.verdict == "underpowered"
        assert test.points == 10 and test.power < 0.8
    assert np.quantile(cone_test(np.random.default_rng(1).standard_normal((10, 64))).gauss, 0.95) > 0.6


def test_a_cone_on_both_sides_of_0_is_none() -> None:
    random = np.random.default_rng(6)
    one = synthetic_cone(200, random)
    both = one * random.choice((-1.0, 1.0), size=(200, 1))
    assert cone_test(one).p_sign == 0.01 and cone_test(one).verdict == "cone"
    assert cone_test(both).p_sign > 0.05 and cone_test(both).verdict == "no cone"


def test_points_that_are_alike_but_for_their_norms_are_reached_by_the_control_of_norms() -> None:
    """One direction, noise, and lengths that vary: a cone, which norms explain, and which rows of one length lack."""
    random = np.random.default_rng(7)
    cloud = np.array([3.0, 0, 0, 0]) + random.standard_normal((120, 4)) * [0.3, 1, 1, 1]
    points = cloud / np.linalg.norm(cloud, axis=1, keepdims=True) * random.uniform(0.1, 1, (120, 1))
    test = cone_test(points)
    assert test.verdict == "cone"
    assert chance(test.statistic, norm_null(points, 99, random)) > 0.05
    assert chance(test.statistic, column_null(points, 99, random)) <= 0.05


def test_points_without_variance_or_with_one_direction_are_no_cone() -> None:
    assert cone_test(np.zeros((40, 3))).statistic == 0
    assert cone_test(np.outer(np.arange(40.0), np.ones(3))).verdict == "no cone"


def test_equal_seeds_give_equal_nulls() -> None:
    points = np.random.default_rng(8).standard_normal((20, 4))
    one, other = cone_test(points, seed=3), cone_test(points, seed=3)
    assert np.array_equal(one.gauss, other.gauss) and np.array_equal(one.sign, other.sign)
    assert not np.array_equal(one.gauss, cone_test(points, seed=4).gauss)


def test_what_is_no_table_too_few_points_and_too_few_draws_are_refused() -> None:
    with pytest.raises(UsageError, match=r"The points are of shape \(3,\)"):
        cone_test(np.zeros(3))
    with pytest.raises(UsageError, match="with NaN or infinity"):
        cone_test(np.full((4, 4), np.nan))
    with pytest.raises(UsageError, match="The number of points is 2"):
        cone_test(np.ones((2, 4)))
    with pytest.raises(UsageError, match="The number of draws is 98"):
        cone_test(np.ones((4, 4)), draws=98)
