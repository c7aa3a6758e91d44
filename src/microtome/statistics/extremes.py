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
    """Entries (channel, key, place), at most k a channel once joined, by channel and then strongest first.

    A key holds the value in its upper 32 bits and the image's place, reversed, in the lower: one 64-bit number makes
    "larger value, then lower index" a plain comparison. Only values that reach a channel's weakest entry are looked
    at closely: after a few batches that is a handful.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self._weakest: tuple[Arrays, np.ndarray] | None = None

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        seen = batch.per_image(tensors[0])
        largest = seen.largest.astype(np.float32, copy=False)  # (N, C)
        with np.errstate(invalid="ignore"):  # NaN reaches nothing
            close = np.flatnonzero(largest >= self._threshold(largest.shape[1]))
        image, channel = np.divmod(close, largest.shape[1])
        keys = _encode(largest[image, channel], batch.index[image])
        if not self._parts:  # of a first batch everything is a candidate, and positions are looked up for few only
            kept = _strongest(channel, keys, self.k)
            image, channel, keys = image[kept], channel[kept], keys[kept]
        channels = np.array([largest.shape[1]])
        return {"channel": channel, "keys": keys, "place": seen.place_of(image, channel), "channels": channels}

    def _threshold(self, channels: int) -> np.ndarray:
        """The weakest value of every channel in the first part, which is in order; minus infinity for a short list."""
        joined = self._parts[0] if self._parts else None
        if joined is None:
            return np.full(channels, -np.inf, np.float32)
        if self._weakest is None or self._weakest[0] is not joined:
            weakest = np.full(channels, -np.inf, np.float32)
            counts = np.bincount(joined["channel"], minlength=channels)
            last = np.cumsum(counts) - 1
            full = counts >= self.k
            weakest[full] = _decode(joined["keys"][last[full]])[0]
            self._weakest = joined, weakest
        return self._weakest[1]

    def _absorb(self, fresh: Arrays) -> None:
        """Joining sorts, and waiting lets thresholds go stale: join when half as many wait as are known."""
        if fresh:
            self._parts.append(fresh)
        if len(self._parts) > 1 and 2 * self._waiting() >= len(self._parts[0]["keys"]):
            self._parts = [self.join(self._parts)]

    def _waiting(self) -> int:
        return sum(len(part["keys"]) for part in self._parts[1:])

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        entries = appended(parts)
        kept = _strongest(entries["channel"], entries["keys"], self.k)
        joined = {name: entries[name][kept] for name in ("channel", "keys", "place")}
        return joined | {"channels": parts[0]["channels"]}

    def move(self, places: np.ndarray) -> None:
        if seen := self.state():
            values, index = _decode(seen["keys"])  # places that ascend keep the order of keys
            self.load(seen | {"keys": _encode(values, places[index])})

    def compute(self) -> ExtremesAnswer:
        entries = self.join([self.seen])
        shape = (int(entries["channels"][0]), self.k)
        values, index, place = np.full(shape, np.nan, np.float32), np.full(shape, -1), np.zeros(shape, np.int64)
        where = entries["channel"], _rank(entries["channel"])
        values[where], index[where] = _decode(entries["keys"])
        place[where] = entries["place"]
        return ExtremesAnswer(values=values, index=index, place=place)


def _strongest(channel: np.ndarray, keys: np.ndarray, k: int) -> np.ndarray:
    """Places of the k largest keys of every channel, by channel and then largest first."""
    order = np.lexsort((~keys, channel))
    return order[_rank(channel[order]) < k]


def _rank(channel: np.ndarray) -> np.ndarray:
    """How many entries of its own channel stand before each. Shapes: (M,) ascending -> (M,)."""
    return np.arange(len(channel)) - np.searchsorted(channel, channel)


def _encode(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Order-preserving int64 keys. A float's bits sort like an integer once those of negative numbers are flipped."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)  # + 0 makes -0.0 and 0.0 the same
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)
    return (ordered << 32) | (LOW - index)


def _decode(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and indices of keys."""
    ordered = (keys >> 32).astype(np.int32)
    values = np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).astype(np.int32).view(np.float32)
    return values, LOW - (keys & LOW)
