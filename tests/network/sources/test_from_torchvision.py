"""Networks of torchvision that are no classifiers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

import microtome as mt
from microtome.errors import BadModel


def test_a_network_for_segmentation_is_opened_in_the_middle_of_its_images() -> None:
    model, entry = mt.open_model("torchvision:lraspp_mobilenet_v3_large"), models.get_model_weights(
        "lraspp_mobilenet_v3_large").DEFAULT  # fmt: skip
    assert (model.preprocessing.resize, model.preprocessing.size) == (520, (520, 520))
    assert model.preprocessing.mean == tuple(entry.transforms().mean)
    assert model.preprocessing.std == tuple(entry.transforms().std)
    assert model.notes == ("torchvision gives this network whole images; here it sees the middle 520 x 520 of each",)
    assert model.sites[model.sites.output].shape == (21, 520, 520)
    assert mt.Specimen(model=model).classes == 0


def test_weights_with_the_head_that_only_training_uses_are_loaded(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    state = {key: torch.zeros_like(tensor, device="cpu") for key, tensor in module.state_dict().items()}
    assert any(key.startswith("aux_classifier.") for key in state)
    save_file(state, tmp_path / "w.safetensors")
    model = mt.open_model(f"torchvision:fcn_resnet50@{tmp_path / 'w.safetensors'}")
    assert not any(parameter.any() for parameter in model.module.parameters())


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("raft_small", "OpticalFlow"),
        ("r3d_18", "VideoClassification"),
        ("ssdlite320_mobilenet_v3_large", "ObjectDetec"),
    ],
)
def test_a_network_for_other_things_is_refused_before_anything_is_fetched(name, preset, monkeypatch) -> None:
    monkeypatch.setattr(models, "get_model", None)
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"torchvision:{name}")
    assert caught.value.given.startswith(f"{name} comes with {preset}")
    assert caught.value.given.endswith(", which is the preset of no classifier and no segmentation")
    assert caught.value.allowed == "Models opened by name need a preset for single images with resize, mean and std"
    assert caught.value.next_step == "Build the model yourself and pass it to open_model with size, mean and std"
