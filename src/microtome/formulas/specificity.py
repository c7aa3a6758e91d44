"""How much a reconstruction depends on its unit, and how much of it lies in how small an area."""

import math

import numpy as np

from ..errors import UsageError
from .correlation import cosine_matrix

SHARE = 0.1  # of the area, whose energy is counted


def specificity(map_: np.ndarray, others: np.ndarray) -> float:
    """1 - mean |cosine| between a map and those of other units of the same image: 0 if all are the same picture.

    Shapes: map_ (C, h, w); others (n, C, h, w) at the same place. Maps of zeros are left out; NaN if nothing is left.
    """
    mine, theirs = map_.astype(np.float64).ravel(), others.astype(np.float64).reshape(len(others), -1)
    norms = np.linalg.norm(theirs, axis=1) * np.linalg.norm(mine)
    known = norms > 0
    if not known.any():
        return float("nan")
    return float(1 - np.mean(np.abs(theirs[known] @ mine) / norms[known]))


def specificities(maps: np.ndarray) -> np.ndarray:
    """The specificity of each map beside all others of the same image, NaN for maps of zeros, however large they are.

    Shapes: maps (U, ...) -> (U,). Raises: UsageError for what is not finite.
    """
    rows = maps.astype(np.float64).reshape(len(maps), math.prod(maps.shape[1:]))
    bad = int((~np.isfinite(rows)).any(1).sum())
    if bad:
        raise UsageError(f"{bad} of {len(rows)} maps hold NaN or infinity", "Only finite maps have a direction",
                         "Look where the network stops being finite")  # fmt: skip
    out = np.full(len(rows), np.nan)
    there = rows.any(1)
    count = int(there.sum())
    if count > 1:
        rows = rows[there] / np.abs(rows[there]).max(1, keepdims=True)  # so that no sum of squares overflows
        cosines = np.abs(cosine_matrix(rows))
        np.fill_diagonal(cosines, 0)
        out[there] = 1 - cosines.sum(1) / (count - 1)
    return out


def concentration(map_: np.ndarray, share: float = SHARE) -> float:
    """Share of the energy (sum of squares) that lies in the strongest `share` of the area; `share` itself if flat.

    Shapes: map_ (C, h, w). NaN for a map of zeros.
    """
    energy = np.sort(np.square(map_, dtype=np.float64).sum(0).ravel())[::-1]
    if not energy[0]:
        return float("nan")
    area = share * len(energy)
    whole = int(area)
    rest = energy[whole] * (area - whole) if whole < len(energy) else 0.0  # of the pixel that the area ends in
    return float((energy[:whole].sum() + rest) / energy.sum())
