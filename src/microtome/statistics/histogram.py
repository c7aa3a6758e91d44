"""How the values of each channel are distributed."""

from dataclasses import dataclass

import numpy as np

from .rows import KEPT_IMAGES, Rows, RowsAccumulator, RowsAnswer
from .statistic import Statistic


@dataclass(frozen=True, kw_only=True)
class Histogram(Statistic):
    """Counts in equal bins between the smallest and the largest of the values sampled from every channel.

    A few positions of each of at most `images` images are sampled: bins need a range, and a range known beforehand
    would need a second pass over the data.
    """

    bins: int = 24
    positions: int = 8
    images: int = KEPT_IMAGES

    @property
    def grows(self) -> bool:
        return True

    @property
    def source(self) -> Rows:
        return Rows(what="positions", positions=self.positions, images=self.images)

    def start(self) -> RowsAccumulator:
        return RowsAccumulator(self.source, self._read)

    def _read(self, rows: RowsAnswer) -> "HistogramAnswer":
        samples = rows.values.transpose(1, 0, 2).reshape(rows.values.shape[1], -1).astype(np.float64)  # (C, samples)
        low, high = samples.min(1), samples.max(1)
        width = np.where(high > low, high - low, 1.0)[:, None]
        bins = np.minimum(((samples - low[:, None]) / width * self.bins).astype(int), self.bins - 1)
        cells = bins + self.bins * np.arange(len(bins))[:, None]
        counts = np.bincount(cells.ravel(), minlength=self.bins * len(bins)).reshape(len(bins), self.bins)
        return HistogramAnswer(low=low, high=high, counts=counts)


@dataclass(frozen=True, kw_only=True)
class HistogramAnswer:
    """Shapes: low, high (C,) ends of the range; counts (C, bins), each row adding up to the values sampled."""

    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
