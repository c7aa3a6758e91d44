"""Two networks of one specimen: which may be compared, and in which layers."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.errors import NotApplicable
from microtome.network.pairing import need_same_classes, other_of, shared_layers
from toys import Plain, UNet, noise, opened, seeded

NEED = "Answers are compared class by class, so both networks need the same classes in the same order"


def pair(first: mt.Model, *others: mt.Model, **words) -> mt.Specimen:
    named = dict(zip("BCD", others, strict=False))
    return mt.Specimen(model=first, images=words.get("images", noise(first)), others=named)


def plain(*names: str, width: int = 3) -> mt.Model:
    module = seeded(Plain)
    module.fc = nn.Linear(5, width)
    return mt.open_model(module.eval(), size=12, mean=(0.5,) * 3, std=(0.3,) * 3, class_names=names)


def test_the_other_is_the_one_beside() -> None:
    assert other_of(pair(plain(), plain())) == "B"
    assert other_of(pair(plain(), plain(), plain())) == "B", "the others stand beside"
    only = dataclasses.replace(pair(plain()), others={"the other": plain()})
    assert other_of(only) == "the other"


@pytest.mark.parametrize(("names", "words"), [("", "by itself"), ("XY", "beside X, Y")])
def test_one_network_or_several_of_which_none_is_b_are_not_compared(names, words) -> None:
    with pytest.raises(NotApplicable) as caught:
        other_of(dataclasses.replace(pair(plain()), others={name: plain() for name in names}))
    assert caught.value.given == f"Plain is looked at {words}"
    assert caught.value.allowed == "Compared are two networks, on the same images"
    assert caught.value.next_step == "Compare with `microtome compare A B --images IMAGES`"


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(NotApplicable) as caught:
        need_same_classes(pair(plain(), plain(width=7)))
    assert caught.value.given == "A (Plain) has 3 classes and B (Plain) 7"
    assert (caught.value.allowed, caught.value.next_step) == (NEED, "Give two networks for the same task")


def test_classes_in_another_order_are_refused() -> None:
    with pytest.raises(NotApplicable) as caught:
        need_same_classes(pair(plain("cat", "dog", "cow"), plain("cat", "cow", "dog")))
    assert caught.value.given == "Class 1 is 'dog' to A (Plain) and 'cow' to B (Plain), and 2 of 3 classes differ"
    assert caught.value.allowed == NEED
    assert caught.value.next_step == (
        "Give two networks for the same task, or, if only names differ, the same class_names to both"
    )


@pytest.mark.parametrize("names", [("Cat", "polar_bear", "cow"), (), ("0", "1", "2"), ("n01440764", "n2", "n3")])
def test_names_that_say_the_same_or_nothing_are_no_difference(names) -> None:
    need_same_classes(pair(plain("cat", "polar  bear", "cow"), plain(*names)))


@pytest.mark.parametrize("turned", [False, True])
def test_a_network_without_a_row_of_classes_is_refused(turned) -> None:
    models = [plain(), opened(seeded(UNet))]
    with pytest.raises(NotApplicable, match="UNet gives no row of classes for an image"):
        need_same_classes(pair(*(models[::-1] if turned else models)))


def test_layers_of_the_same_name_are_shared_whatever_their_width() -> None:
    wide = seeded(Plain)
    wide.conv2, wide.fc = nn.Conv2d(4, 9, 3, stride=2), nn.Linear(9, 3)
    specimen = pair(plain(), opened(wide.eval()))
    assert shared_layers(specimen) == {"conv1": True, "conv2": True, "fc": True}


def test_positions_of_maps_of_another_extent_do_not_correspond() -> None:
    other = seeded(Plain)
    other.conv2 = nn.Conv2d(4, 5, 3)
    assert shared_layers(pair(plain(), opened(other.eval()))) == {"conv1": True, "conv2": False, "fc": True}


def test_positions_do_not_correspond_where_the_pictures_are_others() -> None:
    first = plain()
    other = dataclasses.replace(first, preprocessing=dataclasses.replace(first.preprocessing, resize=14))
    images = mt.open_images(np.zeros((4, 3, 20, 20), np.uint8), first)
    assert set(shared_layers(pair(first, other, images=images)).values()) == {False}


def test_networks_without_a_common_layer_have_no_units_to_match() -> None:
    other = opened(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 3)).eval())
    with pytest.raises(NotApplicable) as caught:
        shared_layers(pair(plain(), other))
    assert caught.value.given.startswith(
        "No layer of Plain (conv1, conv2, fc, ...) has the name of one of Sequential ("
    )
    assert caught.value.allowed == "Units are matched layer by layer, between layers of the same name"
    assert caught.value.next_step == "Compare networks of one architecture, or a network with its pruned copy"


def test_pairs_leave_the_networks_as_they_are() -> None:
    first = plain()
    before = {name: value.clone() for name, value in first.module.state_dict().items()}
    need_same_classes(pair(first, plain()))
    assert all(torch.equal(value, before[name]) for name, value in first.module.state_dict().items())
