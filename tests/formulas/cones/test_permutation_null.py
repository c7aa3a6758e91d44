"""The null of shuffled filters, against loops and against layers that do depend on each other."""

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.layers import slice_cones
from microtome.formulas.cones.permutation_null import Null, permutation_null, rank_chance
from microtome.formulas.cones.states import State, counts_of, states


def layers(seed: int = 0) -> tuple[ConeSet, ConeSet]:
    random = np.random.default_rng(seed)

    def layer(high: int, wide: int) -> ConeSet:
        return slice_cones(random.normal(size=(high, wide, 3, 3)), 0.1 * random.normal(size=high), (8, 8))

    return layer(10, 12), layer(12, 4)


@pytest.mark.parametrize("mode", ["seed", "pair", "exact"])
def test_each_draw_counts_the_states_with_the_earlier_filters_in_another_order(mode) -> None:
    out, into = layers()
    found, random = permutation_null(out, into, mode, draws=5, seed=3), np.random.default_rng(3)
    wanted = [counts_of(states(out, into[random.permutation(12)], mode)) for _ in range(5)]
    np.testing.assert_array_equal(found.drawn, wanted)
    np.testing.assert_array_equal(found.observed, counts_of(states(out, into, mode)))
    assert len({tuple(counts) for counts in wanted}) > 1


def test_means_deviations_and_z_are_those_of_the_frequencies() -> None:
    null = permutation_null(*layers(), draws=50)
    frequencies = null.drawn / null.drawn.sum(1, keepdims=True)
    np.testing.assert_allclose(null.mean, frequencies.mean(0))
    np.testing.assert_allclose(null.std, frequencies.std(0, ddof=1))
    wanted = (null.frequency - null.mean)[:4] / null.std[:4]
    np.testing.assert_allclose(null.z[:4], wanted)
    assert not null.z[4:].any() and null.items == 120


def test_the_same_seed_gives_the_same_null_and_another_one_another() -> None:
    out, into = layers()
    one, again, other = (permutation_null(out, into, draws=20, seed=seed) for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(one.drawn, again.drawn)
    assert (one.drawn != other.drawn).any()


def test_layers_that_know_nothing_of_each_other_are_within_the_null() -> None:
    z = np.array([permutation_null(*layers(seed), seed=seed).z[:2] for seed in range(30)])
    assert np.abs(z).max() < 4.5 and 0.6 < z.std() < 1.4


def test_a_layer_that_is_tuned_to_what_feeds_it_is_far_from_the_null() -> None:
    out, into = layers()
    lowest = into.apex[..., 0].min(1)
    biases = -(lowest + 1e-3)[None] * out.sums[..., 0]  # every slice a little ahead of what feeds it
    tuned = ConeSet(kernels=out.kernels, biases=biases, grid=out.grid)
    null = permutation_null(tuned, into)
    assert null.frequency[:2].sum() == 1 and null.z[State.OUT_FULL_IN] > 4


def test_pairs_of_layers_are_pooled_shuffle_by_shuffle() -> None:
    parts = [permutation_null(*layers(seed), draws=10, seed=(0, seed)) for seed in range(3)]
    pooled = Null.pooled(parts)
    assert pooled.items == 360
    np.testing.assert_array_equal(pooled.drawn, parts[0].drawn + parts[1].drawn + parts[2].drawn)
    np.testing.assert_allclose(pooled.mean, np.mean([part.mean for part in parts], axis=0))


def test_a_state_that_no_shuffle_has_is_infinitely_far() -> None:
    null = Null(observed=np.array([3, 7]), drawn=np.array([[0, 10], [0, 10]]))
    np.testing.assert_array_equal(null.z, [np.inf, -np.inf])


def test_by_rank_alone_the_widest_of_n_plus_one_is_out_once_in_n_plus_one_times() -> None:
    for inputs in (1, 3, 16):
        drawn = np.random.default_rng(0).uniform(size=(40_000, inputs + 1))
        share = (drawn.argmax(1) == 0).mean()
        assert rank_chance(inputs)[State.OUT_PARTIAL_IN] == pytest.approx(share, abs=0.01)
        assert rank_chance(inputs).sum() == 1


def test_too_few_shuffles_and_different_numbers_are_refused() -> None:
    out, into = layers()
    with pytest.raises(UsageError, match="number of shuffles is 1. It must be 2 or more"):
        permutation_null(out, into, draws=1)
    with pytest.raises(UsageError, match=r"nulls of \[2, 3\] shuffles"):
        Null.pooled([permutation_null(out, into, draws=2), permutation_null(out, into, draws=3)])
    with pytest.raises(UsageError, match=r"nulls of \[\] shuffles"):
        Null.pooled([])
