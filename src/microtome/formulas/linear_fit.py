"""Correlation and least squares from sums alone, so that samples need not be kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RIDGE = 1e-6  # of the inputs' mean variance: inputs that repeat each other share the weight
CONSTANT = 1e-10  # of its mean square: a smaller variance is rounding


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over n samples of Q inputs x and O outputs t.

    Shapes: x, xx (Q,) of x and x^2; t, tt (O,); xt (O, Q) of products; gram (J, J) of products of the inputs at the
    places `plain` (J,) among the Q.
    """

    count: int
    x: np.ndarray
    xx: np.ndarray
    t: np.ndarray
    tt: np.ndarray
    xt: np.ndarray
    gram: np.ndarray
    plain: np.ndarray

    @classmethod
    def of(cls, count: int, plain: np.ndarray, sums: Mapping[str, np.ndarray]) -> "Sums":
        """From the sums by name."""
        return cls(count=count, plain=plain, **sums)


def _variance(count: int, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """0 where nothing but rounding is left."""
    found = squares / count - (total / count) ** 2
    return np.where(found > CONSTANT * squares / count, found, 0.0)


def correlations(sums: Sums) -> np.ndarray:
    """Pearson correlation of every output with every input; 0 with a constant input, NaN of a constant output.

    Shapes: -> (O, Q).
    """
    of_x, of_t = (_variance(sums.count, *pair) for pair in ((sums.x, sums.xx), (sums.t, sums.tt)))
    together = sums.xt / sums.count - np.outer(sums.t / sums.count, sums.x / sums.count)
    scaled = together / np.sqrt(np.where(of_x > 0, of_x, np.inf))
    return np.clip(scaled / np.sqrt(np.where(of_t > 0, of_t, np.nan))[:, None], -1.0, 1.0)


def lines(sums: Sums, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias of the best line from one input each to the outputs; a constant input gets the gain 0.

    Shapes: chosen (O,) which input of the Q -> (O,), (O,).
    """
    outputs = np.arange(len(chosen))
    mean_x, mean_t = sums.x[chosen] / sums.count, sums.t / sums.count
    variance = _variance(sums.count, sums.x, sums.xx)[chosen]
    together = sums.xt[outputs, chosen] / sums.count - mean_x * mean_t
    gain = together / np.where(variance > 0, variance, np.inf)
    return gain, mean_t - gain * mean_x


def least_squares(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """The best linear map with bias from the plain inputs to the outputs. Shapes: -> (O, J), (O,)."""
    mean_x, mean_t = sums.x[sums.plain] / sums.count, sums.t / sums.count
    covariance = sums.gram / sums.count - np.outer(mean_x, mean_x)
    ridge = RIDGE * float(np.trace(covariance)) / len(covariance)
    if ridge <= 0:
        return np.zeros((len(mean_t), len(mean_x))), mean_t
    together = sums.xt[:, sums.plain] / sums.count - np.outer(mean_t, mean_x)
    weight = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), together.T).T
    return weight, mean_t - weight @ mean_x


def explained(sums: Sums, weight: np.ndarray, bias: np.ndarray) -> float:
    """Share of the outputs' variance, all together, that a linear map of the plain inputs explains on these samples.

    R^2 = 1 - sum of squared errors over sum of squares around the means: below 0 if the means would do better, NaN if
    nothing varies. Shapes: (O, J), (O,).
    """
    x, xt = sums.x[sums.plain], sums.xt[:, sums.plain]
    predicted = np.einsum("oj,jk,ok->o", weight, sums.gram, weight, optimize=True) + 2 * bias * (weight @ x)
    errors = sums.tt - 2 * (weight * xt).sum(1) - 2 * bias * sums.t + predicted + sums.count * bias**2
    total = sums.count * _variance(sums.count, sums.t, sums.tt).sum()
    return float(1 - errors.sum() / total) if total > 0 else float("nan")
