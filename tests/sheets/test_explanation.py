"""What a unit means."""

import re

import numpy as np
import pytest

import microtome as mt
from microtome.errors import NotApplicable, UnknownName, UsageError
from microtome.sheets.explanation import aim_at, answer_of, parse_position
from toys import Plain, UNet, noise, opened, prepared, seeded


@pytest.fixture
def model() -> mt.Model:
    return mt.open_model(seeded(Plain), size=12, mean=(0.5,) * 3, std=(0.5,) * 3, class_names=("cat", "dog", "eel"))


def pixels(model: mt.Model) -> np.ndarray:
    return noise(model)[0]


def test_a_unit_is_a_channel_of_a_site_perhaps_at_a_position(model) -> None:
    aim = aim_at(model, "conv2:3", pixels(model))
    assert (aim.words, aim.site, aim.channel, aim.at, aim.number) == ("conv2:3", "conv2", 3, None, None)
    assert aim_at(model, "conv2:3@1,2", pixels(model)).at == (1, 2)
    assert aim_at(model, "conv2:3@1,2", pixels(model), (4, 0)).at == (4, 0)


@pytest.mark.parametrize("unit", ["class:eel", "class:EEL", "class:2", 2])
def test_a_class_has_a_name_or_a_number(model, unit) -> None:
    aim = aim_at(model, unit, pixels(model))
    assert (aim.words, aim.site, aim.channel, aim.number) == ("eel (class 2)", "fc", 2, 2)


def test_class_alone_is_the_networks_answer(model) -> None:
    logits = model.module(prepared(model, noise(model)))
    for place in range(10):
        assert answer_of(model, noise(model)[place]) == int(logits[place].argmax())
    assert aim_at(model, "class", pixels(model)).number == int(logits[0].argmax())


@pytest.mark.parametrize(
    ("unit", "at", "error", "message"),
    [
        ("conv2:9", None, UnknownName, "Unit 9 of conv2 does not exist. Its units are 0 to 4. Units count from 0: give "
                                       "one of them."),
        ("conv9:0", None, UnknownName, "Site 'conv9' does not exist."),
        ("conv2", None, UnknownName, "Unit 'conv2' cannot be read."),
        ("class:emu", None, UnknownName, "Class 'emu' does not exist. There are: cat, dog, eel."),
        ("class:3", None, UnknownName, "Class 3 of Plain does not exist."),
        ("class:1", (0, 0), UsageError, "Position 0,0 was given for class:1. Only units of maps have positions. Leave "
                                        "--at out, or name a unit SITE:CHANNEL."),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(model, unit, at, error, message) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        aim_at(model, unit, pixels(model), at)


def test_a_network_without_classes_has_no_answer() -> None:
    model = opened(seeded(UNet))
    with pytest.raises(NotApplicable, match="^UNet gives no row of classes"):
        aim_at(model, "class", pixels(model))


def test_a_position_is_a_row_and_a_column() -> None:
    assert parse_position("6,17") == (6, 17)
    with pytest.raises(UsageError, match=r"^Position '6x7' cannot be read\. A position is ROW,COLUMN in the map"):
        parse_position("6x7")
