"""What the doctor says of other libraries, by running them; the model itself never reaches them."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from microtome.network.checkup import peers
from microtome.network.checkup.way_back import remark_way_back
from microtome.network.remarks import Remark
from toys import Functional, Plain, Skip, opened, seeded, with_random_weights

pytestmark = pytest.mark.peer


@pytest.fixture(params=["captum", "pytorch_grad_cam"])
def name(request) -> str:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed: needs the peers extra")
    return request.param


def remark(module: nn.Module, name: str, size: int = 12) -> Remark:
    return {remark.name: remark for remark in remark_way_back(opened(module, size))}[name]


SAID = {
    "captum": ("Captum ", "its Deconvolution", "deconvnet"),
    "pytorch_grad_cam": ("pytorch-grad-cam ", "its GuidedBackpropReLUModel", "guided"),
}


@pytest.mark.parametrize(
    ("network", "seen", "count", "what"),
    [
        ("googlenet", 0, 57, "returns the plain gradient here"),
        ("mobilenet_v2", 0, 35, "returns the plain gradient here"),
        ("densenet121", 120, 121, "returns neither {method} nor the plain gradient here"),
        ("resnet18", 17, 17, "is {method} here"),
        ("squeezenet1_0", 26, 26, "is {method} here"),
    ],
)
def test_how_many_rectifiers_it_sees_and_what_it_returns(network, seen, count, what, name) -> None:
    found = remark(with_random_weights(network), name, 64)
    title, call, method = SAID[name]
    assert found.sentence.startswith(title)
    assert f" sees {seen} of {count} rectifiers: {call} {what.format(method=method)} (cosine " in found.sentence
    assert (found.number, found.level) == (seen, "fine" if seen == count else "note")


class TakesBoth(nn.Module):
    """What a ReLU module takes goes on beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = self.first(x)
        return {"out": self.head((self.second(self.act(z)) + z).mean((2, 3)))}


def test_to_see_every_rectifier_is_not_enough_and_outputs_in_a_dictionary_are_no_obstacle() -> None:
    pytest.importorskip("captum", reason="captum is not installed: needs the peers extra")
    found = remark(seeded(TakesBoth), "captum")
    assert " sees 1 of 1 rectifiers: its Deconvolution returns neither deconvnet nor" in found.sentence
    assert found.level == "note"


def test_the_model_is_left_alone(name) -> None:
    module = with_random_weights("resnet18")
    parts = list(module.modules())
    state = copy.deepcopy(module.state_dict())
    module.layer1[0].relu.inplace = True
    remark(module, name, 64)
    assert [id(part) for part in module.modules()] == [id(part) for part in parts]
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in parts)
    assert module.layer1[0].relu.inplace


class Uncopied(Plain):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("there is only one of me")


def test_a_network_that_cannot_be_copied_is_not_handed_over(name) -> None:
    found = remark(seeded(Uncopied), name)
    assert found.sentence.endswith("was not tried: the network cannot be copied (TypeError: there is only one of me)")
    assert (found.level, found.number) == ("note", 0)


def test_where_a_peer_fails_its_error_is_told(name, monkeypatch) -> None:
    def fails(*arguments: object) -> Tensor:
        raise AttributeError("no such thing")

    broken = [peers.Peer(**{**vars(peer), "run": fails}) for peer in peers.PEERS]
    monkeypatch.setattr("microtome.network.checkup.peers.PEERS", broken)
    assert remark(seeded(Plain), name).sentence.endswith("fails on this network: AttributeError: no such thing")


def test_maps_of_zeros_are_not_compared(name) -> None:
    module = seeded(Plain)
    module.fc.weight.data.zero_()
    sentence = remark(module, name).sentence
    assert sentence.endswith("cannot be compared with ours here: some are 0 or not finite")


@pytest.mark.parametrize("toy", [Skip, nn.Sequential])
def test_without_rectifiers_there_is_nothing_to_tell(toy) -> None:
    module = seeded(toy, *((nn.Conv2d(3, 4, 3), nn.GELU()) if toy is nn.Sequential else ()))
    assert not {remark.name for remark in remark_way_back(opened(module))} & set(SAID)


def test_a_library_that_is_not_installed_is_not_mentioned(monkeypatch) -> None:
    monkeypatch.setattr("microtome.network.checkup.peers.find_spec", lambda module: None)
    assert [remark.name for remark in remark_way_back(opened(seeded(Functional)))] == [
        "way_back", "way_back_pools", "way_back_normalisations", "way_back_gradient",
    ]  # fmt: skip
