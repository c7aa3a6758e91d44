"""The images that excite each channel most, and where in the image."""

from dataclasses import dataclass

import numpy as np
import torch
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

    One 64-bit key makes "larger value, then lower index" a plain comparison, so that `topk` never meets a tie.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        """The whole new table: positions are looked up only for the entries that are new in it."""
        seen = batch.per_image(tensors[0])
        fresh = _encode(seen.largest.float().cpu(), torch.from_numpy(batch.index)[:, None]).T  # (C, N)
        keys = self.arrays.get("keys", np.full((len(fresh), self.k), NOTHING))
        place = self.arrays.get("place", np.zeros((len(fresh), self.k), np.int64))
        best, chosen = torch.cat([torch.from_numpy(keys), fresh], 1).topk(self.k, dim=1)  # (C, k)
        channel, column = torch.nonzero(chosen >= self.k, as_tuple=True)
        image = chosen[channel, column] - self.k
        place = np.take_along_axis(place, np.minimum(chosen.numpy(), self.k - 1), 1)
        place[channel.numpy(), column.numpy()] = seen.place_of(image, channel)
        return {"keys": best.numpy(), "place": place}

    def join(self, mine: Arrays, other: Arrays) -> Arrays:
        best, chosen = torch.from_numpy(np.concatenate([mine["keys"], other["keys"]], 1)).topk(self.k, dim=1)
        place = np.take_along_axis(np.concatenate([mine["place"], other["place"]], 1), chosen.numpy(), 1)
        return {"keys": best.numpy(), "place": place}

    def update(self, batch: Batch, *tensors: Tensor) -> None:
        self.arrays = self.reduce(batch, *tensors)  # the old table is in it already

    def compute(self) -> ExtremesAnswer:
        keys = self.seen["keys"]
        values, index = _decode(keys)
        return ExtremesAnswer(values=values, index=index, place=self.seen["place"])


def _encode(values: Tensor, index: Tensor) -> Tensor:
    """Order-preserving int64 keys. A float's bits sort like an integer once those of negative numbers are flipped."""
    bits = (values + 0.0).contiguous().view(torch.int32)  # + 0.0 makes -0.0 and 0.0 the same
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int64)
    return (ordered << 32) | (LOW - index)


def _decode(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ordered = (keys >> 32).astype(np.int32)
    values = np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).astype(np.int32).view(np.float32)
    empty = keys == NOTHING
    return np.where(empty, np.float32(np.nan), values), np.where(empty, -1, LOW - (keys & LOW))
