"""What a pooling operation throws away, as a share of its input's energy.

Around its input x a pooling is a linear map: max pooling picks positions, average pooling sums windows. The part of x
in that map's null space could be anything without changing the output; its share of the sum of squares is what is
thrown away. It is 0 if and only if nothing is lost: windows of one position, or zeros (for averages: constants) beside
what is passed on.
"""

import numpy as np

Windows = tuple[np.ndarray, np.ndarray]  # of rows (P, 2) and of columns (Q, 2): first position, one behind the last


def lost_by_max(maps: np.ndarray, windows: Windows) -> np.ndarray:
    """Share of energy at positions that are the largest value (the first of equal ones) of no window.

    Shapes: maps (C, H, W) -> (C,) in 0..1, NaN for a map of zeros.
    """
    rows, columns = _positions(windows[0], maps.shape[1]), _positions(windows[1], maps.shape[2])
    taken = maps[:, rows[:, None, :, None], columns[None, :, None, :]]  # (C, P, Q, rows, columns of a window)
    best = taken.reshape(*taken.shape[:3], -1).argmax(-1)  # (C, P, Q)
    row = np.take_along_axis(rows[None, :, None, :], best[..., None] // columns.shape[1], -1)[..., 0]
    column = np.take_along_axis(columns[None, None, :, :], best[..., None] % columns.shape[1], -1)[..., 0]
    kept = np.zeros(maps.shape, bool)
    kept[np.arange(len(maps))[:, None, None], row, column] = True
    energy = np.square(maps, dtype=np.float64)
    return _lost(np.where(kept, energy, 0).sum((1, 2)), energy.sum((1, 2)))


def lost_by_average(maps: np.ndarray, windows: Windows) -> np.ndarray:
    """Share of energy that is not in the windows' means; what no window covers is lost.

    Shapes: maps (C, H, W) -> (C,) in 0..1, NaN for a map of zeros, and everywhere if windows overlap.
    """
    if any((axis[1:, 0] < axis[:-1, 1]).any() for axis in windows):
        return np.full(len(maps), np.nan)
    sums = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2] + 1))
    sums[:, 1:, 1:] = maps.astype(np.float64).cumsum(1).cumsum(2)
    (top, bottom), (left, right) = windows[0].T[:, :, None], windows[1].T[:, None, :]
    inside = sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]  # (C, P, Q)
    kept = (np.square(inside) / ((bottom - top) * (right - left))).sum((1, 2))
    return _lost(kept, np.square(maps, dtype=np.float64).sum((1, 2)))


def energy_share_lost(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """1 - energy after / energy before; NaN where there was none. Shapes: (...), (...) -> (...)."""
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    return np.where(before > 0, 1 - after / np.where(before > 0, before, 1), np.nan)


def _lost(kept: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return np.clip(energy_share_lost(energy, kept), 0, 1)


def _positions(axis: np.ndarray, length: int) -> np.ndarray:
    """The positions of every window; at the border a window repeats its last. Shapes: (P, 2) -> (P, longest)."""
    longest = int((axis[:, 1] - axis[:, 0]).max())
    return np.minimum(axis[:, :1] + np.arange(longest), np.minimum(axis[:, 1:], length) - 1)
