import numpy as np
import pytest

from microtome.formulas.curves import late_change, settled


def slowly_settled(steps, values, near):
    """The first step after which no value is away, found by trying each."""
    for place, step in enumerate(steps):
        if all(abs(value - values[-1]) <= near * abs(values[-1]) for value in values[place:]):
            return step
    return float("nan")


@pytest.mark.parametrize("seed", range(20))
def test_a_curve_has_settled_at_the_first_step_from_which_no_value_is_away(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = np.unique(random.integers(0, 1000, 30))
    values = 2 + np.exp(-steps / 100) * random.normal(0, 2, len(steps))
    for near in (0.01, 0.05, 0.5):
        assert settled(steps, values, near) == slowly_settled(steps, values, near)


@pytest.mark.parametrize(
    ("values", "there"),
    [
        ([1, 2, 3, 4], 30), ([4, 4, 4, 4], 0), ([4, 9, 4.1, 4], 20), ([1, 0, 0, 0], 10), ([0.01, 1, 1, 0], 30),
        ([-4, np.nan, -4.1, -4], 20), ([2, 2, 2, np.nan], np.nan),
    ],
)  # fmt: skip
def test_a_curve_that_leaves_again_or_is_missing_has_not_settled(values, there) -> None:
    np.testing.assert_equal(settled(np.array([0, 10, 20, 30]), np.array(values, float)), there)


def test_late_change_is_the_largest_between_neighbours_of_the_second_half() -> None:
    steps, values = np.array([0, 1, 2, 49, 50, 60, 80, 90, 100]), np.array([0, 50, -50, 9, 1, 1.5, 0.8, 0.9, 1])
    assert late_change(steps, values) == pytest.approx(0.7)
    values[5] = np.nan  # then 50 and 80 are neighbours
    assert late_change(steps, values) == pytest.approx(0.2)


def test_of_fewer_than_three_late_changes_nothing_is_said() -> None:
    steps = np.array([0, 10, 60, 80, 100])
    assert np.isnan(late_change(steps, np.arange(5.0))) and np.isnan(late_change(steps, np.full(5, np.nan)))
    assert late_change(np.array([0, 50, 60, 80, 100]), np.arange(5.0)) == 1
