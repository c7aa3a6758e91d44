"""The images that excite each channel most, and where in the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic, appended

LOW = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True)
class Extremes(Statistic):
    """The `k` images with the largest activation of every channel, one position each.

    Ties: the larger value first, then the image that comes first in the set.
    """

    k: int = 9

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "ExtremesAccumulator":
        return ExtremesAccumulator(self.k)


@dataclass(frozen=True, kw_only=True)
class ExtremesAnswer:
    """Shapes: values, index, place (C, k), largest first; fewer than k images leave index -1 and value NaN.

    index is the image's place in the set, place the flat position (row * width + column) of the largest value.
    """

    values: np.ndarray
    index: np.ndarray
    place: np.ndarray


class ExtremesAccumulator(Accumulator):
    """Entries (channel, value, index, place), at most k a channel once joined, by channel and then strongest first.

    Only values that reach a channel's weakest entry are looked at closely: after a few batches that is a handful.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self._weakest: tuple[Arrays, np.ndarray] | None = None

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        seen = batch.per_image(tensors[0])
        largest = seen.largest.astype(np.float32, copy=False)  # (N, C)
        if self._parts:
            with np.errstate(invalid="ignore"):  # NaN reaches nothing
                image, channel = np.divmod(np.flatnonzero(largest >= self._threshold()), largest.shape[1])
        else:  # of a first batch everything is a candidate, and positions are looked up for few only
            image, channel = np.nonzero(~np.isnan(largest))
            kept = _strongest(channel, largest[image, channel], batch.index[image], self.k)
            image, channel = image[kept], channel[kept]
        return {
            "channel": channel,
            "value": largest[image, channel] + np.float32(0),  # makes -0.0 and 0.0 the same
            "index": batch.index[image],
            "place": seen.place_of(image, channel),
            "channels": np.array([largest.shape[1]]),
        }

    def _threshold(self) -> np.ndarray:
        """The weakest value of every channel in the first part, which is in order; minus infinity for a short list."""
        joined = self._parts[0]
        if self._weakest is None or self._weakest[0] is not joined:
            channels = int(joined["channels"][0])
            weakest = np.full(channels, -np.inf, np.float32)
            counts = np.bincount(joined["channel"], minlength=channels)
            last = np.cumsum(counts) - 1
            full = counts >= self.k
            weakest[full] = joined["value"][last[full]]
            self._weakest = joined, weakest
        return self._weakest[1]

    def _absorb(self, fresh: Arrays) -> None:
        """Joining sorts, and waiting lets thresholds go stale: join when half as many wait as are known."""
        if fresh:
            self._parts.append(fresh)
        if len(self._parts) > 1 and 2 * self._waiting() >= len(self._parts[0]["index"]):
            self._parts = [self.join(self._parts)]

    def _waiting(self) -> int:
        return sum(len(part["index"]) for part in self._parts[1:])

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        entries = appended(parts)
        kept = _strongest(entries["channel"], entries["value"], entries["index"], self.k)
        joined = {name: entries[name][kept] for name in ("channel", "value", "index", "place")}
        return joined | {"channels": parts[0]["channels"]}

    def move(self, places: np.ndarray) -> None:
        if seen := self.state():
            self.load(seen | {"index": places[seen["index"]]})  # places that ascend keep the order

    def compute(self) -> ExtremesAnswer:
        entries = self.join([self.seen])
        shape = (int(entries["channels"][0]), self.k)
        values, index, place = np.full(shape, np.nan, np.float32), np.full(shape, -1), np.zeros(shape, np.int64)
        where = entries["channel"], _rank(entries["channel"])
        values[where], index[where], place[where] = entries["value"], entries["index"], entries["place"]
        return ExtremesAnswer(values=values, index=index, place=place)


def _strongest(channel: np.ndarray, value: np.ndarray, index: np.ndarray, k: int) -> np.ndarray:
    """Places of the k strongest entries of every channel, by channel and then strongest first."""
    order = np.lexsort((~_key(value, index), channel))
    return order[_rank(channel[order]) < k]


def _rank(channel: np.ndarray) -> np.ndarray:
    """How many entries of its own channel stand before each. Shapes: (M,) ascending -> (M,)."""
    return np.arange(len(channel)) - np.searchsorted(channel, channel)


def _key(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values in the upper 32 bits and image places, reversed, in the lower: one 64-bit number makes "larger value,
    then lower index" a plain comparison. A float's bits sort like an integer once those of negative numbers are
    flipped.
    """
    bits = (values + np.float32(0)).view(np.int32)
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)
    return (ordered << 32) | (LOW - index)
