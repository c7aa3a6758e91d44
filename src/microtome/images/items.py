"""Items of a data set of somebody's: how they are fetched, and what is in one."""

from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any

import numpy as np

from ..errors import BadImages
from .collection import KEPT_BYTES
from .files import as_pixels
from .opening import Opening

Item = tuple[np.ndarray, object]  # pixels, and what stands second in the data set's tuple


class ByPlace:
    """Items of a data set that can be asked for by number, one thread after the other."""

    def __init__(self, data: Any, opening: Opening) -> None:
        self.data, self.opening, self.lock = data, opening, Lock()

    def __len__(self) -> int:
        return len(self.data)

    def item(self, place: int) -> Item:
        """Pixels and what stands second of one item."""
        with self.lock:  # a data set of somebody's need not be made for several threads
            item = self.data[place]
        return _taken_apart(item, self.opening)


class InMemory:
    """All items of a data set that has no places, read once and kept in the network's geometry.

    Raises: BadImages if there are none, they take more memory than `KEPT_BYTES`, or the data set itself raises.
    """

    def __init__(self, data: Iterable[object], name: str, opening: Opening) -> None:
        self.data = data
        self.items: list[Item | Exception] = []
        used = 0
        for item in _each(data, name):
            try:
                pixels, second = _taken_apart(item, opening)
            except MemoryError:
                raise
            except Exception as error:  # this image cannot be read, and will be left out like any other
                self.items.append(error)
                continue
            used += pixels.nbytes
            if used > KEPT_BYTES:
                raise BadImages(
                    f"The first {len(self.items) + 1:,} images of {name} take more than {KEPT_BYTES:,} bytes",
                    "A data set without places is read into memory, up to this size",
                    "Give a data set with __getitem__ and __len__, or fewer images",
                )
            self.items.append((pixels, second))
        if not self.items:
            raise BadImages(f"{name} holds no images", "An image set needs one image or more", "Check where it reads")

    def __len__(self) -> int:
        return len(self.items)

    def item(self, place: int) -> Item:
        """Pixels and what stands second of one item; raises what was raised when it was read."""
        item = self.items[place]
        if isinstance(item, Exception):
            raise item
        return item


def _each(data: Iterable[object], name: str) -> Iterator[object]:
    count = 0
    try:
        for item in data:
            yield item
            count += 1
    except Exception as error:  # nobody can go on behind it
        raise BadImages(
            f"{name} raised {type(error).__name__} after {count:,} items ({error})",
            "A data set without places is read from its beginning to its end", "Read it yourself to see the error",
        ) from error  # fmt: skip


def _taken_apart(item: object, opening: Opening) -> Item:
    image, *rest = item if isinstance(item, tuple | list) and item else (item,)
    return as_pixels(image, opening.preprocessing), rest[0] if rest else None
