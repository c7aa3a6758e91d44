import numpy as np
import pytest

import microtome as mt
from microtome.errors import UsageError
from microtome.network.surgery.couplings import couplings
from microtome.network.surgery.removing import counted, remove_channels
from microtome.workflows.prune.rounds import refused_groups
from microtome.workflows.prune.settings import Settings, count_left, final_widths, width_at


def free_of(model):
    of = couplings(model)
    stays = refused_groups(model, of)
    return of, [group for group in of.groups if not group.reason and tuple(group.channels) not in stays]


def test_widths_fall_by_the_same_share_in_every_round():
    assert [width_at(32, 8, k, 7) for k in range(8)] == [32, 26, 22, 18, 14, 12, 10, 8]
    assert [width_at(128, 24, k, 7) for k in range(8)] == [128, 101, 79, 62, 49, 39, 30, 24]


def test_the_documents_widths_are_13618_parameters():
    model = mt.open_model("zoo:simpleconvnet")
    of, free = free_of(model)
    widths = final_widths(model, of, free, "conv1=8,conv2=16,conv3=24,fc4=16")
    assert widths == {("conv1",): 8, ("conv2",): 16, ("conv3",): 24, ("fc4",): 16}
    assert count_left(model, of, widths, free)["parameters"] == 13_618


@pytest.mark.parametrize("name", ["zoo:simpleconvnet", "zoo:resnet20", "torchvision:mobilenet_v3_small"])
def test_what_is_counted_beforehand_is_what_is_left_afterwards(name):
    model = mt.open_model(name)
    of, free = free_of(model)
    widths = {tuple(group.channels): max(1, group.width // 2) for group in free}
    channels: dict[str, list[int]] = {}
    for group in free:
        layer = next(iter(group.channels))
        for cell in range(widths[tuple(group.channels)], group.width):
            channels.setdefault(layer, []).extend(group.channels[layer][cell])
    left = counted(remove_channels(model, channels, known=of).model)
    assert count_left(model, of, widths, free) == left


@pytest.mark.parametrize(
    ("target", "what", "most"), [("macs=70%", "macs", 0.7), ("parameters=100000", "parameters", 0)]
)
def test_a_target_is_reached_and_not_missed_by_much(target, what, most):
    model = mt.open_model("zoo:resnet20")
    of, free = free_of(model)
    wanted = most * counted(model)[what] or 100_000
    found = count_left(model, of, final_widths(model, of, free, target), free)[what]
    assert 0.97 * wanted <= found <= wanted


def test_refused_groups_of_an_option_a_network_are_named_with_their_reason():
    model = mt.open_model("zoo:resnet20")
    stays = refused_groups(model, couplings(model))
    assert {layers[0] for layers in stays} == {"layer2.0.conv2", "layer3.0.conv2"}
    assert all("no longer fit" in why for why in stays.values())


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("half", "Target 'half' cannot be read. A target is parameters=NUMBER"),
        ("parameters=0", "Target 'parameters=0' asks for 0 of 265,930"),
        ("parameters=120%", "asks for 120% of 265,930"),
        ("parameters=many", "asks for many of 265,930"),
        ("parameters=50", "Target parameters=50 cannot be reached. With one channel left of every group there are"),
        (
            "fc5=3",
            "Target 'fc5=3' names 'fc5', of which no channel can go. Channels can go of: conv1, conv2, conv3, fc4",
        ),
    ],
)
def test_a_target_that_cannot_be_is_explained(target, words):
    model = mt.open_model("zoo:simpleconvnet")
    of, free = free_of(model)
    with pytest.raises(UsageError) as caught:
        final_widths(model, of, free, target)
    assert words in str(caught.value)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="rounds is 0"):
        Settings(rounds=0)
    with pytest.raises(UsageError, match="There is no baseline 'luck'. There are: magnitude, random, unpruned"):
        Settings(baselines=("luck",))  # type: ignore[arg-type]
    assert np.array_equal(Settings(baselines=()).arms, ["criteria"])
