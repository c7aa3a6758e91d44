"""What answers and logits say of silenced units, counted slowly."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from microtome.formulas.correlation import rank_correlation
from microtome.formulas.effects import agreement, falls_by_class, losses, movers, ranked, recalls
from microtome.formulas.resampling import bootstrap_mean, bootstrap_means

DRAW = np.random.default_rng(0)


def test_losses_are_net_and_wider_if_picked_among_several() -> None:
    before = np.array([True] * 30 + [False] * 10)
    after = np.stack([before, ~before, np.array([False] * 6 + [True] * 26 + [False] * 8)])
    cost, low, high = losses(before, after)
    assert cost.tolist() == [0, 0.5, 0.1]  # 6 lost, 2 gained
    assert (low < cost).all() and (cost < high).all()
    _, lower, higher = losses(before, after, among=100)
    assert (lower < low).all() and (higher > high).all()


def test_a_unit_is_ranked_among_random_others() -> None:
    falls, drawn = np.array([3.0, 1.0, 2.0, 5.0]), np.array([False, True, True, True])
    assert [each.tolist() for each in ranked(falls, drawn)] == [[2, 0, 1, 2], [3, 2, 2, 2]]


def test_movers_are_the_largest_and_classes_of_many_images_are_told_apart() -> None:
    which, much = movers(np.array([[0.5, 2.0, 0.0, 3.0, 1.0]]), 2)
    assert which.tolist() == [[3, 1]] and much.tolist() == [[3.0, 2.0]]
    assert movers(np.zeros((4, 2)), 3)[0].shape == (4, 2)
    label = np.array([0] * 5 + [1] * 4 + [2] * 6)
    assert falls_by_class(label, np.where(label == 2, 0.75, label - 0.5)) == [(2, 0.75, 6), (0, -0.5, 5)]


def test_recalls_are_of_classes_with_enough_images_that_change() -> None:
    label = np.array([0] * 6 + [1] * 6 + [2] * 3 + [3] * 5)
    before = np.ones(20, bool)
    after = before.copy()
    after[[0, 1, 6, 12]] = False  # class 2 has too few images
    before[15] = False
    assert recalls(label, before, after) == [(0, 6, 4, 6), (1, 6, 5, 6), (3, 4, 5, 5)]


@pytest.mark.parametrize("levels", [3, 1000])
def test_rank_correlation_is_spearmans_as_scipy_has_it(levels) -> None:
    one = DRAW.integers(levels, size=50)
    other = one + DRAW.integers(levels, size=50)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9))) and np.isnan(rank_correlation(one[:2], other[:2]))


def test_agreement_has_an_interval_and_a_control_that_knows_the_layers_alone() -> None:
    measured = [DRAW.normal(level, 1, 60) for level in (0, 0)]
    rho, low, high, shuffled = agreement([part + DRAW.normal(0, 0.5, 60) for part in measured], measured)
    assert low < rho < high and rho > 0.7 and abs(shuffled) < 0.25
    apart = [DRAW.normal(level, 1, 60) for level in (0, 10)]
    assert agreement([DRAW.normal(level, 1, 60) for level in (0, 10)], apart)[3] > 0.6


def test_units_without_effect_or_estimate_are_left_out_of_the_agreement() -> None:
    measured = [np.array([*range(1, 11), 0.0, 0.0, 0.0])]
    estimates = [np.array([*range(-1, -11, -1), 0.0, 0.0, np.nan])]
    assert agreement(estimates, measured)[0] == pytest.approx(-1)
    assert np.isnan(agreement([], [])).all() and np.isnan(agreement([np.arange(9.0)], [np.arange(9.0)])).all()


def test_the_interval_of_many_means_is_that_of_each() -> None:
    values = DRAW.normal(size=(3, 40))
    found = bootstrap_means(values)
    for row, ends in zip(values, found, strict=True):
        assert ends == pytest.approx(bootstrap_mean(row)[1:], abs=0.03)
    assert np.isnan(bootstrap_means(values[:, :1])).all()
