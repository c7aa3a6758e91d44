"""Classes by number and by name."""

import re

import pytest
from torch import nn

import microtome as mt
from microtome.errors import NotApplicable, UnknownName, UsageError
from microtome.network.classes import class_number, class_words, logits_address, logits_site
from toys import Embedding, Plain, UNet, opened, seeded


def named(*names: str) -> mt.Model:
    return mt.open_model(seeded(Plain), size=12, class_names=names)


def test_a_class_is_its_number_or_its_name_in_any_case() -> None:
    model = named("Crane", "crane", "drake")
    assert [class_number(model, text) for text in ("2", 2, "drake", "DRAKE", "Crane", "crane")] == [2, 2, 2, 2, 0, 1]
    assert class_words(model, 2) == "drake (class 2)"


def test_without_names_classes_are_numbers() -> None:
    model = opened(seeded(Plain))
    assert class_number(model, "1") == 1 and class_words(model, 1) == "class 1"


def test_logits_are_the_output_or_what_a_softmax_at_the_end_is_given() -> None:
    assert str(logits_address(opened(seeded(Plain)))) == "fc"
    assert str(logits_address(opened(nn.Sequential(seeded(Plain), nn.Softmax(1))))) == "1:in"
    assert str(logits_address(mt.open_model("zoo:simpleconvnet"))) == "log_softmax:in"
    assert str(logits_address(opened(seeded(Embedding)))) == "normalize"


def test_the_site_that_gives_the_logits_is_before_a_softmax() -> None:
    assert logits_site(opened(seeded(Plain))) == "fc"
    assert logits_site(opened(nn.Sequential(seeded(Plain), nn.Softmax(1)))) == "0.fc"
    assert logits_site(mt.open_model("zoo:simpleconvnet")) == "fc5"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("3", UnknownName, "Class 3 of Plain does not exist. Its classes are 0 to 2. Classes count from 0: give one of "
                           "them."),
        ("drak", UnknownName, "Class 'drak' does not exist. There are: crane, crane, drake. Did you mean 'drake'?"),
        ("CRANE", UsageError, "2 classes are called 'CRANE': 0, 1. A name has to mean one class. Give its number."),
    ],
)  # fmt: skip
def test_a_class_that_there_is_not_or_twice_is_refused(given, error, message) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        class_number(named("crane", "crane", "drake"), given)


def test_a_network_without_a_row_of_classes_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"^UNet gives no row of classes for an image, but 2 x 12 x 12 \(at out\)"):
        class_number(opened(seeded(UNet)), "0")
