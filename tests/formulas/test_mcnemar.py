"""McNemar's exact test against SciPy's binomial test, and Holm's correction against its definition."""

import numpy as np
import pytest
import scipy.stats

from microtome.formulas.mcnemar import fair_share, holm, mcnemar_exact


@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (1, 0), (5, 0), (3, 9), (9, 3), (7, 7), (84, 223), (1200, 1100)])
def test_the_exact_test_is_scipys_binomial_test(lost, gained) -> None:
    expected = scipy.stats.binomtest(lost, lost + gained, 0.5).pvalue
    assert mcnemar_exact(np.array(lost), np.array(gained)) == pytest.approx(expected, rel=1e-9)


def test_where_nothing_changed_nothing_is_shown() -> None:
    assert mcnemar_exact(np.array([0, 4]), np.array([0, 4])).tolist() == [1, 1]


@pytest.mark.parametrize("changed", [0, 1, 5, 6, 17, 100, 3001])
def test_a_fair_coin_ends_in_its_range_in_95_of_100_cases_and_not_in_a_narrower_one(changed) -> None:
    low, high = fair_share(changed)
    coin = scipy.stats.binom(changed, 0.5)
    assert low + high == changed
    assert coin.cdf(high) - coin.cdf(low - 1) >= 0.95
    assert low + 1 > high - 1 or coin.cdf(low) > 0.025


def test_holms_correction_is_its_definition_step_by_step() -> None:
    p = np.array([0.04, 0.001, 0.03, 0.5, 0.001])
    expected, largest = np.zeros(5), 0.0
    for step, place in enumerate(sorted(range(5), key=lambda k: (p[k], k))):
        largest = max(largest, (5 - step) * p[place])
        expected[place] = min(1.0, largest)
    np.testing.assert_allclose(holm(p), expected, rtol=1e-15)
    assert holm(np.zeros(0)).shape == (0,)
