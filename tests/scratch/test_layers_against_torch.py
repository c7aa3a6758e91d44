"""Every layer, in float64, forward and back, against PyTorch and against numeric derivatives."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome.scratch as mts

CLOSE = 1e-10  # of the largest number

KERNELS = [(1, 1), (2, 2), (3, 3), (5, 5), (3, 1)]
SIZES = [(7, 9), (12, 8), (6, 6)]  # with strides that divide and that do not


def close(got: np.ndarray, expected: Tensor | np.ndarray, tolerance: float = CLOSE) -> None:
    """The document's own tests take abs of (difference < epsilon), which no negative difference fails."""
    expected = expected.detach().numpy() if isinstance(expected, Tensor) else expected
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0) <= tolerance * max(1e-300, np.abs(expected).max(initial=0))


def as_theirs(layer: mts.Layer, array: np.ndarray) -> np.ndarray:
    """A parameter as PyTorch has it: linear weights have outputs first."""
    return (array.T if isinstance(layer, mts.Linear) else array).copy("C")


def both(layer: mts.Layer, module: nn.Module, x: np.ndarray, seed: int = 100) -> None:
    """Forward, dx, and the gradients by all parameters."""
    module = module.double().train(layer.training)
    module.zero_grad()
    for name, parameter in layer.parameters().items():
        getattr(module, name).data = torch.from_numpy(as_theirs(layer, parameter.tensor))
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    expected = module(leaf)
    close(layer.forward(x), expected)
    dy = np.random.default_rng(seed).standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    close(layer.backward(dy), leaf.grad)
    for name, parameter in layer.parameters().items():
        close(as_theirs(layer, parameter.gradient), getattr(module, name).grad)


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("backend", ["gemm", "unrolled", "direct"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_convolutions(backend, kernel, stride, padding) -> None:
    for images, channels, (height, width) in itertools.product((1, 3), (1, 3, 5), SIZES):
        layer = mts.Conv2D("c", (channels, height, width), 4, *kernel, stride, padding, backend=backend, random=1,
                           dtype=np.float64)  # fmt: skip
        module = nn.Conv2d(channels, 4, kernel, stride, padding)
        both(layer, module, numbers(images, channels, height, width))
        assert (
            layer.out_shape((channels, height, width)) == layer.forward(numbers(1, channels, height, width)).shape[1:]
        )


@pytest.mark.parametrize("backend", ["gemm", "unrolled", "direct"])
def test_convolutions_with_unequal_strides_and_padding_and_without_bias(backend) -> None:
    layer = mts.Conv2D("c", (2, 9, 8), 3, 2, 3, (2, 1), (0, 2), False, backend, dtype=np.float64)
    both(layer, nn.Conv2d(2, 3, (2, 3), (2, 1), (0, 2), bias=False), numbers(2, 2, 9, 8))


def test_more_filters_than_channels_and_fewer_go_back_by_two_ways_to_the_same_gradient() -> None:
    for channels, filters in ((3, 8), (8, 3), (8, 8)):
        for padding in (0, 1, 3):
            layer = mts.Conv2D("c", (channels, 10, 11), filters, 3, 3, 1, padding, dtype=np.float64)
            both(layer, nn.Conv2d(channels, filters, 3, 1, padding), numbers(2, channels, 10, 11))


def test_strips_of_all_heights_give_the_same(monkeypatch) -> None:
    x = numbers(5, 3, 14, 13)
    layer = mts.Conv2D("c", (3, 14, 13), 4, 3, 3, 1, 1, dtype=np.float64)
    whole = layer(x)
    for strip, narrowest in ((1, 1), (400, 1), (27 * 13 * 5, 1), (27 * 14 * 13 * 2, 1), (1, 40), (1 << 20, 400)):
        monkeypatch.setattr("microtome.scratch.conv_gemm.STRIP", strip)
        monkeypatch.setattr("microtome.scratch.conv_gemm.NARROWEST", narrowest)
        close(layer(x), whole, 1e-13)
        both(layer, nn.Conv2d(3, 4, 3, 1, 1), x)


@pytest.mark.parametrize("size", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("stride", [None, 1, 2, 3, (1, 2)])
@pytest.mark.parametrize("shape", [(1, 2, 7, 9), (3, 1, 6, 6)])
def test_pools(size, stride, shape) -> None:
    x = numbers(*shape)
    pool = mts.MaxPool2D("p", shape[1:], size, stride)
    both(pool, nn.MaxPool2d(size, stride), x)
    _, indices = nn.functional.max_pool2d(torch.from_numpy(x), size, stride, return_indices=True)
    np.testing.assert_array_equal(pool.switches, indices.numpy())
    both(mts.AvgPool2D("p", shape[1:], size, stride), nn.AvgPool2d(size, stride), x)


def test_of_equal_numbers_the_first_is_the_largest_and_negative_ones_have_a_maximum_too() -> None:
    zeros = mts.MaxPool2D("p", (1, 4, 4), 2)
    zeros.forward(np.zeros((1, 1, 4, 4)))
    assert zeros.switches.ravel().tolist() == [0, 2, 8, 10]
    both(mts.MaxPool2D("p", (2, 5, 5), 3, 1), nn.MaxPool2d(3, 1), np.round(numbers(2, 2, 5, 5)))
    both(mts.MaxPool2D("p", (2, 6, 6), 2), nn.MaxPool2d(2), -np.abs(numbers(2, 2, 6, 6)) - 1)


def test_many_places_in_a_window_are_counted_beyond_a_byte() -> None:
    both(mts.MaxPool2D("p", (1, 40, 40), 20, 10), nn.MaxPool2d(20, 10), numbers(1, 1, 40, 40))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_with_its_running_numbers(training) -> None:
    layer, module = mts.BatchNorm2D("b", 3, dtype=np.float64), nn.BatchNorm2d(3).double()
    layer.weight.tensor[:], layer.bias.tensor[:] = [0.5, -1.5, 2.0], [0.1, 0.2, -0.3]
    for seed in range(3):
        layer.training = True if seed < 2 else training
        both(layer, module, 3 * numbers(4, 3, 5, 6, seed=seed) + 1)
        close(layer.running_mean, module.running_mean)
        close(layer.running_var, module.running_var)


LAYERS: dict[str, tuple[Callable[[], mts.Layer], Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: mts.Linear("l", 5, 3, dtype=np.float64), lambda: nn.Linear(5, 3), (4, 5)),
    "linear without bias": (lambda: mts.Linear("l", 5, 3, False, dtype=np.float64),
                            lambda: nn.Linear(5, 3, bias=False), (4, 5)),
    "relu": (lambda: mts.ReLU("r"), nn.ReLU, (3, 2, 4, 5)),
    "flatten": (lambda: mts.Flatten("f"), nn.Flatten, (3, 2, 4, 5)),
    "softmax": (lambda: mts.Softmax("s"), lambda: nn.Softmax(-1), (4, 6)),
    "dropout in use": (lambda: mts.Dropout("d").eval(), nn.Dropout, (3, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_without_windows(name) -> None:
    make, module, shape = LAYERS[name]
    both(make(), module(), numbers(*shape))


def test_at_zero_a_rectifier_has_no_gradient() -> None:
    layer = mts.ReLU("r")
    layer.forward(np.array([[-1.0, 0.0, 2.0]]))
    assert layer.backward(np.ones((1, 3))).tolist() == [[0, 0, 1]]


def test_dropout_keeps_the_mean_and_takes_a_mask() -> None:
    layer, x = mts.Dropout("d", 0.25, random=3), np.ones((200, 500))
    y = layer(x)
    assert set(np.unique(y)) == {0.0, 1 / 0.75} and abs(y.mean() - 1) < 0.01
    np.testing.assert_array_equal(layer.backward(x), y)
    layer.mask = np.tile([True, False], (200, 250))
    np.testing.assert_array_equal(layer(x), np.tile([1 / 0.75, 0], (200, 250)))
    np.testing.assert_array_equal(layer.eval()(x), x)
    np.testing.assert_array_equal(mts.Dropout("d", 1.0)(x), 0 * x)


@pytest.mark.parametrize("labels", [np.array([2, 0, 5, 5]), np.random.default_rng(0).dirichlet(np.ones(6), 4)])
def test_cross_entropy_also_of_large_logits(labels) -> None:
    for scale in (1, 1000):
        x = scale * numbers(4, 6)
        leaf = torch.from_numpy(x).requires_grad_()
        expected = nn.functional.cross_entropy(leaf, torch.from_numpy(labels))
        expected.backward()
        loss, gradient = mts.softmax_cross_entropy(x, labels)
        assert loss == pytest.approx(expected.item(), rel=CLOSE)
        close(gradient, leaf.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_mean_squared_error(reduction) -> None:
    x, truth = numbers(4, 3), numbers(4, 3, seed=2)
    leaf = torch.from_numpy(x).requires_grad_()
    expected = nn.functional.mse_loss(leaf, torch.from_numpy(truth), reduction=reduction)
    expected.backward()
    loss, gradient = mts.mean_squared_error(x, truth, reduction)
    assert loss == pytest.approx(expected.item(), rel=CLOSE)
    close(gradient, leaf.grad)
    half = mts.mean_squared_error(x, truth, "half_sum")
    close(half[1], x - truth)


NUMERIC: dict[str, tuple[Callable[[], mts.Layer], tuple[int, ...]]] = {
    "convolution": (lambda: mts.Conv2D("c", (2, 5, 6), 3, 3, 2, 2, 1), (2, 2, 5, 6)),
    "unrolled": (lambda: mts.Conv2D("c", (2, 5, 5), 3, 2, 2, 1, 0, backend="unrolled"), (2, 2, 5, 5)),
    "direct": (lambda: mts.Conv2D("c", (2, 5, 5), 3, 2, 2, 1, 0, backend="direct"), (2, 2, 5, 5)),
    "largest": (lambda: mts.MaxPool2D("p", (2, 5, 5), 3, 2), (2, 2, 5, 5)),
    "mean": (lambda: mts.AvgPool2D("p", (2, 5, 5), 2, 1), (2, 2, 5, 5)),
    "batch norm": (lambda: mts.BatchNorm2D("b", 2), (3, 2, 4, 4)),
    "batch norm in use": (lambda: mts.BatchNorm2D("b", 2).eval(), (3, 2, 4, 4)),
    "dropout": (lambda: mts.Dropout("d", 0.5), (4, 9)),
} | {name: (make, shape) for name, (make, _, shape) in LAYERS.items()}  # fmt: skip


@pytest.mark.parametrize("name", NUMERIC)
def test_numeric_derivatives_agree(name) -> None:
    make, shape = NUMERIC[name]
    found = mts.check_layer(make(), numbers(*shape), tolerance=1e-6)
    assert found.passed, str(found)
    assert [part.name for part in found.parts][:2] == ["forward", "dx"]
