"""What the doctor says of the way back: rectifiers, pools, normalisations, and what has no rule."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.network.checkup.way_back import remark_way_back
from microtome.network.remarks import Remark
from toys import Plain, opened, seeded, with_random_weights, without_weights


@pytest.fixture(autouse=True)
def alone(monkeypatch) -> None:
    """Without other libraries: test_peers.py has them."""
    monkeypatch.setattr("microtome.network.checkup.peers.PEERS", ())


def remarks(module: nn.Module, size: int = 12) -> dict[str, Remark]:
    return {remark.name: remark for remark in remark_way_back(opened(module, size))}


def sentences(module: nn.Module, size: int = 12) -> dict[str, str]:
    return {name: remark.sentence for name, remark in remarks(module, size).items()}


def test_a_plain_network_is_gone_back_through_part_by_part() -> None:
    assert sentences(seeded(Plain)) == {
        "way_back": "Going back, 2 of 2 rectifiers are handled by deconvnet and guided",
        "way_back_pools": "Going back, 1 global average spreads values evenly",
        "way_back_normalisations": "Going back, 1 BatchNorm multiplies by its scales, and a negative one (see "
        "BatchNorm scales) turns signs",
        "way_back_gradient": "Going back, everything else is linear and transposed as it is",
    }
    assert {remark.level for remark in remarks(seeded(Plain)).values()} == {"fine"}
    assert remarks(seeded(Plain))["way_back"].places == ("act", "relu")


@pytest.mark.parametrize(
    ("name", "size", "rectifiers", "max_pools", "overlapping", "norms"),
    [("googlenet", 64, 57, 13, 12, 57), ("densenet121", 64, 121, 1, 1, 121), ("alexnet", 64, 7, 3, 3, 0),
     ("mobilenet_v2", 64, 35, 0, 0, 52), ("squeezenet1_0", 64, 26, 3, 3, 0)],
)  # fmt: skip
def test_torchvisions_networks_are_counted(name, size, rectifiers, max_pools, overlapping, norms) -> None:
    found = remarks(without_weights(name), size)
    assert found["way_back"].sentence == (
        f"Going back, {rectifiers} of {rectifiers} rectifiers are handled by deconvnet and guided"
    )
    assert found["way_back"].number == len(found["way_back"].places) == rectifiers
    assert (f"{max_pools} max pool" in found["way_back_pools"].sentence) == (max_pools > 0)
    assert (f"are added ({overlapping}: " in found["way_back_pools"].sentence) == (overlapping > 0)
    assert found["way_back_normalisations"].number == norms
    assert found["way_back_gradient"].number == 0


def test_squeeze_and_excitation_follows_the_gradient_and_is_named() -> None:
    found = remarks(with_random_weights("regnet_y_400mf"), 32)["way_back_gradient"]
    assert (found.number, found.level) == (32, "note")
    assert found.sentence == (
        "Going back, 32 operations without a rule follow the plain gradient in every method: Mul of two branches (16), "
        "Sigmoid (16)"
    )
    assert found.places[0].startswith("trunk_output.block1.")


def test_a_refusal_says_how_many_could_be_handled_and_what_to_do() -> None:
    found = remarks(without_weights("mobilenet_v3_small"), 64)["way_back"]
    assert found.level == "note"
    assert found.sentence == (
        "Going back by deconvnet and guided is refused (14 of 33 rectifiers could be handled): classifier.3 lies "
        "behind Hardswish; use the method gradient"
    )


class Pools(nn.Module):
    """One of every kind, and none of the names of modules."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(x, 2) + F.max_pool2d(x, 3, 2, 1) + F.adaptive_avg_pool2d(x, 6) + F.avg_pool2d(x, 2)
        return x.amax((2, 3)) + F.adaptive_max_pool2d(x, 1).flatten(1)


def test_every_kind_of_pool_is_named() -> None:
    assert sentences(Pools())["way_back_pools"] == (
        "Going back, 3 max pools place values by their switches; where windows overlap, values that meet are added "
        "(1: max_pool2d_1); 1 maximum over a whole axis by its switches; 2 average pools spread values evenly"
    )
    assert sentences(Pools())["way_back"] == (
        "Going back, no rectifier is on the way: every method is the plain gradient"
    )


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.group, self.instance = nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.instance(self.group(self.conv(x))).relu().mean((2, 3)).softmax(1)


def test_normalisations_by_the_images_own_statistics_follow_the_gradient() -> None:
    found = remarks(seeded(Normalised))
    assert found["way_back_normalisations"].level == "note"
    assert found["way_back_normalisations"].sentence == (
        "Going back, 2 normalisations by the image's own statistics: by the plain gradient"
    )
    assert found["way_back_gradient"].sentence == (
        "Going back, 1 operation without a rule follows the plain gradient in every method: Softmax (1)"
    )


class Overwrites(nn.Module):
    """What a gradient needs is overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).exp()
        return x.mul_(2).mean((2, 3))


class Raises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            raise ValueError("only for looking")
        return self.conv(x)


class Forgets(Raises):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


@pytest.mark.parametrize(
    ("toy", "why"),
    [(Overwrites, "RuntimeError: one of the variables needed"), (Raises, "ValueError: only for looking"),
     (Forgets, "No gradient leads from conv to the pixels")],
)  # fmt: skip
def test_where_no_gradient_can_be_taken_it_is_said_why(toy, why) -> None:
    (found,) = remark_way_back(opened(seeded(toy)))
    assert (found.name, found.level, found.number) == ("way_back", "warning", 0)
    assert found.sentence.startswith(f"Nobody can go back through it: {why}")
