"""Which convolution looks at the picture, and its filters on three scales."""

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.errors import NotApplicable
from microtome.network.parts.first_convolution import filter_bank, first_convolution, normalised_behind
from toys import opened, seeded, without_weights


@pytest.mark.parametrize(("name", "layer", "shape"), [
    ("zoo:resnet20", "conv1", (16, 3, 3, 3)), ("torchvision:squeezenet1_0", "features.0", (96, 3, 7, 7)),
    ("torchvision:vit_b_16", "conv_proj", (768, 3, 16, 16)), ("zoo:simpleconvnet", "conv1", (32, 1, 5, 5)),
])  # fmt: skip
def test_it_is_found_in_networks_of_all_kinds(name, layer, shape) -> None:
    model = mt.open_model(name) if name.startswith("zoo") else opened(without_weights(name.split(":")[1]), size=224)
    found = first_convolution(model)
    assert (found.layer, tuple(found.weight.shape)) == (layer, shape)


def test_rows_of_the_bank_are_filters_channel_by_channel() -> None:
    model = mt.open_model("zoo:resnet20")
    weight = model.module.conv1.weight.detach().double()
    bank = filter_bank(model)
    assert bank.shape == (16, 27)
    assert bank[3, 2 * 9 + 1 * 3 + 2] == float(weight[3, 2, 1, 2])


def test_unit_filters_have_norm_one_and_empty_ones_stay_empty() -> None:
    model = mt.open_model("zoo:resnet20")
    with torch.no_grad():
        model.module.conv1.weight[5].zero_()
    norms = np.linalg.norm(filter_bank(model, "unit"), axis=1)
    assert norms[5] == 0 and np.allclose(np.delete(norms, 5), 1)


class Normed(nn.Module):
    """A convolution behind which a batch norm stands."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)
        nn.init.uniform_(self.norm.weight, 0.5, 2)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))


def test_with_the_batch_norm_a_filter_is_as_large_as_it_makes_its_answers() -> None:
    module = seeded(Normed).eval()
    model = opened(module)
    noise = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        apart = module.norm(module.conv(noise)) - module.norm(module.conv(torch.zeros_like(noise)))
        patches = torch.nn.functional.unfold(noise.double(), 3)
    ours = torch.from_numpy(filter_bank(model, "batch norm")) @ patches
    assert torch.allclose(ours.reshape(apart.shape), apart.double(), atol=1e-5)
    assert normalised_behind(model) and not normalised_behind(mt.open_model("zoo:simpleconvnet"))


@pytest.mark.parametrize("module", [
    nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.LazyLinear(2)),
    nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Flatten(), nn.LazyLinear(2)),
    nn.Sequential(nn.Flatten(), nn.LazyLinear(2)),
])  # fmt: skip
def test_networks_that_begin_otherwise_have_none(module) -> None:
    module(torch.zeros(1, 3, 12, 12))
    with pytest.raises(NotApplicable) as caught:
        first_convolution(opened(module.eval()))
    assert "The first layer of Sequential" in caught.value.given
    assert caught.value.allowed.startswith("Profiles are of a convolution of the picture, over all of its channels")
    assert caught.value.next_step == "Look at a network that begins with one"
