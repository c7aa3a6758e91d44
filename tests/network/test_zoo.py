"""The reference networks against their papers and against the same computation written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.zoo import ZOO


@pytest.mark.parametrize(
    ("name", "parameters", "layers"),
    [("resnet20", 269_722, 20), ("resnet32", 464_154, 32), ("resnet44", 658_586, 44), ("resnet56", 853_018, 56)],
)
def test_residual_networks_have_the_layers_and_parameters_of_the_paper(name, parameters, layers) -> None:
    # He et al. (2015), table 6: 0.27, 0.46, 0.66 and 0.85 million
    module = ZOO[name].build()
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert sum(isinstance(part, nn.Conv2d | nn.Linear) for part in module.modules()) == layers


@pytest.mark.parametrize(
    ("name", "widths"), [("simpleconvnet", (32, 64, 128, 64)), ("simpleconvnet_pruned", (8, 16, 24, 16))]
)
def test_digit_networks_have_the_widths_of_the_document(name, widths) -> None:
    a, b, c, d = widths
    layers = [25 * a + a, 25 * a * b + b, 25 * b * c + c, c * d + d, d * 10 + 10]
    assert [site.parameters for site in mt.open_model(f"zoo:{name}").sites.layers] == layers


def test_a_shortcut_takes_every_second_pixel_and_pads_channels_with_zeros_on_both_sides() -> None:
    block = ZOO["resnet20"].build().eval().layer2[0]
    nn.init.zeros_(block.bn2.weight)  # the other branch gives zero
    x = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        out = block(x)
    assert torch.equal(out[:, 8:24], x[:, :, [0, 2, 4, 6]][..., [0, 2, 4, 6]])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def residual(module: nn.Module, x: Tensor) -> Tensor:
    """ResNet-20 written out."""
    x = torch.relu(module.bn1(module.conv1(x)))
    for stage in (module.layer1, module.layer2, module.layer3):
        for block in stage:
            skip = x
            if block.conv1.stride == (2, 2):
                zeros = torch.zeros(len(x), x.shape[1] // 2, x.shape[2] // 2, x.shape[3] // 2)
                skip = torch.cat([zeros, F.max_pool2d(x, 1, stride=2), zeros], 1)
            x = torch.relu(block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x))))) + skip)
    return module.linear(x.mean((2, 3)))


def digits(module: nn.Module, x: Tensor) -> Tensor:
    for layer, pool in ((module.conv1, 2), (module.conv2, 2), (module.conv3, 3)):
        x = torch.relu(F.max_pool2d(layer(x), pool))  # pooling and rectifying commute
    logits = module.fc5(torch.relu(module.fc4(x.flatten(1))))
    return logits - logits.logsumexp(1, keepdim=True)


@pytest.mark.parametrize(("name", "computed"), [("resnet20", residual), ("simpleconvnet", digits)])
def test_a_network_computes_what_is_written_out_here(name, computed) -> None:
    model = mt.open_model(f"zoo:{name}")
    image = torch.linspace(-2, 2, 3 * torch.Size(model.preprocessing.shape).numel()).sin()
    image = image.view(3, *model.preprocessing.shape)
    with torch.no_grad():
        torch.testing.assert_close(model.module(image), computed(model.module, image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_names_as_many_classes_as_it_has_outputs(name) -> None:
    model = mt.open_model(f"zoo:{name}")
    assert mt.Specimen(model=model).classes == len(model.class_names) == 10
    assert model.preprocessing_from == f"zoo entry {name}"
