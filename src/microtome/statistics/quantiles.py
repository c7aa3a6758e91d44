"""Images that excite each channel a little: so that the strongest ones do not mislead."""

from dataclasses import dataclass

import numpy as np

from .rows import Rows, RowsAccumulator, RowsAnswer
from .statistic import Statistic


@dataclass(frozen=True, kw_only=True)
class Quantiles(Statistic):
    """For every channel `k` images at evenly spaced quantiles of the largest activation per image.

    The quantiles are the middles of k equal parts (for k = 9: 94%, 83%, ... 6%) of at most `images` images; with 256
    a level is off by about three percentage points.
    """

    k: int = 9
    images: int = 256

    @property
    def grows(self) -> bool:
        return True

    @property
    def source(self) -> Rows:
        return Rows(what="largest", images=self.images)

    def start(self) -> RowsAccumulator:
        return RowsAccumulator(self.source, self._read)

    def _read(self, rows: RowsAnswer) -> "QuantilesAnswer":
        levels = 1 - (np.arange(self.k) + 0.5) / self.k
        order = np.argsort(rows.values, axis=0, kind="stable")  # (n, C), weakest image first, ties by index
        # the integer part of level * n, in whole numbers: 0.1 * 10 can come out just below 1
        chosen = order[(2 * np.arange(self.k)[::-1] + 1) * len(rows.index) // (2 * self.k)]  # (k, C)
        channels = np.arange(rows.values.shape[1])
        return QuantilesAnswer(
            levels=levels,
            values=rows.values[chosen, channels].T,
            index=rows.index[chosen].T,
            place=rows.place[chosen, channels].T.astype(np.int64),
        )


@dataclass(frozen=True, kw_only=True)
class QuantilesAnswer:
    """Shapes: levels (k,) in 0..1, descending; values, index, place (C, k) of the image at each level."""

    levels: np.ndarray
    values: np.ndarray
    index: np.ndarray
    place: np.ndarray
