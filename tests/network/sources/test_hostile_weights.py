"""Files that are no weights, or want more than to be read: refused, and nothing in them is run."""

import os
import struct
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

import microtome as mt
from microtome.errors import BadModel
from microtome.network.sources.weights import read_state
from toys import Plain, seeded

ALLOWED = "Weights are a .safetensors file, or a .pt, .pth, .bin or .ckpt of torch.save"


class Makes:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def refused(path: Path, **options: bool) -> BadModel:
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"zoo:simpleconvnet_pruned@{path}", **options)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"state_dict": {}, "extra": evil}])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, zipped, wrap) -> None:
    torch.save(wrap(Makes(tmp_path / "made")), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    error = refused(tmp_path / "w.pt")
    assert not (tmp_path / "made").exists()
    assert error.given == f"w.pt is a pickle of more than tensors (it asks for {os.mkdir.__module__}.mkdir)"
    assert error.allowed == "Nothing is executed on load, and such a file runs code"
    assert error.next_step == (
        "Save the state_dict alone; if you trust the file, --trust-pickle or open_model(..., trust_pickle=True)"
    )


def test_code_in_a_pickle_is_run_by_whoever_trusts_it(tmp_path: Path) -> None:
    torch.save({"extra": Makes(tmp_path / "made")}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", trust_pickle=True)
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("wrap", [lambda module: module, lambda module: {"model": module, "args": Namespace(a=1)}])
def test_a_whole_module_gives_its_weights_to_whoever_trusts_it(tmp_path: Path, wrap) -> None:
    module = mt.open_model("zoo:simpleconvnet_pruned").module
    nn.init.constant_(module.fc5.bias, 7.0)
    torch.save(wrap(module), tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt").given.startswith("w.pt is a pickle of more than tensors (it asks for ")
    trusted = mt.open_model(f"zoo:simpleconvnet_pruned@{tmp_path / 'w.pt'}", trust_pickle=True)
    assert trusted.module.fc5.bias.tolist() == [7.0] * 10


def test_a_pickle_whose_code_is_not_there_is_refused_even_if_trusted(tmp_path: Path) -> None:
    text = b"cno_such_package\nThing\n)R."  # in the language of pickles: import a thing and call it
    (tmp_path / "w.pt").write_bytes(b"\x80\x02" + text)
    error = refused(tmp_path / "w.pt", trust_pickle=True)
    assert error.given == "w.pt cannot be unpickled (ModuleNotFoundError: No module named 'no_such_package')"
    assert error.allowed == "A pickle needs the code of everything in it"
    assert error.next_step == "Put that code where Python finds it (PYTHONPATH), or save the state_dict alone"


def zip_of_something_else(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter/dear.txt", "dear")


def half(path: Path, zipped: bool) -> None:
    torch.save({"a": torch.zeros(100)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def safe(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


ONE = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
DAMAGED = {
    "empty.pt": lambda path: path.write_bytes(b""),
    "text.pt": lambda path: path.write_text("hello world"),
    "zip.pt": zip_of_something_else,
    "half.pt": lambda path: half(path, True),
    "half-old.pt": lambda path: half(path, False),
    "empty.safetensors": lambda path: path.write_bytes(b""),
    "huge-header.safetensors": lambda path: path.write_bytes(safe(b"{}", length=2**62)),
    "long-header.safetensors": lambda path: path.write_bytes(safe(b"{}", length=90_000_000)),
    "half.safetensors": lambda path: path.write_bytes(save({"a": torch.zeros(100)})[:200]),
    "type.safetensors": lambda path: path.write_bytes(safe(ONE.replace(b"F32", b"X9"), bytes(16))),
    "outside.safetensors": lambda path: path.write_bytes(safe(ONE.replace(b"16]", b"2048]"), bytes(16))),
    "shape.safetensors": lambda path: path.write_bytes(safe(ONE.replace(b"[4]", b"[9000000000000000000]"), bytes(16))),
    "pickle.safetensors": lambda path: torch.save({"a": torch.zeros(1)}, path),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused(tmp_path: Path, name) -> None:
    DAMAGED[name](tmp_path / name)
    error = refused(tmp_path / name)
    assert error.given.startswith(f"{name} is damaged or holds no weights (")
    assert len(error.given) < 300
    assert (error.allowed, error.next_step) == (ALLOWED, "Fetch or save it again")


HOLDS = {
    "text": ({"state_dict": "x"}, "1 ('state_dict' is a str)"),
    "numbers": ({"a": 1, "b": torch.zeros(1), 3: torch.zeros(1)}, "2 ('a' is a int, 3 is a Tensor)"),
    "a list": ([torch.zeros(1)], "1 ('the whole' is a list)"),
}


@pytest.mark.parametrize("what", HOLDS)
def test_a_checkpoint_without_a_state_dict_is_refused(tmp_path: Path, what) -> None:
    loaded, said = HOLDS[what]
    torch.save(loaded, tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt")
    assert error.given == f"w.pt holds no state_dict: {said}"
    assert error.allowed == "Weights are tensors by name, alone or under one of: state_dict, model, model_state_dict"
    assert error.next_step == "Save module.state_dict()"


def test_an_empty_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt").given == "w.pt holds no state_dict, it is empty"


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: dict = {}
    loop["model"] = loop
    torch.save(loop, tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt").given == "w.pt holds no state_dict: 1 ('model' is a dict)"


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.zeros(10, device="meta"), "float32 without values"),
        (torch.zeros(10, dtype=torch.complex64), "complex64"),
    ],
)  # fmt: skip
def test_tensors_that_cannot_become_weights_are_refused(tmp_path: Path, tensor, kind) -> None:
    state = mt.open_model("zoo:simpleconvnet_pruned").module.state_dict()
    torch.save({**state, "fc5.bias": tensor}, tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt").given == f"w.pt does not fit the network: of another kind: 1 (fc5.bias: {kind})"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    error = refused(path)
    assert error.given == f"There is no file {str(path)!r}"
    assert (error.allowed, error.next_step) == (ALLOWED, "Check the path")


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"PK")
    error = refused(tmp_path / "w.npz")
    assert error.given == "w.npz ends in '.npz'"
    assert (error.allowed, error.next_step) == (ALLOWED, "Convert it, or name it as what it is")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_that_are_no_numbers_are_loaded_with_a_note(tmp_path: Path, suffix) -> None:
    state = mt.open_model("zoo:simpleconvnet_pruned").module.state_dict()
    state["conv1.bias"][2:4] = float("nan")
    state["fc4.weight"][0, 0] = -float("inf")
    path = tmp_path / f"w{suffix}"
    path.write_bytes(save(state)) if suffix == ".safetensors" else torch.save(state, path)
    notes = mt.open_model(f"zoo:simpleconvnet_pruned@{path}").notes
    assert notes == ("3 weights are NaN or infinite, in 2 (conv1.bias, fc4.weight): what they reach means nothing",)


def test_a_note_is_made_of_running_averages_too_but_not_of_masks_or_sound_weights() -> None:
    module = seeded(Plain)
    module.register_buffer("mask", torch.full((2, 2), -float("inf")))
    assert mt.open_model(module).notes == ()
    module.bn.running_var[1] = float("nan")
    (note,) = mt.open_model(module).notes
    assert note == "1 weights are NaN or infinite, in 1 (bn.running_var): what they reach means nothing"


def test_what_is_read_has_the_names_of_the_file(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}}, tmp_path / "w.pt")
    assert {key: tensor.tolist() for key, tensor in read_state(tmp_path / "w.pt").items()} == {"a": [1.0, 1.0]}
