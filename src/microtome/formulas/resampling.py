"""How sure a mean is, without an assumption about the distribution."""

import numpy as np

DRAWS = 2000


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """A mean and its 95% interval, by drawing as many values again with replacement; the ends are NaN below 2 values.

    Shapes: (n,) -> mean, low, high; all NaN without values.
    Reference: Efron, Bootstrap methods: another look at the jackknife (1979).
    """
    if len(values) < 2:
        return (float(values[0]) if len(values) else float("nan")), float("nan"), float("nan")
    chosen = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(np.asarray(values, np.float64)[chosen].mean(1), (0.025, 0.975))
    return float(np.mean(values, dtype=np.float64)), float(low), float(high)
