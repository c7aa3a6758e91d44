"""A pruned network as a file: bit for bit, on the original constructor, through every way of opening weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import microtome as mt
from microtome.errors import BadModel
from microtome.network.cutting.kept import KEY, cuts_in, save_cut
from microtome.network.model import Model
from microtome.network.surgery.removing import remove_channels
from toys import Plain, opened, seeded


def pruned(name: str, *rounds: dict[str, list[int]]) -> Model:
    model = mt.open_model(name)
    for channels in rounds:
        model = remove_channels(model, channels).model
    return model


def kept(model: Model, path: Path) -> Path:
    save_cut(model.module, model.cuts, path)
    return path


@pytest.mark.parametrize(
    ("name", "rounds"),
    [
        ("zoo:simpleconvnet", [{"conv1": [0, 31], "fc4": [5]}, {"conv1": [0, 1], "conv3": [100]}]),
        ("zoo:resnet20", [{"conv1": [3], "layer2.0.conv1": [1, 2]}, {"layer1.0.conv2": [7]}]),
        ("torchvision:mobilenet_v3_small", [{"features.1.block.0.0": [2, 9]}, {"features.4.block.0.0": [0]}]),
    ],
)
def test_a_file_opens_bit_for_bit_on_the_original_constructor(tmp_path, name, rounds):
    model = pruned(name, *rounds)
    again = mt.open_model(f"{name}@{kept(model, tmp_path / 'slim.safetensors')}")
    ours, theirs = model.module.state_dict(), again.module.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    image = torch.randn(2, *model.preprocessing.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model.module(image), again.module(image))
    assert again.cuts == model.cuts
    assert again.weights == "slim.safetensors, without " + model.weights.partition(", without ")[2]
    assert again.parameters == model.parameters


def test_a_pruned_file_can_be_pruned_on(tmp_path):
    once = pruned("zoo:simpleconvnet", {"conv1": [2]})
    opened_again = mt.open_model(f"zoo:simpleconvnet@{kept(once, tmp_path / 'one.safetensors')}")
    twice = remove_channels(opened_again, {"conv1": [2]}).model  # number 3 of the whole network
    cuts = {cut.holder.name: cut for cut in cuts_in(kept(twice, tmp_path / "two.safetensors"))}
    assert cuts["conv1"].outs == (2, 3) and cuts["conv2"].ins == (2, 3)


def test_a_network_of_ones_own_is_opened_from_its_constructor_and_the_file(tmp_path):
    model = remove_channels(opened(seeded(Plain)), {"conv1": [1], "conv2": [0]}).model
    path = kept(model, tmp_path / "slim.safetensors")
    module = mt.load_pruned(Plain, path)
    assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), model.module.state_dict().values(),
                                                 strict=True))  # fmt: skip
    fresh = seeded(Plain)
    assert mt.load_pruned(fresh, path) is not fresh and fresh.conv1.out_channels == 4
    with pytest.raises(BadModel, match="A network is built by a function or class, or is a module"):
        mt.load_pruned("zoo:resnet20", path)


def test_the_list_says_which_channels_of_which_layer_went(tmp_path):
    path = kept(pruned("zoo:simpleconvnet", {"conv2": [4, 9]}), tmp_path / "slim.safetensors")
    with safe_open(path, "pt") as file:
        removed = json.loads(file.metadata()[KEY])
    by_layer = {cut["holder"]["name"]: (cut["outs"], cut["ins"]) for cut in removed["cuts"]}
    assert by_layer == {"conv2": ([4, 9], []), "conv3": ([], [4, 9])}


def test_a_file_for_another_architecture_is_refused(tmp_path):
    path = kept(pruned("zoo:simpleconvnet", {"conv2": [4]}), tmp_path / "slim.safetensors")
    with pytest.raises(BadModel, match=r"slim.safetensors takes channels out of conv2.weight, which is not there"):
        mt.open_model(f"zoo:resnet20@{path}")
    with pytest.raises(BadModel, match=r"conv2.weight, which is of shape 16 x 8 x 5 x 5"):
        mt.open_model(f"zoo:simpleconvnet_pruned@{path}")


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        '{"format": 2, "cuts": []}',
        '{"format": 1, "cuts": [{}]}',
        '{"format": 1, "cuts": 7}',
        "[" * 9999,
    ],
)
def test_a_damaged_list_is_named(tmp_path, text):
    path = tmp_path / "bad.safetensors"
    save_file(mt.open_model("zoo:simpleconvnet").module.state_dict(), path, {KEY: text})
    with pytest.raises(BadModel, match="The list of removed channels in bad.safetensors cannot be read"):
        mt.open_model(f"zoo:simpleconvnet@{path}")


@pytest.mark.parametrize("outs", [[99], [-1], list(range(64))])
def test_a_list_that_cannot_be_is_refused(tmp_path, outs):
    good = kept(pruned("zoo:simpleconvnet", {"conv2": [4]}), tmp_path / "slim.safetensors")
    with safe_open(good, "pt") as file:
        removed = json.loads(file.metadata()[KEY])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    removed["cuts"][0]["outs"] = outs
    path = tmp_path / "bad.safetensors"
    save_file(state, path, {KEY: json.dumps(removed)})
    with pytest.raises(BadModel, match="Removed channels are those of the network that was pruned|of another shape"):
        mt.open_model(f"zoo:simpleconvnet@{path}")


def test_weights_of_the_whole_network_open_as_before(tmp_path):
    path = tmp_path / "whole.safetensors"
    save_file(mt.open_model("zoo:simpleconvnet").module.state_dict(), path)
    model = mt.open_model(f"zoo:simpleconvnet@{path}")
    assert model.cuts == () and model.weights == "whole.safetensors"
