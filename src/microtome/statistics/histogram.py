"""How the values of each channel are distributed."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .rows import KEPT_IMAGES, Rows, RowsAccumulator
from .statistic import Accumulator, Arrays, Batch, Statistic


@dataclass(frozen=True, kw_only=True)
class Histogram(Statistic):
    """Counts in equal bins between the smallest and the largest of the values sampled from every channel.

    A few positions of each of at most `images` images are sampled: bins need a range, and a range known beforehand
    would need a second pass over the data.
    """

    bins: int = 24
    positions: int = 8
    images: int = KEPT_IMAGES

    def start(self) -> "HistogramAccumulator":
        return HistogramAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class HistogramAnswer:
    """Shapes: low, high (C,) ends of the range; counts (C, bins), each row adding up to the values sampled."""

    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray


class HistogramAccumulator(Accumulator):
    """Rows of sampled values, counted at the end."""

    def __init__(self, request: Histogram) -> None:
        super().__init__()
        self.bins = request.bins
        self.rows = RowsAccumulator(Rows(what="positions", positions=request.positions, images=request.images))

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        self.rows.arrays = self.arrays
        return self.rows.reduce(batch, *tensors)

    def join(self, mine: Arrays, other: Arrays) -> Arrays:
        return self.rows.join(mine, other)

    def compute(self) -> HistogramAnswer:
        values = self.seen["values"]  # (n, C, positions)
        samples = values.transpose(1, 0, 2).reshape(values.shape[1], -1).astype(np.float64)
        low, high = samples.min(1), samples.max(1)
        width = np.where(high > low, high - low, 1.0)[:, None]
        bins = np.minimum(((samples - low[:, None]) / width * self.bins).astype(int), self.bins - 1)
        cells = bins + self.bins * np.arange(len(bins))[:, None]
        counts = np.bincount(cells.ravel(), minlength=self.bins * len(bins)).reshape(len(bins), self.bins)
        return HistogramAnswer(low=low, high=high, counts=counts)
