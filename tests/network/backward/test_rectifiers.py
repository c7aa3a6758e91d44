import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.network.backward.rectifiers import KINDS, Rectifier, find_rectifiers, remark_rectifiers
from microtome.network.recording.sites import PER_CHANNEL_FUNCTIONS
from microtome.network.recording.witness import witness
from toys import opened, without_weights


def rectifiers(module: nn.Module, size: int = 12) -> list[Rectifier]:
    model = opened(module, size)
    with torch.no_grad():
        return find_rectifiers(model.sites, witness(model.module, torch.zeros(2, 3, size, size)))


MODULES = [kind for kind in KINDS if kind != "clamp"]
OPTIONS = {"Threshold": (0.1, 0.0), "RReLU": (0.1, 0.3)}


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_of_each_kind_is_counted(kind: str) -> None:
    (found,) = rectifiers(nn.Sequential(getattr(nn, kind)(*OPTIONS.get(kind, ()))))
    assert found == Rectifier(site="0", kind=kind, module=True, in_place=False)


@pytest.mark.parametrize("kind", [k for k in MODULES if "inplace" in inspect.signature(getattr(nn, k)).parameters])
def test_a_module_in_place_is_told_apart(kind: str) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 2, 1), getattr(nn, kind)(*OPTIONS.get(kind, ()), inplace=True))
    assert [each.in_place for each in rectifiers(layers)] == [True]


class Calls(nn.Module):
    """One torch function at work."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.conv = function, nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    ("function", "kind", "in_place"),
    [
        (F.relu, "ReLU", False), (F.relu_, "ReLU", True), (torch.relu, "ReLU", False), (torch.relu_, "ReLU", True),
        (Tensor.relu, "ReLU", False), (F.relu6, "ReLU6", False), (F.leaky_relu, "LeakyReLU", False),
        (F.leaky_relu_, "LeakyReLU", True), (F.elu, "ELU", False), (F.elu_, "ELU", True), (F.celu, "CELU", False),
        (F.selu, "SELU", False), (F.selu_, "SELU", True), (F.gelu, "GELU", False), (F.silu, "SiLU", False),
        (F.mish, "Mish", False), (F.hardswish, "Hardswish", False), (F.hardtanh, "Hardtanh", False),
        (F.softplus, "Softplus", False), (F.rrelu, "RReLU", False),
        (lambda x: F.threshold(x, 0, 0), "Threshold", False),
        (lambda x: x.clamp(min=0), "clamp", False), (lambda x: x.clamp_(min=0), "clamp", True),
        (lambda x: torch.clamp_min(x, 0), "clamp", False),
    ],
)  # fmt: skip
def test_a_function_of_each_kind_is_counted(function, kind: str, in_place: bool) -> None:
    (found,) = rectifiers(Calls(function))
    assert (found.kind, found.module, found.in_place) == (kind, False, in_place)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("squeezenet1_0", {"ReLU": 26}),
        ("mobilenet_v2", {"ReLU6": 35}),
        ("googlenet", {"ReLU": 57}),  # functional
        ("mobilenet_v3_small", {"Hardswish": 19, "ReLU": 14}),
    ],
)
def test_torchvisions_rectifiers_are_all_counted(name: str, counts: dict[str, int]) -> None:
    found = rectifiers(without_weights(name), size=224)
    assert {kind: sum(each.kind == kind for each in found) for kind in {each.kind for each in found}} == counts


def test_the_remark_counts_modules_functions_and_rules() -> None:
    layers = nn.Sequential(nn.ReLU(), Calls(F.relu), nn.Conv2d(2, 3, 1), nn.ReLU6(inplace=True), nn.GELU())
    remark = remark_rectifiers(rectifiers(layers))
    assert remark.sentence == (
        "4 rectifiers: 2 ReLU (1 modules, 1 functions; 0 in place), 1 ReLU6 (1 modules, 0 functions; 1 in place), "
        "1 GELU (1 modules, 0 functions; 0 in place); 3 of 4 have a deconvnet rule (ReLU, ReLU6 and LeakyReLU)"
    )
    assert (remark.number, remark.level, remark.places) == (4, "note", ("0", "1.relu", "3", "4"))


def test_where_every_rectifier_has_a_rule_all_is_fine_and_without_any_it_says_so() -> None:
    assert remark_rectifiers(rectifiers(nn.Sequential(nn.ReLU()))).level == "fine"
    assert remark_rectifiers([]).sentence == "No rectifier was found"


def test_units_are_read_behind_every_function_that_is_called_a_rectifier() -> None:
    assert {name for functions in KINDS.values() for name in functions} <= PER_CHANNEL_FUNCTIONS
