"""What a specimen knows of its model and images."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable
from toys import Embedding, InPlace, Plain, Tokens, noise, opened, seeded


class PerPixel(nn.Module):
    """Answers with a map, not with one row an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class AcrossImages(nn.Module):
    """Mixes all images of a batch before its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.conv(x)).permute(0, 2, 3, 1).flatten(0, 2))


@pytest.mark.parametrize(("build", "classes"), [(Plain, 3), (Tokens, 3), (PerPixel, 0), (AcrossImages, 0)])
def test_classes_are_the_length_of_the_output_row(build, classes) -> None:
    assert mt.Specimen(model=opened(seeded(build))).classes == classes


@pytest.mark.parametrize(
    ("labels", "labelled"), [([0, 1, 2], True), ([-1, 0, -1], True), ([-1, -1, -1], False), ([0, 1, 3], False)]
)
def test_a_specimen_is_labelled_if_its_labels_fit_the_output(labels, labelled) -> None:
    model = opened(seeded(Plain))
    images = dataclasses.replace(noise(model, 3), labels=np.array(labels))
    assert mt.Specimen(model=model, images=images).labelled == labelled
    assert not mt.Specimen(model=model).labelled


def test_every_layer_is_mapped_to_the_site_where_its_units_are_read() -> None:
    specimen = mt.Specimen(model=opened(seeded(InPlace)))
    assert [site.name for site in specimen.layers] == ["conv1", "conv2", "fc"]
    assert specimen.reading() == {"conv1": "act", "conv2": "conv2", "fc": "fc"}


def test_a_layer_behind_a_mix_of_images_is_not_read() -> None:
    assert mt.Specimen(model=opened(seeded(AcrossImages))).reading() == {"conv": "relu"}


def test_a_network_without_layers_has_nothing_to_read() -> None:
    with pytest.raises(NotApplicable) as caught:
        mt.Specimen(model=opened(nn.Sequential(nn.ReLU()))).reading()
    assert caught.value.given == "Sequential has no layer with one row an image among its 0 layers"
    assert caught.value.allowed == "Units are the outputs of convolutions and linear layers"
    assert caught.value.next_step == "Give a network that has some"


def test_labels_that_do_not_fit_the_outputs_are_refused_with_what_is_known_of_them() -> None:
    model = opened(seeded(Plain))
    unlabelled = dataclasses.replace(noise(model, 3), labels=np.full(3, -1), labelling="no labels: none given")
    with pytest.raises(NotApplicable) as caught:
        mt.Specimen(model=model, images=unlabelled).need_labels()
    assert caught.value.given == "The images have no labels that fit the 3 outputs (no labels: none given)"
    assert caught.value.allowed == "Speaking of classes needs labelled images"
    assert caught.value.next_step == "Give images in one folder a class"


@pytest.mark.parametrize(
    ("names", "highest", "labelled"),
    [
        ((), 2, False),  # the three classes of the images are not the sixteen outputs
        ((), 9, True),  # labels beyond the images' own classes number the outputs
        (("a",) * 16, 2, True),  # the network says that its outputs are classes
        (("a",) * 3, 2, False),  # what it names are not its outputs
        (("a",) * 16, 16, False),
    ],
)
def test_labels_of_another_number_of_classes_do_not_fit_outputs_without_names(names, highest, labelled) -> None:
    model = dataclasses.replace(opened(seeded(Embedding)), class_names=names)
    images = dataclasses.replace(noise(model, 3), labels=np.array([0, 1, highest]))
    assert mt.Specimen(model=model, images=images).labelled == labelled


def test_labels_of_another_number_of_classes_are_refused_with_both_numbers() -> None:
    model = opened(seeded(Embedding))
    with pytest.raises(NotApplicable) as caught:
        mt.Specimen(model=model, images=noise(model, 3)).need_labels()
    assert caught.value.given == (
        "The images are of 3 classes, with labels up to 2, and the network has 16 outputs (labels of the data set)"
    )
    assert caught.value.allowed.startswith("Speaking of classes needs one output a class of the images, or outputs wh")
    assert caught.value.next_step.startswith("If its outputs are classes, give open_model their class_names; else")


def test_a_network_that_gives_maps_is_not_asked_about_classes() -> None:
    model = opened(seeded(PerPixel))
    with pytest.raises(NotApplicable) as caught:
        mt.Specimen(model=model, images=noise(model, 3)).need_labels()
    assert caught.value.given == "PerPixel gives no row of classes for an image, but 4 x 12 x 12 (at relu)"
    assert caught.value.allowed == "Speaking of classes needs a network that classifies whole images"
    assert caught.value.next_step == "Read the other analyses, or give a classifier"


def test_an_analysis_without_images_is_told_to_give_some() -> None:
    with pytest.raises(NotApplicable) as caught:
        mt.Specimen(model=opened(seeded(Plain))).need_images("activity")
    assert caught.value.given == "activity was given no images"
    assert caught.value.allowed == "activity measures on images"
    assert caught.value.next_step == "Give an image source"


def test_receptive_fields_of_a_model_in_training_mode_leave_its_batch_norm_alone() -> None:
    module = seeded(Plain).train()
    mean = module.bn.running_mean.clone()
    assert mt.Specimen(model=opened(module)).receptive_fields["conv2"].rows.stride == 2
    assert torch.equal(module.bn.running_mean, mean)
    assert module.bn.training
