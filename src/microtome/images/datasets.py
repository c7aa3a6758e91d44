"""Images that users hand over as objects: torch data sets, loaders, lists, tensors."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ..errors import BadImages
from .arrays import PREPARED, as_numbers, open_array
from .collection import Images, content_mark
from .facts import class_names_of, ids_of, label_of, numbers_of
from .folders import open_files
from .items import ByPlace, InMemory
from .opening import Opening

SAMPLED = 8  # items that are looked at when a data set is opened: what kind they are, whether they stay the same
KINDS = (
    "Images are a path, a torch Dataset or DataLoader, a tensor or array (N, C, H, W), or a list of PIL images or paths"
)
UNUSED = "the DataLoader's sampler and collate function are not used: its data set is read in its own order"


def open_object(given: Any, opening: Opening, labels: object = None) -> Images:
    """Open a data set, loader, list, tensor or array of somebody's, with or without labels beside it.

    Raises: BadImages.
    """
    notes: tuple[str, ...] = (UNUSED,) if isinstance(given, DataLoader) else ()
    data: Any = given.dataset if isinstance(given, DataLoader) else given
    name = type(data).__name__
    if isinstance(data, str | bytes | dict) or not (hasattr(data, "__getitem__") or hasattr(data, "__iter__")):
        raise BadImages(f"{name} cannot be opened as images", KINDS, "Give one of these")
    if isinstance(data, IterableDataset) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        notes += (f"{name} gives its images one after the other: they were read once, into memory",)
        found = _open_items(InMemory(data, name, opening), name, opening, labels)
    else:
        if len(data) == 0:
            raise BadImages(f"{name} holds no images", "An image set needs one image or more", "Check where it reads")
        numbers = None if labels is None else as_numbers(labels, len(data), name)
        if isinstance(data, Tensor | np.ndarray):
            found = open_array(data, opening, numbers)
        elif isinstance(data, list | tuple) and all(isinstance(item, str | Path) for item in data):
            found = open_files(data, opening, numbers)
        else:
            found = _open_items(ByPlace(data, opening), name, opening, labels)
    return dataclasses.replace(found, notes=notes + found.notes)


def _open_items(items: ByPlace | InMemory, name: str, opening: Opening, labels: object) -> Images:
    seconds: dict[int, int | str] = {}
    kinds: list[np.dtype[Any]] = []

    def read(place: int) -> np.ndarray:
        pixels, second = items.item(place)
        number = label_of(second)
        seconds[place] = type(second).__name__ if number is None else number  # masks would only fill the memory
        kinds[:] = kinds or [pixels.dtype]
        if pixels.dtype != kinds[0]:
            raise BadImages(f"An image of {pixels.dtype} is among images of {kinds[0]}",
                            "All are pictures, or all are prepared", "Have the data set return one kind")  # fmt: skip
        return pixels

    images = Images(
        source=name, ids=ids_of(items.data) if isinstance(items, ByPlace) else ids_of(items), read=read,
        labels=np.full(len(items), -1), class_names=class_names_of(items.data), shape=opening.preprocessing.shape,
        strict=opening.strict,
    )  # fmt: skip
    samples = _samples(images)
    notes = _random(items, name, samples)
    if kinds[0] == np.float32:
        images = dataclasses.replace(images, display=opening.preprocessing.display)
        notes = (PREPARED, *notes)
    numbers, why_none = (
        _numbers(items.data, images, list(samples), seconds)
        if labels is None
        else (as_numbers(labels, len(images), name), "")
    )
    marks = {place: content_mark(pixels) for place, pixels in samples.items()}
    return opening.settled(dataclasses.replace(
        images, labels=numbers, labelling=why_none, notes=notes, mark=lambda place: marks.get(place, b""),
    ))  # fmt: skip


def _samples(images: Images) -> dict[int, np.ndarray]:
    """Pixels of a few images all over the set; if none of these can be read, of the first that can.

    Raises: BadImages if no image can be read; if the set is strict, at the first that cannot.
    """
    few = np.unique(np.linspace(0, len(images) - 1, SAMPLED).astype(np.int64)).tolist()
    found: dict[int, np.ndarray] = {}
    for place in [*few, *range(len(images))]:
        if found and place not in few:
            break
        pixels = _readable(images, place)
        if pixels is not None:
            found[place] = pixels
    if not found:
        images.refuse_if_all_are_broken()
    return found


def _readable(images: Images, place: int) -> np.ndarray | None:
    try:
        return images.pixels(place)
    except BadImages:
        if images.strict:
            raise
        return None


def _numbers(data: Any, images: Images, samples: list[int], seconds: dict[int, int | str]) -> tuple[np.ndarray, str]:
    """Labels, and why there are none: from the data set's own list if its items agree with it, else item by item."""
    none = np.full(len(images), -1)
    unfit = [seconds[place] for place in samples if isinstance(seconds[place], str)]
    if unfit:
        alone = unfit[0] == "NoneType"
        return none, "no labels: " + (
            "its items are images alone" if alone else f"second in its items is a {unfit[0]}, not a whole number"
        )
    kept = numbers_of(data)
    if kept is not None and all(kept[place] == seconds[place] for place in samples):
        return kept, ""
    for place in range(len(images)):
        _readable(images, place)
    found = (seconds.get(place, -1) for place in range(len(images)))
    return np.array([number if isinstance(number, int) else -1 for number in found], dtype=np.int64), ""


def _random(items: ByPlace | InMemory, name: str, samples: dict[int, np.ndarray]) -> tuple[str, ...]:
    """A note if an item is another one when it is asked for again."""

    def repeats(place: int) -> bool:
        try:
            return np.array_equal(items.item(place)[0], samples[place], equal_nan=True)
        except Exception:  # it could be read a moment ago: that is random, too
            return False

    if all(repeats(place) for place in samples):
        return ()
    return (f"{name} gives another image when it is asked again: its transform is random, and results and pictures "
            "will not repeat",)  # fmt: skip
