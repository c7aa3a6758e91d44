"""Going back to pixels: equal to the explicit transposed network, and to an independent second route."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable, UsageError
from microtome.network.backward.tracing import going_back, seeds, tracing
from second_route import RULES, second_route
from toys import Functional, InPlace, Plain, Reused, Shared, Skip, opened, seeded


def image(side: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def back(model: mt.Model, x: Tensor, site: str, units: list[tuple[int, ...]], method: Any) -> tuple[list[Tensor], int]:
    with tracing(model, x, site) as trace, going_back(trace, method) as handled:
        return [trace.back(seed) for seed in seeds(trace, units)], handled.rectifiers


class PreActivation(nn.Module):
    """What a ReLU takes goes on beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        return self.fc((self.second(F.relu(z)) + z).relu().mean((2, 3)))


class Six(nn.Module):
    """ReLU6 as module and as function, a clamp at 0, and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(8, 4, 3), nn.ReLU6()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(8 * x)
        x = torch.cat([self.act(x), F.relu6(-x)], 1)
        return self.fc(self.second(x).relu().mean((2, 3)))


TOYS = (Plain, InPlace, Shared, Skip, Functional, Reused, PreActivation, Six)


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("toy", TOYS)
def test_every_kind_of_rectifier_goes_back_as_by_the_second_route(toy, method) -> None:
    model = opened(seeded(toy).double())
    x = image(12, 2)
    expected, unit, _ = second_route(model, x, method)
    (found,), _ = back(model, x, model.sites.output, [unit], method)
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def stack(kernel: int, stride: int, padding: int, pool: int, bias: bool, in_place: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 5, kernel, stride=stride, padding=padding, bias=bias), nn.ReLU(inplace=in_place),
        nn.MaxPool2d(pool), nn.Conv2d(5, 6, 3, padding=1, bias=bias), nn.ReLU(inplace=in_place), nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3, padding=1, bias=bias), nn.ReLU(inplace=in_place),
    )  # fmt: skip


@torch.no_grad()
def explicit(layers: nn.Sequential, x: Tensor, seed: Tensor) -> Tensor:
    """The deconvnet as it is drawn: unpool by the switches, rectify, filter with the transposed kernels."""
    steps: list[Any] = []
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            size = x.shape
            x, switches = F.max_pool2d(x, layer.kernel_size, return_indices=True)
            steps.append((layer, switches, size))
        else:
            steps.append((layer, None, x.shape))
            x = layer(x.clone())
    for layer, switches, size in reversed(steps):
        if isinstance(layer, nn.MaxPool2d):
            seed = F.max_unpool2d(seed, switches, layer.kernel_size, output_size=list(size))
        elif isinstance(layer, nn.ReLU):
            seed = seed.relu()
        else:
            lost = [
                (size[axis + 2] + 2 * layer.padding[axis] - layer.kernel_size[axis]) % layer.stride[axis]
                for axis in (0, 1)
            ]
            seed = F.conv_transpose2d(seed, layer.weight, None, layer.stride, layer.padding, lost)
    return seed


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("pool", [2, 3])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 0), (5, 1, 2), (5, 2, 2), (7, 3, 3)]
)
def test_it_is_the_explicit_deconvnet(kernel, stride, padding, pool, bias, in_place) -> None:
    layers = seeded(stack, kernel, stride, padding, pool, bias, in_place).double()
    model = mt.open_model(layers, size=41)
    x = image(41)
    with tracing(model, x, "7") as trace, going_back(trace, "deconvnet") as handled:
        channel, y, column = (
            int(i) for i in torch.unravel_index(trace.activation[0].argmax(), trace.activation[0].shape)
        )
        (seed,) = seeds(trace, [(0, channel, y, column)])
        found = trace.back(seed)
    expected = explicit(layers, x, seed)
    assert handled.rectifiers == 3 and expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_going_back_is_homogeneous_and_nothing_comes_of_nothing() -> None:
    model = opened(seeded(Plain).double())
    with tracing(model, image(12), "conv2") as trace, going_back(trace, "deconvnet"):
        (seed,) = seeds(trace, [(0, 2, 1, 3)])
        torch.testing.assert_close(trace.back(3 * seed), 3 * trace.back(seed), rtol=1e-12, atol=0)
        assert not trace.back(0 * seed).any()


def test_one_graph_serves_several_methods_one_after_the_other() -> None:
    model = opened(seeded(Plain).double())
    found = {}
    with tracing(model, image(12), "fc") as trace:
        (seed,) = seeds(trace, [(0, 1)])
        for method in ("gradient", "deconvnet", "guided", "gradient"):
            with going_back(trace, method):
                found.setdefault(method, []).append(trace.back(seed))
    assert torch.equal(*found["gradient"])
    assert not torch.allclose(found["deconvnet"][0], found["guided"][0])


def test_smooth_activations_are_refused_with_what_to_use_instead() -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 2, 3)))
    with tracing(model, image(12).float(), "2") as trace:
        with pytest.raises(NotApplicable) as caught, going_back(trace, "deconvnet"):
            pass
        assert str(caught.value) == (
            "2 lies behind Gelu. The deconvnet method is defined for rectifiers. Use the method gradient."
        )
        with going_back(trace, "gradient") as handled:
            assert handled.rectifiers == 0


@pytest.mark.parametrize("unit", [(0, 9), (0, 1, 2, 3), (1, 0), (0, -1)])
def test_a_unit_that_there_is_not_is_refused(unit) -> None:
    model = opened(seeded(Plain).double())
    with tracing(model, image(12), "fc") as trace, pytest.raises(UsageError) as caught:
        list(seeds(trace, [unit]))
    assert caught.value.given == f"Unit {unit} is not in fc"
    assert caught.value.allowed == "Its tensor has shape (1, 3)"


def test_a_clamp_that_is_no_rectifier_is_not_counted() -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.clamp(-1, 1)).clamp(min=0).clamp(max=5).mean((2, 3))

    model = opened(seeded(Clamped).double())
    with tracing(model, image(12), model.sites.output) as trace:
        assert [node.name().rstrip("0123456789") for node in trace.rectifiers] == ["ClampBackward"]
