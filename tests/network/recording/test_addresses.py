"""How sites and units are named: `SITE`, `SITE:in`, `LAYER:CHANNEL@ROW,COLUMN`, and calls that repeat."""

import pytest

from microtome.errors import UnknownName
from microtome.network.recording.addresses import Address, Namer, parse_unit
from toys import Plain, opened, seeded


def test_an_address_is_written_as_it_is_read() -> None:
    sites = opened(seeded(Plain)).sites
    for text in ("conv1", "conv1:in"):
        assert str(sites.address(text)) == text
    assert sites.address("conv1:in") == Address("conv1", inputs=True) != Address("conv1")


def test_an_address_ends_in_nothing_but_in() -> None:
    with pytest.raises(UnknownName) as caught:
        opened(seeded(Plain)).sites.address("conv1:out")
    assert caught.value.given == "Address 'conv1:out' ends in 'out'"
    assert caught.value.allowed == "A site's address is SITE or SITE:in"
    assert caught.value.next_step == "Did you mean 'conv1'?"


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("features.7.expand3x3:12", ("features.7.expand3x3", 12, None)),
        ("conv1:0@3,14", ("conv1", 0, (3, 14))),
        ("a:b:7", ("a:b", 7, None)),
    ],
)
def test_a_unit_address_is_layer_channel_and_maybe_position(text, unit) -> None:
    assert parse_unit(text) == unit


@pytest.mark.parametrize("text", ["conv1", "conv1:x", "conv1:-1", "conv1:3@4", ":3", "conv1:3 "])
def test_what_is_no_unit_address_is_refused_with_an_example(text) -> None:
    with pytest.raises(UnknownName) as caught:
        parse_unit(text)
    assert caught.value.given == f"Unit {text!r} cannot be read"
    assert caught.value.allowed == "A unit is LAYER:CHANNEL, counted from 0, or LAYER:CHANNEL@ROW,COLUMN"
    assert caught.value.next_step == "Write it like features.7.expand3x3:12"


def test_repeated_names_are_numbered_and_a_module_keeps_its_own() -> None:
    namer = Namer(["conv_1", "conv_2", "conv", "a.relu"])
    bases = ["conv_1", "conv_2", "conv", "conv_2", "conv", "a.relu", "relu", "a.relu"]
    assert [namer.name(base) for base in bases] == [
        "conv_1", "conv_2", "conv", "conv_2_1", "conv_3", "a.relu", "relu", "a.relu_1",
    ]  # fmt: skip
