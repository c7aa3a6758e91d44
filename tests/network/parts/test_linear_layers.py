"""Which layers can be taken apart, whatever their weights are made of."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.parts.linear_layers import kind, linear_layers, promising
from toys import SIDE, opened, seeded


class Free(nn.Module):
    """A convolution whose weights are computed, one called as a function, one along a row, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
        self.free, self.row = nn.Parameter(torch.randn(4, 4, 3, 3)), nn.Conv1d(4, 5, 2)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(self.normed(x), self.free).mean(3)
        return self.fc(self.row(x).mean(2))


def test_layers_of_computed_weights_are_taken_apart_like_others() -> None:
    model = opened(seeded(Free))
    assert {site.name: kind(model, site) for site in model.sites.layers} == {
        "normed": "conv2d", "conv2d": "conv2d", "row": "", "fc": "linear",
    }  # fmt: skip
    assert promising(model) == list(linear_layers(model)) == ["normed", "conv2d", "fc"]
    torch.testing.assert_close(linear_layers(model)["normed"].weight, model.module.normed.weight.detach())


@pytest.mark.parametrize("name", ["handnet2", "handnet3"])
def test_layers_built_by_hand_are_too(name) -> None:
    model = mt.open_model(f"zoo:{name}")
    assert promising(model) == list(linear_layers(model)) == [site.name for site in model.sites.layers]


def test_layers_of_another_kind_are_none() -> None:
    model = opened(nn.Sequential(nn.Flatten(1), nn.Unflatten(1, (3, SIDE * SIDE)), nn.Conv1d(3, 4, 2)).eval())
    (site,) = model.sites.layers
    assert kind(model, site) == "" and kind(model, model.sites["0"]) == ""
