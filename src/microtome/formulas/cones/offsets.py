"""How far the cones of two successive layers are from each other: apices, openings, rotation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from .cone_set import ConeSet
from .rotation import rotation_between
from .states import check_successive

BLOCK = 1 << 17  # triples at once: they stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """Means over the input channels p of the distances between slices (o, c) and (c, p), absolute values.

    Slices without an apex have none to be far from, and make the mean NaN. Shapes: all (O, C).
    Units: apex in those of the map between the layers, opening and rotation in radians.
    """

    apex: np.ndarray
    opening: np.ndarray


def mean_offsets(later: ConeSet, earlier: ConeSet) -> Offsets:
    """Mean |d| = |t - t'| sqrt(N) and mean |difference of facet angles|, over all triples, in blocks.

    Shapes: slices (O, C) and (C, P). Raises: UsageError for layers that do not fit.
    """
    check_successive(later, earlier)
    apex = _mean_apart(later.apex[..., 0], earlier.apex[..., 0]) * np.sqrt(later.places)
    return Offsets(apex=apex, opening=_mean_apart(later.facet_angle, earlier.facet_angle))


def _mean_apart(out: np.ndarray, into: np.ndarray) -> np.ndarray:
    """The mean over p of |x_oc - y_cp|. Shapes: (O, C), (C, P) -> (O, C)."""
    found = np.empty(out.shape)
    size = max(1, BLOCK // max(1, into.size))
    for start in range(0, len(out), size):
        apart = out[start : start + size, :, None] - into
        found[start : start + size] = np.abs(apart, out=apart).mean(-1)
    return found


def apex_offsets(later: ConeSet, earlier: ConeSet) -> np.ndarray:
    """Signed distances along the identity line, d = (t - t') sqrt(N). Shapes: (O, C), (C, P) -> (O, C, P).

    Raises: UsageError for layers that do not fit.
    """
    check_successive(later, earlier)
    return (later.apex - earlier.apex[..., 0]) * np.sqrt(later.places)


def opening_offsets(later: ConeSet, earlier: ConeSet) -> np.ndarray:
    """Differences of facet angles, radians; times 2 / pi they are on the scale of the source document.

    Shapes: (O, C), (C, P) -> (O, C, P). Raises: UsageError for layers that do not fit.
    """
    check_successive(later, earlier)
    return later.facet_angle[..., None] - earlier.facet_angle


def rotations(later: ConeSet, earlier: ConeSet, dtype: DTypeLike = np.float64) -> np.ndarray:
    """The rotation between all slices that meet in a channel, radians. Shapes: (O, C), (C, P) -> (O, C, P), `dtype`.

    Raises: UsageError for layers that do not fit.
    """
    check_successive(later, earlier)
    found = np.empty((*later.shape, earlier.shape[1]), dtype)
    for channel in range(later.shape[1]):
        found[:, channel] = rotation_between(later[:, channel], earlier[channel], dtype)
    return found


def mean_rotations(later: ConeSet, earlier: ConeSet, dtype: DTypeLike = np.float32) -> np.ndarray:
    """The mean rotation over the input channels, radians, without holding all of them. Shapes: -> (O, C), float64.

    Raises: UsageError for layers that do not fit.
    """
    check_successive(later, earlier)
    each = [
        rotation_between(later[:, channel], earlier[channel], dtype).mean(1, dtype=np.float64)
        for channel in range(later.shape[1])
    ]
    return np.stack(each, axis=1)
