"""Activations taken apart: the sum is the layer's own output, on every kind of convolution and on real networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable, UnknownName
from microtome.network.parts.dissecting import background, dissect, passes_on, row_words
from microtome.network.parts.linear_layers import linear_layers
from toys import noise, opened, seeded

CONFIGURATIONS = {
    "plain": {"padding": 1}, "no padding": {}, "no bias": {"bias": False}, "stride": {"stride": 2, "padding": 1},
    "dilation": {"dilation": 2, "padding": 2}, "groups": {"groups": 2, "padding": 1}, "depthwise": {"groups": 4},
    "same": {"padding": "same", "kernel_size": 4}, "same and dilated": {"padding": "same", "dilation": (2, 1)},
    "reflect": {"padding": (1, 2), "padding_mode": "reflect"}, "replicate": {"padding": 2, "padding_mode": "replicate"},
    "circular": {"padding": 1, "padding_mode": "circular"}, "oblong": {"kernel_size": (1, 3), "stride": (1, 2)},
    "all": {"groups": 2, "stride": (2, 1), "dilation": (1, 2), "padding": (2, 1), "padding_mode": "reflect"},
}  # fmt: skip


class Around(nn.Module):
    """A convolution to maps of four channels, the one that is looked at, and a row of classes."""

    def __init__(self, **how: object) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 4, 1)
        self.conv = nn.Conv2d(4, 8, **({"kernel_size": 3} | how))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.before(x))).mean((2, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize(("double", "tolerance"), [(True, 1e-12), (False, 1e-5)])
def test_the_sum_is_the_layers_own_output(name, double, tolerance) -> None:
    module = seeded(lambda: Around(**CONFIGURATIONS[name]))
    model = opened(module)
    images = noise(model, 5)
    pixels = np.stack([images.pixels(place) for place in range(5)])
    with torch.no_grad():
        x = model.preprocessing.normalise(torch.from_numpy(pixels))
        expected = module.double()(x.double()) if double else module(x)
    module.float()
    for unit in range(8):
        found = dissect(model, pixels, "conv", unit, double=double)
        assert found.error <= tolerance
        assert found.c.shape[1] == len(found.index) + 1
        np.testing.assert_allclose(found.c[:, -1].mean((1, 2)), expected[:, unit], rtol=1e-3, atol=1e-5)
        for name_of, share in (("covariance", found.shares.covariance), ("on", found.shares.on),
                               ("energy", found.shares.energy)):  # fmt: skip
            assert share.sum() == pytest.approx(1, abs=1e-9) or (name_of == "on" and (found.y <= 0).all())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_added_in_all_comes_from_one_pass_over_all_pairs(name) -> None:
    model = opened(seeded(lambda: Around(**CONFIGURATIONS[name])))
    layer = linear_layers(model)["conv"].to(torch.float64)
    x = torch.randn(4, *layer.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(layer.output(x).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = layer.added(x, weights)
    for unit in range(8):
        expected = torch.einsum("bjhw,bhw->j", layer.parts(x, unit), weights[:, unit])
        torch.testing.assert_close(found[unit], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("source", ["zoo:resnet20", "torchvision:squeezenet1_0"])
def test_on_every_layer_of_a_network(source, data_folder: Path) -> None:
    weights = {"zoo:resnet20": "resnet20_cifar10", "torchvision:squeezenet1_0": "squeezenet1_0_imagenet"}[source]
    model = mt.open_model(f"{source}@{data_folder / weights}.safetensors")
    folder = data_folder / ("cifar10/test" if "resnet" in source else "imagenet500")
    images = mt.open_images(folder, like=model)
    pixels = np.stack([images.pixels(place) for place in (0, len(images) - 1)])
    for site in model.sites.layers:
        for double, tolerance in ((True, 1e-12), (False, 1e-5)):
            found = dissect(model, pixels, site.name, site.units // 2, double=double)
            assert found.error <= tolerance
            if found.y.std() > 0:
                assert found.shares.covariance.sum() == pytest.approx(1, abs=1e-9)


class Normed(nn.Module):
    """A convolution with a batch norm, one without an alone taker, and a linear layer behind a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.shared, self.other = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 8 * 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(F.relu(self.norm(self.conv(x))))
        return self.fc(torch.flatten(F.relu(self.other(x) + x), 1))


def test_a_batch_norm_is_folded_in_where_it_alone_takes_the_output() -> None:
    model = opened(seeded(Normed))
    images = noise(model, 3)
    pixels = np.stack([images.pixels(place) for place in range(3)])
    from microtome.network.activations import activations

    behind = activations(model, pixels, ["norm"])["norm"].values
    found = dissect(model, pixels, "conv", 2)
    assert found.folded == "norm" and found.error <= 1e-5
    np.testing.assert_allclose(found.y, behind[:, 2], atol=1e-5)
    assert dissect(model, pixels, "conv", 2, fold=False).folded == ""
    assert dissect(model, pixels, "shared", 1).folded == ""


def test_a_linear_layer_behind_a_flattened_map_has_a_row_a_channel() -> None:
    model = opened(seeded(Normed))
    images = noise(model, 3)
    pixels = np.stack([images.pixels(place) for place in range(3)])
    found = dissect(model, pixels, "fc", 1, double=True)
    assert found.x.shape == (3, 4, 8, 8) and found.w.shape == (4, 8, 8) and found.a.shape == (3, 4, 1, 1)
    assert found.error <= 1e-12
    np.testing.assert_allclose(found.a[..., 0, 0], (found.x * found.w).sum((2, 3)), rtol=1e-10)


class Functional(nn.Module):
    """Layers as functions, arguments by place and by name."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b, self.v = (nn.Parameter(torch.randn(shape)) for shape in ((4, 3, 3, 3), (4,), (2, 4)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.w, bias=self.b, padding=2, dilation=2, stride=(2, 1))
        return F.linear(x.mean((2, 3)), self.v)


def test_layers_that_are_functions_are_taken_apart_too() -> None:
    model = opened(seeded(Functional))
    images = noise(model, 2)
    pixels = np.stack([images.pixels(place) for place in range(2)])
    for site in model.sites.layers:
        assert dissect(model, pixels, site.name, 1, double=True).error <= 1e-12
    layer = linear_layers(model)["conv2d"]
    x = model.preprocessing.normalise(torch.from_numpy(pixels))
    torch.testing.assert_close(layer.output(x), F.conv2d(x, model.module.w, model.module.b, (2, 1), 2, 2))


def test_permuted_channels_permute_rows() -> None:
    model = opened(seeded(lambda: Around(padding=1)))
    images = noise(model, 3)
    pixels = np.stack([images.pixels(place) for place in range(3)])
    before = dissect(model, pixels, "conv", 3)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for name in ("weight", "bias"):
            parameter = getattr(model.module.before, name)
            parameter.copy_(parameter[order].clone())
        model.module.conv.weight.copy_(model.module.conv.weight[:, order].clone())
    after = dissect(model, pixels, "conv", 3)
    np.testing.assert_allclose(after.shares.covariance, before.shares.covariance[order.numpy()], rtol=1e-4)
    np.testing.assert_allclose(after.y, before.y, atol=1e-5)


def test_a_constant_cannot_win_by_covariance_and_its_energy_is_taken_off() -> None:
    from microtome.formulas.shares import shares

    random = np.random.default_rng(0)
    a = np.stack([random.standard_normal((4, 50)), np.full((4, 50), 9.0)], 1)
    found = shares(a, a.sum(1), np.stack([np.zeros(50), np.full(50, 9.0)]))
    np.testing.assert_allclose(found.covariance, [1, 0], atol=1e-12)
    np.testing.assert_allclose(found.energy, [1, 0], atol=1e-12)
    assert found.on[1] > 0.8
    still = shares(np.ones((1, 2, 3)), np.full((1, 3), 2.0), np.ones((2, 3)))
    assert np.isnan(still.covariance).all() and np.isnan(still.energy).all()


def found(answer: tuple[np.ndarray, np.ndarray]) -> tuple[float, int, int]:
    """Of one row."""
    return (float(answer[0][0]), *answer[1][0].tolist())


def test_rows_are_put_into_words() -> None:
    random = np.random.default_rng(0)
    x = np.maximum(random.standard_normal((3, 9, 9)), 0)
    rows = np.stack([x, 3 * x])
    for (rho, *moved), expected in zip(
        [found(passes_on(x[None], np.roll(x, (0, 1), (1, 2))[None], 2)), found(passes_on(x[None], -2 * x[None], 2)),
         found(passes_on(x[None], x[None, :, ::2, ::2], 1)), found(passes_on(x[None], x[None, :, 1:-1, 2:-2], 2))],
        [(None, 0, 1), (-1, 0, 0), (0, 0, 0), (1, 0, 0)], strict=True,
    ):  # fmt: skip
        assert tuple(moved) == expected[1:] and (expected[0] is None or rho == pytest.approx(expected[0]))
    many, places = passes_on(rows, np.stack([x, -x]), 1)
    np.testing.assert_allclose(many, [1, -1])
    assert not places.any()

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 3, padding=1, bias=False)
            with torch.no_grad():
                self.conv.weight.zero_()
                self.conv.weight[0, 0, 1, 1], self.conv.weight[0, 1, 1, 1], self.conv.weight[0, 2, 1, 1] = 1, -1, 1e-4

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    model = opened(Rows())
    images = noise(model, 4)
    taken = dissect(model, np.stack([images.pixels(place) for place in range(4)]), "conv", 0)
    assert row_words(taken, ["lines", "dots", ""], [""] * 3) == ["lines", "neg(dots)", "ignore"]
    assert taken.order[-1] == 2


def test_the_background_is_the_commonest_colour() -> None:
    pixels = np.full((2, 3, 8, 8), 10, np.uint8)
    pixels[:, :, :3] = np.random.default_rng(0).integers(60, 255, (2, 3, 3, 8))
    assert background(pixels).tolist() == [10, 10, 10]


def test_what_cannot_be_taken_apart_is_refused() -> None:
    model = opened(seeded(Normed))
    pixels = np.zeros((1, 3, 12, 12), np.uint8)
    with pytest.raises(UnknownName, match="Unit 4 of conv does not exist"):
        dissect(model, pixels, "conv", 4)
    with pytest.raises(UnknownName, match="Layer 'norm' does not exist"):
        dissect(model, pixels, "norm", 0)
    with pytest.raises(NotApplicable, match="has no layer that can be taken apart"):
        linear_layers(opened(nn.Sequential(nn.ReLU())))
