"""Dominant channels and axes, beside what was planted."""

import numpy as np
import pytest

from microtome.formulas.dominant import as_many_others, axis_angle, dominant_channels


def test_the_fewest_channels_that_hold_the_share_are_taken_class_by_class() -> None:
    energy = np.array([[4.0, 1, 3, 2], [4, 1, 3, 2], [0, 9, 0, 1]])
    sets = dominant_channels(energy, np.array([0, 0, 2]), 3, share=0.5)
    assert sets.astype(int).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert dominant_channels(energy, np.array([0, 0, 2]), 3, share=1.0)[0].all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_with_one_channel_less_the_share_is_missed(share: float) -> None:
    energy = np.random.default_rng(0).exponential(size=(40, 12))
    classes = np.arange(40) % 4
    for label, chosen in enumerate(dominant_channels(energy, classes, 4, share)):
        mean = energy[classes == label].mean(0)
        assert mean[chosen].sum() >= share * mean.sum() > mean[chosen].sum() - mean[chosen].min()
        assert mean[chosen].min() >= mean[~chosen].max()


def test_without_energy_no_channel_dominates() -> None:
    assert not dominant_channels(np.zeros((3, 5)), np.zeros(3, int), 1).any()


def test_sets_at_random_are_as_large_and_hold_any_channel() -> None:
    sets = np.zeros((2, 6), bool)
    sets[0, :2], sets[1, :5] = True, True
    random = np.random.default_rng(1)
    drawn = np.array([as_many_others(sets, random) for _ in range(2000)])
    assert (drawn.sum(2) == [2, 5]).all()
    np.testing.assert_allclose(drawn.mean(0), np.repeat([[2 / 6], [5 / 6]], 6, 1), atol=0.05)


def test_the_axis_is_the_mean_direction_of_the_reference() -> None:
    vectors = np.array([[2.0, 0], [0, 5], [3, 3], [-1, 0], [0, 0], [7, 0]])
    groups, reference = np.array([0, 0, 0, 0, 0, 1]), np.array([1, 1, 0, 0, 0, 0], bool)
    found = axis_angle(vectors, groups, reference)
    np.testing.assert_allclose(np.degrees(found), [45, 45, 0, 135, np.nan, np.nan], atol=1e-9)


def test_vectors_that_are_no_reference_do_not_move_the_axis() -> None:
    vectors, groups = np.random.default_rng(2).normal(size=(20, 4)), np.zeros(20, int)
    reference = np.arange(20) < 10
    poisoned = vectors.copy()
    poisoned[15] *= -1
    known = np.arange(20) != 15
    found, expected = axis_angle(poisoned, groups, reference), axis_angle(vectors, groups, reference)
    assert found[known].tolist() == expected[known].tolist()
    assert found[15] == pytest.approx(np.pi - expected[15], abs=1e-12)
