"""Numbers of single images, kept for a bounded number of them.

Which images are kept is decided by a hash of their ids: those with the lowest hashes stay. So the choice is random,
the same for every site, batch size, shard and order, and two tables can be merged exactly.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic, appended

KEPT_IMAGES = 2048  # a share read off 2,048 images has a standard error of at most 1.1 percentage points

What = Literal["mean", "response", "largest", "positions"]


@dataclass(frozen=True, kw_only=True)
class Rows(Statistic):
    """One row an image: of every channel the mean, the mean of what is above zero, the largest value, or values at a few
    drawn positions.
    """

    what: What = "mean"
    positions: int = 1
    images: int = KEPT_IMAGES

    def start(self) -> "RowsAccumulator":
        return RowsAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class RowsAnswer:
    """Shapes: index (n,) ascending places of the images; values (n, C), or (n, C, positions) for drawn positions.

    place is (n, C), the flat position of the largest value; it is -1 unless the rows are of largest values.
    """

    index: np.ndarray
    values: np.ndarray
    place: np.ndarray


class RowsAccumulator(Accumulator):
    """The rows with the lowest hashes, in order of (hash, index); grows up to the request's number of images."""

    def __init__(self, request: Rows) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        keep = np.arange(len(batch.index))
        if self.arrays and len(self.arrays["hashes"]) >= self.request.images:
            keep = np.flatnonzero(batch.hashes <= self.arrays["hashes"].max())
        if len(keep) == 0:
            return {}
        seen = batch.per_image(tensors[0])
        place = np.full((len(batch.index), seen.flat.shape[1]), -1)
        if self.request.what == "positions":
            values = seen.sample(self.request.positions)
        elif self.request.what == "largest":
            place, values = seen.place, seen.largest.cpu().numpy()
        else:
            sums = seen.response if self.request.what == "response" else seen.total
            values = (sums / seen.positions).astype(np.float32)
        rows = {"hashes": batch.hashes, "index": batch.index, "values": values, "place": place.astype(np.int32)}
        return self._lowest({name: array[keep] for name, array in rows.items()})

    def join(self, mine: Arrays, other: Arrays) -> Arrays:
        return self._lowest(appended(mine, other))

    def _lowest(self, rows: Arrays) -> Arrays:
        if len(rows["index"]) <= self.request.images:
            return rows
        order = np.lexsort((rows["index"], rows["hashes"]))[: self.request.images]
        return {name: array[order] for name, array in rows.items()}

    def compute(self) -> RowsAnswer:
        order = np.argsort(self.seen["index"])
        return RowsAnswer(**{name: self.seen[name][order] for name in ("index", "values", "place")})
