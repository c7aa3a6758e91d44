"""What a reader of results says to files that are missing, damaged or made up."""

from pathlib import Path

import numpy as np
import pytest

from microtome.errors import BadRun
from microtome.store import read_tree, write_tree

PAIR = "A result is a pair of .json and .safetensors files that belong together. Run the analysis again."


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    write_tree(tmp_path / "result", {"array": np.arange(5.0)})
    return tmp_path / "result"


def damage(stem: Path, suffix: str, content: bytes) -> None:
    stem.with_suffix(suffix).write_bytes(content)


def refusal(stem: Path) -> str:
    with pytest.raises(BadRun) as caught:
        read_tree(stem)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_missing_file_is_named_with_what_to_do(stem: Path, suffix: str) -> None:
    stem.with_suffix(suffix).unlink()
    said = refusal(stem)
    assert said.startswith("result cannot be read (FileNotFoundError: ") and said.endswith(PAIR)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 7, -1])
def test_a_file_that_was_cut_short_is_refused(stem: Path, suffix: str, kept: int) -> None:
    damage(stem, suffix, stem.with_suffix(suffix).read_bytes()[:kept])
    said = refusal(stem)
    assert said.startswith("result cannot be read (") and said.endswith(PAIR)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00", b'{"a": ', b'{"a": {"$array": "/other"}}', b'{"a": {"$array": "../../etc/passwd"}}',
        b'{"a": {"$array": ["x"]}}', b'{"a": {"$texts": 5}}', b'{"a": {"$texts": [[3], ["x"]]}}',
        b'{"a": {"$texts": [["x"], ["x"]]}}', b'{"a": {"$tuple": 5}}', b"[" * 100_000,
    ],
    ids=lambda content: content[:30].decode("latin1"),
)  # fmt: skip
def test_a_made_up_description_is_refused(stem: Path, content: bytes) -> None:
    damage(stem, ".json", content)
    said = refusal(stem)
    assert said.startswith("result cannot be read (") and said.endswith(PAIR)


@pytest.mark.parametrize("header", [2**63, 2**40, 10**8 + 1])
def test_arrays_with_a_header_of_impossible_length_are_refused(stem: Path, header: int) -> None:
    damage(stem, ".safetensors", header.to_bytes(8, "little") + b"{}")
    assert refusal(stem).endswith(PAIR)


@pytest.mark.parametrize(("content", "kind"), [(b"[1]", "list"), (b'{"$tuple": []}', "tuple"), (b"3", "int")])
def test_a_description_must_be_an_object(stem: Path, content: bytes, kind: str) -> None:
    damage(stem, ".json", content)
    assert refusal(stem) == f"result.json holds a {kind}. It must hold an object. Run the analysis again."
