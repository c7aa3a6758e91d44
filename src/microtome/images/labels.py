"""Labels of images: from folders, from a class map, or from a data set's own classes, as the network's classes."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import BadImages

LISTED = 6  # names in an error


def read_labels(names: Sequence[str], class_names: Sequence[str]) -> tuple[np.ndarray, str]:
    """Labels of files by the first rule that fits, and the rule in words.

    1. Sub-folders named like the network's classes. 2. A class index in front of every file's name. 3. As many
    sub-folders as the network has classes (or no classes known), in alphabetical order. Else there are no labels.
    """
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    classes = {_plain(name): index for index, name in enumerate(class_names)}
    none = np.full(len(names), -1, dtype=np.int64)
    if not folders or any("/" not in name for name in names):
        return none, "no labels: the images do not lie in one folder a class"
    if all(_plain(folder) in classes for folder in folders):
        index = {folder: classes[_plain(folder)] for folder in folders}
        return _by_folder(names, index), f"labels by folder name, {len(folders)} of {len(class_names)} classes"
    found = [re.match(r"(\d+)_", name.rpartition("/")[2]) for name in names]
    numbers = [int(match[1]) for match in found if match]
    one_per_folder = len(set(zip((n.partition("/")[0] for n in names), numbers, strict=False))) == len(folders)
    if len(numbers) == len(names) and class_names and max(numbers) < len(class_names) and one_per_folder:
        text = (
            f"labels by the class index in front of the file names, {len(set(numbers))} of {len(class_names)} classes"
        )
        return np.array(numbers, dtype=np.int64), text
    if not class_names or len(folders) == len(class_names):
        index = {folder: place for place, folder in enumerate(folders)}
        return _by_folder(names, index), f"labels by folder in alphabetical order, {len(folders)} classes"
    return none, f"no labels: {len(folders)} folders match neither names nor number of the {len(class_names)} classes"


def map_labels(
    names: Sequence[str], class_names: Sequence[str], class_map: Mapping[str, int | str]
) -> tuple[np.ndarray, str]:
    """Labels by a map from folder to class index or name; folders that it leaves out have none.

    Raises: BadImages if it names a folder or a class that does not exist.
    """
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    index = _mapped(folders, class_names, class_map, "folders")
    labels = np.array([index.get(name.partition("/")[0], -1) for name in names], dtype=np.int64)
    return labels, f"labels by the class map, {sum(place >= 0 for place in index.values())} of {len(folders)} folders"


def match_labels(
    numbers: np.ndarray,
    classes: Sequence[str],
    class_names: Sequence[str],
    class_map: Mapping[str, int | str] | None = None,
) -> tuple[np.ndarray, str]:
    """Labels of a set that brings numbers of its own `classes`, as the network's classes, and how, in words.

    By the class map; else by the classes' names; else, if there are as many of both or either is unknown, as they
    are. Else there are no labels.
    Raises: BadImages if a number has no name, or the class map names a class that does not exist.
    """
    none = np.full(len(numbers), -1, dtype=np.int64)
    if (numbers < 0).all():
        return none, "no labels"
    if classes and numbers.max() >= len(classes):
        raise BadImages(
            f"Labels go up to {numbers.max()}, class names only to {len(classes) - 1} ({_listed(classes)})",
            "A label is the number of a class, from 0; -1 says that it is unknown", "Give as many names as classes",
        )  # fmt: skip
    plain, wanted = [_plain(name) for name in classes], [_plain(name) for name in class_names]
    if class_map is not None:
        index = _mapped(classes, class_names, class_map, "classes")
        how = f"labels by the class map, {sum(place >= 0 for place in index.values())} of {len(classes)} classes"
        return _renumbered(numbers, [index[name] for name in classes]), how
    # names that stand twice among ImageNet's are no trouble where the order is the same
    if not classes or not class_names or plain == wanted:
        return np.maximum(numbers, -1), "labels of the data set"
    if set(plain) <= set(wanted):
        how = f"labels by class name, {len(classes)} of {len(class_names)} classes"
        return _renumbered(numbers, [wanted.index(name) for name in plain]), how
    if len(classes) == len(class_names):
        return np.maximum(numbers, -1), "labels of the data set"
    text = f"no labels: {len(classes)} classes match neither names nor number of the {len(class_names)} classes"
    return none, text


def _renumbered(numbers: np.ndarray, index: Sequence[int]) -> np.ndarray:
    return np.where(numbers < 0, -1, np.array(index, dtype=np.int64)[numbers])


def _mapped(
    names: Sequence[str], class_names: Sequence[str], class_map: Mapping[str, int | str], what: str
) -> dict[str, int]:
    """For every name the class that the map sends it to, -1 for those that it leaves out."""
    index: dict[str, int] = dict.fromkeys(names, -1)
    for name, label in class_map.items():
        place = class_names.index(label) if label in class_names else label
        if name not in index or not isinstance(place, int) or not 0 <= place < (len(class_names) or place + 1):
            raise BadImages(
                f"The class map sends {name!r} to {label!r}",
                f"It maps {what} ({_listed(names)}) to class names or numbers from 0"
                + (f" to {len(class_names) - 1}" if class_names else ""),
                "Mend this entry",
            )
        index[name] = place
    return index


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")) or "none"


def _by_folder(names: Sequence[str], index: dict[str, int]) -> np.ndarray:
    return np.array([index[name.partition("/")[0]] for name in names], dtype=np.int64)


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").strip()
