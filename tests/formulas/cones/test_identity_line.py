"""The small network of channel sums against the network itself, by torch, on constant images."""

import numpy as np
import pytest
import torch
from torch import nn

from microtome.errors import UsageError
from microtome.formulas.cones.identity_line import IdentityLine
from microtome.formulas.cones.layers import filter_cones


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 5, padding=2, padding_mode="circular"), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(5, 4, 3, padding=1, padding_mode="circular", stride=2),
    ).double()  # fmt: skip


def line(model: nn.Sequential) -> IdentityLine:
    layers = [each for each in model if isinstance(each, nn.Conv2d)]
    return IdentityLine.of(
        [each.weight.detach().numpy() for each in layers], [each.bias.detach().numpy() for each in layers]
    )


def test_on_constant_images_it_is_the_network_itself_pools_included() -> None:
    model, means = net(), np.random.default_rng(0).normal(size=(10, 3))
    images = torch.from_numpy(np.broadcast_to(means[:, :, None, None], (10, 3, 32, 32)).copy())
    found = line(model).responses(means)
    for layer, maps in zip((0, 3, 6), found, strict=True):
        wanted = model[: layer + 1](images).detach().numpy()
        np.testing.assert_allclose(wanted, np.broadcast_to(maps[..., None, None], wanted.shape), atol=1e-14)


def test_a_layer_is_zero_at_the_apices_of_its_filters() -> None:
    small = line(net())
    cones = filter_cones(net()[0].weight.detach().numpy(), net()[0].bias.detach().numpy(), (8, 8))
    np.testing.assert_allclose(np.diag(small.responses(cones.apex)[0]), 0, atol=1e-15)


def test_layers_that_do_not_follow_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="Layer 1 takes 4 channels, and the one before has 6"):
        IdentityLine.of([np.ones((6, 3, 3, 3)), np.ones((2, 4, 3, 3))], [np.zeros(6), np.zeros(2)])
