"""Activations that are known in full, and accumulators that are fed any batches of them."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microtome.statistics import Accumulator, Batch, Statistic


def hashes_of(count: int) -> np.ndarray:
    """One number an image, as random as the hash of an id."""
    return np.random.default_rng(7).integers(0, 2**64, count, dtype=np.uint64)


class Whole:
    """The set that batches are part of."""

    def __init__(self, labels: np.ndarray, hashes: np.ndarray) -> None:
        self.labels, self.hashes = labels, hashes

    def __len__(self) -> int:
        return len(self.hashes)

    def hash_limit(self, count: int) -> np.uint64:
        """The largest of the `count` lowest hashes."""
        return np.sort(self.hashes)[:count][-1]

    def shuffled_labels(self, seed: int) -> np.ndarray:
        """The labels, shuffled among the labelled images."""
        shuffled = self.labels.copy()
        shuffled[self.labels >= 0] = np.random.default_rng(seed).permutation(self.labels[self.labels >= 0])
        return shuffled


def cut(order: Iterable[int], size: int) -> list[np.ndarray]:
    """The places in `order`, in batches of `size`; the last may be smaller."""
    places = np.asarray(order)
    return [places[start : start + size] for start in range(0, len(places), size)]


def feed(
    statistic: Statistic,
    tensor: Tensor,
    batches: Iterable[np.ndarray] | None = None,
    *,
    labels: np.ndarray | None = None,
    hashes: np.ndarray | None = None,
    alone: bool = False,
    into: Accumulator | None = None,
) -> Accumulator:
    """An accumulator that has seen the images of `tensor` in these batches of places; by default all at once.

    Batches know the whole set unless they are `alone`.
    """
    accumulator = into or statistic.start()
    labels = np.full(len(tensor), -1) if labels is None else labels
    hashes = hashes_of(len(tensor)) if hashes is None else hashes
    scratch: dict[Any, Tensor] = {}
    whole = None if alone else Whole(labels, hashes)
    for places in [np.arange(len(tensor))] if batches is None else batches:
        seen = tensor if batches is None else tensor[torch.from_numpy(places)]
        accumulator.update(Batch(places, labels[places], hashes[places], scratch, whole), seen)
    return accumulator


def parts(answer: Any) -> dict[str, np.ndarray]:
    """The arrays of an answer by name."""
    if isinstance(answer, np.ndarray):
        return {"answer": answer}
    return {item.name: np.asarray(getattr(answer, item.name)) for item in dataclasses.fields(answer)}


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


# Every way in which a site may hand over a tensor.
LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "maps": lambda: _normal(20, 6, 9, 7),
    "rows": lambda: _normal(20, 6),
    "sequences": lambda: _normal(20, 6, 50),
    "channels at the end": lambda: _normal(20, 9, 7, 6).movedim(-1, 1),
    "channels last in memory": lambda: _normal(20, 6, 9, 7).contiguous(memory_format=torch.channels_last),
    "every second position": lambda: _normal(20, 6, 9, 14)[..., ::2],
    "float16": lambda: _normal(20, 6, 9, 7).half(),
    "bfloat16": lambda: _normal(20, 6, 9, 7).bfloat16(),
    "float64": lambda: _normal(20, 6, 9, 7).double(),
}


def exact(tensor: Tensor) -> np.ndarray:
    """(N, C, P) float64, with one position where there is none."""
    array = tensor.double().numpy()
    return array.reshape(*array.shape[:2], -1)
