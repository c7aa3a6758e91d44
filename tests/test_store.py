import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feeding import feed
from microtome.errors import RunFailed
from microtome.statistics import Moments
from microtome.store import read_tree, write_bytes, write_json, write_tree

TABLE = np.arange(24.0).reshape(4, 6)
ARRAYS = {
    "contiguous": TABLE,
    "transposed": TABLE.T,
    "strided": TABLE[::2, ::3],
    "reversed": TABLE[::-1, ::-1],
    "column-major": np.asfortranarray(TABLE),
    "broadcast": np.broadcast_to(TABLE[0], (3, 6)),
    "big-endian": TABLE.astype(">f8"),
    "0-d": np.array(2.5),
    "empty": np.zeros((0, 3)),
    "not a number": np.array([np.nan, np.inf, -0.0]),
    "half": TABLE.astype(np.float16),
    "bytes": TABLE.astype(np.uint8).T,
    "flags": TABLE > 5,
    "texts": np.array([["a", "longer"], ["", "µ ≥ \"$array\""]]),
    "one text": np.array("alone"),
    "no texts": np.zeros((0, 3), dtype=str),
}  # fmt: skip


def round_trip(folder: Path, tree: dict[str, Any]) -> dict[str, Any]:
    write_tree(folder / "result", tree)
    return read_tree(folder / "result")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_went_in(name: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    found = round_trip(tmp_path, {"array": array})["array"]
    assert found.shape == array.shape and found.dtype.kind == array.dtype.kind
    np.testing.assert_array_equal(found, array)
    assert found.dtype.itemsize == array.dtype.itemsize or array.dtype.kind == "U"


def test_a_tree_of_numbers_and_texts_comes_back_as_it_went_in(tmp_path: Path) -> None:
    tree = {
        "number": 0.1, "whole": 3, "none": None, "flag": True, "text": "µ", "nothing": {}, "empty": [], "pair": (),
        "nested": {"list": [1, [2, (3, "x")]], "tuple": ((1, 2), [3], {"a": (4,)})},
    }  # fmt: skip
    assert round_trip(tmp_path, tree) == tree


def test_numbers_that_are_not_finite_come_back(tmp_path: Path) -> None:
    found = round_trip(tmp_path, {"values": [float("nan"), float("inf"), float("-inf")]})["values"]
    assert np.isnan(found[0]) and found[1:] == [float("inf"), float("-inf")]


def test_arrays_inside_lists_tuples_and_layers_come_back(tmp_path: Path) -> None:
    tree = {"by_layer": {"layer1.0": TABLE.T, "fc": np.array("x")}, "many": [TABLE[0], (TABLE[1], 5)]}
    found = round_trip(tmp_path, tree)
    assert np.array_equal(found["by_layer"]["layer1.0"], TABLE.T) and found["by_layer"]["fc"] == "x"
    assert np.array_equal(found["many"][0], TABLE[0])
    assert isinstance(found["many"][1], tuple) and np.array_equal(found["many"][1][0], TABLE[1])


def test_names_with_slashes_do_not_overwrite_each_other(tmp_path: Path) -> None:
    found = round_trip(tmp_path, {"a/b": TABLE[0], "a": {"b": TABLE[1]}})
    assert np.array_equal(found["a/b"], TABLE[0]) and np.array_equal(found["a"]["b"], TABLE[1])


def test_numbers_of_numpy_come_back_as_numbers(tmp_path: Path) -> None:
    found = round_trip(tmp_path, {"a": np.float32(0.5), "b": np.int64(7), "c": np.True_})
    assert [(type(value), value) for value in found.values()] == [(float, 0.5), (int, 7), (bool, True)]


def test_the_state_of_an_accumulator_survives_the_disk(tmp_path: Path) -> None:
    tensor = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    resumed = Moments().start()
    resumed.load(round_trip(tmp_path, feed(Moments(), tensor[:3]).state()))
    found = feed(Moments(), tensor[3:], into=resumed).compute()
    np.testing.assert_allclose(found.mean, tensor.double().mean((0, 2, 3)), rtol=1e-5)


def test_names_with_a_dot_have_files_of_their_own(tmp_path: Path) -> None:
    write_tree(tmp_path / "layer1.0", {"n": 0})
    write_tree(tmp_path / "layer1.1", {"n": 1})
    assert [read_tree(tmp_path / name)["n"] for name in ("layer1.0", "layer1.1")] == [0, 1]


@pytest.mark.parametrize("value", [TABLE[0], np.float32(1.5), (1, 2), Path("folder/file.txt")])
def test_json_takes_arrays_numbers_and_the_names_of_paths(value: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "info.json", {"value": value})
    expected = value.name if isinstance(value, Path) else np.asarray(value).tolist()
    assert json.loads((tmp_path / "new" / "info.json").read_text()) == {"value": expected}


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, np.array([1, None]), np.array([1j]), np.array([b"x"])])
def test_what_cannot_come_back_is_refused_before_anything_is_written(value: Any, tmp_path: Path) -> None:
    write_tree(tmp_path / "result", {"array": TABLE})
    with pytest.raises(TypeError, match="cannot be written"):
        write_tree(tmp_path / "result", {"array": TABLE + 1, "value": value})
    assert np.array_equal(read_tree(tmp_path / "result")["array"], TABLE)


def test_a_write_that_fails_leaves_only_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "file", b"old")

    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(RunFailed) as caught:
        write_bytes(tmp_path / "file", b"new content")
    assert caught.value.given == f"file could not be written in {str(tmp_path)!r} (No space left on device)"
    assert caught.value.allowed == "What was written before is unharmed"
    assert caught.value.next_step.startswith("Make room, or give a folder that can be written")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
