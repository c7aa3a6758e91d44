"""No rectifier is passed over in silence: what is called and what the graph shows are held against each other."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.errors import CallOrderChanged, NotApplicable
from microtome.network.backward.tracing import going_back, tracing
from toys import opened, seeded


class Toy(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.between = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), between

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.between(self.first(x))).relu()


def image() -> Tensor:
    return torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(2))


def counted(module: nn.Module, method: str = "deconvnet", site: str = "") -> int:
    model = opened(module)
    with tracing(model, image(), site or model.sites.output) as trace, going_back(trace, method) as handled:
        return handled.rectifiers


def refusal(module: nn.Module, method: str = "deconvnet") -> str:
    with pytest.raises(NotApplicable) as caught:
        counted(module, method)
    return str(caught.value)


BY_HAND: dict[str, Callable[[Tensor], Tensor]] = {
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "max": lambda x: torch.max(x, torch.zeros_like(x)),
    "fmax": lambda x: torch.fmax(x, torch.zeros(())),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "mul": lambda x: x * (x > 0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
}


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", BY_HAND)
def test_a_rectifier_written_by_hand_is_refused_by_its_place(name, method) -> None:
    assert refusal(seeded(Toy, BY_HAND[name]), method) == (
        f"{name} lies behind {name}, which rectify by hand. The {method} method finds relu, relu6, clamp and "
        "threshold, not maximum, where or a mask. Write them as torch.relu, or use the method gradient."
    ).replace(f"{name} lies", "relu lies")
    assert counted(seeded(Toy, BY_HAND[name]), "gradient") == 1


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x * (x > 0).float(), lambda x: (x + 0).mul_(x > 0), lambda x: (x + 0).masked_fill_(x < 0, 0.0),
        lambda x: torch.maximum(x, 0.1 * x), lambda x: torch.where(x > 0, x, 0.2 * x),
    ],
)  # fmt: skip
def test_masks_in_place_and_leaky_ones_are_found_too(between) -> None:
    assert "rectify by hand" in refusal(seeded(Toy, between))


@pytest.mark.parametrize(
    "between",
    [
        lambda x: torch.maximum(x, x.flip(1)),  # a maximum over branches goes back as a max pool does
        lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
        lambda x: torch.where(torch.arange(10) > 4, x, 0.0),  # a border, the same in every image
        lambda x: x * 0.5, lambda x: x * -1, lambda x: -x.abs() * 0, lambda x: torch.maximum(x.abs(), torch.zeros(())),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_rectifier_is_let_through(between) -> None:
    assert counted(seeded(Toy, between)) == 1


@pytest.mark.parametrize(("kind", "layer"), [("PReLU", nn.PReLU()), ("CELU", nn.CELU()), ("SELU", F.selu)])
def test_a_rectifier_without_a_rule_is_refused_by_its_kind(kind, layer) -> None:
    assert refusal(seeded(Toy, layer)).partition(". ")[2] == (
        "The deconvnet method is defined for rectifiers. Use the method gradient."
    )
    assert counted(seeded(Toy, layer), "gradient") == 1


class Cut(nn.Module):
    """A rectifier behind detach, beside a way without one; `both` of the ways may be cut."""

    def __init__(self, both: bool = False) -> None:
        super().__init__()
        self.conv, self.both = nn.Conv2d(3, 4, 3), both

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(x).detach() + (x.detach() if self.both else x)


def test_none_of_n_rectifiers_is_an_error() -> None:
    assert refusal(seeded(Cut)) == (
        "Only 0 of 1 rectifiers that lead to add can be reached from it, without relu. What runs under no_grad, behind "
        "detach, or in place on a part of a tensor cannot be gone back through. Choose a site before them, or let the "
        "network run without."
    )


def test_some_of_n_rectifiers_are_an_error() -> None:
    refused = refusal(nn.Sequential(seeded(Cut), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.ReLU()))
    assert refused.startswith("Only 2 of 3 rectifiers that lead to 3 can be reached from it, without 0.relu.")


@torch.no_grad()
def without_gradients(x: Tensor) -> Tensor:
    return x.relu()


@pytest.mark.parametrize("method", ["gradient", "deconvnet"])
def test_a_site_without_a_way_to_the_pixels_is_refused(method) -> None:
    for module in (seeded(Cut, True).requires_grad_(False), seeded(Cut, True), seeded(Toy, without_gradients)):
        assert refusal(module, method).startswith("No gradient leads from ")


def test_a_rectifier_in_place_on_a_part_of_a_tensor_is_not_passed_over() -> None:
    def half(x: Tensor) -> Tensor:
        x = x + 0
        x[:, :2].relu_()
        return x

    assert refusal(seeded(Toy, half)).startswith("Only 1 of 2 rectifiers that lead to relu can be reached from it, ")


def test_a_tensor_put_together_from_rectified_parts_is_seen_through() -> None:
    def parts(x: Tensor) -> Tensor:
        whole = torch.zeros_like(x)
        whole[:, :2], whole[:, 2:] = x[:, :2].relu(), F.relu(-x[:, 2:])
        return whole

    assert counted(seeded(Toy, parts)) == 3
    assert "rectify by hand" in refusal(seeded(Toy, lambda x: BY_HAND["where"](parts(x) - 0.1)))


class Branches(nn.Module):
    """A head that leads nowhere, and a rectifier of parameters: neither lies between the pixels and the output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head, self.scale = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3), nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x)) * F.relu(self.scale)
        self.head(x.relu()).relu()
        return x.mean((2, 3))


@pytest.mark.parametrize("frozen", [False, True])
def test_branches_that_lead_elsewhere_are_rightly_absent(frozen) -> None:
    module = seeded(Branches).requires_grad_(not frozen)
    assert counted(module) == 1
    assert counted(module, site="relu_3") == 3


def test_a_first_convolution_has_no_rectifier_before_it() -> None:
    assert counted(seeded(Toy, F.relu), site="first") == 0


class Own(torch.autograd.Function):
    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(context, *gradients: Tensor) -> Tensor:
        return gradients[0] * (context.saved_tensors[0] > 0)


def test_a_function_with_a_backward_pass_of_its_own_is_refused() -> None:
    assert refusal(seeded(Toy, Own.apply)) == (
        "relu lies behind OwnBackward, with a backward pass of its own. Nobody can say whether it rectifies. Write it "
        "in torch's functions, or use the method gradient."
    )
    assert counted(seeded(Toy, Own.apply), "gradient") == 1


class Depends(nn.Module):
    """What is called depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        big = bool(x.abs().max() > 2)
        x = self.conv(x)
        return x.relu() if not big else x.abs().mean((2, 3))


def test_other_calls_than_those_of_the_sites_are_an_error() -> None:
    model = opened(seeded(Depends))
    with pytest.raises(CallOrderChanged, match="Call 4 of the network was 'abs'"), tracing(model, 9 * image(), "relu"):
        pass
