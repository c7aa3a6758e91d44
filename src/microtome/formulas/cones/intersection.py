"""Whether cones have an image in common.

A convex set that no shift changes holds, with an image, the mean of all its shifts, which is constant: so such cones
meet if and only if they meet within the identity subspace, and n numbers stand for n N.
"""

import numpy as np

from ...errors import UsageError
from .cone_set import ConeSet
from .programs import solved

SLACK = 1e-9  # by how much rounding may put a linear program's answer outside, of unit normals


def meeting_point(cones: ConeSet) -> np.ndarray | None:
    """Means t of a constant image that lies in all cones, S t + b >= 0; None if they have nothing in common.

    With one channel every cone is an interval of the identity line, else this is a linear program of n + 1 unknowns,
    for the t that lies deepest, by up to 1, inside.
    Shapes: cones (...), all of n channels -> (n,).
    Raises: UsageError for cones with a stride.
    """
    if cones.rows != cones.places:
        raise UsageError(
            f"The cones have stride {cones.stride}",
            "Only cones that no shift changes meet where constant images do",
            "Make them with stride 1",
        )
    sums, biases = cones.sums.reshape(-1, cones.sums.shape[-1]), np.ravel(cones.biases).astype(np.float64)
    lengths = np.sqrt((sums**2).sum(1))
    if (biases[lengths == 0] < 0).any():
        return None
    normals, offsets = (each[lengths > 0] / lengths[lengths > 0, None] for each in (sums, biases[:, None]))
    if not len(normals):
        return np.zeros(sums.shape[1])
    if sums.shape[1] == 1:
        return _on_the_line(normals[:, 0], -offsets[:, 0] / normals[:, 0])
    rows = np.c_[-normals, np.ones(len(normals))]
    free = [(None, None)] * sums.shape[1]
    best = solved(np.r_[np.zeros(sums.shape[1]), -1.0], (rows, offsets[:, 0]), None, [*free, (None, 1.0)])
    if best is None or best[-1] < -SLACK * max(1.0, float(np.abs(offsets).max())):
        return None
    return best[:-1]


def _on_the_line(orientation: np.ndarray, apices: np.ndarray) -> np.ndarray | None:
    low = apices[orientation > 0].max(initial=-np.inf)
    high = apices[orientation < 0].min(initial=np.inf)
    if low > high:
        return None
    ends = [end for end in (low, high) if np.isfinite(end)]
    return np.array([np.mean(ends)])


def facing(one: ConeSet, other: ConeSet) -> np.ndarray:
    """Whether two slices have an image in common: always if they open the same way, else if each lies ahead.

    Shapes: cones (...) of one channel, of equal or broadcast shape -> (...).
    Raises: UsageError for cones of several channels.
    """
    if one.kernels.shape[-3] != 1 or other.kernels.shape[-3] != 1:
        raise UsageError(
            f"The cones have {one.kernels.shape[-3]} and {other.kernels.shape[-3]} channels",
            "Slices have one",
            "Ask meeting_point about whole filters",
        )
    first, second = one.sums[..., 0], other.sums[..., 0]
    ahead = second * one.apex[..., 0] + other.biases >= 0
    alone = np.where(first == 0, one.biases >= 0, True) & np.where(second == 0, other.biases >= 0, True)
    opposite = first * second < 0
    return alone & np.where(opposite, ahead, True)
