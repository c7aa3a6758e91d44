"""Opening a network: by name, with a file of weights, or a module of one's own."""

import pytest
import torch
from torch import nn
from torchvision import models

import microtome as mt
from microtome.errors import BadModel, ModelFailed, UnknownName
from toys import InPlace, Plain, opened, seeded


def test_a_network_opened_by_name_is_torchvisions() -> None:
    model = mt.open_model("torchvision:squeezenet1_1")
    assert isinstance(model.module, models.SqueezeNet)
    assert model.parameters == sum(p.numel() for p in models.squeezenet1_1().parameters()) == 1_235_496
    assert not model.module.training
    assert (model.name, model.weights) == ("squeezenet1_1", "random weights (seed 0)")


@pytest.mark.parametrize(("name", "resize", "crop"), [("squeezenet1_1", 256, 224), ("efficientnet_b1", 255, 240)])
def test_preprocessing_and_classes_are_those_of_torchvisions_weights_entry(name, resize, crop) -> None:
    model, entry = mt.open_model(f"torchvision:{name}"), models.get_model_weights(name).DEFAULT
    assert (model.preprocessing.resize, model.preprocessing.size) == (resize, (crop, crop))
    assert model.preprocessing.mean == tuple(entry.transforms().mean)
    assert model.preprocessing.std == tuple(entry.transforms().std)
    assert model.preprocessing.interpolation == entry.transforms().interpolation.value
    assert model.class_names == tuple(entry.meta["categories"])
    assert model.preprocessing_from == f"torchvision's entry {entry}"


@pytest.mark.parametrize("name", ["zoo:resnet20", "torchvision:squeezenet1_1"])
def test_random_weights_are_the_same_every_time_and_leave_the_random_state_alone(name) -> None:
    prints = set()
    for seed in (3, 4):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        prints.add(mt.open_model(name).fingerprint)
        assert torch.equal(torch.get_rng_state(), before)
    assert len(prints) == 1


@pytest.mark.parametrize("name", ["fc.bias", "bn.running_mean"])
def test_a_fingerprint_changes_with_the_last_bit_of_one_weight_or_buffer(name) -> None:
    model, changed = opened(seeded(Plain)), opened(seeded(Plain))
    assert model.fingerprint == changed.fingerprint
    tensor = changed.module.state_dict()[name]
    tensor[1] = torch.nextafter(tensor[1], torch.tensor(9.0))
    assert opened(changed.module).fingerprint != model.fingerprint


def test_a_module_of_ones_own_is_kept_as_it_is() -> None:
    module = InPlace().train()
    model = mt.open_model(module, size=(20, 30), mean=(0.1, 0.2, 0.3), std=(1, 2, 3), class_names=["a", "b", "c"])
    assert model.module is module
    assert module.training
    assert (model.name, model.weights, model.class_names) == ("InPlace", "as given", ("a", "b", "c"))
    assert (model.preprocessing.shape, model.preprocessing.resize) == ((3, 20, 30), 20)
    assert (model.preprocessing.mean, model.preprocessing.std) == ((0.1, 0.2, 0.3), (1, 2, 3))
    assert model.preprocessing_from == "given: size, mean, std"
    assert model.sites["conv1"].shape == (4, 20, 30)


@pytest.mark.parametrize(("channels", "mean"), [(3, (0.485, 0.456, 0.406)), (1, (0.0,)), (4, (0.0,) * 4)])
def test_of_a_module_nothing_is_known_but_the_channels_of_its_first_convolution(channels, mean) -> None:
    model = mt.open_model(nn.Sequential(nn.ReLU(), nn.Conv2d(channels, 2, 1)))
    assert (model.preprocessing.shape, model.preprocessing.mean) == ((channels, 224, 224), mean)
    assert model.preprocessing_from == "defaults (nothing was given)"


def test_weights_of_a_layer_are_its_modules() -> None:
    model = opened(seeded(Plain))
    for name in ("conv1", "fc"):
        assert torch.equal(model.weight(name), model.module.get_submodule(name).weight)
        assert not model.weight(name).requires_grad


def test_weights_of_a_transposed_convolution_have_its_units_in_front() -> None:
    module = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2))
    weight = mt.open_model(module, size=8).weight("0")
    assert weight.shape == (6, 2, 3, 3)
    for unit in range(6):  # unit u of group g reads the two channels of its group
        group, place = divmod(unit, 3)
        assert torch.equal(weight[unit], module[0].weight[2 * group : 2 * group + 2, place])


def test_a_site_without_weights_is_told_so() -> None:
    with pytest.raises(UnknownName) as caught:
        opened(seeded(Plain)).weight("act")
    assert caught.value.given == "Site 'act' holds no weights"
    assert caught.value.allowed == "Layers with weights are: conv1, conv2, fc"
    assert caught.value.next_step == "Name one of them"


def test_a_wrapper_for_several_devices_is_opened_and_its_prefix_kept() -> None:
    sites = opened(nn.DataParallel(seeded(InPlace))).sites
    assert list(sites) == [f"module.{name}" for name in opened(seeded(InPlace)).sites]


@pytest.mark.parametrize(
    ("source", "given", "allowed", "next_step"),
    [
        (
            "tv:resnet18",
            "Model scheme 'tv'",
            "torchvision, timm, zoo, file, scratch",
            "Write torchvision:NAME[@WEIGHTS], t",
        ),
        (
            "resnet18",
            "Model scheme 'resnet18'",
            "torchvision, timm, zoo, file, scratch",
            "Write torchvision:NAME[@WEIGHTS], t",
        ),
        ("zoo:simpelnet", "Zoo network 'simpelnet'", "simpleconvnet, s", "Did you mean 'simpleconvnet'? Write zoo:"),
        ("torchvision:resnet19", "torchvision model 'resnet19'", "alexnet, ", "Did you mean 'resnet1"),
        ("torchvision:alexnet@V9", "Weights entry 'V9'", "IMAGENET1K_V1", "Give one of them, DEFAULT, or a file of w"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_the_choices(source, given, allowed, next_step) -> None:
    with pytest.raises(UnknownName) as caught:
        mt.open_model(source)
    assert caught.value.given == f"{given} does not exist"
    assert caught.value.allowed.startswith(f"There are: {allowed}")
    assert caught.value.next_step.startswith(next_step)
    assert caught.value.exit_code == 2


def test_named_weights_that_cannot_be_fetched_are_reported(monkeypatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(models.SqueezeNet1_1_Weights, "get_state_dict", offline)
    with pytest.raises(BadModel) as caught:
        mt.open_model("torchvision:squeezenet1_1@DEFAULT")
    assert (
        caught.value.given == "The weights SqueezeNet1_1_Weights.IMAGENET1K_V1 could not be fetched: no route to host"
    )
    assert caught.value.allowed == "Named weights come from the network or from torch's cache"
    assert caught.value.next_step == "Give a file instead: torchvision:NAME@FILE.safetensors"


def test_finding_sites_of_a_module_that_is_given_too_small_images_says_so() -> None:
    with pytest.raises(ModelFailed, match="Give the input size it was made for"):
        mt.open_model(seeded(Plain), size=1).sites  # noqa: B018
