"""How much of a unit's activation comes from each channel that feeds it: three answers, all from the same sums."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares by input channel, over positions and images. Shapes: (..., J), each sums to 1 along J; NaN where the unit
    is constant, never fires, or answers nothing but a constant.

    covariance: cov(a_j, y) / var(y), so that no constant can win (it may be negative: a channel that works against
    the unit). on: what a_j adds where y is above 0, over what all add there. energy: the norm of a_j less that on a
    blank image, over the sum of all.
    """

    covariance: np.ndarray
    on: np.ndarray
    energy: np.ndarray


def shares(a: np.ndarray, y: np.ndarray, blank: np.ndarray) -> Shares:
    """The shares of what one unit adds up. Shapes: a (B, J, P), y (B, P) with the bias, blank (J, P) -> (J,) each."""
    a = a.astype(np.float64)
    total = a.sum(1)  # y without the bias; y itself was rounded otherwise, and the shares would not sum to 1
    centred = total - total.mean()
    variance = float((centred * centred).sum())
    covariance = np.einsum("bjp,bp->j", a, centred)
    return Shares(
        covariance=covariance / variance if variance > 0 else np.full(a.shape[1], np.nan),
        on=normalised(np.einsum("bjp,bp->j", a, (y > 0).astype(np.float64))),
        energy=normalised(np.sqrt(np.square(a - blank).sum((0, 2)))),
    )  # fmt: skip


def normalised(values: np.ndarray) -> np.ndarray:
    """With a sum of 1 along the last axis, NaN where the sum is 0. Shapes: (..., J) -> the same."""
    total = values.sum(-1, keepdims=True)
    return np.divide(values, total, out=np.full(values.shape, np.nan), where=total != 0)
