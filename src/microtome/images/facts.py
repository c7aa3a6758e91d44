"""What a torch data set says of itself without reading an image: names, labels, classes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from .collection import numbered_ids


def ids_of(data: Any) -> tuple[str, ...]:
    """Ids of its items: paths below its root where it keeps a list of files, else `dataset/00012`."""
    if isinstance(data, Subset):
        whole = ids_of(data.dataset)
        return tuple(whole[place] for place in data.indices)
    files = [Path(path) for path, _ in _samples(data)]
    if not files:
        return numbered_ids("dataset", range(len(data)), len(data))
    root = Path(getattr(data, "root", None) or os.path.commonpath([file.parent for file in files]))
    if not all(file.is_relative_to(root) for file in files):
        root = Path(os.path.commonpath([file.parent for file in files]))
    return tuple(file.relative_to(root).as_posix() for file in files)


def numbers_of(data: Any) -> np.ndarray | None:
    """Labels that it keeps in a list, (N,) int64; None if there is none, or its items' are made from them."""
    if isinstance(data, Subset):
        whole = numbers_of(data.dataset)
        return None if whole is None else whole[np.asarray(data.indices, dtype=np.int64)]
    if getattr(data, "target_transform", None) is not None:
        return None
    kept = data.tensors[1] if isinstance(data, TensorDataset) and len(data.tensors) > 1 else None
    for values in (kept, getattr(data, "targets", None), getattr(data, "labels", None)):
        if isinstance(values, list | tuple | np.ndarray | Tensor) and len(values) == len(data):
            found = [label_of(value) for value in values]
            return None if None in found else np.array(found, dtype=np.int64)
    return None


def class_names_of(data: Any) -> tuple[str, ...]:
    """Names of its classes, the first where one has several; none if it does not say."""
    if isinstance(data, Subset):
        return class_names_of(data.dataset)
    names = getattr(data, "classes", None)
    if not isinstance(names, list | tuple):
        return ()
    return tuple(str(name[0]) if isinstance(name, tuple) and name else str(name) for name in names)


def label_of(value: object) -> int | None:
    """A label as a number, -1 if it says that it is unknown; None if it is none (a vector, a word, a mask)."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        whole = not value.dtype.is_floating_point if isinstance(value, Tensor) else value.dtype.kind in "iu"
        one = value.numel() == 1 if isinstance(value, Tensor) else value.size == 1
        return max(int(value.item()), -1) if whole and one else None
    return max(value, -1) if isinstance(value, int) and not isinstance(value, bool) else None


def _samples(data: Any) -> list[tuple[str, Any]]:
    """The list of (path, label), under either of the names that torchvision gives it."""
    for name in ("samples", "imgs"):
        pairs = getattr(data, name, None)
        if isinstance(pairs, list) and len(pairs) == len(data) and all(_is_pair(pair) for pair in pairs):
            return pairs
    return []


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str | Path)
