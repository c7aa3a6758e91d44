"""Shares of the sum of squares: by hand, planted, and by chance."""

import numpy as np
import pytest

from microtome.formulas.anova import by_chance, location_index, participation, two_way

PATTERNS, POSITIONS = 8, 36


def test_shares_are_those_computed_by_hand() -> None:
    # mean 4; patterns 2 and 6, positions 3 and 5: squares 4 * 4 = 16, 4 * 1 = 4, and what is left of 24 is 4
    found = two_way(np.array([[2.0, 2.0], [4.0, 8.0]]))
    assert (found.pattern, found.position, found.interaction) == pytest.approx((16 / 24, 4 / 24, 4 / 24))


def test_shares_sum_to_one_and_are_none_of_scale_or_offset() -> None:
    response = np.random.default_rng(0).normal(size=(5, 3, PATTERNS, POSITIONS))
    found, other = two_way(response), two_way(-3 * response + 7)
    np.testing.assert_allclose(found.pattern + found.position + found.interaction, 1, atol=1e-9)
    for name in ("pattern", "position", "interaction"):
        np.testing.assert_allclose(getattr(found, name), getattr(other, name), atol=1e-9)
    swapped = two_way(np.swapaxes(response, -1, -2))
    np.testing.assert_allclose(swapped.pattern, found.position, atol=1e-12)


def test_planted_responses_have_one_share_alone() -> None:
    random = np.random.default_rng(1)
    pattern, place = random.normal(size=(PATTERNS, 1)), random.normal(size=(1, POSITIONS))
    zeros = np.zeros((PATTERNS, POSITIONS))
    product = (pattern - pattern.mean()) * (place - place.mean())
    found = two_way(np.stack([pattern + zeros, place + zeros, product]))
    np.testing.assert_allclose(found.pattern, [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(found.position, [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(found.interaction, [0, 0, 1], atol=1e-9)


def test_of_a_constant_nothing_is_known_rounding_or_not() -> None:
    constant = np.full((PATTERNS, POSITIONS), 0.1) + 1e-8 * np.random.default_rng(2).normal(size=(PATTERNS, POSITIONS))
    assert np.isnan(two_way(constant).pattern) and np.isnan(two_way(np.zeros((2, 3))).interaction)


def test_random_responses_have_the_shares_of_chance() -> None:
    found = two_way(np.random.default_rng(3).normal(size=(4000, PATTERNS, POSITIONS)))
    expected = by_chance(PATTERNS, POSITIONS)
    assert sum(expected) == pytest.approx(1)
    means = [values.mean() for values in (found.pattern, found.position, found.interaction)]
    np.testing.assert_allclose(means, expected, atol=0.002)


def test_the_location_index_is_the_share_of_variance_between_places() -> None:
    random = np.random.default_rng(4)
    place, noise = random.normal(size=(1, 1, 49)), random.normal(size=(400, 3, 49))
    maps = np.concatenate([place + 0 * noise[:, :1], noise[:, 1:2], np.sqrt(3) * noise[:, 2:] + place], 1)
    index = location_index(maps.sum(0), (maps**2).sum(0), len(maps))
    expected = [maps[:, unit].mean(0).var() / maps[:, unit].var() for unit in range(3)]
    np.testing.assert_allclose(index, expected, rtol=1e-9)
    assert index[0] == pytest.approx(1) and index[1] < 0.01 and 0.1 < index[2] < 0.45
    one = np.ones((1, 5)) * 3
    assert np.isnan(location_index(one, one * 3, 1)).all() and np.isnan(location_index(one[:, :1], one[:, :1], 9)).all()


def test_participation_counts_the_places_that_carry_a_kernel() -> None:
    single = np.zeros((1, 1, 5, 5))
    single[0, 0, 2, 3] = -2
    gauss = np.random.default_rng(5).normal(size=(60, 40, 21, 21))
    assert participation(single) == pytest.approx(1 / 25) and participation(np.full((1, 1, 5, 5), -3.0)) == 1
    assert participation(gauss).mean() == pytest.approx(1 / 3, abs=0.01)  # the mean of w^4 is 3, that of w^2 is 1
    both = np.concatenate([single, 1e-9 * np.ones((1, 1, 5, 5))], 1)
    assert participation(both) == pytest.approx(1 / 25)  # a channel without weight has no say
    assert np.isnan(participation(np.zeros((1, 2, 3, 3)))).all() and np.isnan(participation(np.ones((2, 4)))).all()
