"""Correlation and cosine between the rows or columns of a table."""

import numpy as np

ROUNDING = 1e-9  # correlations that differ by less are equal


def correlation_matrix(samples: np.ndarray) -> np.ndarray:
    """Pearson correlation of every pair of columns; a constant column correlates 0 with all others.

    Shapes: samples (n, C) -> (C, C), float64.
    """
    scaled = _scaled(samples)
    return np.clip(scaled.T @ scaled, -1.0, 1.0)


def cross_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson correlation of every column of one table with every column of another; 0 where one is constant.

    Shapes: (n, C), (n, D) -> (C, D), float64.
    """
    return np.clip(_scaled(one).T @ _scaled(other), -1.0, 1.0)


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1; constant ones are 0."""
    centred = samples - samples.mean(0, dtype=np.float64)
    constant = samples.max(0) == samples.min(0)  # of which rounding of the mean may leave something
    norms = np.linalg.norm(centred, axis=0)
    return np.where(constant, 0.0, centred / np.where(norms > 0, norms, 1.0))


def best_matches(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row the column with the largest value, and that value; of equal ones the row's own number, then the
    lowest.

    Shapes: (C, D) -> (C,) indices, (C,) values.
    """
    best, value = similarity.argmax(1), similarity.max(1)
    own = np.arange(min(similarity.shape))
    best[own] = np.where(similarity[own, own] >= value[own] - ROUNDING, own, best[own])
    return best, value


def cosine_matrix(rows: np.ndarray) -> np.ndarray:
    """Cosine of the angle between every pair of rows; a row of zeros gives 0.

    Shapes: rows (U, n) -> (U, U), float64.
    """
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = rows / np.where(norms > 0, norms, 1.0)
    return np.clip(scaled @ scaled.T, -1.0, 1.0)


def nearest(similarity: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """For every row of a similarity matrix the k others with the largest values, largest first, and those values.

    Shapes: (U, U) -> (U, k) indices, (U, k) values; where there are fewer than k others, index -1 and value 0.
    """
    units = len(similarity)
    indices, values = np.full((units, k), -1), np.zeros((units, k))
    found = min(k, units - 1)
    if found > 0:
        others = similarity.copy()
        np.fill_diagonal(others, -np.inf)
        indices[:, :found] = np.argsort(-others, axis=1, kind="stable")[:, :found]
        values[:, :found] = np.take_along_axis(others, indices[:, :found], 1)
    return indices, values


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation: that of the ranks, equal values sharing theirs; NaN for fewer than 3 or constant values.

    Shapes: (n,), (n,). Reference: Spearman, The proof and measurement of association between two things (1904).
    """
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(correlation_matrix(np.stack([ranks(one), ranks(other)], 1))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    """The place of each value from the smallest, 1, on; equal values share the middle of theirs.

    Shapes: (n,) -> (n,) float64.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    return np.asarray(middle[place.reshape(-1)])
