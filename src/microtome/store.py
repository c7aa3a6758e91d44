"""Write trees of arrays, numbers and texts as JSON beside safetensors; read them back. Nothing is executed on load."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BadRun

ARRAY = "$array"  # a JSON object with this one key stands for an array of the .safetensors file
TEXTS = "$texts"  # an array of texts, which have no tensor type: its shape and its texts in a row
TUPLE = "$tuple"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: into a file beside it first, which then takes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        waiting.write_bytes(content)
        waiting.replace(path)
    finally:
        waiting.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, a whole file or nothing."""
    write_bytes(path, _json(value))


def write_tree(stem: Path, tree: Mapping[str, Any]) -> None:
    """Write `stem`.json and `stem`.safetensors."""
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    described = _json(_describe(dict(tree), "", arrays))  # before anything is written: it may refuse
    # safetensors writes the memory of strided arrays as if it were contiguous, so it must be;
    # not by ascontiguousarray, which gives 0-d arrays an axis
    tensors = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    write_bytes(_beside(stem, ".safetensors"), tensors)
    write_bytes(_beside(stem, ".json"), described)


def read_tree(stem: Path) -> dict[str, Any]:
    """Read what `write_tree` wrote.

    Raises: BadRun if a file is missing or not what it should be.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        described = json.loads(_beside(stem, ".json").read_text())
        arrays = load(_beside(stem, ".safetensors").read_bytes())
        tree = _rebuild(described, arrays)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise BadRun(
            f"{stem.name} cannot be read ({type(error).__name__}: {error})",
            "A result is a pair of .json and .safetensors files that belong together",
            "Run the analysis again",
        ) from error
    if not isinstance(tree, dict):
        raise BadRun(
            f"{stem.name}.json holds a {type(tree).__name__}", "It must hold an object", "Run the analysis again"
        )
    return tree


def _beside(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)  # with_suffix would cut "layer1.0" short


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, default=_plain).encode()


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
