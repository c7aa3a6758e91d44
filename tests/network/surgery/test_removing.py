"""Removed is masked, on the architectures of torchvision and the zoo; what is refused leaves everything as it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import CannotRemove
from microtome.network.model import Model
from microtome.network.surgery.couplings import Couplings, Group, couplings
from microtome.network.surgery.removing import counted, remove_channels
from toys import Functional, Plain, Reused, Skip, Tokens, UNet, opened, seeded, with_random_weights

EQUAL = 1e-5
ONE_SIDED = {"layer2.0.conv2 and 5 more", "layer3.0.conv2 and 2 more"}  # what option A fills up with zeros
# The groups that are refused, with the reason, besides the outputs of the network.
REFUSED: dict[str, dict[str, str]] = {
    "zoo:resnet20": dict.fromkeys(ONE_SIDED, "no longer fit"),
    "zoo:simpleconvnet": {}, "zoo:vgg9": {}, "squeezenet1_0": {}, "resnet18": {}, "densenet121": {}, "mobilenet_v2": {},
    "mobilenet_v3_small": {}, "googlenet": {}, "vgg11_bn": {}, "efficientnet_b0": {}, "mnasnet0_5": {},
    "regnet_y_400mf": {}, "resnext50_32x4d": {}, "inception_v3": {},
}  # fmt: skip


def model_of(name: str) -> Model:
    if name.startswith("zoo:"):
        return mt.open_model(name)
    return opened(with_random_weights(name), 75 if name == "inception_v3" else 64)


def chosen(group: Group, random: np.random.Generator, share: float = 0.25) -> dict[str, list[int]]:
    """A share of a group's cells, equally many of each stratum, by their channels."""
    layer = next(iter(group.channels))
    members = [np.flatnonzero(group.strata == stratum) for stratum in np.unique(group.strata)]
    count = max(1, int(share * min(map(len, members))))
    cells = [int(cell) for of in members for cell in random.permutation(of)[:count]]
    return {layer: [channel for cell in cells for channel in group.channels[layer][cell]]}


def together(groups: list[Group], seed: int) -> dict[str, list[int]]:
    random, found = np.random.default_rng(seed), {}
    for group in groups:
        for layer, channels in chosen(group, random).items():
            found.setdefault(layer, []).extend(channels)
    return found


@contextmanager
def inputs_at_zero(module: nn.Module, ins: Mapping[str, np.ndarray], of: Couplings) -> Iterator[None]:
    """Hooks that put zeros into what later layers take, instead of into their weights."""

    def hook(places: np.ndarray, axis: int):
        def clean(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            given = args[0].clone()
            given.movedim(axis, -1)[..., places] = 0
            return (given, *args[1:])

        return clean

    handles = [module.get_submodule(name).register_forward_pre_hook(hook(places, of.holders[name].axis))
               for name, places in ins.items() if of.holders[name].kind == "mixing"]  # fmt: skip
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", REFUSED)
def test_removed_is_masked_for_a_quarter_of_every_group(name):
    model = model_of(name)
    of = couplings(model)
    refused = REFUSED[name]
    assert {g.name for g in of.groups if g.reason} == {list(model.sites.layers)[-1].name}, "only the outputs"
    free = [group for group in of.groups if not group.reason and group.name not in refused]
    pictures = torch.randn(3, *model.preprocessing.shape, generator=torch.Generator().manual_seed(7))
    before = {key: tensor.clone() for key, tensor in model.module.state_dict().items()}
    for seed in range(3):
        found = remove_channels(model, together(free, seed), known=of)
        _, ins = of.gone(of.cells(found.removed))
        with torch.no_grad():
            with inputs_at_zero(model.module, ins, of):
                masked = model.module(pictures)
            removed, whole = found.model.module(pictures), model.module(pictures)
        largest = masked.abs().max()
        assert (removed - masked).abs().max() <= EQUAL * largest
        assert (whole - masked).abs().max() > 10 * EQUAL * largest, "masking a quarter must show"
        assert counted(found.model)["parameters"] < 0.9 * counted(model)["parameters"]
    for group in (group for group in of.groups if group.name in refused):
        with pytest.raises(CannotRemove, match=refused[group.name]):
            remove_channels(model, chosen(group, np.random.default_rng(0)), known=of)
    assert all(torch.equal(before[key], tensor) for key, tensor in model.module.state_dict().items())


def test_a_linear_network_loses_exactly_the_rows_and_columns():
    model = mt.open_model("zoo:simpleconvnet")
    found = remove_channels(model, {"conv2": [0, 5], "conv3": [7], "fc4": [1, 2, 3]})
    old, new = model.module, found.model.module
    left = [k for k in range(64) if k not in (0, 5)]
    three = [k for k in range(128) if k != 7]
    four = [k for k in range(64) if k not in (1, 2, 3)]
    assert torch.equal(new.conv2.weight, old.conv2.weight[left]) and torch.equal(new.conv2.bias, old.conv2.bias[left])
    assert torch.equal(new.conv3.weight, old.conv3.weight[three][:, left])
    assert torch.equal(new.fc4.weight, old.fc4.weight[four][:, three])
    assert torch.equal(new.fc5.weight, old.fc5.weight[:, four])
    assert (new.conv2.out_channels, new.conv3.in_channels, new.fc4.in_features, new.fc4.out_features) == (
        62,
        62,
        127,
        61,
    )
    assert found.removed == {"conv2": (0, 5), "conv3": (7,), "fc4": (1, 2, 3)}
    assert found.model.weights.endswith(", without 6 channels")


@pytest.mark.parametrize("build", [Plain, Functional, Reused, Skip, Tokens, UNet])
def test_small_networks_of_every_kind_lose_a_channel(build):
    model = opened(seeded(build))
    of = couplings(model)
    for group in (group for group in of.groups if not group.reason):
        found = remove_channels(model, chosen(group, np.random.default_rng(0)), known=of)
        assert found.difference <= EQUAL < found.moved
        assert set(found.removed) == set(group.channels)


def test_removing_nothing_changes_nothing():
    model = opened(seeded(Plain))
    found = remove_channels(model, {})
    assert found.removed == {} and found.moved == 0 and found.difference == 0
    assert all(torch.equal(a, b) for a, b in zip(model.module.state_dict().values(),
                                                 found.model.module.state_dict().values(), strict=True))  # fmt: skip


class Sliced(nn.Module):
    """Code that names numbers of channels: a slice, a view of fixed length, or a chunk."""

    def __init__(self, between) -> None:
        super().__init__()
        self.a, self.b, self.between = nn.Conv2d(3, 8, 3), nn.LazyLinear(3), between
        self(torch.zeros(1, 3, 12, 12))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(F.relu(self.a(x))))


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=2)
        self.c, self.head = nn.ConvTranspose2d(8, 4, 2, groups=2), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.c(F.relu(self.b(F.relu(self.a(x)))))).mean((2, 3)))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.c.weight, self.head = self.b.weight, nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.c(F.relu(self.b(F.relu(self.a(x))))).mean((2, 3)))


def normed() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    nn.utils.parametrizations.weight_norm(module[0])
    return module


REFUSALS = {
    "every channel": (lambda: seeded(Plain), {"conv1": [0, 1, 2, 3]}, "conv1 would lose all of its 4 channels"),
    "an output": (lambda: seeded(Plain), {"fc": [0]}, "it is an output of the network"),
    "a slice": (lambda: seeded(Sliced, lambda x: x[:, :4].flatten(1)), {"a": [1]}, "no longer fit|otherwise than"),
    "a fixed view": (lambda: seeded(Sliced, lambda x: x.view(-1, 800)), {"a": [1]}, "no longer fit"),
    "uneven groups": (lambda: seeded(Grouped), {"a": [0]},
                      "b is a convolution in 2 groups, which would lose 0 to 1 inputs each"),
    "a shared weight": (lambda: seeded(Tied), {"a": [0]}, "b.weight is shared by 2 layers"),
    "a parametrization": (normed, {"0": [0]}, "0.weight is worked out from other tensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_why_and_leaves_every_bit(case):
    build, channels, reason = REFUSALS[case]
    module = build().eval()
    model = opened(module)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    objects = {name: id(tensor) for name, tensor in module.named_parameters()}
    with pytest.raises(CannotRemove, match=reason):
        remove_channels(model, channels)
    assert all(torch.equal(before[key], tensor) for key, tensor in module.state_dict().items())
    assert objects == {name: id(tensor) for name, tensor in module.named_parameters()}


def test_grouped_convolutions_lose_equally_many_of_each_group():
    model = opened(seeded(Grouped))
    found = remove_channels(model, {"a": [1, 6], "b": [0, 5], "c": [1, 3]})
    new = found.model.module
    assert new.b.weight.shape == (6, 3, 3, 3) and new.b.groups == 2 and new.b.in_channels == 6
    assert new.c.weight.shape == (6, 1, 2, 2)
    assert torch.equal(new.b.weight[:3], model.module.b.weight[1:4][:, [0, 2, 3]])
    assert torch.equal(new.b.weight[3:], model.module.b.weight[[4, 6, 7]][:, [0, 1, 3]])


def test_a_pruned_network_learns_on_and_can_be_pruned_again():
    model = opened(seeded(Plain))
    first = remove_channels(model, {"conv1": [1]}).model
    images = torch.randn(4, 3, 12, 12)
    F.cross_entropy(first.module.train()(images), torch.tensor([0, 1, 2, 0])).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in first.module.parameters())
    second = remove_channels(first, {"conv1": [1]}).model  # that was channel 2
    assert torch.equal(second.module.conv1.weight, model.module.conv1.weight[[0, 3]])
    assert next(cut.outs for cut in second.cuts if cut.holder.name == "conv1") == (1, 2)


def test_a_removal_gone_wrong_is_noticed(monkeypatch):
    """The verification itself: the wrong channel is cut, and nothing but its comparison could tell."""
    from microtome.network.surgery import removing

    model = mt.open_model("zoo:simpleconvnet")
    right = removing.cut

    def wrong(module: nn.Module, cuts) -> None:
        right(module, cuts)
        with torch.no_grad():
            module.conv2.weight[3] = module.conv2.weight[4]

    monkeypatch.setattr(removing, "cut", wrong)
    with pytest.raises(CannotRemove, match="the network answers otherwise than with their weights at 0"):
        remove_channels(model, {"conv1": [3]})
