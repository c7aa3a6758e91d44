"""Where a unit is read: at the last per-channel operation before channels mix."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from toys import opened, without_weights


def reads(module: nn.Module) -> dict[str, str | None]:
    return {site.name: site.read for site in opened(module).sites.layers}


def convolution() -> nn.Conv2d:
    return nn.Conv2d(3, 3, 3, padding=1)


@pytest.mark.parametrize(
    ("after", "read"),
    [
        ([nn.BatchNorm2d(3), nn.ReLU()], "2"),
        ([nn.ReLU(inplace=True), nn.MaxPool2d(2)], "1"),
        ([nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)], "1"),
        ([nn.PReLU(), nn.BatchNorm2d(3), nn.Hardswish(), nn.AvgPool2d(2)], "3"),
        ([nn.Softmax(1)], "0"),
        ([nn.GroupNorm(1, 3), nn.ReLU()], "0"),
        ([nn.MaxPool2d(2), nn.ReLU()], "0"),
        ([], "0"),
    ],
)
def test_a_chain_is_read_behind_its_last_per_channel_operation(after, read) -> None:
    assert reads(nn.Sequential(convolution(), *after))["0"] == read


class Toy(nn.Module):
    """One convolution, and what a subclass does behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = convolution(), nn.BatchNorm2d(3)


class Residual(Toy):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)) + x)


class PreActivationSkip(Toy):
    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        return F.relu(z) + z


class OverwrittenSkip(Toy):
    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        return F.relu_(z) + z


class MethodChain(Toy):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).sigmoid_().clamp(max=0.5).flatten(1)


class BothReadings(Toy):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([F.relu(z := self.conv(x)), F.relu(-z)], 1)


@pytest.mark.parametrize(
    ("build", "read"),
    [(Residual, "bn"), (PreActivationSkip, "conv"), (OverwrittenSkip, "relu_"), (MethodChain, "clamp"),
     (BothReadings, "conv")],
)  # fmt: skip
def test_a_unit_is_read_before_its_tensor_is_taken_twice_or_mixed(build, read) -> None:
    assert reads(build().eval()) == {"conv": read}


def test_the_layers_of_a_dense_block_are_read_at_the_convolution_that_many_take() -> None:
    sites = opened(without_weights("densenet121"), 64).sites
    assert sites["features.conv0"].read == "features.relu0"
    assert sites["features.denseblock1.denselayer1.conv1"].read == "features.denseblock1.denselayer1.relu2"
    assert sites["features.denseblock1.denselayer1.conv2"].read == "features.denseblock1.denselayer1.conv2"
    assert sites["features.transition1.conv"].read == "features.transition1.conv"


def test_the_layers_of_a_residual_network_are_read_at_the_activation_or_before_the_sum() -> None:
    reading = {site.name: site.read for site in mt.open_model("zoo:resnet20").sites.layers}
    assert (reading["conv1"], reading["layer1.0.conv1"]) == ("relu", "layer1.0.relu")
    assert (reading["layer1.0.conv2"], reading["linear"]) == ("layer1.0.bn2", "linear")
