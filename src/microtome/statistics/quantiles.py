"""Images that excite each channel a little: so that the strongest ones do not mislead."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .rows import KEPT_IMAGES, Rows, RowsAccumulator
from .statistic import Accumulator, Arrays, Batch, Statistic


@dataclass(frozen=True, kw_only=True)
class Quantiles(Statistic):
    """For every channel `k` images at evenly spaced quantiles of the largest activation per image.

    The quantiles are the middles of k equal parts (for k = 9: 94%, 83%, ... 6%), of at most `images` images.
    """

    k: int = 9
    images: int = KEPT_IMAGES

    def start(self) -> "QuantilesAccumulator":
        return QuantilesAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class QuantilesAnswer:
    """Shapes: levels (k,) in 0..1, descending; values, index, place (C, k) of the image at each level."""

    levels: np.ndarray
    values: np.ndarray
    index: np.ndarray
    place: np.ndarray


class QuantilesAccumulator(Accumulator):
    """Rows of largest values, read off at the end."""

    def __init__(self, request: Quantiles) -> None:
        super().__init__()
        self.k = request.k
        self.rows = RowsAccumulator(Rows(what="largest", images=request.images))

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        self.rows.arrays = self.arrays
        return self.rows.reduce(batch, *tensors)

    def join(self, mine: Arrays, other: Arrays) -> Arrays:
        return self.rows.join(mine, other)

    def compute(self) -> QuantilesAnswer:
        self.rows.arrays = self.seen
        rows = self.rows.compute()
        levels = 1 - (np.arange(self.k) + 0.5) / self.k
        order = np.argsort(rows.values, axis=0, kind="stable")  # (n, C), weakest image first, ties by index
        chosen = order[(levels * len(rows.index)).astype(int)]  # (k, C)
        channels = np.arange(rows.values.shape[1])
        return QuantilesAnswer(
            levels=levels,
            values=rows.values[chosen, channels].T,
            index=rows.index[chosen].T,
            place=rows.place[chosen, channels].T.astype(np.int64),
        )
