"""Networks of timm, here a stand-in with the few names of it that are used."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import microtome as mt
from microtome.errors import BadModel, UnknownName
from toys import Plain

CONFIG = {
    "input_size": (3, 12, 12), "interpolation": "bicubic", "mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3),
    "crop_pct": 0.9, "crop_mode": "center",
}  # fmt: skip


@pytest.fixture
def config(monkeypatch) -> dict:
    """A timm with two networks; what it says of them can be changed."""
    config = dict(CONFIG)
    timm, data = ModuleType("timm"), ModuleType("timm.data")

    def create_model(name: str, pretrained: bool = False) -> nn.Module:
        if name == "toynet.nowhere":
            raise RuntimeError("Invalid pretrained tag (nowhere) for toynet.")
        module = Plain().train()
        if pretrained:
            nn.init.constant_(module.fc.bias, 5.0)
        module.pretrained_cfg = {"label_names": ["a", "b", "c"]} if name == "toynet.named" else {}
        return module

    timm.create_model, timm.list_models = create_model, lambda: ["toynet", "toynet_wide"]
    data.resolve_model_data_config = lambda module: config
    timm.data = data
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    return config


def test_a_network_has_the_preprocessing_of_its_configuration(config) -> None:
    model = mt.open_model("timm:toynet")
    assert (model.name, model.weights) == ("toynet", "random weights (seed 0)")
    assert model.module.fc.bias.abs().max() < 1  # none of timm's own were fetched
    found = model.preprocessing
    assert (found.shape, found.resize, found.interpolation) == ((3, 12, 12), 13, "bicubic")  # 12 / 0.9 = 13.3
    assert (found.mean, found.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    assert model.preprocessing_from == "timm's configuration of toynet"
    assert (model.class_names, model.notes) == ((), ())
    assert not model.module.training
    assert model.sites["conv1"].shape == (4, 12, 12)


def test_random_weights_are_the_same_every_time(config) -> None:
    assert mt.open_model("timm:toynet").fingerprint == mt.open_model("timm:toynet").fingerprint


def test_timms_own_weights_are_asked_for_by_default(config) -> None:
    model = mt.open_model("timm:toynet.named@DEFAULT")
    assert model.module.fc.bias.tolist() == [5.0] * 3
    assert (model.weights, model.class_names) == ("timm's own for toynet.named", ("a", "b", "c"))


def test_a_file_of_weights_is_loaded(config, tmp_path: Path) -> None:
    state = {key: tensor + 1 for key, tensor in mt.open_model("timm:toynet").module.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    model = mt.open_model(f"timm:toynet@{tmp_path / 'w.pth'}")
    assert model.weights == "w.pth"
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.module.state_dict().items())


def test_images_that_timm_would_squeeze_are_cropped_with_a_note(config) -> None:
    config["crop_mode"] = "squash"
    assert mt.open_model("timm:toynet").notes == (
        "timm prepares images that are not square by 'squash' for this network; here their middle is cut out",
    )


@pytest.mark.parametrize("change", [{"input_size": (3, 12, 10)}, {"interpolation": "lanczos"}])
def test_a_preparation_that_we_do_not_have_is_refused(config, change) -> None:
    config.update(change)
    _, height, width = config["input_size"]
    with pytest.raises(BadModel) as caught:
        mt.open_model("timm:toynet")
    assert caught.value.given == f"toynet expects {height} x {width} images, resized by {config['interpolation']}"
    assert (
        caught.value.allowed
        == "From timm are opened networks for squares, resized by one of: nearest, bilinear, bicubic"
    )
    assert caught.value.next_step == (
        "Build the model with timm.create_model and pass it to open_model with size, mean and std"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:toynett", r"timm model 'toynett' does not exist\. There are: toynet, toynet_wide\. Did you mean 'toyn"),
        ("timm:hf-hub:a/b", r"timm model 'hf-hub:a/b' does not exist\. .*`timm\.list_models\(\)` lists them"),
        ("timm:toynet@BEST", r"Weights entry 'BEST' does not exist\. There are: DEFAULT\. .*DEFAULT or a file of weig"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_the_choices(config, source, message) -> None:
    with pytest.raises(UnknownName, match=message):
        mt.open_model(source)


def test_what_timm_refuses_is_reported(config) -> None:
    with pytest.raises(BadModel) as caught:
        mt.open_model("timm:toynet.nowhere")
    assert caught.value.given == (
        "timm could not build toynet.nowhere (RuntimeError: Invalid pretrained tag (nowhere) for toynet.)"
    )
    assert caught.value.allowed == "NAME is an architecture of timm, with a dot and a tag for one of its weights"
    assert caught.value.next_step == "Check the tag and the network, or give a file instead: timm:NAME@FILE.safetensors"


def test_without_timm_one_is_told_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BadModel) as caught:
        mt.open_model("timm:resnet18")
    assert caught.value.given.startswith("timm is not installed here (")
    assert caught.value.allowed == "timm:NAME needs it, and it comes as an extra"
    assert caught.value.next_step == "pip install 'microtome[timm]'"
