"""What an analysis says of layers built by hand: planted changes are found, and nothing is where nothing changed."""

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.analyses.handnet import NOTHING, Handnet, HandnetResult
from microtome.cards import Pictures, Table, Text
from microtome.errors import NotApplicable
from microtome.formulas.labels import label_kernels
from microtome.network.zoo.handnet import LABELS, HandNet2
from microtome.runs.runner import Look


def look(model) -> HandnetResult:
    return Look(mt.Specimen(model=model)).run([Handnet()]).results["handnet"]


@pytest.fixture
def turned() -> HandnetResult:
    """The first line turned by a right angle, the second by 10 degrees, a window moved up by 2."""
    model = mt.open_model("zoo:handnet2")
    lines, windows = (model.module.get_submodule(f"{name}.parametrizations.weight.0") for name in ("conv1", "windows"))
    with torch.no_grad():
        lines.angle[0] += np.pi / 2
        lines.angle[1] -= np.deg2rad(10)
        windows.up[7] += 2
    return look(model)


def test_as_built_nothing_has_changed() -> None:
    result = look(mt.open_model("zoo:handnet2"))
    (finding,) = result.findings()
    assert finding.sentence == f"8 of 8 filters of conv1 look for what they were built for. {NOTHING}"
    assert finding.control.startswith("with their words dealt out at random 1.0 would; with their weights shuffled")
    assert result.asked["conv1"] == result.words["conv1"] == LABELS
    for layer in ("conv1", "windows"):
        np.testing.assert_allclose(result.likeness[layer], 1, atol=1e-6)


def test_a_line_that_was_turned_is_found_with_its_angle_and_its_new_words(turned) -> None:
    lines, windows = turned.findings()
    assert lines.sentence == ("7 of 8 filters of conv1 look for what they were built for; lines have turned by 0 "
                              "degrees (median), conv1:0 the furthest, by 90")  # fmt: skip
    assert (lines.number, lines.link) == (7, "#/layer/conv1")
    assert turned.asked["conv1"][0] == "line at slope 45" and turned.words["conv1"][0] == "line at slope 135"
    np.testing.assert_allclose(np.abs(turned.changed("conv1")[:, 0]), [90, 10, 0, 0, 0, 0, 0, 0], atol=1e-3)
    assert windows.sentence.startswith("Of the other layers built by hand, windows has moved furthest")
    moved = np.flatnonzero(np.abs(turned.changed("windows")).max(1) > 1e-6)
    assert moved.tolist() == [7]


def test_likeness_is_the_cosine_of_the_kernels_and_words_are_those_of_labels(turned) -> None:
    model = mt.open_model("zoo:handnet2")
    before = model.weight("conv1")[:, 0].double().numpy()
    flat = before.reshape(8, -1)
    assert turned.likeness["conv1"][2] == pytest.approx(1, abs=1e-6)
    assert turned.likeness["conv1"][0] == pytest.approx(float(flat[0] @ flat[1]), abs=1e-5)  # 45 turned is 135
    cosines = flat @ flat.T
    assert turned.between["conv1"] == pytest.approx(np.median(cosines[np.triu_indices(8, 1)]), abs=1e-6)
    assert list(turned.asked["conv1"]) == [label.words for label in label_kernels(before)]


def test_angles_change_by_the_shorter_way() -> None:
    model = mt.open_model(HandNet2.from_labels(["horizontal line", "line at slope 135"]), size=28, mean=(0,), std=(1,))
    with torch.no_grad():
        model.module.conv1.parametrizations.weight[0].angle += torch.deg2rad(torch.tensor([170.0, 50.0]))
    result = look(model)
    np.testing.assert_allclose(result.changed("conv1")[:, 0], [-10, 50], atol=1e-3)
    assert result.words["conv1"][0] == "horizontal line"


def test_cards_tell_every_number_as_built_and_now(turned) -> None:
    cards = {(card.title, card.layer): card.content for card in turned.cards()}
    table = cards["Numbers of its kernels", "conv1"]
    assert isinstance(table, Table)
    assert table.header == ("unit", "theta", "offset", "sigma", "gain", "threshold", "looks for")
    assert table.rows[0] == ("conv1:0", "45 → 135", "0 → 0", "0.8 → 0.8", "1 → 1", "0.5 → 0.5", "line at slope 135")
    assert table.links[0] == "#/unit/conv1/0"
    words = cards["As built by hand", "windows"]
    assert isinstance(words, Text) and words.lines[7] == "up -2 → 0, right 0 → 0, sigma 1 → 1"
    pictures = cards["Its kernel, as built and now", "windows"]
    assert isinstance(pictures, Pictures) and pictures.pixels.shape == (72, 2, 7, 7, 3)


def test_combinations_are_told_by_their_strongest_channels() -> None:
    model = mt.open_model("zoo:handnet3")
    result = look(model)
    alpha = np.abs(result.now["conv2"][4, :, 0])
    (text,) = [c.content for c in result.cards() if (c.title, c.layer) == ("As built by hand", "conv2")]
    assert text.lines[4].startswith(f"channel {alpha.argmax()}: alpha ")
    assert text.lines[4].count("channel") == 3 and "conv2" not in result.pixels
    assert result.names["conv2"] == ("alpha", "up", "right", "sigma")


def test_a_network_without_such_layers_is_refused() -> None:
    with pytest.raises(NotApplicable) as caught:
        Handnet().check(mt.Specimen(model=mt.open_model("zoo:simpleconvnet_pruned")))
    assert caught.value.given == "simpleconvnet_pruned has no layer that was built by hand"
    assert caught.value.allowed == "Such layers are LineConv, ComboConv and WindowConv, as in zoo:handnet2"
    assert caught.value.next_step == "Build a network of them to ask this"
