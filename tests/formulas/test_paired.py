"""The interval of a fall in paired shares: the score test turned round, and how often it holds."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from microtome.formulas.paired import paired_interval
from microtome.formulas.proportions import NORMAL_95, two_sided


def slow_score(lost: int, gained: int, trials: int, fall: float) -> float:
    """The score with the most likely shares under a fall, found by search instead of by Tango's formula."""

    def unlikely(back: float) -> float:
        shares = [(lost, back + fall), (gained, back), (trials - lost - gained, 1 - 2 * back - fall)]
        return -sum(count * np.log(max(share, 1e-300)) for count, share in shares if count)

    ends = max(0.0, -fall), (1 - fall) / 2
    back = minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
    return (lost - gained - trials * fall) / np.sqrt(trials * (2 * back + fall - fall**2))


@pytest.mark.parametrize(("lost", "gained", "trials"), [(9, 2, 40), (1, 0, 20), (5, 5, 64), (3, 17, 50), (30, 1, 35)])
def test_the_ends_are_where_the_score_test_would_reject(lost, gained, trials) -> None:
    low, high = (float(end) for end in paired_interval(np.array(lost), np.array(gained), trials))
    middle = (lost - gained) / trials
    sides = ((NORMAL_95, (-0.999, middle)), (-NORMAL_95, (middle, 0.999)))
    found = [brentq(lambda fall, z: slow_score(lost, gained, trials, fall) - z, *ends, args=(z,)) for z, ends in sides]
    assert (low, high) == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("trials", [1, 16, 64, 1000])
def test_where_nothing_changed_the_interval_still_has_a_length(trials) -> None:
    low, high = paired_interval(np.array([0]), np.array([0]), trials)
    expected = NORMAL_95**2 / (trials + NORMAL_95**2)
    assert high[0] == pytest.approx(expected) and low[0] == pytest.approx(-expected)


def test_losing_and_gaining_are_mirrored_and_wider_means_wider() -> None:
    lost, gained = np.array([4, 0, 12]), np.array([1, 3, 12])
    low, high = paired_interval(lost, gained, 40)
    mirrored = paired_interval(gained, lost, 40)
    np.testing.assert_allclose((low, high), (-mirrored[1], -mirrored[0]), atol=1e-12)
    wide = paired_interval(lost, gained, 40, two_sided(0.001))
    assert (wide[0] < low).all() and (wide[1] > high).all()
    assert two_sided(0.05) == pytest.approx(NORMAL_95) and two_sided(0.001) == pytest.approx(norm.ppf(0.9995))


def test_without_trials_nothing_is_known() -> None:
    assert [float(end) for end in paired_interval(np.array(0), np.array(0), 0)] == [-1, 1]


@pytest.mark.parametrize("shares", [(0.1, 0.02), (0.03, 0.03), (0.3, 0.1)])
def test_it_holds_about_as_often_as_it_says(shares) -> None:
    lost, gained = shares
    drawn = np.random.default_rng(0).multinomial(64, (lost, gained, 1 - lost - gained), size=4000)
    low, high = paired_interval(drawn[:, 0], drawn[:, 1], 64)
    assert 0.93 < ((low <= lost - gained) & (lost - gained <= high)).mean() < 0.985


@pytest.mark.parametrize("trials", [1, 3, 40])
def test_where_everything_was_lost_the_interval_ends_at_everything(trials) -> None:
    low, high = paired_interval(np.array([trials]), np.array([0]), trials)
    assert high[0] == pytest.approx(1) and low[0] < 1
