import numpy as np
import pytest
from scipy.stats import binomtest

from microtome.formulas.proportions import (
    expected_calibration_error,
    images_per_class,
    reliability,
    wilson_interval,
)

SURE = np.random.default_rng(0).uniform(0.2, 1, 300)
RIGHT = np.random.default_rng(1).uniform(size=300) < SURE**2


@pytest.mark.parametrize("trials", [1, 2, 7, 30, 1000])
def test_the_interval_is_wilsons_as_scipy_has_it(trials: int) -> None:
    hits = np.unique(np.linspace(0, trials, 31).astype(int))
    low, high = wilson_interval(hits, np.full(len(hits), trials))
    expected = [binomtest(int(hit), trials).proportion_ci(0.95, method="wilson") for hit in hits]
    np.testing.assert_allclose(low, [interval.low for interval in expected], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(high, [interval.high for interval in expected], rtol=1e-12)


def test_none_and_all_have_exact_ends() -> None:
    counts = np.arange(1, 2000)
    assert (wilson_interval(np.zeros(1999), counts)[0] == 0).all()
    assert (wilson_interval(counts, counts)[1] == 1).all()


def test_no_trials_say_nothing() -> None:
    low, high = wilson_interval(np.array([0, 3]), np.array([0, 5]))
    assert (low[0], high[0]) == (0.0, 1.0) and 0 < low[1] < high[1] < 1


def slow_bins(bins: int) -> list[list[int]]:
    """For every bin the images whose confidence lies in it."""
    return [[i for i, sure in enumerate(SURE) if b / bins <= sure < (b + 1) / bins] for b in range(bins)]


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_reliability_averages_within_bins(bins: int) -> None:
    counts, sure, right = reliability(SURE, RIGHT, bins)
    for place, members in enumerate(slow_bins(bins)):
        assert counts[place] == len(members)
        if members:
            assert sure[place] == pytest.approx(sum(SURE[i] for i in members) / len(members), rel=1e-12)
            assert right[place] == pytest.approx(sum(bool(RIGHT[i]) for i in members) / len(members), rel=1e-12)


def test_an_empty_bin_has_no_average() -> None:
    counts, sure, right = reliability(SURE, RIGHT, 10)
    assert counts[0] == 0 and np.isnan(sure[0]) and np.isnan(right[0])


def test_full_confidence_lies_in_the_last_bin() -> None:
    assert reliability(np.ones(3), np.ones(3), 4)[0].tolist() == [0, 0, 0, 3]


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_the_calibration_error_is_the_weighted_distance(bins: int) -> None:
    slow = 0.0
    for members in filter(None, slow_bins(bins)):
        slow += abs(sum(SURE[i] for i in members) - sum(bool(RIGHT[i]) for i in members)) / len(SURE)
    assert expected_calibration_error(SURE, RIGHT, bins) == pytest.approx(slow, rel=1e-12)


def test_a_calibrated_network_has_no_calibration_error() -> None:
    assert expected_calibration_error(np.full(8, 0.75), np.array([1, 1, 1, 0] * 2), 10) == 0


def test_always_sure_and_always_wrong_is_the_largest_error() -> None:
    assert expected_calibration_error(np.ones(5), np.zeros(5), 10) == 1


def test_images_per_class_is_the_median_over_the_classes_there_are():
    labels = np.array([0, 0, 0, 2, 2, 2, 2, 2, 5, -1, -1])
    assert images_per_class(labels) == np.median([3, 5, 1])
