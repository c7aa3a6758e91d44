"""The numbers that the source document works out by hand, by the explicit route and by the graph.

The document: "Implementing Deconvolution to Visualize and Understand Convolutional Neural Networks"; sections are its.
Where it errs, the corrected number stands here and a comment says so.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.formulas.rendering import rendered
from microtome.network.backward.explicit import deconvolution
from microtome.network.backward.tracing import going_back, tracing

X = torch.arange(1.0, 10, dtype=torch.float64).view(1, 1, 3, 3)  # 1..9, the input of 3.1.2, 3.1.3 and 3.2.2
W = torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64)
Y = [[37.0, 47], [67, 77]]
UNROLLED = torch.tensor(
    [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ],
    dtype=torch.float64,
)
DECONVOLVED = [[37.0, 121, 94], [178, 500, 342], [201, 499, 308]]


def convolution() -> nn.Sequential:
    layers = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False)).double().eval()
    layers[0].weight.data = W.view(1, 1, 2, 2).clone()
    return layers


def pool() -> nn.Sequential:
    return nn.Sequential(nn.MaxPool2d(2, stride=1))


def explicit(layers: nn.Sequential, x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """What a network gives, and what a seed becomes at the pixels, by the deconvnet as it is drawn."""
    net = deconvolution(layers)
    return net.forward(x), net.back(seed)


def graph(layers: nn.Sequential, x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """The same by rules on the autograd graph."""
    model = mt.open_model(layers, size=tuple(x.shape[2:]), mean=(0.5,), std=(0.5,))
    with tracing(model, x, model.sites.output) as trace, going_back(trace, "deconvnet", "switch"):
        return trace.activation, trace.back(seed)


def plane(numbers: list[list[float]]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[None, None]


each_route = pytest.mark.parametrize("route", [explicit, graph])


@each_route
def test_3_1_2_the_convolution(route) -> None:
    forward, _ = route(convolution(), X, plane(Y))
    assert forward.tolist() == [[Y]]
    assert (UNROLLED @ X.flatten()).tolist() == [37, 47, 67, 77]


@each_route
def test_3_2_1_the_deconvolution(route) -> None:
    _, back = route(convolution(), X, plane(Y))
    assert back.tolist() == [[DECONVOLVED]]
    assert (UNROLLED.T @ plane(Y).flatten()).tolist() == back.flatten().tolist()


@each_route
def test_3_2_1_the_deconvolution_is_the_adjoint(route) -> None:
    # The document calls it the inverse (and adds that it does not give the input back): it is the adjoint.
    seed = plane([[2.0, -1], [0, 5]])
    forward, back = route(convolution(), X, seed)
    assert float((forward * seed).sum()) == float((X * back).sum()) == 2 * 37 - 47 + 5 * 77
    assert not torch.equal(route(convolution(), X, forward)[1], X)


def test_3_2_1_renormalised_into_0_to_255() -> None:
    (picture,) = rendered(np.array([[DECONVOLVED]]), "minmax")
    expected = [[round((value - 37) / (500 - 37) * 255) for value in row] for row in DECONVOLVED]
    assert picture.tolist() == [[[value] * 3 for value in row] for row in expected]
    assert picture.min() == 0 and picture[1, 1, 0] == 255


@each_route
def test_3_1_3_and_3_2_2_the_pool_and_its_unpooling(route) -> None:
    # The document speaks of patches that do not overlap; in its example, of stride 1, they do.
    forward, back = route(pool(), X, plane([[5.0, 6], [8, 9]]))
    assert forward.tolist() == [[[[5, 6], [8, 9]]]]
    assert back.tolist() == [[[[0, 0, 0], [0, 5, 6], [0, 8, 9]]]]


def test_3_2_2_the_indices_of_the_maxima() -> None:
    net = deconvolution(pool())
    net.forward(X)
    switches = net.passed[0].switches
    assert [divmod(place, 3) for place in switches.flatten().tolist()] == [(1, 1), (1, 2), (2, 1), (2, 2)]


@each_route
def test_3_2_3_the_reconstruction_itself_is_rectified(route) -> None:
    forward, back = route(nn.Sequential(nn.ReLU()), X - 5, (5 - X) * 2)
    assert forward.tolist() == [[[[0, 0, 0], [0, 0, 1], [2, 3, 4]]]]
    assert back.tolist() == [[[[8, 6, 4], [2, 0, 0], [0, 0, 0]]]]  # the forward mask would have left nothing


def test_3_1_2_the_gradient_of_the_filter_is_shared() -> None:
    # The document subtracts the dense gradient of the unrolled matrix, which fills its zeros and parts equal entries:
    # the filter's gradient is the sum over the places that are tied to each of its entries.
    dense = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)[:, None] * X.flatten()  # (4, 9)
    tied = [float(dense[entry == UNROLLED].sum()) for entry in (1, 2, 3, 4)]
    layers = convolution()
    layers(X).backward(plane([[1.0, 2], [3, 4]]))
    assert tied == [37, 47, 67, 77] == layers[0].weight.grad.flatten().tolist()


@each_route
def test_3_1_1_the_fully_connected_layer(route) -> None:
    # The document's listing gives the gradient of the input as nabla w, which is (-.0205, -.0150); it is nabla w^T.
    w = torch.tensor([[0.15, 0.20], [0.25, 0.30]], dtype=torch.float64)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).double().eval()
    layers[1].weight.data, layers[1].bias.data = w.T.clone(), torch.tensor([0.35, 0.45], dtype=torch.float64)
    x, nabla = torch.tensor([0.1, 0.5], dtype=torch.float64), torch.tensor([[0.48, -0.37]], dtype=torch.float64)
    forward, back = route(layers, x.view(1, 1, 1, 2), nabla)
    np.testing.assert_allclose(forward, [[0.49, 0.62]], rtol=1e-14)
    np.testing.assert_allclose(forward.numpy() - [[0.01, 0.99]], nabla, rtol=1e-14)
    np.testing.assert_allclose(back.flatten(), [-0.002, 0.009], rtol=1e-13)
    np.testing.assert_allclose(nabla @ w, [[-0.0205, -0.0150]], rtol=1e-13)  # what the listing does
