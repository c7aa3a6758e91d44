"""The rules of rectifiers that are not plain ReLUs, against networks written out by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.network.backward.projection import Projector, strongest
from microtome.network.backward.rules import RULES, is_rectifier
from microtome.network.backward.tracing import going_back, tracing
from toys import opened, seeded


def noise(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Leaky(nn.Module):
    """Two LeakyReLUs of unequal slope, the second a function."""

    def __init__(self, first: float, second: float, in_place: bool) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 2, 3)
        self.act, self.second, self.in_place = nn.LeakyReLU(first, inplace=in_place), second, in_place

    def forward(self, x: Tensor) -> Tensor:
        return self.three(F.leaky_relu(self.two(self.act(self.one(x))), self.second, self.in_place))


def by_hand(network: Leaky, x: Tensor, method: str) -> Tensor:
    """The network's own output as the seed, layer by layer; each factor stands where the definition has it."""
    z1 = network.one(x)
    z2 = network.two(F.leaky_relu(z1, network.act.negative_slope))
    seed = network.three(F.leaky_relu(z2, network.second))
    steps = [(network.three, z2, network.second), (network.two, z1, network.act.negative_slope)]
    for layer, z, slope in steps:
        seed = F.conv_transpose2d(seed, layer.weight)
        forward = (z > 0).to(z) + slope * (z <= 0).to(z)  # what the forward pass multiplied by
        backward = (seed > 0).to(z) + slope * (seed <= 0).to(z)  # what the activation does to the reconstruction
        seed = seed * {"deconvnet": backward, "guided": forward * backward, "gradient": forward}[method]
    return F.conv_transpose2d(seed, network.one.weight)


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("slopes", [(0.01, 0.3), (0.0, 0.2), (1.0, 1.0)])
def test_a_leaky_relu_shrinks_what_is_negative_in_the_reconstruction(slopes, in_place, method) -> None:
    network = seeded(Leaky, *slopes, in_place).double()
    x = noise(2, 3, 10, 10)
    with tracing(opened(network, 10), x, "three") as trace, going_back(trace, method) as handled:
        found = trace.back(trace.activation)
    with torch.no_grad():
        expected = by_hand(network, x, method)
    assert handled.rectifiers == 2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
def test_a_leaky_relu_without_a_slope_is_a_relu(method) -> None:
    x, seed = noise(1, 3, 8, 8).requires_grad_(), noise(1, 3, 8, 8, seed=4)
    found = []
    for activation in (F.relu(x), F.leaky_relu(x, 0.0)):
        node = activation.grad_fn
        handle = node.register_hook(lambda after, before, node=node: (RULES[method](after[0], before[0], node),))
        found += torch.autograd.grad(activation, x, seed)
        handle.remove()
    assert found[0].any() and torch.equal(*found)


@pytest.mark.parametrize("method", RULES)
def test_the_way_through_leaky_relus_is_positively_homogeneous(method) -> None:
    network = seeded(Leaky, 0.1, 0.2, False).double()
    with tracing(opened(network, 10), noise(1, 3, 10, 10), "three") as trace, going_back(trace, method):
        torch.testing.assert_close(trace.back(3 * trace.activation), 3 * trace.back(trace.activation))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.relu, True), (F.relu6, True), (F.leaky_relu, True), (lambda x: x.clamp(min=0), True),
        (lambda x: x.clamp(0, 1), True), (lambda x: F.threshold(x, 0, 0), True), (lambda x: x.clamp(-1, 1), False),
        (lambda x: x.clamp(max=1), False), (lambda x: F.threshold(x, 0.5, 0), False), (F.hardtanh, False),
        (torch.tanh, False), (lambda x: x * 2, False),
    ],
)  # fmt: skip
def test_a_rectifier_is_known_by_its_lower_end(function, expected) -> None:
    assert is_rectifier(function(noise(2, 3).requires_grad_()).grad_fn) == expected


@pytest.mark.parametrize("method", RULES)
def test_a_clamp_that_is_no_rectifier_has_its_gradient_on_windows_too(method) -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x).clamp(-1, 1))

    with tracing(opened(seeded(Clamped).double(), 20), noise(1, 3, 20, 20), "two") as trace:
        units = strongest(trace, [0] * 5, range(5))
        windows, whole = (Projector(trace, method, how).project(units).in_place() for how in ("always", "never"))
    torch.testing.assert_close(windows, whole, rtol=0, atol=1e-12)
