"""The contract of a statistic: a frozen request that starts an accumulator.

A statistic says *what* to measure at a site, an accumulator measures it: batch after batch it is given tensors of
shape (N, C, ...), reduces them per image, and keeps sums over images in float64. So no result depends on where one
batch ends and the next begins, and two accumulators over different images can be merged into one.
"""

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from torch import Tensor

from ..errors import RunFailed
from .per_image import PerImage

Arrays = dict[str, np.ndarray]


class Batch:
    """The images behind the tensors of one forward pass.

    Shapes: index (N,) place of each image in the set; labels (N,) class or -1; hashes (N,) of the images' ids.
    `scratch` is memory that batches after each other share.
    """

    def __init__(
        self, index: np.ndarray, labels: np.ndarray, hashes: np.ndarray, scratch: dict[Any, Tensor] | None = None
    ) -> None:
        self.index, self.labels, self.hashes = index, labels, hashes
        self._scratch = {} if scratch is None else scratch
        self._seen: tuple[Tensor, PerImage] | None = None

    def per_image(self, tensor: Tensor) -> PerImage:
        """Reductions of `tensor` over everything but images and channels, computed once for all statistics of a site."""
        if self._seen is None or self._seen[0] is not tensor:
            self._seen = (tensor, PerImage(tensor, self.hashes, self._scratch))
        return self._seen[1]

    def forget(self) -> None:
        """Drop the cached reductions: the tensor may be overwritten from now on."""
        self._seen = None


class Accumulator(ABC):
    """What is known so far: a few arrays, empty before the first image. Their number never grows with the images'
    size, and with the number of images only where a class says so.
    """

    def __init__(self) -> None:
        self.arrays: Arrays = {}

    @abstractmethod
    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        """The arrays of these images alone; may leave out what cannot matter beside `self.arrays`."""

    @abstractmethod
    def join(self, mine: Arrays, other: Arrays) -> Arrays:
        """The arrays of two disjoint sets of images taken together; in whichever order."""

    @abstractmethod
    def compute(self) -> Any:
        """The answer; asking does not change the state."""

    def update(self, batch: Batch, *tensors: Tensor) -> None:
        """Add the images of one batch. Shapes: tensors (N, C, ...)."""
        self._absorb(self.reduce(batch, *tensors))

    def merge(self, other: Self) -> None:
        """Add the images that `other` has seen (none of which this one has seen)."""
        self._absorb(other.arrays)

    def _absorb(self, fresh: Arrays) -> None:
        if fresh:
            self.arrays = self.join(self.arrays, fresh) if self.arrays else fresh

    @property
    def seen(self) -> Arrays:
        """The arrays, once there are any.

        Raises: RunFailed before the first image.
        """
        if not self.arrays:
            raise RunFailed(
                f"{type(self).__name__} was asked for an answer before it had seen an image",
                "An answer needs one image or more",
                "Give an image set that is not empty",
            )
        return self.arrays

    def state(self) -> Arrays:
        """Everything needed to go on later."""
        return dict(self.arrays)

    def load(self, state: Arrays) -> None:
        """Become what `state` was taken from."""
        self.arrays = dict(state)


@dataclass(frozen=True, kw_only=True)
class Statistic(ABC):
    """What to measure. Two statistics with the same key are the same request and are measured once."""

    @abstractmethod
    def start(self) -> Accumulator:
        """A fresh accumulator."""

    def key(self) -> str:
        """Name and settings, the same in every process."""
        settings = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return f"{type(self).__name__}{json.dumps(settings, sort_keys=True, default=_digest)}"


def _digest(value: Any) -> str:
    """Arrays among the settings enter the key by a hash of their contents."""
    array = np.ascontiguousarray(value)
    return f"{array.dtype}{array.shape}{hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()}"


def added(mine: Arrays, other: Arrays) -> Arrays:
    """The join of sums: array by array, added."""
    return {name: mine[name] + other[name] for name in mine}


def appended(mine: Arrays, other: Arrays) -> Arrays:
    """The join of rows: array by array, one after the other."""
    return {name: np.concatenate([mine[name], other[name]]) for name in mine}
