"""Slices and filters of layers: how biases are dealt out, and which kernel of a grouped layer is which."""

import numpy as np
import pytest
import torch

from microtome.errors import UsageError
from microtome.formulas.cones.layers import filter_cones, from_grouped, slice_biases, slice_cones, to_grouped


def layer(outputs: int = 5, inputs: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(outputs, inputs, 3, 3)).astype(np.float32), random.normal(size=outputs)


def test_by_the_least_norm_a_slice_s_apex_is_the_filter_s_coordinate() -> None:
    weights, biases = layer()
    slices, filters = slice_cones(weights, biases, (8, 8)), filter_cones(weights, biases, (8, 8))
    np.testing.assert_allclose(slices.apex[..., 0], filters.apex, rtol=1e-12)
    np.testing.assert_allclose(slices.biases.sum(1), biases, rtol=1e-12)


def test_so_it_stays_bounded_as_a_slice_s_sum_goes_to_zero_and_a_shared_bias_does_not() -> None:
    weights, biases = layer()
    weights[:, 0] -= weights[:, 0].mean((-2, -1), keepdims=True)
    assert np.abs(slice_cones(weights, biases, (8, 8)).apex[:, 0]).max() < 1e-6
    shared = slice_cones(weights, biases, (8, 8), "shared")
    assert np.abs(shared.apex[:, 0]).min() > 1e4
    np.testing.assert_array_equal(shared.biases, np.repeat(biases[:, None], 4, 1))


def test_a_filter_without_sums_gives_its_slices_equal_parts() -> None:
    weights = np.array([[[[1.0, -1.0]], [[2.0, -2.0]]]])
    np.testing.assert_allclose(slice_biases(weights, np.array([0.6])), [[0.3, 0.3]])


def test_zeros_and_biases_of_the_layer_s_own_are_taken_as_they_are() -> None:
    weights, biases = layer()
    assert not slice_biases(weights, biases, "zero").any()
    own = np.arange(20.0).reshape(5, 4)
    np.testing.assert_array_equal(slice_biases(weights, own, "native"), own)


def test_kernel_c_o_plus_o_of_a_grouped_layer_is_channel_c_of_filter_o() -> None:
    """What the layer makes of pictures is what its slices make of their channels, rectified and summed."""
    random = np.random.default_rng(1)
    inputs, outputs = 3, 4
    net = torch.nn.Conv2d(inputs, inputs * outputs, 3, padding=1, groups=inputs).double()
    pictures = torch.from_numpy(random.normal(size=(2, inputs, 6, 6)))
    maps = net(pictures).relu().reshape(2, inputs, outputs, 6, 6).sum(1).detach().numpy()
    weights, biases = from_grouped(net.weight.detach().numpy(), net.bias.detach().numpy(), outputs)
    wanted = np.zeros_like(maps)
    for o in range(outputs):
        for c in range(inputs):
            one = torch.nn.functional.conv2d(
                pictures[:, c : c + 1], torch.from_numpy(weights[o, c])[None, None],
                torch.from_numpy(biases[o, c : c + 1]), padding=1,
            )  # fmt: skip
            wanted[:, o] += one.relu()[:, 0].numpy()
    np.testing.assert_allclose(maps, wanted, atol=1e-13)
    there = to_grouped(weights, biases)
    np.testing.assert_array_equal(there[0], net.weight.detach().numpy())
    np.testing.assert_array_equal(there[1], net.bias.detach().numpy())
    assert slice_cones(weights, biases, (6, 6), "native").shape == (4, 3)


def test_other_shapes_and_rules_are_refused() -> None:
    weights, biases = layer()
    with pytest.raises(UsageError, match="rule for biases 'minorm' does not exist.*minnorm"):
        slice_biases(weights, biases, "minorm")
    with pytest.raises(UsageError, match=r"biases \(4,\).*biases \(O,\).*Give a layer without biases zeros"):
        slice_cones(weights, biases[:4], (8, 8))
    with pytest.raises(UsageError, match=r"'native' takes weights .O, C, kh, kw. and biases \(O, C\)"):
        slice_biases(weights, biases, "native")
    with pytest.raises(UsageError, match=r"shape \(5, 4, 3, 3\).*There are weights \(C O, 1, kh, kw\)"):
        from_grouped(weights, biases, 5)
