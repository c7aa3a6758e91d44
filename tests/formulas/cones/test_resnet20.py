"""The states of a trained network's layers, as they are and of a perturbed one."""

import numpy as np
import pytest

from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.funnel import Evidence
from microtome.formulas.cones.layers import slice_cones
from microtome.formulas.cones.permutation_null import Null, permutation_null
from microtome.formulas.cones.states import State, counts_of, exact_states, states
from microtome.network.open import open_model
from microtome.network.parts.linear_layers import linear_layers

pytestmark = pytest.mark.data

SEED = [0.0782, 0.8947, 0.0255, 0.0017]  # of 16,128 slices


@pytest.fixture(scope="module")
def weights(data_folder) -> list[tuple[np.ndarray, ...]]:
    """Weights and biases of both convolutions of each block, batch norm folded, and the grid between them."""
    layers = linear_layers(open_model(f"zoo:resnet20@{data_folder}/resnet20_cifar10.safetensors"), fold=True)
    found = []
    for block in range(9):
        later, earlier = (layers[f"layer{block // 3 + 1}.{block % 3}.conv{place}"] for place in (2, 1))
        each = [tensor.numpy() for layer in (later, earlier) for tensor in (layer.weight, layer.bias)]
        found.append((*each, later.shape[1:]))
    return found


def pairs(weights: list[tuple[np.ndarray, ...]], noise: float = 0.0) -> list[tuple[ConeSet, ConeSet]]:
    random = np.random.default_rng(0)
    found = []
    for later, bias, earlier, shift, grid in weights:
        disturbed = [each + noise * each.std() * random.normal(size=each.shape) for each in (later, earlier)]
        found.append((slice_cones(disturbed[0], bias, grid), slice_cones(disturbed[1], shift, grid)))
    return found


def frequencies(of: list[tuple[ConeSet, ConeSet]], mode: str = "seed") -> np.ndarray:
    counts = np.sum([counts_of(states(*pair, mode)) for pair in of], axis=0)
    return counts / counts.sum()


def test_most_slices_lie_in_what_covers_them_and_weights_that_are_disturbed_say_otherwise(weights) -> None:
    np.testing.assert_allclose(frequencies(pairs(weights))[:4], SEED, atol=1e-3)
    assert np.abs(frequencies(pairs(weights, noise=1.0))[:4] - SEED).max() > 2e-3


def test_so_they_do_if_filters_of_the_layer_before_are_shuffled(weights) -> None:
    null = Null.pooled([permutation_null(*pair, seed=(0, place)) for place, pair in enumerate(pairs(weights))])
    assert null.items == 16_128 and np.abs(null.z[:4]).max() < 3
    np.testing.assert_allclose(null.mean[:4], [0.081, 0.891, 0.025, 0.003], atol=2e-3)


def test_by_summaries_a_quarter_is_included_in_full_and_in_truth_less_than_one_in_a_hundred(weights) -> None:
    exact, why = (np.concatenate(each, axis=None) for each in zip(*(
        [part.ravel() for part in exact_states(*pair)] for pair in pairs(weights)), strict=True))  # fmt: skip
    summary = frequencies(pairs(weights), "pair")
    assert 0.2 < summary[State.OUT_FULL_IN] + summary[State.IN_FULL_OUT] < 0.3
    full = np.isin(exact, (State.OUT_FULL_IN, State.IN_FULL_OUT))
    assert exact.size == 749_568 and full.mean() == pytest.approx(0.0062, abs=2e-4)
    np.testing.assert_array_equal(full, np.isin(why, (Evidence.CERTIFIED, Evidence.FFT_TRUE)))
    left = [(why > code).mean() for code in (Evidence.REFUTED_ORIENTATION, Evidence.REFUTED_ANGLE,
                                             Evidence.REFUTED_EDGE, Evidence.REFUTED_SPECTRUM)]  # fmt: skip
    np.testing.assert_allclose(left, [0.504, 0.273, 0.233, 0.045], atol=1e-3)
