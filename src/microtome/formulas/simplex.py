"""How the rows of a classifier lie to each other: whether they sum to zero, and stand as the corners of a simplex.

The gradient of cross-entropy by the logits sums to zero over classes, so the sum of the rows is moved by nothing but
weight decay, which takes it to zero: where the logits are given to a softmax as they are, rows cannot lie in a cone
from 0. With a rectifier in between the gradient of closed classes is lost, and the sum may go anywhere.
"""

from dataclasses import dataclass

import numpy as np

from .correlation import cosine_matrix
from .directions import check_points


@dataclass(frozen=True, kw_only=True)
class Simplex:
    """The rows of a classifier of K classes beside an equiangular tight frame.

    Shapes: cosines (K, K) of the rows less their mean.
    """

    zero_sum: float  # |sum of rows| / sqrt(sum of |row|^2): 0 if they cancel, about 1 if they are independent
    cosines: np.ndarray
    norm_spread: float  # standard deviation of the centred rows' norms over their mean

    @property
    def target(self) -> float:
        """The cosine of any two corners of a simplex as seen from its middle, -1 / (K - 1)."""
        return -1 / (len(self.cosines) - 1) if len(self.cosines) > 1 else float("nan")

    @property
    def pairs(self) -> np.ndarray:
        """Cosines of different rows. Shapes: (K (K - 1) / 2,)."""
        return self.cosines[np.triu_indices(len(self.cosines), 1)]

    @property
    def gap(self) -> float:
        """Root mean square of the cosines less that of a simplex; NaN for one class."""
        return float(np.sqrt(np.mean((self.pairs - self.target) ** 2))) if len(self.cosines) > 1 else float("nan")


def simplex(rows: np.ndarray) -> Simplex:
    """How close the rows of a classifier are to a simplex about 0. Shapes: (K, d). Raises: UsageError.

    Reference: Papyan, Han and Donoho, Prevalence of neural collapse (2020), section 2.
    """
    values = check_points(rows)
    total = np.sqrt(np.square(values).sum())
    centred = values - values.mean(0)
    lengths = np.linalg.norm(centred, axis=1)
    return Simplex(
        zero_sum=float(np.linalg.norm(values.sum(0)) / total) if total > 0 else float("nan"),
        cosines=cosine_matrix(centred),
        norm_spread=float(lengths.std() / lengths.mean()) if lengths.any() else float("nan"),
    )
