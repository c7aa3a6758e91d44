"""States against their table written out, the source's rule as loops, and what chance gives."""

import numpy as np
import pytest

from microtome.errors import UsageError
from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.funnel import Evidence
from microtome.formulas.cones.inclusion import inclusion
from microtome.formulas.cones.intersection import facing
from microtome.formulas.cones.layers import slice_cones
from microtome.formulas.cones.states import State, counts_of, exact_states, states
from microtome.formulas.cones.torus import placed


def layers(
    outputs: int = 9, middle: int = 7, inputs: int = 5, grid: tuple[int, int] = (8, 8), seed: int = 0, bias: float = 0.5
) -> tuple[ConeSet, ConeSet]:
    random = np.random.default_rng(seed)

    def layer(high: int, wide: int) -> ConeSet:
        weights = random.normal(size=(high, wide, 3, 3))
        return slice_cones(weights, bias * random.normal(size=high), grid)

    return layer(outputs, middle), layer(middle, inputs)


def slices(*each: tuple[float, float], grid: tuple[int, int] = (8, 8)) -> ConeSet:
    """Slices with an apex t and a kernel of 1 and `rest`, which the opening shrinks with as it goes below 1."""
    kernels = np.array([[[[[1.0, rest]]]] for _, rest in each])
    biases = np.array([[-apex * (1.0 + rest)] for apex, rest in each])
    return ConeSet(kernels=kernels, biases=biases, grid=grid)


def test_the_numbers_are_those_of_the_source_and_ours_behind_them() -> None:
    names = "OUT_PARTIAL_IN OUT_FULL_IN IN_PARTIAL_OUT IN_FULL_OUT FACING DISJOINT DEGENERATE UNDECIDED"
    assert [state.name for state in State] == names.split() and list(State) == list(range(8))


@pytest.mark.parametrize(
    ("apex", "rest", "state"),
    [
        (0.5, 0.5, State.OUT_FULL_IN), (0.5, 0.9, State.OUT_PARTIAL_IN), (-0.5, 0.9, State.IN_FULL_OUT),
        (-0.5, 0.5, State.IN_PARTIAL_OUT), (0.0, 0.5, State.OUT_FULL_IN), (0.0, 0.9, State.OUT_PARTIAL_IN),
        (0.5, 0.7, State.OUT_FULL_IN), (-0.5, 0.7, State.IN_FULL_OUT), (0.0, 0.7, State.OUT_FULL_IN),
    ],
)  # fmt: skip
def test_the_four_states_are_told_by_apex_and_opening_and_ties_count_as_out_and_in_full(apex, rest, state) -> None:
    """IN has its lowest apex at 0 and its widest opening at 0.7, in different slices."""
    out = slices((apex, rest))
    into = ConeSet(
        kernels=np.stack([slices((0.0, 0.2)).kernels, slices((3.0, 0.7)).kernels], 1)[:, :, 0],
        biases=np.array([[0.0, -3.0 * 1.7]]), grid=(8, 8),
    )  # fmt: skip
    assert states(out, into, "seed") == [[state]]


def source_rule(out: ConeSet, into: ConeSet) -> np.ndarray:
    """The source's quantities and table, as loops over filters and channels."""
    size = out.places
    found = np.empty(out.shape, int)
    for o, c in np.ndindex(*out.shape):

        def position(cones: ConeSet, *place: int) -> float:
            return -cones.biases[place] / cones.kernels[place].sum()

        def opening(cones: ConeSet, *place: int) -> float:
            kernel = cones.kernels[place]
            return abs(np.arcsin(kernel.sum() / np.sqrt(size) / np.sqrt((kernel**2).sum())))

        inputs = range(into.shape[1])
        far = max((position(out, o, c) - position(into, c, p)) * np.sqrt(size) for p in inputs)
        wide = min(opening(out, o, c) - opening(into, c, p) for p in inputs)
        found[o, c] = (1 if wide <= 0 else 0) if far >= 0 else (3 if wide >= 0 else 2)
    return found


@pytest.mark.parametrize("bias", [0.0, 0.05, 0.5])
def test_mode_seed_is_the_source_s_rule(bias) -> None:
    for seed in range(3):
        out, into = layers(seed=seed, bias=bias)
        np.testing.assert_array_equal(states(out, into), source_rule(out, into))


def test_without_biases_out_is_never_around_and_is_wider_as_often_as_ranks_say() -> None:
    for inputs in (3, 6, 16):
        out, into = layers(128, 128, inputs, bias=0.0, seed=inputs)
        counts = counts_of(states(out, into))
        assert counts[State.IN_FULL_OUT] == counts[State.IN_PARTIAL_OUT] == 0 and counts.sum() == 128 * 128
        # the 128 slices of a column meet the same widest of IN: the share of those above it varies by a beta law
        chance = 1 / (inputs + 1)
        spread = np.sqrt(inputs / (inputs + 1) ** 2 / (inputs + 2) / 128 + chance / 128**2)
        assert abs(counts[State.OUT_PARTIAL_IN] / 128**2 - chance) < 4 * spread


def pair_rule(out: ConeSet, into: ConeSet) -> np.ndarray:
    """The table of pairs, as loops."""
    found = np.empty((*out.shape, into.shape[1]), int)
    for o, c, p in np.ndindex(*found.shape):
        one, other = out[o, c], into[c, p]
        if min(abs(one.kappa), abs(other.kappa)) < 1e-6:
            found[o, c, p] = State.DEGENERATE
        elif one.orientation != other.orientation:
            found[o, c, p] = State.FACING if facing(one, other) else State.DISJOINT
        elif one.orientation * (one.apex[0] - other.apex[0]) >= 0:
            found[o, c, p] = State(int(one.facet_angle <= other.facet_angle))
        else:
            found[o, c, p] = State(2 + int(other.facet_angle <= one.facet_angle))
    return found


def test_mode_pair_is_its_table() -> None:
    out, into = layers()
    kernels = out.kernels.copy()
    kernels[2, 3] -= kernels[2, 3].mean()
    out = ConeSet(kernels=kernels, biases=out.biases, grid=out.grid)
    found = states(out, into, "pair")
    np.testing.assert_array_equal(found, pair_rule(out, into))
    assert set(np.unique(found)) == set(range(7))


def enriched(seed: int = 0) -> tuple[ConeSet, ConeSet]:
    """Layers in which some later slices are filterings of earlier ones, and some earlier ones of later ones."""
    out, into = layers(12, 8, 6, (5, 6), seed)
    random = np.random.default_rng(seed)
    wide, narrow = placed(out.kernels, out.grid), placed(into.kernels, into.grid)

    def filtered(kernel: np.ndarray) -> np.ndarray:
        y = random.uniform(0, 1, out.grid) * (random.uniform(size=out.grid) < 0.2) + 1e-3
        return np.fft.ifft2(np.fft.fft2(kernel) * np.fft.fft2(y)).real

    for c in range(8):
        narrow[c, 0] = filtered(wide[7, c])
        for o in range(4):
            wide[o, c] = filtered(narrow[c, 1 + o])
    return tuple(ConeSet(kernels=k, biases=each.biases, grid=each.grid) for k, each in ((wide, out), (narrow, into)))


def test_mode_exact_says_in_full_where_the_cone_ahead_lies_inside_and_leaves_the_rest_as_it_is() -> None:
    out, into = enriched()
    (found, why), by_summary = exact_states(out, into), states(out, into, "pair")
    np.testing.assert_array_equal(found, states(out, into, "exact"))
    for o, c, p in np.ndindex(*found.shape):
        one, other = out[o, c], into[c, p]
        full = Evidence(why[o, c, p]).full
        if by_summary[o, c, p] in (State.OUT_PARTIAL_IN, State.OUT_FULL_IN):
            assert found[o, c, p] == int(inclusion(one, other).full) == int(full)
        elif by_summary[o, c, p] in (State.IN_PARTIAL_OUT, State.IN_FULL_OUT):
            assert found[o, c, p] == 2 + int(inclusion(other, one).full) == 2 + int(full)
        else:
            assert found[o, c, p] == by_summary[o, c, p] and why[o, c, p] == Evidence.REFUTED_ORIENTATION
    counts = counts_of(found)
    assert counts[State.OUT_FULL_IN] > 3 and counts[State.IN_FULL_OUT] > 3
    assert counts_of(by_summary)[State.OUT_FULL_IN] > 2 * counts[State.OUT_FULL_IN]


def test_moving_kernels_and_scaling_them_with_their_biases_changes_no_state() -> None:
    out, into = enriched(1)
    random = np.random.default_rng(3)
    scales = random.uniform(0.1, 10, into.shape)
    kernels = np.roll(into.kernels, (2, 1), axis=(-2, -1)) * scales[..., None, None, None]
    other = ConeSet(kernels=kernels, biases=into.biases * scales, grid=into.grid)
    for mode in ("seed", "pair", "exact"):
        np.testing.assert_array_equal(states(out, other, mode), states(out, into, mode))


def test_turning_both_layers_over_puts_behind_what_lay_ahead() -> None:
    """Apices and openings stay, orientations turn."""
    out, into = enriched(2)
    over = [ConeSet(kernels=-each.kernels, biases=-each.biases, grid=each.grid) for each in (out, into)]
    table = np.array([State.IN_FULL_OUT, State.IN_PARTIAL_OUT, State.OUT_FULL_IN, State.OUT_PARTIAL_IN,
                      State.DISJOINT, State.FACING])  # fmt: skip
    np.testing.assert_array_equal(states(*over, "pair"), table[states(out, into, "pair")])


def test_slices_whose_weights_cancel_are_degenerate_and_are_left_out_of_the_combination() -> None:
    out, into = layers()
    later, earlier = out.kernels.copy(), into.kernels.copy()
    later[4, 2] = 0
    earlier[1, 3] -= earlier[1, 3].mean()
    earlier[5] = 0
    biases = into.biases.copy()
    biases[1, 3] = -9.0
    out = ConeSet(kernels=later, biases=out.biases, grid=out.grid)
    into = ConeSet(kernels=earlier, biases=biases, grid=into.grid)
    found = states(out, into)
    assert found[4, 2] == State.DEGENERATE and (found[:, 5] == State.DEGENERATE).all()
    assert counts_of(found)[State.DEGENERATE] == 1 + len(found)
    others = np.array([0, 1, 2, 4])
    without = states(out[:, 1:2], into[1:2, others])
    np.testing.assert_array_equal(found[:, 1:2], without)
    exact, why = exact_states(out, into)
    assert (exact[:, 1, 3] == State.DEGENERATE).all() and (why[:, 1, 3] == Evidence.UNDECIDED).all()


def test_what_cannot_be_decided_says_so() -> None:
    box = ConeSet(kernels=np.ones((1, 1, 1, 2, 2)), biases=np.array([[-1.0]]), grid=(4, 4))
    wider = np.array([[[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]])
    for bias in (-1.0, 3.0):
        other = ConeSet(kernels=wider, biases=np.array([[bias]]), grid=(4, 4))
        assert exact_states(box, other) == (State.UNDECIDED, Evidence.UNDECIDED)


def test_single_and_double_precision_give_the_same_states() -> None:
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape) for shape in ((48, 32, 3, 3), (32, 24, 3, 3))]
    biases = [random.normal(size=48) * 0.2, random.normal(size=32) * 0.2]
    double = [slice_cones(w, b, (8, 8)) for w, b in zip(weights, biases, strict=True)]
    single = [
        slice_cones(w.astype(np.float32), b.astype(np.float32), (8, 8)) for w, b in zip(weights, biases, strict=True)
    ]
    for mode in ("seed", "pair", "exact"):
        assert (states(*double, mode) != states(*single, mode)).mean() < 1e-3


def test_layers_that_do_not_follow_each_other_are_refused() -> None:
    out, into = layers()
    with pytest.raises(UsageError, match=r"slices \(7, 5\) of the later.*\(9, 7\) of the earlier.*one group at a time"):
        states(into, out)
    with pytest.raises(UsageError, match="mode 'seeds' does not exist.*seed, pair, exact"):
        states(out, into, "seeds")
    with pytest.raises(UsageError, match="Put both on the grid of the map between the layers"):
        exact_states(out, ConeSet(kernels=into.kernels, biases=into.biases, grid=(8, 9)))
