"""The predicted profile against its limits, its fit against slow searches, its null against networks' own weights."""

from decimal import Decimal

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from microtome.errors import UsageError
from microtome.formulas.profile_fit import (
    PEAK,
    fit_profile,
    learnt_share,
    null_of_fits,
    predicted_after,
    predicted_profile,
    s_interval,
)
from microtome.formulas.spectrum import energy_profile, principal_axes
from spectra import CIFAR, SHAPE, covariance

DEVIATION = np.sqrt(CIFAR)


def slope(s: float) -> np.ndarray:
    """Of the predicted profile on logarithmic axes, between neighbouring axes."""
    return np.diff(np.log(predicted_profile(CIFAR, s))) / np.diff(np.log(DEVIATION))


def noisy(energy: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    return energy * np.exp(0.1 * np.random.default_rng(seed).normal(size=(draws, len(energy))))


def test_at_first_the_profile_is_along_lambda_and_in_the_end_along_its_inverse() -> None:
    np.testing.assert_allclose(slope(1e-9), 1, atol=1e-6)
    np.testing.assert_allclose(slope(1e9), -1, atol=1e-6)
    np.testing.assert_allclose(predicted_profile(CIFAR, 1e-9), 1e-9 * DEVIATION, rtol=1e-7)
    np.testing.assert_allclose(predicted_profile(CIFAR, 1e9), 1 / DEVIATION, rtol=1e-12)


@pytest.mark.parametrize("s", [1e-3, 1.0, 250.0])
def test_the_top_is_where_it_is_said_to_be(s) -> None:
    assert np.exp(PEAK) == pytest.approx(1 + 2 * PEAK, rel=1e-15)
    found = minimize_scalar(lambda x: -predicted_profile(np.array([np.exp(x)]), s)[0],
                            bounds=np.log([1e-2 / s, 1e2 / s]), method="bounded", options={"xatol": 1e-10})  # fmt: skip
    assert np.exp(found.x) == pytest.approx(PEAK / s, rel=1e-6)


def test_small_steps_are_one_long_way() -> None:
    wanted = predicted_profile(CIFAR, 0.7)
    off = [np.abs(predicted_after(CIFAR, 0.7 / steps, steps) / wanted - 1).max() for steps in (1000, 10_000, 100_000)]
    assert off[0] < 2e-2
    np.testing.assert_allclose(np.divide(off[:-1], off[1:]), 10, rtol=0.05)  # of first order in the step


@pytest.mark.parametrize("rate", [1e-13, 0.3, 1.0, 1.7])
@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_what_is_learnt_is_what_steps_leave_over(rate, steps) -> None:
    left = Decimal(1)
    for _ in range(steps):
        left -= left * Decimal(rate)
    assert learnt_share(np.array([rate, 0.0]), steps) == pytest.approx([float(1 - left), 0], rel=1e-14)


def test_no_digits_are_lost_where_little_is_learnt() -> None:
    variance = np.array([1e-12, 3e-12])
    exact = [float((1 - (-Decimal(value)).exp()) / Decimal(value).sqrt()) for value in variance]
    np.testing.assert_allclose(predicted_profile(variance, 1.0), exact, rtol=1e-15)
    np.testing.assert_allclose(predicted_after(variance, 1.0, 1), np.sqrt(variance), rtol=1e-15)


def test_nothing_is_learnt_where_nothing_varies() -> None:
    variance = np.array([2.0, 0.5, 0])
    assert predicted_profile(variance, 3)[2] == predicted_after(variance, 0.1, 5)[2] == 0
    assert predicted_profile(variance, np.array([1.0, 3.0])).tolist() == [
        predicted_profile(variance, s).tolist() for s in (1.0, 3.0)
    ]


def test_a_rate_at_which_descent_diverges_is_refused() -> None:
    assert predicted_after(CIFAR, 1.99 / CIFAR[0], 3)[0] > 0
    with pytest.raises(UsageError, match="is 2 along the steepest axis. Gradient descent converges below 2. Choose a"):
        predicted_after(CIFAR, 2 / CIFAR[0], 3)


@pytest.mark.parametrize("s", [0.1, 1.0, 30.0, 1000.0])
def test_a_fit_finds_what_made_the_profile(s) -> None:
    fit = fit_profile(4.2 * predicted_profile(CIFAR, s), CIFAR)
    assert fit.s == pytest.approx(s, rel=1e-6) and fit.c == pytest.approx(4.2, rel=1e-6)
    assert fit.r > 1 - 1e-10 and fit.r2 > 1 - 1e-10 and fit.r_rest > 1 - 1e-10 and fit.r <= 1
    np.testing.assert_allclose(fit.predicted, 4.2 * predicted_profile(CIFAR, s), rtol=1e-6)
    assert fit.peak_variance == pytest.approx(1.2564312 / s, rel=1e-6)
    assert fit.whitened == sum(value > fit.peak_variance for value in CIFAR)
    assert not fit.edge and not fit.early


@pytest.mark.parametrize("s", [0.3, 10.0, 1000.0])
def test_noise_of_a_tenth_moves_s_by_a_third_at_most(s) -> None:
    found = [fit_profile(energy, CIFAR).s / s for energy in noisy(predicted_profile(CIFAR, s), 100)]
    low, high = np.quantile(found, (0.025, 0.975))
    assert 0.75 < low < 0.97 < 1.03 < high < 1.33


def test_of_a_profile_along_lambda_s_cannot_be_known_and_that_is_said() -> None:
    fits = [fit_profile(energy, CIFAR) for energy in noisy(predicted_profile(CIFAR, 0.02), 100)]
    found = [fit.s for fit in fits]
    assert np.quantile(found, 0.975) > 2 * np.quantile(found, 0.025)
    assert np.mean([fit.early for fit in fits]) > 0.9
    assert min(fit.r_deviation for fit in fits) > 0.9


def test_what_lies_beyond_the_formula_is_said_to_lie_at_the_edge() -> None:
    assert fit_profile(DEVIATION, CIFAR).edge and fit_profile(CIFAR, CIFAR).edge
    assert fit_profile(1 / DEVIATION, CIFAR).edge


def test_the_fit_is_that_of_a_slow_search_through_all_steps() -> None:
    """As the paper's authors search: step by step, at one rate, in the units of singular values of stacked patches."""
    energy = noisy(predicted_profile(CIFAR, 4.0) + 0.3, 1)[0]
    images, windows, rate = 10_000, 900, 1e-7
    squares = CIFAR * images * windows  # of the singular values
    steps = np.arange(10**4, 5 * 10**6, 250)
    base = 1 - rate * squares / (2 * images)
    best = max(np.corrcoef(energy, (1 - base**step) / np.sqrt(squares))[0, 1] for step in steps)
    fit = fit_profile(energy, CIFAR)
    assert 0.5 < fit.r < 0.999
    assert fit.r == pytest.approx(best, abs=1e-5)


def test_r_and_r2_are_what_their_names_say() -> None:
    energy = noisy(predicted_profile(CIFAR, 4.0) + 0.3, 1)[0]
    fit = fit_profile(energy, CIFAR)
    assert fit.r == pytest.approx(np.corrcoef(energy, fit.predicted)[0, 1], rel=1e-12)
    assert fit.r_rest == pytest.approx(np.corrcoef(energy[1:], fit.predicted[1:])[0, 1], rel=1e-12)
    assert fit.r_deviation == pytest.approx(np.corrcoef(energy, DEVIATION)[0, 1], rel=1e-12)
    shape = fit.predicted / fit.c
    (c,), errors, *_ = np.linalg.lstsq(shape[:, None], energy, rcond=None)
    assert fit.c == pytest.approx(c, rel=1e-12)
    assert fit.r2 == pytest.approx(1 - errors[0] / (27 * energy.var()), rel=1e-12)


def test_an_offset_is_seen_by_r2_and_not_by_r() -> None:
    shape = predicted_profile(CIFAR, 4.0)
    fit = fit_profile(shape + 3 * shape.max(), CIFAR)
    assert fit.r > 1 - 1e-10 and fit.r2 < -10


def test_axes_without_variance_do_not_count() -> None:
    flat = np.r_[CIFAR[:9], np.full(18, 1e-19)]
    energy = noisy(predicted_profile(flat, 4.0), 1)[0] + 0.2
    fit, alone = fit_profile(energy, flat), fit_profile(energy[:9], CIFAR[:9])
    assert (fit.s, fit.r, fit.r2) == (alone.s, alone.r, alone.r2)
    assert np.array_equal(fit.predicted, np.r_[alone.predicted, np.zeros(18)])
    assert null_of_fits(16, flat).quantile(0.5) == null_of_fits(16, CIFAR[:9]).quantile(0.5)


def test_energies_that_are_all_the_same_correlate_with_nothing() -> None:
    fit = fit_profile(np.full(27, 0.3), CIFAR)
    assert abs(fit.r) < 1e-9 and np.isfinite(fit.c)


def test_the_fit_to_random_filters_is_not_zero_and_is_known() -> None:
    null = null_of_fits(16, CIFAR)
    assert 0.2 < null.quantile(0.5) < 0.35 and 0.4 < null.quantile(0.95) < 0.55 and 0.5 < null.quantile(0.99) < 0.65
    assert len(null.r) == 1000 and (np.diff(null.r) >= 0).all()


def test_the_null_is_that_of_filters_as_torch_makes_them() -> None:
    """Uniform weights on the axes themselves, fitted one by one: not a formula's shortcut."""
    basis, random = principal_axes(covariance(), SHAPE), np.random.default_rng(5)
    banks = random.uniform(-0.19, 0.19, (300, 16, 27))
    fits = [fit_profile(energy_profile(bank, basis).energy, basis.variance).r for bank in banks]
    null = null_of_fits(16, basis.variance, seed=1)
    for share in (0.25, 0.5, 0.75, 0.95):
        assert np.quantile(fits, share) == pytest.approx(null.quantile(share), abs=0.06)


def test_the_p_value_counts_the_bank_itself() -> None:
    null = null_of_fits(16, CIFAR, draws=99)
    assert null.p_value(0.99) == 1 / 100
    assert null.p_value(-1) == 1
    assert null.p_value(null.r[-10]) == 11 / 100


def test_the_interval_of_s_is_that_of_fits_to_filters_drawn_again() -> None:
    random = np.random.default_rng(2)
    squares = random.chisquare(1, (24, 27)) * predicted_profile(CIFAR, 2.0) ** 2
    low, high = s_interval(squares, CIFAR)
    slowly = [fit_profile(np.sqrt(squares[random.integers(24, size=24)].mean(0)), CIFAR).s for _ in range(400)]
    np.testing.assert_allclose((low, high), np.quantile(slowly, (0.025, 0.975)), rtol=0.1)
    assert low < 2 < high
    assert s_interval(squares, CIFAR) == (low, high)
    assert np.isnan(s_interval(squares[:1], CIFAR)).all()


def test_patches_that_hardly_vary_cannot_be_fitted() -> None:
    with pytest.raises(UsageError, match="vary along 2 of 27 axes. A profile can be fitted along 3 axes or more. Give"):
        fit_profile(DEVIATION, np.r_[2.0, 1.0, np.zeros(25)])
    with pytest.raises(UsageError, match="vary along 0 of 27 axes"):
        null_of_fits(16, np.zeros(27))


def test_energies_of_other_axes_and_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(26,\), and 0 of them.* a finite one for each of the 27 axes"):
        fit_profile(DEVIATION[1:], CIFAR)
    with pytest.raises(UsageError, match="1 of them are not finite.*look for NaN in the weights"):
        fit_profile(np.r_[np.nan, DEVIATION[1:]], CIFAR)
