"""The table of who feeds whom is what units taken apart one by one say, on every image at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.parts.contributions import contributions
from microtome.network.parts.dissecting import dissect
from microtome.network.parts.linear_layers import linear_layers
from toys import noise, opened, seeded


class Chain(nn.Module):
    """A grouped convolution under a batch norm, and a linear layer behind a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(6)
        self.conv = nn.Conv2d(4, 6, 3, groups=2, stride=2)
        self.rows = nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows(F.relu(self.norm(self.conv(F.relu(self.before(x))))).flatten(1))


def made() -> Chain:
    module = Chain()
    module(torch.randn(2, 3, 12, 12))
    with torch.no_grad():
        module.norm.running_mean.uniform_(-0.3, 0.3)
        module.norm.weight.uniform_(0.5, 2)
    return module


@pytest.mark.parametrize("layer", ["before", "conv", "rows"])
@pytest.mark.parametrize("batch", [1, 64])
def test_every_pair_is_what_a_unit_taken_apart_says(layer, batch, monkeypatch) -> None:
    monkeypatch.setattr("microtome.network.parts.contributions.automatic_batch", lambda _: batch)
    model = opened(seeded(made))
    images = noise(model, 7)
    pixels = np.stack([images.pixels(place) for place in range(7)])
    layers = linear_layers(model, fold=True)
    found = contributions(model, images, range(7), {name: layers[name] for name in (layer,)})[layer]
    for unit in range(len(found.std)):
        expected = dissect(model, pixels, layer, unit)
        np.testing.assert_allclose(found.covariance[unit], expected.shares.covariance, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.mean[unit], expected.a.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        if (expected.y > 0).any():
            np.testing.assert_allclose(found.on[unit], expected.shares.on, rtol=1e-2, atol=1e-3)
        assert found.std[unit] == pytest.approx(expected.y.std(), rel=1e-4)
        assert found.strongest[unit] == expected.y.max((1, 2)).argmax()
        assert found.peak[unit] == pytest.approx(expected.y.max(), rel=1e-5)
        assert found.covariance[unit].sum() == pytest.approx(1, abs=1e-9)


def test_a_constant_unit_has_no_shares_and_one_channel_alone_carries_what_it_feeds() -> None:
    model = opened(seeded(made))
    with torch.no_grad():
        model.module.conv.weight[0] = 0
        model.module.conv.weight[1, 1:] = 0
    found = contributions(model, noise(model, 3), range(3), {"conv": linear_layers(model)["conv"]})["conv"]
    assert np.isnan(found.covariance[0]).all() and np.isnan(found.carrying[0])
    assert found.carrying[1] == pytest.approx(1)


def test_the_pass_ends_behind_the_last_layer_that_is_wanted() -> None:
    model = opened(seeded(made))
    layers, reached = linear_layers(model), []
    model.module.rows.register_forward_hook(lambda *_: reached.append(1))
    contributions(model, noise(model, 2), range(2), {"before": layers["before"]})
    assert not reached


@pytest.mark.data
def test_on_a_real_network(data_folder: Path) -> None:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10.safetensors'}")
    images = mt.open_images(data_folder / "cifar10" / "test", like=model)
    layers = linear_layers(model, fold=True)
    found = contributions(model, images, range(6), layers)
    assert list(found) == list(layers)
    for name, table in found.items():
        known = table.std > 0
        np.testing.assert_allclose(table.covariance[known].sum(1), 1, atol=1e-9)
        assert (table.carrying[known] >= 1).all() and (table.carrying <= table.covariance.shape[1] + 1e-9)[known].all()
        assert name in layers
