"""Write trees of arrays, numbers and texts as one safetensors file each; read them back. Nothing is executed on load.

The arrays are the file's tensors, all the rest is JSON in its metadata: one file is whole or is not there.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BadRun, RunFailed

SUFFIX = ".safetensors"
ARRAY = "$array"  # a JSON object with this one key stands for an array of the .safetensors file
TEXTS = "$texts"  # an array of texts, which have no tensor type: its shape and its texts in a row
TUPLE = "$tuple"
TREE = "tree"  # the entry of the metadata that holds the JSON
LEFT_OVER = ".*.tmp"  # what a process leaves that is killed while it writes


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: into a file beside it first, which then takes its name.

    Raises: RunFailed if the disk is full or the folder cannot be written.
    """
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            waiting.write_bytes(content)
            waiting.replace(path)
        finally:
            waiting.unlink(missing_ok=True)
    except OSError as error:
        raise RunFailed(
            f"{path.name} could not be written in {str(path.parent)!r} ({error.strerror or error})",
            "What was written before is unharmed",
            "Make room, or give a folder that can be written, and run the same command again",
        ) from error


def clear_left_over(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for path in folder.rglob(LEFT_OVER):
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, a whole file or nothing."""
    write_bytes(path, json.dumps(value, indent=1, default=_plain).encode())


def write_tree(stem: Path, tree: Mapping[str, Any]) -> None:
    """Write `stem`.safetensors.

    Raises: TypeError for what cannot come back, before anything is written.
    """
    write_bytes(tree_file(stem), tree_bytes(tree))


def tree_bytes(tree: Mapping[str, Any]) -> bytes:
    """What `write_tree` writes.

    Raises: TypeError for what cannot come back.
    """
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    described = json.dumps(_describe(dict(tree), "", arrays), default=_plain)
    # safetensors writes the memory of strided arrays as if it were contiguous, so it must be;
    # not by ascontiguousarray, which gives 0-d arrays an axis
    tensors = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return bytes(save(tensors, metadata={TREE: described}))


def read_tree(stem: Path) -> dict[str, Any]:
    """Read what `write_tree` wrote.

    Raises: BadRun if the file is missing or not what it should be.
    """
    from safetensors import SafetensorError, safe_open

    path = tree_file(stem)
    try:
        with safe_open(path, framework="np") as file:
            described = json.loads((file.metadata() or {})[TREE])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tree = _rebuild(described, arrays)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise BadRun(
            f"{path.name} cannot be read ({type(error).__name__}: {error})",
            "It must be a file that this program wrote, whole and unchanged",
            "Remove it, and run the same command again",
        ) from error
    if not isinstance(tree, dict):
        raise BadRun(f"{path.name} holds a {type(tree).__name__}", "It must hold an object",
                     "Remove it, and run the same command again")  # fmt: skip
    return tree


def settled(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree as it would come back from a file: NumPy's numbers as numbers, own copies of all arrays.

    Raises: TypeError for what cannot come back.
    """
    arrays: dict[str, np.ndarray] = {}
    described = json.loads(json.dumps(_describe(dict(tree), "", arrays), default=_plain))
    rebuilt: dict[str, Any] = _rebuild(described, {name: array.copy() for name, array in arrays.items()})
    return rebuilt


def tree_file(stem: Path) -> Path:
    """The file of a tree."""
    return stem.with_name(stem.name + SUFFIX)  # with_suffix would cut "layer1.0" short


def _describe(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        while name in arrays:  # "a/b" beside "a" with "b" in it
            name += "'"
        arrays[name] = value
        return {ARRAY: name}
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "U":
            raise TypeError(f"An array of {value.dtype} cannot be written")
        return {TEXTS: [value.shape, value.ravel().tolist()]}
    if isinstance(value, Mapping):
        return {str(key): _describe(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, tuple):
        return {TUPLE: [_describe(item, f"{name}/{place}", arrays) for place, item in enumerate(value)]}
    if isinstance(value, list):
        return [_describe(item, f"{name}/{place}", arrays) for place, item in enumerate(value)]
    return _plain(value) if isinstance(value, np.generic) else value


def _rebuild(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_rebuild(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {ARRAY}:
        return arrays[value[ARRAY]]
    if set(value) == {TEXTS}:
        shape, texts = value[TEXTS]
        return np.array(texts, dtype=str).reshape(shape)
    if set(value) == {TUPLE}:
        return tuple(_rebuild(item, arrays) for item in value[TUPLE])
    return {key: _rebuild(item, arrays) for key, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.name
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
