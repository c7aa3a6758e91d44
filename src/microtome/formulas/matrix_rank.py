"""The rank of a matrix, of its singular values or of a few products with random vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import UsageError

FIRST = 32  # random vectors to begin with

Method = Literal["singular values", "random projections"]


@dataclass(frozen=True, kw_only=True)
class Rank:
    """The rank lies in `lowest` to `highest`, which are the same where it is known.

    A singular value counts as 0 below `tolerance`: D eps times the largest, D the longer side, as NumPy's. `gap` is how
    many times the last that counts is above the first that does not; infinite where there is none.
    Shapes: values (n,) falling, those of the matrix, or of its product with n random vectors.
    """

    lowest: int
    highest: int
    method: Method
    tolerance: float
    values: np.ndarray
    gap: float

    @property
    def known(self) -> bool:
        """Whether it is one number."""
        return self.lowest == self.highest


def rank_of(matrix: np.ndarray, shape: tuple[int, int] | None = None) -> Rank:
    """The rank of a matrix, by its singular values; `shape` is the whole one's where rows of zeros were left out.

    Shapes: (M, D).
    Raises: UsageError for numbers that are not finite.
    """
    if not np.isfinite(matrix).all():
        raise UsageError(f"{(~np.isfinite(matrix)).sum():,} of {matrix.size:,} numbers of a matrix are not finite",
                         "A rank is that of finite numbers", "Look for NaN and infinity in what made it")  # fmt: skip
    values = np.linalg.svd(matrix, compute_uv=False) if matrix.size else np.zeros(0)
    return of_values(values, shape or (matrix.shape[0], matrix.shape[1]))


def of_values(values: np.ndarray, shape: tuple[int, int]) -> Rank:
    """The rank of a matrix of this shape with these singular values. Shapes: (n,), falling."""
    rank, tolerance, gap = _counted(values, shape)
    return Rank(lowest=rank, highest=rank, method="singular values", tolerance=tolerance, values=values, gap=gap)


def rank_by_projections(
    times: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int], most: int, largest: int, seed: int = 0
) -> Rank:
    """The rank of a matrix that is known by its products: with random vectors, twice as many each time.

    The products of a matrix of rank r with k random vectors have rank min(r, k), with probability 1; so a rank below k
    is that of the matrix, and otherwise k is a lower bound. `most` vectors are tried; no rank is above `largest`.
    Shapes: times takes (k, D) to (k, M), each row multiplied by the matrix, of shape (M, D), or to fewer numbers.
    Reference: Halko, Martinsson and Tropp, Finding structure with randomness (2011), section 4.
    """
    numbers = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    values, rank, tolerance, gap, tried = np.zeros(0), 0, 0.0, float("inf"), 0
    most = min(most, largest + 1)  # one more than there can be shows that there are no more
    while tried < most and rank == tried:
        wanted = min(most, max(FIRST, 2 * tried)) - tried
        parts.append(times(numbers.standard_normal((wanted, shape[1]))))
        tried += wanted
        values = np.linalg.svd(np.concatenate(parts), compute_uv=False)
        rank, tolerance, gap = _counted(values, shape)
    known = rank < tried or rank == largest
    return Rank(lowest=rank, highest=rank if known else largest, method="random projections", tolerance=tolerance,
                values=values, gap=gap)  # fmt: skip


def _counted(values: np.ndarray, shape: tuple[int, int]) -> tuple[int, float, float]:
    """How many singular values are more than rounding, below which they are not, and how clear that is."""
    if not len(values) or values[0] == 0:
        return 0, 0.0, float("inf")
    tolerance = max(shape) * float(np.finfo(np.float64).eps) * float(values[0])
    rank = int((values > tolerance).sum())
    gap = values[rank - 1] / values[rank] if rank < len(values) and values[rank] > 0 else float("inf")
    return rank, tolerance, float(gap)
