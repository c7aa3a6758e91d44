"""Stand-ins compute what they say, in any geometry, and a network with one is otherwise itself and stays untouched."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.network.parts.linear_layers import linear_layers
from microtome.network.trials.copying import copies
from microtome.network.trials.replacing import Replacing, run
from microtome.network.trials.retraining import retrained
from microtome.network.trials.standing_in import StandIn, aligned, identity, kinds, linear_map, mean_stand_in, shifts
from toys import SIDE, InPlace, noise, opened, prepared, seeded

GEOMETRIES = [{"padding": 1}, {}, {"padding": 1, "stride": 2}, {"padding": 2, "dilation": 2}, {"padding": (2, 0)}]


class Pointwise(nn.Module):
    """A 1x1 convolution, as a module or as a function of a bare parameter, and a rectifier that overwrites it."""

    def __init__(self, functional: bool) -> None:
        super().__init__()
        self.stem, self.head, self.functional = nn.Conv2d(3, 5, 3), nn.Linear(4, 3), functional
        self.middle = nn.Conv2d(5, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.stem(x))
        x = F.conv2d(x, self.middle.weight) if self.functional else self.middle(x)
        F.relu_(x)
        return self.head(x.mean((2, 3)))


class Shifting(nn.Module):
    """A convolution that shifts its input, between two others."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.conv3, self.head = nn.Conv2d(6, 8, 3, padding=1), nn.Linear(8, 3)
        with torch.no_grad():
            self.conv2.weight.zero_()
            self.conv2.bias.zero_()
            for channel in range(6):
                self.conv2.weight[(channel + 1) % 6, channel, 2, 0] = 1.0  # from one row below, one column to the left

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.head(F.relu(self.conv3(x)).amax((2, 3)))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("tap", [(0, 0), (1, 1), (1, 2), (2, 0)])
def test_a_kernel_with_one_tap_is_the_input_shifted(geometry: dict[str, object], tap: tuple[int, int]) -> None:
    conv = nn.Conv2d(3, 1, 3, bias=False, **geometry)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 1, *tap] = 1.0
    model = opened(nn.Sequential(conv, nn.ReLU()).eval())
    layer, x = linear_layers(model)["0"], prepared(model, noise(model, 2))
    expected = conv(x)
    step = layer.dilation[0]
    found = aligned(layer, x, tuple(expected.shape[2:]), step * (tap[0] - 1), step * (tap[1] - 1))[:, 1:2]
    assert torch.equal(found, expected.detach())
    assert (np.abs(shifts(layer)).max(0) == min(2, step)).all() and shifts(layer)[0].tolist() == [0, 0]


@pytest.mark.parametrize("functional", [False, True], ids=["module", "function"])
def test_a_1x1_map_with_the_layers_own_weights_changes_nothing(functional: bool) -> None:
    module = seeded(Pointwise, functional)
    model = opened(module)
    name = next(site.name for site in model.sites.layers if site.weight == "middle.weight")
    layer, x = linear_layers(model)[name], prepared(model, noise(model, 5))
    own = linear_map(layer.weight[:, :, 0, 0].numpy(), layer.bias.numpy())
    with torch.no_grad():
        expected, found = module(x), run(module, x, 5, Replacing(model.sites, layer, own))
        torch.testing.assert_close(found, expected)
        other = run(module, x, 5, Replacing(model.sites, layer, linear_map(-own.weight, own.bias)))
    assert not torch.allclose(other, expected)
    assert kinds(layer, model.sites[name].extent) == ("copy", "mean")


def test_a_mean_takes_the_place_of_the_rectifier_too_and_an_identity_only_of_the_layer() -> None:
    module = seeded(InPlace)
    model = opened(module)
    layers, x = linear_layers(model), prepared(model, noise(model, 5))
    with torch.no_grad():
        first = module.act(module.conv1(x))
        skip = first.clone()
        expected = module.fc(F.relu(F.relu(skip + skip)).mean((2, 3)))
        torch.testing.assert_close(run(module, x, 5, Replacing(model.sites, layers["conv2"], identity())), expected)
        mean = np.array([-1.0, 2, 3, 4])
        here = torch.from_numpy(mean).float()[:, None, None].expand(4, SIDE, SIDE)[None].repeat(5, 1, 1, 1)
        expected = module.fc(F.relu(module.conv2(here) + here).mean((2, 3)))
        found = run(module, x, 5, Replacing(model.sites, layers["conv1"], mean_stand_in(mean)))
        torch.testing.assert_close(found, expected)


def test_a_planted_copy_is_found_with_its_shift_and_can_take_the_layers_place() -> None:
    module = seeded(Shifting)
    before = copy.deepcopy(module.state_dict())
    model = opened(module)
    layers, x = linear_layers(model), prepared(model, noise(model, 24))
    found = copies(model, {name: layers[name] for name in ("conv1", "conv2", "conv3")}, x[:12], x[12:])
    planted = found["conv2"]
    assert (planted.score > 0.99).all() and (planted.shift == (1, -1)).all()
    assert planted.index.tolist() == [5, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(planted.stand_ins["copy"].weight, 1, atol=1e-4)
    assert np.nanmean(found["conv3"].score) < 0.8
    with torch.no_grad():
        expected = module(x)
        copied, mean = (run(module, x, 24, Replacing(model.sites, layers["conv2"], planted.stand_ins[kind]))
                        for kind in ("copy", "mean"))  # fmt: skip
    torch.testing.assert_close(copied, expected, atol=1e-4, rtol=0)
    assert (mean - expected).abs().max() > 0.01
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not module.conv2._forward_hooks and not module.conv2._forward_pre_hooks


def test_the_best_1x1_map_explains_a_layer_that_is_one_but_for_its_size() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()).eval()
    with torch.no_grad():
        module[2].weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    model = opened(module)
    x = prepared(model, noise(model, 12))
    found = copies(model, {"2": linear_layers(model)["2"]}, x[:6], x[6:])["2"]
    assert found.r2 > 0.9999
    np.testing.assert_allclose(found.stand_ins["1x1"].weight, module[2].weight[:, :, 1, 1].detach(), atol=1e-3)


def test_copies_do_not_depend_on_how_the_images_are_batched(monkeypatch) -> None:
    model = opened(seeded(Shifting))
    layers, x = {"conv3": linear_layers(model)["conv3"]}, prepared(model, noise(model, 20))
    whole = copies(model, layers, x[:11], x[11:])["conv3"]
    monkeypatch.setattr("microtome.network.trials.replacing.automatic_batch", lambda _: 5)
    parts = copies(model, layers, x[:11], x[11:])["conv3"]
    assert np.array_equal(whole.index, parts.index) and np.array_equal(whole.shift, parts.shift)
    np.testing.assert_allclose(whole.score, parts.score, atol=1e-5)


def test_the_rest_learns_around_a_stand_in_and_the_network_itself_does_not() -> None:
    module = seeded(Shifting)
    model = opened(module)
    layer, x = linear_layers(model)["conv1"], prepared(model, noise(model, 30))
    targets, before = np.arange(30) % 3, copy.deepcopy(module.state_dict())
    fixed = StandIn(kind="copy", weight=np.ones(6), bias=np.zeros(6), index=np.arange(6) % 3,
                    shift=np.zeros((6, 2), np.int64))  # fmt: skip
    learnt = retrained(model, layer, fixed, x, targets, steps=60)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert torch.equal(learnt.module.conv1.weight, module.conv1.weight)  # nothing depends on it

    def loss(of: object) -> float:
        with torch.no_grad():
            output = run(of.module, x, 30, Replacing(of.sites, layer, fixed))
            return float(F.cross_entropy(output, torch.from_numpy(targets)))

    assert loss(learnt) < loss(model) - 0.01
