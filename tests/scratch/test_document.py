"""The document's worked examples with its numbers, and a test for each of its errors that would catch it.

Yao, Implementing Deconvolution to Visualize and Understand Convolutional Neural Networks (Zurich, 2020). Not tests but
corrected in our texts: E4 (the displayed matrix lacks its transpose), E6 (a printed formula that is not the one used),
E9 (an algorithm without its batch index), E11 (the deconvolution is called an inverse; see the adjoint below), E12 (a
momentum without a rule).
"""

import numpy as np
import pytest

import microtome.scratch as mts

X, Y = np.array([[0.1, 0.5]]), np.array([[0.01, 0.99]])
W, B = np.array([[0.15, 0.20], [0.25, 0.30]]), np.array([0.35, 0.45])
IMAGE = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
FILTER = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)


def linear(weight: np.ndarray = W, bias: np.ndarray = B) -> mts.Linear:
    layer = mts.Linear("fc", *weight.shape, dtype=np.float64)
    layer.weight.tensor, layer.bias.tensor = weight.copy(), bias.copy()
    return layer


def convolution() -> mts.Conv2D:
    layer = mts.Conv2D("conv", (1, 3, 3), 1, 2, 2, bias_there=False, dtype=np.float64)
    layer.weight.tensor = FILTER.copy()
    return layer


def loss(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    return mts.mean_squared_error(linear(weight, bias)(x), Y, "half_sum")[0]


def test_a_linear_layer_by_hand() -> None:
    layer = linear()
    answer = layer(X)
    np.testing.assert_allclose(answer, [[0.49, 0.62]])
    value, nabla = mts.mean_squared_error(answer, Y, "half_sum")
    assert value == pytest.approx(0.18365)
    np.testing.assert_allclose(nabla, [[0.48, -0.37]])
    dx = layer.backward(nabla)
    np.testing.assert_allclose(layer.weight.gradient, [[0.048, -0.037], [0.24, -0.185]])
    np.testing.assert_allclose(layer.bias.gradient, [0.48, -0.37])
    np.testing.assert_allclose(dx, [[-0.002, 0.009]])  # E1, E4: without the transpose it would be -.0205, -.0150
    np.testing.assert_allclose(nabla @ W, [[-0.0205, -0.0150]])


LOSSES = {  # below and above; E5: the document prints .187925/.184225 for w22 and .19225/.18485 for b2
    ("w", 0, 0): (0.1831705, 0.1841305), ("w", 0, 1): (0.1840205, 0.1832805), ("w", 1, 0): (0.1812625, 0.1860625),
    ("w", 1, 1): (0.1855125, 0.1818125), ("b", 0): (0.1789, 0.1885), ("b", 1): (0.1874, 0.18),
    ("x", 0, 0): (0.183673125, 0.183633125), ("x", 0, 1): (0.183567625, 0.183747625),
}  # fmt: skip


@pytest.mark.parametrize("place", LOSSES)
def test_losses_on_either_side_of_each_number(place) -> None:
    name, *where = place
    for expected, sign in zip(LOSSES[place], (-1, 1), strict=True):
        arrays = {"x": X.copy(), "w": W.copy(), "b": B.copy()}
        arrays[name][tuple(where)] += sign * 0.01
        assert loss(arrays["x"], arrays["w"], arrays["b"]) == pytest.approx(expected, abs=1e-12)


def test_numeric_derivatives_of_a_parabola_are_exact_from_both_sides_and_not_from_one() -> None:
    for array, expected, call in (
        (W.copy(), [[0.048, -0.037], [0.24, -0.185]], lambda array: loss(X, array, B)),
        (B.copy(), [0.48, -0.37], lambda array: loss(X, W, array)),
        (X.copy(), [[-0.002, 0.009]], lambda array: loss(array, W, B)),
    ):
        np.testing.assert_allclose(mts.numeric_gradient(call, array, 0.01), expected, atol=1e-13)
        one_sided = mts.numeric_gradient(call, array, 0.01, "right")
        assert np.abs(one_sided - expected).max() > 1e-6
        np.testing.assert_allclose(mts.numeric_gradient(call, array, 1e-7, "right"), expected, atol=1e-6)


def test_a_step_of_a_linear_layer_has_the_input_on_the_left() -> None:
    layer = linear(np.ones((2, 3)), np.zeros(3))  # E7: w - eps nabla x^T does not even have the shape
    net = mts.Net([layer])
    net.backward(np.array([[1.0, 2.0, 3.0]]) + 0 * net(X))
    net.update(mts.SGD(0.1))
    np.testing.assert_allclose(layer.weight.tensor, 1 - 0.1 * np.outer([0.1, 0.5], [1, 2, 3]))


def test_a_linear_layer_has_inputs_first_and_torch_outputs() -> None:
    import torch

    layer = mts.Linear("fc", 5, 2, dtype=np.float64)  # E2: (2, 5) cannot be multiplied with three rows of 5
    assert layer.weight.tensor.shape == (5, 2)
    x = np.random.default_rng(0).standard_normal((3, 5))
    module = mts.to_torch(mts.Net([layer]))
    assert module.fc.weight.shape == (2, 5)
    np.testing.assert_allclose(layer(x), module(torch.from_numpy(x)).detach().numpy())


@pytest.mark.parametrize("entry", [(0, 0), (1, 1)])
def test_an_error_with_either_sign_is_caught(entry) -> None:
    """E3: the document asserts abs(a - b < eps), which every a that is too small passes."""

    class Wrong(mts.Linear):
        shift = -1.0

        def backward(self, dy: np.ndarray) -> np.ndarray:
            dx = super().backward(dy)
            self.weight.gradient[entry] += self.shift
            return dx

    layer = Wrong("fc", 2, 2, dtype=np.float64)
    for shift in (-1.0, 1.0):
        layer.shift = shift
        found = {part.name: part for part in mts.check_layer(layer).parts}
        assert not found["dw"].passed and found["dw"].where == entry and found["dx"].passed and found["db"].passed
    expected, too_small = np.zeros(3), np.full(3, -1.0)
    assert np.absolute(too_small - expected < 1e-6).all()  # what the document asserts
    assert not (np.absolute(too_small - expected) < 1e-6).any()  # what it means


def test_a_convolution_by_hand_and_as_one_matrix() -> None:
    layer = convolution()
    np.testing.assert_array_equal(layer(IMAGE)[0, 0], [[37, 47], [67, 77]])
    unrolled = mts.unroll(FILTER, (1, 3, 3)).toarray()
    np.testing.assert_array_equal(unrolled, [
        [1, 2, 0, 3, 4, 0, 0, 0, 0], [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0], [0, 0, 0, 0, 1, 2, 0, 3, 4]])  # fmt: skip
    np.testing.assert_array_equal(unrolled @ IMAGE.ravel(), [37, 47, 67, 77])


def test_a_deconvolution_by_hand() -> None:
    y = np.array([37.0, 47, 67, 77]).reshape(1, 1, 2, 2)
    expected = np.array([37, 121, 94, 178, 500, 342, 201, 499, 308]).reshape(3, 3)
    np.testing.assert_array_equal(mts.Deconv2D("deconv", convolution()).forward(y)[0, 0], expected)
    np.testing.assert_array_equal(mts.unroll(FILTER, (1, 3, 3)).T @ y.ravel(), expected.ravel())


def test_the_gradient_of_a_filter_sums_over_the_places_where_it_stands() -> None:
    """E8: a step along the whole dW* would fill the zeros of W* and pull shared numbers apart."""
    layer, dy = convolution(), np.array([1.0, 2, 3, 4]).reshape(1, 1, 2, 2)
    dense = np.outer(dy.ravel(), IMAGE.ravel())
    unrolled = mts.unroll(FILTER, (1, 3, 3)).toarray()
    tied = [[dense[unrolled == value].sum() for value in row] for row in FILTER[0, 0]]
    for backend in ("gemm", "unrolled", "direct"):
        layer.backend = backend
        layer(IMAGE)
        layer.backward(dy)
        np.testing.assert_array_equal(layer.weight.gradient[0, 0], tied)
    assert tied == [[37, 47], [67, 77]]
    moved = unrolled - 0.01 * dense
    assert (moved[unrolled == 0] != 0).any() and len(np.unique(moved[unrolled == 1])) > 1


def test_a_pool_by_hand_overlapping_and_what_goes_back() -> None:
    pool = mts.MaxPool2D("pool", (1, 3, 3), 2, 1)
    np.testing.assert_array_equal(pool(IMAGE)[0, 0], [[5, 6], [8, 9]])
    assert pool.switches.ravel().tolist() == [4, 5, 7, 8]
    back = mts.MaxUnpool2D("unpool", (1, 3, 3), "place")
    back.switches = pool.switches
    np.testing.assert_array_equal(back(pool(IMAGE))[0, 0], [[0, 0, 0], [0, 5, 6], [0, 8, 9]])


def test_windows_that_overlap_add_up_on_the_way_back_and_can_be_placed() -> None:
    """E10: "non-overlapping patches", with an example of stride 1."""
    peak = np.zeros((1, 1, 3, 3))
    peak[0, 0, 1, 1] = 1.0
    pool = mts.MaxPool2D("pool", (1, 3, 3), 2, 1)
    pool(peak)
    dy = np.array([1.0, 2, 3, 4]).reshape(1, 1, 2, 2)
    assert pool.switches.ravel().tolist() == [4] * 4
    assert pool.backward(dy)[0, 0, 1, 1] == 10
    for mode, expected in (("add", 10), ("place", 4)):
        back = mts.MaxUnpool2D("unpool", (1, 3, 3), mode)
        back.switches = pool.switches
        assert back(dy)[0, 0, 1, 1] == expected and back(dy).sum() == expected
