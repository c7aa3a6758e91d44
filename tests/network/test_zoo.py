"""The reference networks against their papers and against the same computation written out."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.training import Recipe, train
from microtome.network.zoo import ZOO
from toys import noise


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


def parameters_of_a_stack(widths, linear, batch_norm):
    """Counted by hand: 9 weights a pair of channels and a bias; a scale and a shift a channel; linear layers."""
    channels = [3, *widths]
    count = sum(9 * a * b + b + (2 * b if batch_norm else 0) for a, b in itertools.pairwise(channels))
    return count + sum(a * b + b for a, b in itertools.pairwise(linear))


STACKS = {
    "lenet9": ([6, 6, 16, 16, 64, 64], [1024, 120, 84, 10], False, 183_920),
    "vgg9": ([64, 64, 128, 128, 256, 256], [4096, 512, 512, 10], False, 3_510_858),
    "vgg11": ([64, 128, 256, 256, 512, 512, 512, 512], [512, 512, 512, 10], True, 9_756_426),
}


@pytest.mark.parametrize("name", STACKS)
def test_plain_stacks_have_the_layers_and_parameters_of_the_documents(name) -> None:
    widths, linear, batch_norm, known = STACKS[name]
    model = mt.open_model(f"zoo:{name}")
    assert model.parameters == parameters_of_a_stack(widths, linear, batch_norm) == known
    layers = [model.module.get_submodule(site.name) for site in model.sites.layers]
    assert [layer.weight.shape[0] for layer in layers] == [*widths, *linear[1:]]
    assert sum(isinstance(part, nn.BatchNorm2d) for part in model.module.modules()) == batch_norm * len(widths)
    assert sum(isinstance(part, nn.Dropout) for part in model.module.modules()) == 2


@pytest.mark.parametrize(("name", "sides"), [("vgg9", (32, 32, 16, 16, 8, 8)), ("vgg11", (32, 16, 8, 8, 4, 4, 2, 2))])
def test_maps_of_a_plain_stack_are_halved_by_its_pools(name, sides) -> None:
    layers = mt.open_model(f"zoo:{name}").sites.layers
    assert [site.extent for site in layers if len(site.shape) == 3] == [(side, side) for side in sides]


def test_weights_of_a_stack_without_batch_norm_are_drawn_by_xaviers_rule_for_rectifiers() -> None:
    module = mt.open_model("zoo:vgg9").module
    for name, fan in (("features.2", 9 * 64 + 9 * 64), ("features.5", 9 * 64 + 9 * 128), ("classifier.0", 4096 + 512)):
        layer = module.get_submodule(name)
        assert float(layer.weight.detach().std()) == pytest.approx((2 * 2 / fan) ** 0.5, rel=0.02)
        assert not layer.bias.any()


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


def stack(module: nn.Module, x: Tensor) -> Tensor:
    """A plain stack written out: convolution, maybe batch norm, rectifier; pools; linear layers."""
    parts = list(module.features)
    for place, part in enumerate(parts):
        if isinstance(part, nn.Conv2d):
            x = F.conv2d(x, part.weight, part.bias, padding=1)
            if isinstance(parts[place + 1], nn.BatchNorm2d):
                norm = parts[place + 1]
                x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            x = x.clamp(min=0)
        elif isinstance(part, nn.MaxPool2d):
            x = F.max_pool2d(x, 2)
    first, second, last = (module.classifier[place] for place in (0, 3, 6))
    return last(second(first(x.flatten(1)).clamp(min=0)).clamp(min=0))


COMPUTED = [("resnet20", residual), ("simpleconvnet", digits), ("lenet9", stack), ("vgg11", stack)]


@pytest.mark.parametrize(("name", "computed"), COMPUTED)
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


def test_pixels_of_cifar_are_normalised_as_the_document_of_the_network_does() -> None:
    for name in ("lenet9", "vgg9"):
        expected = mt.open_model(f"zoo:{name}").preprocessing
        assert [round(255 * value, 9) for value in expected.mean] == [125.3, 123.0, 113.9]
        assert [round(255 * value, 9) for value in expected.std] == [63.0, 62.1, 66.7]
    expected = mt.open_model("zoo:vgg11").preprocessing
    assert (expected.mean, expected.std) == ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))


RECIPES = {
    # He et al., section 4.2: batches of 128, rate 0.1 divided by 10 at 32k and 48k of 64k steps, decay 0.0001
    "resnet20": ("sgd", 128, 0.1, 0.9, 1e-4, "step", 4, True, {0: 0.1, 31_000: 0.1, 32_100: 0.01, 48_100: 0.001}),
    # 75 epochs of 500 steps, divided by 10 every 20 epochs
    "vgg9": ("sgd", 100, 0.01, 0.9, 5e-4, "step", 4, True, {9_999: 0.01, 10_000: 1e-3, 20_000: 1e-4, 30_000: 1e-5}),
    "vgg11": ("sgd", 256, 0.01, 0.0, 0.0, "constant", 0, False, {0: 0.01, 19_000: 0.01}),
}
TRAINED_ON = {"resnet20": 45_000, "vgg9": 50_000, "vgg11": 50_000}


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_of_a_network_is_that_of_its_paper(name) -> None:
    optimizer, batch, rate, momentum, decay, schedule, shift, flip, rates = RECIPES[name]
    recipe = ZOO[name].recipe
    assert (recipe.optimizer, recipe.batch_size, recipe.rate, recipe.momentum) == (optimizer, batch, rate, momentum)
    assert (recipe.weight_decay, recipe.schedule, recipe.shift, recipe.flip) == (decay, schedule, shift, flip)
    steps = recipe.epochs * recipe.batches(TRAINED_ON[name])
    assert {step: rate * recipe.factor(step, steps) for step in rates} == pytest.approx(rates)


def test_networks_of_one_kind_share_a_recipe() -> None:
    assert ZOO["lenet9"].recipe == ZOO["vgg9"].recipe
    assert len({ZOO[f"resnet{depth}"].recipe for depth in (20, 32, 44, 56)}) == 1
    assert ZOO["simpleconvnet"].recipe == ZOO["simpleconvnet_pruned"].recipe == Recipe()


@pytest.mark.parametrize("name", STACKS)
def test_a_few_steps_of_its_recipe_lower_a_networks_loss(name) -> None:
    model = mt.open_model(f"zoo:{name}")
    images = noise(model, 8)
    recipe = dataclasses.replace(ZOO[name].recipe, epochs=5, batch_size=8, shift=0, flip=False, rate=0.01)
    made = train(model.module, images, images, model.preprocessing, recipe)
    assert made.loss[-1] < made.loss[0]
