"""Networks in files, and as PyTorch's: bit by bit, and nothing that could be executed."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import microtome.scratch as mts
from microtome.errors import BadModel, UsageError


def net(dtype: type = np.float32) -> mts.Net:
    made = mts.Net([
        mts.Conv2D("conv.1", (2, 8, 7), 3, 3, 2, (2, 1), (1, 0), False, "unrolled", 1, dtype),
        mts.BatchNorm2D("norm", 3, 0.2, 1e-3, dtype), mts.ReLU("relu"),
        mts.MaxPool2D("pool", (3, 4, 6), (2, 3), 1, True), mts.AvgPool2D("mean", (3, 3, 4), 2),
        mts.Dropout("drop", 0.3), mts.Flatten("flat"),
        mts.Linear("fc", 6, 4, dtype=dtype), mts.Softmax("soft"),
    ], {"class_names": ["a", "b", "c", "d"]})  # fmt: skip
    made["norm"].running_mean[:] = [0.1, -0.2, 1e-30]
    return made.eval()


X = np.random.default_rng(0).standard_normal((3, 2, 8, 7)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_gives_back_every_bit_and_every_setting(tmp_path: Path, dtype) -> None:
    made = net(dtype)
    made.export(tmp_path / "net.tnn")
    again = mts.load(tmp_path / "net.tnn")
    assert [repr(layer) for layer in again] == [repr(layer) for layer in made] and again.about == made.about
    for (name, array), (other, expected) in zip(again.state_dict().items(), made.state_dict().items(), strict=True):
        assert name == other and array.dtype == expected.dtype == dtype and array.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(again(X.astype(dtype)), made(X.astype(dtype)))
    made.export(tmp_path / "twin.tnn")
    assert (tmp_path / "net.tnn").read_bytes() == (tmp_path / "twin.tnn").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"net.tnn", "twin.tnn"}


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


def test_a_file_with_a_pickle_in_it_is_refused_and_not_executed(tmp_path: Path, capsys) -> None:
    made = net()
    made.export(tmp_path / "net.tnn")
    with zipfile.ZipFile(tmp_path / "net.tnn") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([Evil()], dtype=object), allow_pickle=True)
    parts["fc.weight.npy"] = evil.read_bytes()
    with zipfile.ZipFile(tmp_path / "evil.tnn", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(BadModel, match=r"evil\.tnn cannot be read as a network \(ValueError: Object arrays cannot"):
        mts.load(tmp_path / "evil.tnn")
    assert "executed" not in capsys.readouterr().out


def changed(path: Path, **described: object) -> Path:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(parts["architecture.json"]) | described
    for key in [key for key, value in about.items() if value is None]:
        del about[key]
    parts["architecture.json"] = json.dumps(about).encode()
    out = path.with_name("changed.tnn")
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out


@pytest.mark.parametrize(("described", "why"), [
    ({"version": 7}, "version 7"), ({"layers": None}, "KeyError"),
    ({"layers": [{"type": "Warp", "name": "w", "settings": {}}]}, "type 'Warp'"),
    ({"layers": [{"type": "ReLU", "name": "r", "settings": {"x": 1}}]}, "other settings"),
    ({"layers": [{"type": "ReLU", "name": "r", "settings": {}}]}, "not those of its layers"),
])  # fmt: skip
def test_a_file_that_does_not_fit_itself_is_refused_with_the_reason(tmp_path: Path, described, why) -> None:
    net().export(tmp_path / "net.tnn")
    with pytest.raises(BadModel, match=why):
        mts.load(changed(tmp_path / "net.tnn", **described))


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tnn").write_text("hello")
    with pytest.raises(BadModel, match=r"text\.tnn cannot be read as a network"):
        mts.load(tmp_path / "text.tnn")
    with pytest.raises(BadModel, match=r"There is no file 'none\.tnn'"):
        mts.load(tmp_path / "none.tnn")
    whole = tmp_path / "whole.tnn"
    net().export(whole)
    (tmp_path / "half.tnn").write_bytes(whole.read_bytes()[:700])
    with pytest.raises(BadModel, match=r"half\.tnn cannot be read"):
        mts.load(tmp_path / "half.tnn")


def test_a_layer_of_ones_own_cannot_be_in_a_file(tmp_path: Path) -> None:
    class Mine(mts.ReLU):
        pass

    with pytest.raises(BadModel, match="Layer 'm' is a Mine"):
        mts.Net([Mine("m")]).export(tmp_path / "net.tnn")
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadModel, match="Mine 'm' is no layer of this package"):
        mts.to_torch(mts.Net([Mine("m")]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_gives_the_same_and_gives_it_back(dtype) -> None:
    made = net(dtype)
    module = mts.to_torch(made)
    assert [name for name, _ in module.named_children()][:2] == ["conv_1", "norm"] and not module.training
    x = X.astype(dtype)
    np.testing.assert_allclose(
        made(x), module(torch.from_numpy(x)).detach().numpy(), rtol=1e-5 if dtype == np.float32 else 1e-12
    )
    again = mts.from_torch(module, (2, 8, 7))
    for array, expected in zip(again.state_dict().values(), made.state_dict().values(), strict=True):
        assert array.tobytes() == expected.tobytes() and array.dtype == dtype
    np.testing.assert_array_equal(again(x), mts.from_torch(mts.to_torch(again), (2, 8, 7))(x))
    module.fc.weight.data.zero_()
    assert made["fc"].weight.tensor.any() and again["fc"].weight.tensor.any()


def test_nested_sequences_are_read_with_dotted_names() -> None:
    module = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(2 * 4 * 4, 3))
    made = mts.from_torch(module, (1, 6, 6))
    assert [layer.name for layer in made] == ["0.0", "0.1", "1", "2"]
    x = np.random.default_rng(0).standard_normal((2, 1, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(made(x), module(torch.from_numpy(x)).detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("module", [
    nn.GELU(), nn.Conv2d(2, 2, 3, dilation=2), nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 2, 3, padding="same"),
    nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.MaxPool2d(2, padding=1), nn.MaxPool2d(3, ceil_mode=True),
    nn.BatchNorm2d(2, affine=False),
], ids=str)  # fmt: skip
def test_what_there_is_none_of_here_is_refused(module) -> None:
    with pytest.raises(BadModel, match="Known are linear layers"):
        mts.from_torch(nn.Sequential(module), (2, 9, 9))


def test_a_state_of_another_network_is_refused_and_nothing_is_changed() -> None:
    made, before = net(), net().state_dict()
    for state in ({}, {**before, "fc.weight": np.zeros((2, 2))}):
        with pytest.raises(UsageError, match="does not fit at"):
            made.load_state_dict(state)
    assert all(np.array_equal(array, before[name]) for name, array in made.state_dict().items())
    doubled = {name: 2 * array for name, array in before.items()}
    assert np.array_equal(made.load_state_dict(doubled)["fc"].weight.tensor, doubled["fc.weight"])


def test_training_and_files_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision'): raise AssertionError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import numpy as np, microtome.scratch as mts\n"
        "net = mts.cats_net(16, (2, 2, 2, 2), (4, 4))\n"
        "learner = mts.Learner(net, mts.softmax_cross_entropy, mts.SGD(0.01, 0.9))\n"
        "x = np.random.default_rng(0).random((6, 3, 16, 16), np.float32)\n"
        "learner.fit(x, np.arange(6) % 2, batch_size=3)\n"
        f"net.export({str(tmp_path / 'net.tnn')!r})\n"
        f"mts.deconvnet(mts.load({str(tmp_path / 'net.tnn')!r}), x, 'conv2_1', 0)\n"
        "assert mts.check_layer(mts.Linear('l', 2, 2)).passed\n"
        "print('no torch' if 'torch' not in sys.modules else 'torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "no torch"
