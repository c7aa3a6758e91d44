"""What a reader of results says to files that are missing, damaged or made up."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from microtome.errors import BadRun
from microtome.store import read_tree, tree_file, write_tree

WHOLE = "It must be a file that this program wrote, whole and unchanged. Remove it, and run the same command again."


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    write_tree(tmp_path / "result", {"array": np.arange(5.0)})
    return tmp_path / "result"


def refusal(stem: Path) -> str:
    with pytest.raises(BadRun) as caught:
        read_tree(stem)
    return str(caught.value)


def describe(stem: Path, description: str) -> None:
    """A file with this description in its metadata."""
    tree_file(stem).write_bytes(save({"/array": np.arange(5.0)}, metadata={"tree": description}))


def test_a_missing_file_is_named_with_what_to_do(stem: Path) -> None:
    tree_file(stem).unlink()
    said = refusal(stem)
    assert said.startswith("result.safetensors cannot be read (FileNotFoundError: ") and said.endswith(WHOLE)


@pytest.mark.parametrize("kept", [0, 7, 20, -1])
def test_a_file_that_was_cut_short_is_refused(stem: Path, kept: int) -> None:
    tree_file(stem).write_bytes(tree_file(stem).read_bytes()[:kept])
    said = refusal(stem)
    assert said.startswith("result.safetensors cannot be read (") and said.endswith(WHOLE)


def test_a_file_of_tensors_without_a_description_is_refused(stem: Path) -> None:
    tree_file(stem).write_bytes(save({"/array": np.arange(5.0)}))
    assert refusal(stem) == f"result.safetensors cannot be read (KeyError: 'tree'). {WHOLE}"


@pytest.mark.parametrize(
    "description",
    [
        "", '{"a": ', '{"a": {"$array": "/other"}}', '{"a": {"$array": "../../etc/passwd"}}',
        '{"a": {"$array": ["x"]}}',
        '{"a": {"$texts": 5}}', '{"a": {"$texts": [[3], ["x"]]}}', '{"a": {"$texts": [["x"], ["x"]]}}',
        '{"a": {"$tuple": 5}}', "[" * 100_000,
    ],
    ids=lambda description: description[:30],
)  # fmt: skip
def test_a_made_up_description_is_refused(stem: Path, description: str) -> None:
    describe(stem, description)
    said = refusal(stem)
    assert said.startswith("result.safetensors cannot be read (") and said.endswith(WHOLE)


@pytest.mark.parametrize("header", [2**63, 2**40, 10**8 + 1])
def test_a_header_of_impossible_length_is_refused(stem: Path, header: int) -> None:
    tree_file(stem).write_bytes(header.to_bytes(8, "little") + b"{}")
    assert refusal(stem).endswith(WHOLE)


@pytest.mark.parametrize(("description", "kind"), [("[1]", "list"), ('{"$tuple": []}', "tuple"), ("3", "int")])
def test_a_description_must_be_an_object(stem: Path, description: str, kind: str) -> None:
    describe(stem, description)
    said = f"result.safetensors holds a {kind}. It must hold an object. Remove it, and run the same command again."
    assert refusal(stem) == said
