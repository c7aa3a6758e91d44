"""Means with intervals."""

import numpy as np

RESAMPLES = 2000


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean and its 95% bootstrap interval (percentiles of resampled means); what is NaN is left out.

    Shapes: (n,) -> mean, low, high; NaN without a number, an interval of NaN for one alone.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return (float(known[0]) if len(known) else float("nan")), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, len(known), (RESAMPLES, len(known)))
    low, high = np.quantile(known[drawn].mean(1), (0.025, 0.975))
    return float(known.mean()), float(low), float(high)
