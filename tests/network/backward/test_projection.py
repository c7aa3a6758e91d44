"""Windows against whole images: the same numbers, whatever lies between site and pixels."""

import math
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import UsageError
from microtome.network.backward.projection import Projector, strongest
from microtome.network.backward.tracing import Trace, tracing
from toys import opened

CHANNELS = 16  # of a site, in even steps
METHODS = ("deconvnet", "guided", "gradient")


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def borders(trace: Trace) -> list[tuple[int, ...]]:
    """Four corners, the middle of the edges and of the map, on both images, and the strongest positions of channels."""
    channels, height, width = trace.activation.shape[1:]
    rows, columns = sorted({0, height // 2, height - 1}), sorted({0, width // 2, width - 1})
    places = [(row, column) for row in rows for column in columns]
    fixed = [(place % 2, place % channels, row, column) for place, (row, column) in enumerate(places)]
    some = range(0, channels, math.ceil(channels / CHANNELS))
    return fixed + strongest(trace, [number % 2 for number, _ in enumerate(some)], some)


def assert_same(trace: Trace, method: str, tolerance: float) -> None:
    units = borders(trace)
    windows = Projector(trace, method, "always").project(units)
    whole = Projector(trace, method, "never").project(units)
    assert windows.whole_image == "" and windows.maps.shape[2:] != whole.maps.shape[2:]
    assert whole.maps.abs().amax() > 0
    assert windows.in_place().shape == whole.maps.shape
    bound = tolerance * whole.maps.abs().amax((1, 2, 3)).clamp(min=1e-30)
    assert ((windows.in_place() - whole.maps).abs().amax((1, 2, 3)) <= bound).all()
    assert np.array_equal(windows.units, np.array(units))
    assert np.array_equal(windows.activation, [float(trace.activation[unit]) for unit in units])


class Everything(nn.Module):
    """What windows can follow: strides, dilation, groups, pools that overlap and average, sums, branches, clamps."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm2d(6)
        self.two = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3, bias=False)
        self.left, self.right = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, (1, 3), padding=(0, 1))
        self.last = nn.Conv2d(8, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.one(x)))
        x = F.max_pool2d(x, 3, 2, 1)
        x = F.relu6(self.two(x)) + x
        x = torch.cat([self.left(x).clamp(min=0), torch.clamp(self.right(x), 0, 1)], 1)
        x = F.avg_pool2d(F.threshold(x, 0, 0), 3, 2, 1)
        return self.last(x)


class Doubled(nn.Module):
    """A tensor is added to itself, and goes on from before its in-place rectifier."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        y = F.relu(x.clone(), inplace=True)
        return (y + y) + self.two(x)


class Woven(nn.Module):
    """Sums whose parts go on elsewhere too, in every order: nothing may be added into what another branch holds."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.c, self.d = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)  # all windows between are equal, so nodes share them
        self.last = nn.Conv2d(9, 5, 1)  # so that a unit's seed reaches all of them

    def forward(self, x: Tensor) -> Tensor:
        p, q = F.relu(self.a(x)), F.relu(self.b(x))
        s = p + q
        t = F.relu(self.c(p)) + s
        u = q + F.relu(self.d(q)) + t
        return self.last(torch.cat([F.relu(p), u, p + t], 1))


def network(module: nn.Module, side: int) -> mt.Model:
    """A network in double precision with weights of its own, BatchNorm scales of both signs among them."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.double().parameters():
        spread = 1 / max(1.0, parameter[0].numel()) ** 0.5
        parameter.data = spread * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean, part.running_var = noise(6) / 4, noise(6).abs() + 0.5
    return opened(module.eval(), side)


@cache
def known(name: str) -> mt.Model:
    return mt.open_model(f"torchvision:{name}")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", [49, 64])
@pytest.mark.parametrize("toy", [Everything, Doubled, Woven])
def test_windows_are_whole_images_on_whatever_they_can_follow(toy, side, method) -> None:
    model = network(toy(), side)
    with tracing(model, noise(2, 3, side, side), list(model.sites)[-1]) as trace:
        assert_same(trace, method, 1e-12)


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("pool", "overlap"), [(2, 0), (3, 1)])
def test_windows_over_a_grid_of_convolutions_and_pools(kernel, stride, padding, pool, overlap) -> None:
    padding = min(padding, kernel // 2)
    module = nn.Sequential(
        nn.Conv2d(3, 4, kernel, stride, padding), nn.ReLU(), nn.MaxPool2d(pool, pool - overlap),
        nn.Conv2d(4, 5, kernel, 1, padding), nn.ReLU(),
    )  # fmt: skip
    model = network(module, 40)
    with tracing(model, noise(2, 3, 40, 40), "4") as trace:
        assert_same(trace, "deconvnet", 1e-12)


@pytest.mark.parametrize(("name", "site"), [
    ("vgg11", "features.7"), ("resnet18", "layer2.0.relu"), ("squeezenet1_0", "features.4"),
    ("googlenet", "inception3a"), ("mobilenet_v2", "features.4"), ("densenet121", "features.denseblock1.denselayer2"),
])  # fmt: skip
@pytest.mark.parametrize("method", METHODS)
def test_windows_are_whole_images_on_known_networks(name, site, method) -> None:
    with tracing(known(name), noise(2, 3, 128, 128, dtype=torch.float32), site) as trace:
        assert_same(trace, method, 1e-6)


def test_a_window_is_the_receptive_field() -> None:
    model = network(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 5, 5, 1, 2)), 40)
    with tracing(model, noise(1, 3, 40, 40), "2") as trace:
        units = [(0, 0, row, column) for row in (0, 7, 19) for column in (0, 9, 19)]
        found = Projector(trace, "gradient", "always").project(units)
    boxes = model.receptive_fields["2"].boxes(found.units[:, 2] * 20 + found.units[:, 3], 20, (40, 40))
    assert np.array_equal(np.clip(found.boxes, 0, 40), boxes)


@pytest.mark.parametrize("method", METHODS)
def test_a_unit_of_the_first_layer_gives_its_own_filter(method) -> None:
    model = network(nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU()), 16)
    with tracing(model, noise(1, 3, 16, 16), "0") as trace:
        found = Projector(trace, method).project([(0, 2, 6, 3)])
        value = trace.activation[0, 2, 6, 3]
    assert torch.allclose(found.maps[0], value * model.module[0].weight[2], rtol=1e-12, atol=0)
    assert found.boxes.tolist() == [[6, 3, 11, 8]]


@pytest.mark.parametrize("module", [
    nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1)),
    nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 2, 1)),
    nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Conv2d(4, 2, 1)),
    nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.Conv2d(4, 2, 1)),
])  # fmt: skip
def test_what_windows_cannot_follow_is_projected_on_whole_images_and_said_so(module) -> None:
    model = network(module, 16)
    with tracing(model, noise(1, 3, 16, 16), list(model.sites)[-1]) as trace:
        units = [(0, 1, 0, 0)]
        found = Projector(trace, "deconvnet").project(units)
        assert found.whole_image and found.maps.shape[2:] == (16, 16)
        seed = torch.zeros_like(trace.activation)
        seed[units[0]] = trace.activation[units[0]]
        assert torch.equal(found.maps[0], trace.back(seed)[0])
        with pytest.raises(UsageError, match="cannot be projected on windows"):
            Projector(trace, "deconvnet", "always").project(units)


def test_windows_beyond_most_of_the_image_are_left() -> None:
    model = network(nn.Sequential(nn.Conv2d(3, 4, 15, padding=7)), 16)
    with tracing(model, noise(1, 3, 16, 16), "0") as trace:
        assert "covers 88% of the image" in Projector(trace, "deconvnet").project([(0, 0, 8, 8)]).whole_image


def test_a_thousand_units_come_in_batches_and_in_order(monkeypatch) -> None:
    model = network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)), 16)
    with tracing(model, noise(1, 3, 16, 16), "2") as trace:
        units = [(0, channel, row, column) for channel in range(5) for row in range(12) for column in range(12)]
        whole = Projector(trace, "guided").project(units)
        monkeypatch.setattr("microtome.network.backward.projection.AT_ONCE", 1000)
        assert torch.allclose(Projector(trace, "guided").project(units).maps, whole.maps, rtol=1e-12)


def test_units_of_a_linear_layer_are_projected_too() -> None:
    model = network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)), 8)
    with tracing(model, noise(2, 3, 8, 8), "3") as trace:
        found = Projector(trace, "gradient").project(strongest(trace, [1, 0], [2, 1]))
        assert found.units.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0]]
        assert found.maps.abs().amax((1, 2, 3)).min() > 0


def test_seeds_together_are_not_the_sum_of_seeds_alone() -> None:
    model = network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)), 12)
    with tracing(model, noise(1, 3, 12, 12), "2") as trace:
        units = strongest(trace, [0, 0], [1, 3])
        for method, adds in (("deconvnet", False), ("gradient", True)):
            projector = Projector(trace, method)
            together, alone = projector.together(units), projector.project(units).in_place().sum(0)
            assert torch.allclose(together[0], alone, rtol=1e-10) == adds
