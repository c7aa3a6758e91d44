"""Beside Captum 0.9: the same maps where its hooks on nn.ReLU reach, and what it returns where they do not.

The tests of the second half document a peer. If one of them fails after an update, Captum has mended it: then move
that network to the first half, and see what the doctor says of it (network/checkup/peers.py) and what documents claim.
"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.backward.tracing import going_back, tracing
from second_route import second_route
from toys import opened, seeded, with_random_weights

attr = pytest.importorskip("captum.attr", reason="Captum is not installed: needs the peers extra")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore:Setting backward hooks")]

AT_NEURON = {"deconvnet": attr.NeuronDeconvolution, "guided": attr.NeuronGuidedBackprop}
AT_OUTPUT = {"deconvnet": attr.Deconvolution, "guided": attr.GuidedBackprop}
methods = pytest.mark.parametrize("method", ["deconvnet", "guided"])


def image(side: int) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def ours(model: mt.Model, x: Tensor, unit: tuple[int, ...], method: Any, site: str = "") -> Tensor:
    """The map of one unit of the first image, from a seed of 1 as Captum has it."""
    with tracing(model, x, site or model.sites.output) as trace, going_back(trace, method):
        seed = torch.zeros_like(trace.activation)
        seed[(0, *unit)] = 1
        return trace.back(seed)


def captum(model: mt.Model, x: Tensor, unit: tuple[int, ...], method: str, site: str = "") -> Tensor:
    given = x.clone().requires_grad_()
    if site:
        peer = AT_NEURON[method](model.module, model.module.get_submodule(site))
        return peer.attribute(given, neuron_selector=unit)
    return AT_OUTPUT[method](model.module).attribute(given, target=unit[0])


def equal(one: Tensor, other: Tensor) -> bool:
    scale = float(other.abs().max())
    assert scale > 0
    return float((one - other).abs().max()) <= 1e-6 * scale


def cosine(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / one.norm() / other.norm())


def stack(in_place: bool) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(in_place), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3), nn.BatchNorm2d(6),
        nn.ReLU(in_place), nn.MaxPool2d(3, 2), nn.Conv2d(6, 4, 3, padding=1), nn.ReLU(in_place), nn.Flatten(1),
        nn.Linear(4 * 6 * 6, 3),
    )  # fmt: skip


def network(name: str) -> mt.Model:
    if name.startswith("stack"):
        return opened(seeded(stack, name.endswith("in place")).double(), 32)
    return opened(with_random_weights(name).double(), 64)


@methods
@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("stack", "7"), ("stack in place", "3"), ("vgg11_bn", "features.15"), ("squeezenet1_0", "features.7.squeeze"),
        ("resnet18", "layer2.1.conv2"), ("densenet121", "features.norm5"),
    ],
)  # fmt: skip
def test_captum_finds_the_same_at_a_neuron_where_every_rectifier_is_a_module(name, site, method) -> None:
    model = network(name)
    x, unit = image(model.preprocessing.size[0]), (1, 1, 1)
    assert equal(ours(model, x, unit, method, site), captum(model, x, unit, method, site))


@methods
@pytest.mark.parametrize("name", ["stack", "stack in place", "vgg11_bn", "squeezenet1_0", "resnet18"])
def test_captum_finds_the_same_at_the_output_where_every_rectifier_is_a_module(name, method) -> None:
    model = network(name)
    x = image(model.preprocessing.size[0])
    assert equal(ours(model, x, (1,), method), captum(model, x, (1,), method))


class Functions(nn.Module):
    """Rectifiers called as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.second(F.relu(self.first(x)))).mean((2, 3)))


class TakesBoth(nn.Module):
    """What a ReLU module takes goes on beside it, or does not."""

    def __init__(self, beside: bool = True) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
        self.head, self.beside = nn.Linear(4, 3), beside

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        x = self.second(self.act(z))
        return self.head((x + z if self.beside else x).mean((2, 3)))


def checked(model: mt.Model, x: Tensor, method: str) -> tuple[Tensor, Tensor, Tensor]:
    """Captum's map of the strongest output, ours, and the plain gradient; ours is right by the second route."""
    expected, unit, _ = second_route(model, x, method)
    found = ours(model, x, unit[1:], method)
    with torch.no_grad():
        value = model.module(x)[unit]
    assert value > 0, "else the second route's seed turns all signs"
    assert equal(found * value, expected)
    return captum(model, x, unit[1:], method), found, ours(model, x, unit[1:], "gradient")


@methods
@pytest.mark.parametrize("name", ["functions", "googlenet", "inception_v3", "mobilenet_v2"])
def test_captum_returns_the_plain_gradient_without_a_word_for_functions_and_relu6(name, method) -> None:
    model = opened(seeded(Functions).double(), 32) if name == "functions" else None
    model = model or opened(with_random_weights(name).double(), 75)
    theirs, found, plain = checked(model, image(model.preprocessing.size[0]), method)
    assert equal(theirs, plain)
    assert cosine(theirs, found) < 0.95


@methods
def test_captum_misses_densenets_last_rectifier(method) -> None:
    theirs, found, plain = checked(network("densenet121"), image(64), method)
    assert not equal(theirs, found) and not equal(theirs, plain)


@methods
def test_captum_is_wrong_where_something_else_takes_a_rectifiers_input(method) -> None:
    model = opened(seeded(TakesBoth).double(), 32)
    theirs, found, plain = checked(model, image(32), method)
    assert not equal(theirs, found) and not equal(theirs, plain)


def test_what_captums_deconvolution_drops_is_the_whole_way_beside_the_rectifier() -> None:
    x, unit = image(32), (1,)
    both, alone = (opened(seeded(TakesBoth, beside).double(), 32) for beside in (True, False))
    assert equal(captum(both, x, unit, "deconvnet"), ours(alone, x, unit, "deconvnet"))
    assert not equal(ours(both, x, unit, "deconvnet"), ours(alone, x, unit, "deconvnet"))
