"""The images that excite each channel most, and where in the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic

NOTHING = np.iinfo(np.int64).min  # the key of an empty entry of the table: smaller than any real one
LOW = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True)
class Extremes(Statistic):
    """The `k` images with the largest activation of every channel, one position each.

    Ties: the larger value first, then the image that comes first in the set.
    """

    k: int = 9

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
    """A table (C, k) of sortable keys: the value in the upper 32 bits, the image's place, reversed, in the lower.

    One 64-bit key makes "larger value, then lower index" a plain comparison. Only values that reach a channel's
    smallest entry are looked at closely: after a few batches that is a handful.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        """The whole new table; positions are looked up only for the entries that are new in it."""
        seen = batch.per_image(tensors[0])
        largest = seen.largest.astype(np.float32, copy=False)  # (N, C)
        known = self._parts[0] if self._parts else self._empty(largest.shape[1])
        smallest = _decode(known["keys"][:, -1])[0]
        with np.errstate(invalid="ignore"):  # NaN reaches nothing
            channel, image = np.nonzero(smallest[:, None] <= largest.T)
        if len(image) == 0:
            return known
        keys = _encode(largest[image, channel], batch.index[image])
        table, chosen = self._best(known["keys"], channel, keys)
        fresh_channel, column = np.nonzero(chosen >= 0)
        place = np.take_along_axis(known["place"], np.maximum(-chosen - 1, 0), 1)
        place[fresh_channel, column] = seen.place_of(image[chosen[fresh_channel, column]], fresh_channel)
        return {"keys": table, "place": place}

    def _best(self, table: np.ndarray, channel: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The new table of keys, and where each entry comes from: candidate j >= 0, or -1 - column of the old table.

        Candidates come channel by channel; they are laid out in rows beside the table's, which are sorted.
        """
        touched, starts, counts = np.unique(channel, return_index=True, return_counts=True)
        row, slot = np.repeat(np.arange(len(touched)), counts), np.arange(len(keys)) - np.repeat(starts, counts)
        beside = np.full((len(touched), self.k + counts.max()), NOTHING)
        origin = np.broadcast_to(-1 - np.arange(beside.shape[1]), beside.shape).copy()
        beside[:, : self.k] = table[touched]
        beside[row, self.k + slot] = keys
        origin[row, self.k + slot] = np.arange(len(keys))
        order = np.argsort(~beside, axis=1, kind="stable")[:, : self.k]  # largest key first
        new_table, chosen = table.copy(), np.broadcast_to(-1 - np.arange(self.k), table.shape).copy()
        new_table[touched] = np.take_along_axis(beside, order, 1)
        chosen[touched] = np.take_along_axis(origin, order, 1)
        return new_table, chosen

    def _empty(self, channels: int) -> Arrays:
        shape = (channels, self.k)
        return {"keys": np.full(shape, NOTHING), "place": np.zeros(shape, np.int64)}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        keys, places = (np.concatenate([part[name] for part in parts], axis=1) for name in ("keys", "place"))
        order = np.argsort(~keys, axis=1, kind="stable")[:, : self.k]
        return {"keys": np.take_along_axis(keys, order, 1), "place": np.take_along_axis(places, order, 1)}

    def update(self, batch: Batch, *tensors: Tensor) -> None:
        self.load(self.reduce(batch, *tensors))  # the old table is in it already

    def compute(self) -> ExtremesAnswer:
        values, index = _decode(self.seen["keys"])
        empty = self.seen["keys"] == NOTHING
        return ExtremesAnswer(
            values=np.where(empty, np.float32(np.nan), values),
            index=np.where(empty, -1, index),
            place=self.seen["place"],
        )


def _encode(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Order-preserving int64 keys. A float's bits sort like an integer once those of negative numbers are flipped."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)  # + 0 makes -0.0 and 0.0 the same
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)
    return (ordered << 32) | (LOW - index)


def _decode(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and indices of keys; the value of an empty entry is minus infinity."""
    ordered = (keys >> 32).astype(np.int32)
    values = np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).astype(np.int32).view(np.float32)
    return np.where(keys == NOTHING, np.float32(-np.inf), values), LOW - (keys & LOW)
