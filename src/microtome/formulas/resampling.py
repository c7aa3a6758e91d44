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


def bootstrap_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """The 95% interval of the mean of every row, all rows with the same draws; NaN below 2 values a row.

    Shapes: (m, n) -> (m, 2). Reference: Efron (1979).
    """
    rows, count = values.shape
    if count < 2 or not rows:
        return np.full((rows, 2), np.nan)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS) / count
    means = drawn @ np.asarray(values, np.float64).T
    return np.quantile(means, (0.025, 0.975), axis=0).T


def percent_in_words(values: np.ndarray) -> str:
    """A mean share with its interval, "62% [55, 68]"; of one value without. Shapes: (n,), n at least 1."""
    mean, low, high = bootstrap_mean(values)
    return f"{mean:.0%}" + ("" if np.isnan(low) else f" [{100 * low:.0f}, {100 * high:.0f}]")


def points_in_words(values: np.ndarray) -> str:
    """A mean difference of shares with its interval in points, "+13 [+9, +18]". Shapes: (n,), n at least 1."""
    mean, low, high = bootstrap_mean(values)
    return f"{100 * mean:+.0f}" + ("" if np.isnan(low) else f" [{100 * low:+.0f}, {100 * high:+.0f}]")
