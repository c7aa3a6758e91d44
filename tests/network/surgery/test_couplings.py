import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import CannotRemove, UnknownName
from microtome.network.surgery.couplings import Couplings, Group, couplings
from toys import Functional, Plain, Reused, Shared, Skip, Tokens, UNet, opened, seeded


def found(build: type[nn.Module] | nn.Module, size: int = 12) -> Couplings:
    return couplings(opened(build if isinstance(build, nn.Module) else seeded(build), size))


def free(of: Couplings) -> list[Group]:
    return [group for group in of.groups if not group.reason]


def by_name(of: Couplings) -> dict[str, Group]:
    return {group.name: group for group in of.groups}


class Made(nn.Module):
    """A stem of 4 channels, something done to it, and a head."""

    def __init__(self, width: int, between) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Conv2d(width, 3, 1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        return self.head(self.between(a, self.b(F.relu(a)))).mean((2, 3))


def test_channels_of_a_plain_network_go_one_by_one():
    of = found(Plain)
    assert [(group.name, group.width, group.reason) for group in of.groups] == [
        ("conv1", 4, ""), ("conv2", 5, ""), ("fc", 3, "it is an output of the network")]  # fmt: skip
    assert of.groups[0].channels["conv1"] == ((0,), (1,), (2,), (3,))
    cell = of.outs["conv1"][2]
    assert of.ins["bn"][2] == cell and of.ins["conv2"][2] == cell


@pytest.mark.parametrize(
    ("width", "between", "expected"),
    [
        (4, lambda a, b: a + b, {("a", "b"): 4}),
        (8, lambda a, b: torch.cat([a, b], 1), {("a",): 4, ("b",): 4}),
        (4, lambda a, b: b * a.mean((1, 2, 3), keepdim=True), {("a",): 0, ("b",): 0}),
        (4, lambda a, b: b * torch.sigmoid(a.mean((2, 3), keepdim=True)), {("a", "b"): 4}),
        (4, lambda a, b: F.max_pool2d(F.hardswish(b), 2), {("a",): 4, ("b",): 4}),
        (1, lambda a, b: F.pixel_shuffle(b, 2), {("a",): 4, ("b",): 0}),
    ],
    ids=["sum", "concat", "a mean over all channels", "gate", "one by one", "pixel shuffle"],
)
def test_what_is_done_to_channels_couples_them(width, between, expected):
    of = found(Made(width, between).eval())
    for layers, count in expected.items():
        there = [g for g in free(of) if tuple(g.channels) == layers]
        assert sum(g.width for g in there) == count


def test_a_channel_feeds_several_inputs_of_a_layer():
    of = found(Made(8, lambda a, b: torch.cat([b, b], 1)).eval())
    assert np.flatnonzero(of.ins["head"] == of.outs["b"][1]).tolist() == [1, 5]


def test_a_flattened_map_gives_every_channel_its_positions():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 100, 3)).eval()
    of = found(module)
    assert np.flatnonzero(of.ins["3"] == of.outs["0"][1]).tolist() == list(range(100, 200))


def test_depthwise_convolutions_pass_channels_on_and_a_gray_stem_does_not():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 3, groups=4), nn.PReLU(8), nn.Conv2d(8, 2, 1)).eval()
    of = found(module)
    assert by_name(of)["0 and 1 more"].channels == {
        "0": ((0,), (1,), (2,), (3,)), "1": ((0, 1), (2, 3), (4, 5), (6, 7))}  # fmt: skip
    gray = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    assert by_name(couplings(mt.open_model(gray, size=8)))["0"].width == 4


def test_grouped_convolutions_name_the_strata_that_must_lose_equally_many():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3, groups=2), nn.Conv2d(4, 2, 1)).eval()
    groups = by_name(found(module))
    assert groups["0"].strata.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert groups["1"].strata.tolist() == [0, 0, 1, 1]


def test_layers_of_tokens_and_transposed_layers_are_followed():
    assert {g.name: g.width for g in free(found(Tokens))} == {"embed": 6, "mix": 5}
    assert {g.name: g.width for g in free(found(UNet))} == {"down": 4, "bottom": 8, "up": 4, "merge": 4}


def test_a_layer_that_is_called_several_times_has_one_set_of_channels():
    assert {group.name: group.reason for group in found(Shared).groups}["first"] == (
        "added to or mixed with the pictures' own channels")  # fmt: skip
    assert [tuple(group.channels) for group in free(found(Reused))] == [("stem", "block.0")]


def test_functions_with_weights_of_the_network_are_layers_too():
    of = found(Functional)
    assert [(group.name, group.width) for group in free(of)] == [("kernel", 4)]
    assert np.array_equal(of.ins["mean"], of.outs["kernel"]) and np.array_equal(of.ins["head"], of.outs["kernel"])


def test_what_is_added_to_the_pictures_stays():
    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(x + self.b(self.a(x))).mean((2, 3))

    reasons = {g.name: g.reason for g in found(Denoiser().eval()).groups}
    assert reasons["a"] == ""
    assert reasons["b"] == "added to or mixed with the pictures' own channels"


def test_layers_that_take_all_channels_together_and_free_parameters_say_so():
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.b = nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 1)
            self.scale, self.c = nn.Parameter(torch.ones(4, 1, 1)), nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.b(self.norm(self.a(x))) * self.scale).mean((2, 3))

    reasons = {g.name: g.reason for g in found(Normed().eval()).groups}
    assert reasons["a"] == "GroupNorm norm takes all channels together"
    assert reasons["b"] == "mul takes scale of the network's own"


def test_a_residual_sum_over_identity_couples_stem_and_branch():
    assert [tuple(g.channels) for g in free(found(Skip))] == [("stem", "conv")]


def test_unknown_layers_and_channels_are_named():
    of = found(Plain)
    with pytest.raises(UnknownName, match="Layer 'conv3' does not exist"):
        of.cells({"conv3": [0]})
    with pytest.raises(CannotRemove, match="conv1 has no channel 4. Its channels are 0 to 3. Name one of them"):
        of.cells({"conv1": [4]})


def test_probing_leaves_the_network_as_it_was():
    module = seeded(Plain)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    couplings(opened(module))
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert "forward" not in vars(module.conv1) and not module.conv1._forward_hooks
