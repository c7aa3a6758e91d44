"""Rank correlations with their intervals and controls, beside SciPy and what was planted."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, rankdata, spearmanr

from microtome.errors import UsageError
from microtome.formulas.association import partial_rank_correlation, rank_association, told_apart
from microtome.formulas.correlation import ranks


def coupled(count: int, rho: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two quantities with a Gaussian copula whose rank correlation is rho, at any scale."""
    pearson = 2 * np.sin(np.pi * rho / 6)
    one, other = np.random.default_rng(seed).normal(size=(2, count))
    return np.exp(one), (pearson * one + np.sqrt(1 - pearson**2) * other) ** 3


def test_equal_values_share_the_middle_of_their_ranks() -> None:
    values = np.random.default_rng(0).integers(0, 9, 60)
    assert ranks(values).tolist() == rankdata(values).tolist()


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.2, 0.9])
def test_correlation_and_chance_are_those_of_scipy(rho: float) -> None:
    one, other = coupled(200, rho, 1)
    found, expected = rank_association(one, other), spearmanr(one, other)
    assert found.rho == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.low <= found.rho <= found.high and found.images == 200


@pytest.mark.parametrize("rho", [-0.6, 0.3])
def test_the_interval_holds_the_planted_correlation_in_about_95_of_100_sets(rho: float) -> None:
    found = [rank_association(*coupled(150, rho, seed), draws=300, seed=seed) for seed in range(200)]
    held = np.mean([each.low <= rho <= each.high for each in found])
    assert 0.9 <= held <= 0.99


def test_the_interval_is_that_of_drawing_images_one_by_one() -> None:
    one, other = (rankdata(each) for each in coupled(80, 0.5, 3))
    random = np.random.default_rng(4)
    slow = [np.corrcoef(one[drawn], other[drawn])[0, 1] for drawn in random.integers(80, size=(20_000, 80))]
    found = rank_association(one, other, draws=20_000)
    np.testing.assert_allclose((found.low, found.high), np.quantile(slow, (0.025, 0.975)), atol=0.01)


def test_what_both_owe_to_a_third_is_taken_out() -> None:
    random = np.random.default_rng(5)
    common, noise = random.normal(size=4000), random.normal(size=(2, 4000))
    one, other = common + 0.5 * noise[0], common + 0.5 * noise[1]
    found = rank_association(one, other, control=common)
    assert found.rho > 0.7
    assert abs(found.partial) < 0.06


def test_given_one_control_the_partial_correlation_is_that_of_the_three() -> None:
    random = np.random.default_rng(6)
    one, other, control = random.normal(size=(3, 90))
    other = other + control
    xy, xz, yz = (spearmanr(a, b).statistic for a, b in ((one, other), (one, control), (other, control)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_rank_correlation(one, other, control[:, None]) == pytest.approx(expected, abs=1e-12)
    two = np.stack([control, control**3], 1)  # of the same ranks
    assert rank_association(one, other, control=two).partial == pytest.approx(expected, abs=1e-9)


def test_nothing_is_said_given_the_quantity_itself() -> None:
    one, other = coupled(50, 0.5, 7)
    assert np.isnan(rank_association(one, other, control=one).partial)


def test_within_groups_the_mean_goes_by_images() -> None:
    one, other = coupled(300, 0.4, 8)
    groups = np.repeat([0, 1, 2], [100, 195, 5])  # the last of too few
    parts = [spearmanr(one[groups == group], other[groups == group]).statistic for group in (0, 1)]
    expected = (100 * parts[0] + 195 * parts[1]) / 295
    assert rank_association(one, other, groups=groups).within == pytest.approx(expected, abs=1e-12)


def test_a_correlation_that_is_one_between_groups_is_gone_within() -> None:
    random = np.random.default_rng(9)
    groups = np.repeat(np.arange(10), 200)
    found = rank_association(groups + 0.1 * random.normal(size=2000), groups + 0.1 * random.normal(size=2000),
                             groups=groups)  # fmt: skip
    assert found.rho > 0.95 and abs(found.within) < 0.1


def test_images_of_unknown_values_are_left_out() -> None:
    one, other = coupled(60, 0.5, 10)
    gaps = one.copy()
    gaps[::7] = np.nan
    known = np.isfinite(gaps)
    found, expected = rank_association(gaps, other), rank_association(one[known], other[known])
    assert (found.rho, found.low, found.high, found.p) == (expected.rho, expected.low, expected.high, expected.p)
    assert found.images == known.sum()


@pytest.mark.parametrize("values", [np.ones(30), np.arange(7.0), np.full(30, np.nan)], ids=["constant", "few", "none"])
def test_where_nothing_can_be_told_nothing_is(values: np.ndarray) -> None:
    found = rank_association(values, np.arange(float(len(values))), control=np.arange(float(len(values))) ** 2)
    assert all(np.isnan(getattr(found, name)) for name in ("rho", "low", "high", "within", "partial", "p"))


def test_the_same_order_leaves_nothing_to_chance() -> None:
    assert rank_association(np.arange(20.0), np.arange(20.0) ** 3).p == 0


def test_kinds_are_told_apart_as_by_mann_and_whitney() -> None:
    random = np.random.default_rng(11)
    values, kind = random.integers(0, 20, 80).astype(float), random.random(80) < 0.3
    values[kind] += 3
    expected = mannwhitneyu(values[kind], values[~kind]).statistic / (kind.sum() * (~kind).sum())
    assert told_apart(values, kind) == pytest.approx(expected, abs=1e-12)
    assert told_apart(np.append(values, np.nan), np.append(kind, True)) == told_apart(values, kind)


def test_one_kind_alone_is_told_from_nothing() -> None:
    assert np.isnan(told_apart(np.arange(5.0), np.ones(5, bool)))


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        rank_association(np.zeros(9), np.zeros(8))
    assert str(caught.value) == (
        "Values, target, controls and groups have the lengths 9, 8, 8, 8. All are of the same images, one entry each. "
        "Choose the same images of all."
    )
