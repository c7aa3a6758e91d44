import pytest
import torch
from torch import nn

from microtome.network.checkup.health import remark_health
from microtome.network.remarks import Remark
from toys import Plain, opened, seeded


def remarks(module: nn.Module) -> dict[str, Remark]:
    return {remark.name: remark for remark in remark_health(opened(module))}


def plain() -> Plain:
    return seeded(Plain)


def test_a_healthy_network_has_nothing_but_fine_remarks() -> None:
    found = remarks(plain())
    assert {remark.level for remark in found.values()} == {"fine"}
    count = sum(parameter.numel() for parameter in plain().parameters())
    assert found["parameters"].sentence == f"{count} parameters, float32, on cpu"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_counted_in_parameters_and_buffers(value: float) -> None:
    module = plain()
    module.conv2.weight.data[0, 0, :2, 0] = value
    module.bn.running_mean[1] = value
    remark = remarks(module)["not_finite"]
    assert (remark.level, remark.number) == ("warning", 3)
    assert dict(zip(remark.places, remark.counts, strict=True)) == {"conv2.weight": 2, "bn.running_mean": 1}
    assert remark.sentence == (
        "3 values are NaN or infinite, in conv2.weight, bn.running_mean: nothing behind them can be trusted"
    )


def test_a_layer_of_zeros_is_named() -> None:
    module = plain()
    module.conv2.weight.data.zero_()
    remark = remarks(module)["zero_layers"]
    assert (remark.level, remark.sentence) == ("warning", "1 layer has only zeros for weights: conv2")


def test_negative_and_zero_scales_are_counted_by_layer() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)).eval()
    module[1].weight.data = torch.tensor([1.0, -1.0, -2.0, 0.0])
    module[3].weight.data = torch.tensor([1.0, -1.0, 2.0, 3.0, 4.0])
    negative, zero = remarks(module)["negative_scales"], remarks(module)["zero_scales"]
    assert (negative.places, negative.counts, negative.number) == (("1", "3"), (2, 1), 3)
    assert negative.sentence == (
        "3 of 9 BatchNorm scales are negative: there the strongest activation is the weakest response of the "
        "convolution; in 1 (2 of 4), 3 (1 of 5)"
    )
    assert zero.sentence == "1 of 9 BatchNorm scales are zero: they are constant, whatever the image; in 1 (1 of 4)"
    assert (negative.level, zero.level) == ("note", "note")


def test_a_network_without_scales_says_so() -> None:
    found = remarks(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)).eval())
    assert found["negative_scales"].sentence == "There is no BatchNorm with scales"


def test_mixed_precision_and_frozen_weights_are_said() -> None:
    module = plain()
    module.fc.weight.requires_grad = False
    module.fc.unused = nn.Parameter(torch.zeros(2, dtype=torch.float16))
    remark = remarks(module)["parameters"]
    assert remark.level == "note"
    assert remark.sentence.endswith("parameters, float32 and float16, on cpu; 1 of 9 tensors frozen")


def test_a_long_list_names_the_first_and_counts_the_rest() -> None:
    module = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(9))).eval()
    for layer in module:
        layer.weight.data.zero_()
    remark = remarks(module)["zero_layers"]
    assert remark.sentence == "9 layers have only zeros for weights: 0, 1, 2, 3, 4, 5 and 3 more"
    assert len(remark.places) == 9
