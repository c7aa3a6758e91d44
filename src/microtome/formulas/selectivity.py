"""How much a unit prefers one class, or few of many things."""

import numpy as np


def class_selectivity(means: np.ndarray) -> np.ndarray:
    """Class selectivity index: (largest class mean - mean of the others) / (their sum); 0 for a unit without response.

    Shapes: means (K, C) of non-negative responses, NaN for classes without images -> (C,) in 0..1.
    Reference: Morcos, Barrett, Rabinowitz, Botvinick, On the importance of single directions for generalization
    (2018), equation 1.
    """
    known = means[~np.isnan(means).all(1)]
    if len(known) < 2:
        return np.full(means.shape[1], np.nan)
    largest = known.max(0)
    others = (known.sum(0) - largest) / (len(known) - 1)
    total = largest + others
    return np.divide(np.maximum(largest - others, 0), total, out=np.zeros_like(total), where=total > 0)


def sparseness(responses: np.ndarray) -> np.ndarray:
    """How few of n things a unit answers to: 0 to all alike, 1 to one alone; 0 if it answers to none.

    Shapes: responses (..., n), not below 0 -> (...).
    Reference: Treves and Rolls (1991), scaled as by Vinje and Gallant (2000).
    """
    count = responses.shape[-1]
    mean, square = responses.mean(-1), np.square(responses).mean(-1)
    activity = np.divide(mean**2, square, out=np.ones_like(mean, dtype=np.float64), where=square > 0)
    return (1 - activity) / (1 - 1 / count) if count > 1 else np.zeros_like(activity)
