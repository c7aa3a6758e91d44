"""The list of sites: names against torchvision's and torch.fx's own, on whole networks and on toys."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.feature_extraction import get_graph_node_names

import microtome as mt
from toys import opened, seeded, without_weights

NETWORKS = [
    "resnet18",
    "vgg11_bn",
    "googlenet",
    "densenet121",
    "squeezenet1_0",
    "inception_v3",
    "mnasnet0_5",
    "alexnet",
]


def theirs(module: nn.Module) -> list[str]:
    """Names of torchvision's eval graph without the input's."""
    return get_graph_node_names(module, suppress_diff_warning=True)[1][1:]


@pytest.mark.parametrize("name", NETWORKS)
def test_sites_are_the_nodes_that_torchvision_prints(name) -> None:
    module = without_weights(name)
    assert list(opened(module, 80 if name == "inception_v3" else 64).sites) == theirs(module)


def test_sites_of_the_zoos_resnet_are_the_nodes_that_torchvision_prints() -> None:
    model = mt.open_model("zoo:resnet20")
    assert list(model.sites) == theirs(model.module)


def test_slices_and_stacks_of_transformed_inputs_are_sites_too() -> None:
    module = without_weights("googlenet")
    module.transform_input = True
    sites = list(opened(module, 64).sites)
    assert sites == theirs(module)
    assert [name for name in sites if name.startswith("getitem")] == ["getitem", "getitem_1", "getitem_2"]


def test_blocks_that_torchvision_keeps_closed_are_opened() -> None:
    module = without_weights("mobilenet_v2")
    assert theirs(module)[:2] == ["features.0", "features.1.conv.0"]  # torchvision's own stay outside
    sites = list(opened(module, 64).sites)
    assert sites[:4] == ["features.0.0", "features.0.1", "features.0.2", "features.1.conv.0.0"]
    leaves = [
        name for name, part in module.named_modules() if not list(part.children()) and not isinstance(part, nn.Dropout)
    ]
    assert [name for name in sites if name in leaves] == leaves


class TwiceAndTwice(nn.Module):
    """Modules whose own names end in numbers, one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1, self.conv_2 = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv_2(self.act(self.conv_1(self.conv_1(x)))))


class NumbersInReverse(TwiceAndTwice):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv_1(self.act(self.conv_2(self.conv_1(x))))


class Functions(nn.Module):
    """Functional operations, several of each."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.max_pool2d(torch.relu(F.relu(x.relu())), 2)
        y = torch.cat([y, F.avg_pool2d(x, 2), F.interpolate(y, scale_factor=1.0)], 1)
        return torch.flatten(F.softmax(F.pad(y, (1, 1)), dim=1).permute(0, 2, 3, 1), 1)


class Operators(nn.Module):
    """In-place and reflected operators."""

    def forward(self, x: Tensor) -> Tensor:
        y = 1 - x
        y = 2 * y + x / 2 - x * y
        y = y + 3
        y = 3 + y
        return 2 / (-(y**2) + 1) + abs(x)


class InPlaceOperators(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 1
        y += x
        y *= 2
        y -= x
        y /= 2
        return y + x


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) + 1


class Nested(nn.Module):
    """Functions inside containers take the container's path; one container is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.list = Inner(), nn.ModuleList([Inner(), nn.Sequential(nn.Conv2d(3, 3, 1), Inner())])

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.block(x))
        for part in self.list:
            x = part(x)
        return F.relu(x)


def test_a_module_whose_name_ends_in_a_number_is_called_what_it_is_called() -> None:
    # torchvision calls conv_1 and conv_2 conv and conv_1: a name that means another module than it says
    assert list(opened(seeded(TwiceAndTwice)).sites) == ["conv_1", "conv_1_1", "act", "conv_2", "act_1"]
    assert list(opened(seeded(NumbersInReverse)).sites) == ["conv_1", "conv_2", "act", "conv_1_1"]


@pytest.mark.parametrize("build", [Functions, Operators, Nested], ids=lambda build: build.__name__)
def test_sites_of_a_toy_are_named_as_torch_fx_names_them(build) -> None:
    module = seeded(build)
    assert list(opened(module).sites) == theirs(module)


def test_in_place_operators_are_named_as_torch_fx_names_them() -> None:
    # torch.fx's own proxies turn `y += x` into `y + x`: the same names
    module = seeded(InPlaceOperators)
    assert list(opened(module).sites) == theirs(module) == ["mul", "add", "mul_1", "sub", "truediv", "add_1"]


def test_a_module_called_again_gets_a_number() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.conv(self.relu(self.conv(self.conv(x)))))

    assert list(opened(seeded(Again)).sites) == ["conv", "conv_1", "relu", "conv_2", "relu_1"]
