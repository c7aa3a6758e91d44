"""How much a unit prefers one class."""

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
