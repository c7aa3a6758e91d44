"""Correlation and cosine between the rows or columns of a table."""

import numpy as np


def correlation_matrix(samples: np.ndarray) -> np.ndarray:
    """Pearson correlation of every pair of columns; a constant column correlates 0 with all others.

    Shapes: samples (n, C) -> (C, C), float64.
    """
    centred = samples - samples.mean(0, dtype=np.float64)
    norms = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(norms > 0, norms, 1.0)
    return np.clip(scaled.T @ scaled, -1.0, 1.0)


def cosine_matrix(rows: np.ndarray) -> np.ndarray:
    """Cosine of the angle between every pair of rows; a row of zeros gives 0.

    Shapes: rows (U, n) -> (U, U), float64.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = rows.astype(np.float64) / np.where(norms > 0, norms, 1.0)
    return np.clip(scaled @ scaled.T, -1.0, 1.0)


def nearest(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row of a similarity matrix the other one with the largest value, and that value.

    Shapes: (U, U) -> (U,) indices, (U,) values; a single unit has no other: index -1, value 0.
    """
    units = len(similarity)
    if units < 2:
        return np.full(units, -1), np.zeros(units)
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    partner = others.argmax(1)
    return partner, others[np.arange(units), partner]
