"""The contract of a statistic: a frozen request that starts an accumulator.

A statistic says *what* to measure at a site, an accumulator measures it: batch after batch it is given tensors of
shape (N, C, ...), reduces them per image, and keeps sums over images in float64. So no result depends on where one
batch ends and the next begins, and two accumulators over different images can be merged into one.
"""

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from torch import Tensor

from ..errors import RunFailed
from .per_image import PerImage

Arrays = dict[str, np.ndarray]


class WholeSet(Protocol):
    """What a statistic may ask of the whole set of images."""

    def __len__(self) -> int:
        """How many there are."""

    def hash_limit(self, count: int) -> np.uint64:
        """The largest of the `count` lowest hashes."""

    def shuffled_labels(self, seed: int) -> np.ndarray:
        """The labels, shuffled among the labelled images."""


class Batch:
    """The images behind the tensors of one forward pass.

    Shapes: index (N,) place of each image in the set; labels (N,) class or -1; hashes (N,) of the images' ids.
    `whole` is the set that the batch is part of; `scratch` is memory that batches after each other share.
    """

    def __init__(
        self,
        index: np.ndarray,
        labels: np.ndarray,
        hashes: np.ndarray,
        scratch: dict[Any, Tensor] | None = None,
        whole: WholeSet | None = None,
    ) -> None:
        self.index, self.labels, self.hashes = index, labels, hashes
        self._whole = whole
        self.rectified = False  # whether the tensors of the site at hand come from a rectifier
        self._scratch = {} if scratch is None else scratch
        self._seen: tuple[Tensor, PerImage] | None = None

    def lowest(self, count: int) -> np.ndarray:
        """Which of these images are among the `count` of the whole set with the lowest hashes: (n,) ascending."""
        if self._whole is None:
            return np.arange(len(self.index))
        return np.flatnonzero(self.hashes <= self._whole.hash_limit(count))

    @property
    def size_of_whole(self) -> int:
        """How many images the whole set has; the batch, if that is all there is."""
        return len(self.index) if self._whole is None else len(self._whole)

    def shuffled_labels(self, seed: int) -> np.ndarray:
        """These images' labels after shuffling those of the whole set; of the batch alone if that is all there is."""
        if self._whole is None:
            return np.random.default_rng(seed).permutation(self.labels)
        return self._whole.shuffled_labels(seed)[self.index]

    def per_image(self, tensor: Tensor) -> PerImage:
        """Reductions of `tensor` over all but images and channels, computed once for all statistics of a site."""
        if self._seen is None or self._seen[0] is not tensor:
            self._seen = (tensor, PerImage(tensor, self.hashes, self._scratch, self.rectified))
        return self._seen[1]

    def forget(self) -> None:
        """Drop the cached reductions: the tensor may be overwritten from now on."""
        self._seen = None


class Accumulator(ABC):
    """What is known so far: a few arrays, empty before the first image. Their number never grows with the images'
    size, and with the number of images only where a class says so.

    `patience` is the number of batches that wait before they are joined: 1, unless joining is dear.
    """

    patience: ClassVar[int] = 1

    def __init__(self) -> None:
        self._parts: list[Arrays] = []  # the first is what has been joined, the others wait

    @abstractmethod
    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        """The arrays of these images alone; may leave out what cannot matter beside what is known."""

    @abstractmethod
    def join(self, parts: Sequence[Arrays]) -> Arrays:
        """The arrays of several disjoint sets of images taken together; in whichever order."""

    @abstractmethod
    def compute(self) -> Any:
        """The answer; asking does not change the state."""

    def update(self, batch: Batch, *tensors: Tensor) -> None:
        """Add the images of one batch. Shapes: tensors (N, C, ...)."""
        self._absorb(self.reduce(batch, *tensors))

    def merge(self, other: Self) -> None:
        """Add the images that `other` has seen (none of which this one has seen)."""
        self._absorb(other.state())

    def _absorb(self, fresh: Arrays) -> None:
        if fresh:
            self._parts.append(fresh)
        if len(self._parts) > self.patience:
            self._parts = [self.join(self._parts)]

    @property
    def seen(self) -> Arrays:
        """The arrays, once there are any.

        Raises: RunFailed before the first image.
        """
        if not self._parts:
            raise RunFailed(
                f"{type(self).__name__} was asked for an answer before it had seen an image",
                "An answer needs one image or more",
                "Give an image set that is not empty",
            )
        return self.state()

    def state(self) -> Arrays:
        """Everything needed to go on later."""
        if len(self._parts) > 1:
            self._parts = [self.join(self._parts)]
        return dict(self._parts[0]) if self._parts else {}

    def load(self, state: Arrays) -> None:
        """Become what `state` was taken from."""
        self._parts = [dict(state)] if state else []

    def move(self, places: np.ndarray) -> None:
        """The set of images has grown: what was its i-th image is now the `places[i]`-th. Shapes: places ascending.

        Only asked of statistics that `grow`; those that keep places of images say their new ones.
        """


@dataclass(frozen=True, kw_only=True)
class Statistic(ABC):
    """What to measure. Two statistics with the same key are the same request and are measured once."""

    @abstractmethod
    def start(self) -> Accumulator:
        """A fresh accumulator."""

    @property
    def source(self) -> "Statistic":
        """What is measured for this one: itself, or another one whose state its accumulator reads in its own way."""
        return self

    @property
    def grows(self) -> bool:
        """Whether images can be added to a set later: what is known of some does not depend on what the others are."""
        return False

    def key(self) -> str:
        """Name and settings, the same in every process."""
        settings = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return f"{type(self).__name__}{json.dumps(settings, sort_keys=True, default=_digest)}"


def _digest(value: Any) -> Any:
    """Arrays among the settings enter the key by a hash of their contents, NumPy's numbers as numbers."""
    if isinstance(value, np.generic):
        return value.item()
    array = np.asarray(value, order="C")
    if array.dtype.hasobject:  # its bytes would be addresses, different in every process
        raise TypeError(f"{type(value).__name__} cannot be part of a statistic's key")
    return f"{array.dtype}{array.shape}{hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()}"


def added(parts: Sequence[Arrays]) -> Arrays:
    """The join of sums: array by array, added."""
    return {name: sum(part[name] for part in parts[1:]) + array for name, array in parts[0].items()}


def appended(parts: Sequence[Arrays]) -> Arrays:
    """The join of rows: array by array, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
