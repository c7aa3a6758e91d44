"""Which convolutions follow each other directly."""

import pytest
import torch
from torch import nn

import microtome as mt
from microtome.errors import NotApplicable
from microtome.network.parts.layer_pairs import convolutions, layer_pairs
from toys import opened, seeded


def names(model: mt.Model) -> list[str]:
    return [pair.name for pair in layer_pairs(model)]


def test_in_a_chain_every_convolution_follows_the_one_before() -> None:
    pairs = layer_pairs(mt.open_model("zoo:lenet9"))
    assert [pair.name for pair in pairs] == [
        "features.0 to features.2", "features.2 to features.5", "features.5 to features.7", "features.7 to features.10",
        "features.10 to features.12",
    ]  # fmt: skip
    assert [pair.pooled for pair in pairs] == [False, True, False, True, False]
    assert [pair.block for pair in pairs] == [0, 1, 1, 2, 2] and all(pair.rectified for pair in pairs)
    assert [pair.grid for pair in pairs][::2] == [(32, 32), (16, 16), (8, 8)]


def test_behind_a_sum_nothing_follows_directly() -> None:
    found = names(mt.open_model("zoo:resnet20"))
    assert found[0] == "conv1 to layer1.0.conv1" and len(found) == 10
    assert found[1:] == [f"layer{k}.{n}.conv1 to layer{k}.{n}.conv2" for k in (1, 2, 3) for n in (0, 1, 2)]


class Joined(nn.Module):
    """Two convolutions whose channels are put together, and one of both; and one of the first alone."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1)
        self.both, self.alone = nn.Conv2d(9, 2, 3), nn.Conv2d(4, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.one(x).relu(), self.two(x).tanh()
        return self.both(torch.cat([one, two], 1)).mean((2, 3)) + self.alone(one).mean((2, 3))


def test_behind_channels_that_were_put_together_nothing_follows_directly() -> None:
    assert names(opened(seeded(Joined))) == ["one to alone"]


def test_batch_norms_are_folded_into_both() -> None:
    model = mt.open_model("zoo:resnet20")
    with torch.no_grad():
        model.module.layer1[0].bn1.weight.fill_(-2.0)
        model.module.layer1[0].bn1.running_var.fill_(4.0 - model.module.layer1[0].bn1.eps)
    pair = layer_pairs(model)[1]
    assert pair.before.folded == "layer1.0.bn1" and pair.after.folded == "layer1.0.bn2"
    assert torch.allclose(pair.before.weight, -model.module.layer1[0].conv1.weight, rtol=1e-5)


def test_a_network_without_convolutions_has_no_cones() -> None:
    with pytest.raises(NotApplicable) as caught:
        convolutions(opened(nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 2)).eval()))
    assert caught.value.given == "Sequential has no convolution of maps"
