"""Where a feature vector lies among those of its class: how densely, and how far from the class's axis and from all's.

Directions alone are compared, so that a larger vector is not a more typical one.
"""

import numpy as np

from ..checks import at_least
from ..errors import UsageError
from .directions import angles_to, unit_rows

NEIGHBOURS = 10  # few enough for a class of dozens, and the distance to one alone would hang on its noise


def density(
    points: np.ndarray, groups: np.ndarray, reference: np.ndarray, reference_groups: np.ndarray, k: int = NEIGHBOURS
) -> np.ndarray:
    """Minus the angle to the k-th nearest reference of the point's own group; NaN where a group has fewer than k.

    The reference has to be of other images: a point is its own nearest neighbour.
    Shapes: (n, d), (n,), (m, d), (m,) -> (n,). Units: degrees. Raises: UsageError.
    """
    at_least("k", k, 1)
    _check(points, groups, reference, reference_groups)
    found = np.full(len(points), np.nan)
    for group in np.unique(groups):
        near, far = points[groups == group], reference[reference_groups == group]
        far = far[np.any(far, axis=1)]
        if len(far) < k:
            continue
        units = unit_rows(far)
        rows = [np.partition(angles_to(units, point), k - 1)[k - 1] for point in near]
        found[groups == group] = -np.array(rows)
    return found


def class_axis_angle(
    points: np.ndarray, groups: np.ndarray, reference: np.ndarray, reference_groups: np.ndarray
) -> np.ndarray:
    """Angle to the mean direction of the references of the point's own group; NaN where there are none.

    Shapes: (n, d), (n,), (m, d), (m,) -> (n,). Units: degrees. Raises: UsageError.
    """
    _check(points, groups, reference, reference_groups)
    axes = np.full(np.shape(points), np.nan)
    for group in np.unique(groups):
        own = reference[reference_groups == group]
        if np.any(own):
            axes[groups == group] = unit_rows(own).mean(0)
    return angles_to(points, axes)


def cone_axis_angle(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Angle to the mean direction of all references. Shapes: (n, d), (m, d) -> (n,). Units: degrees."""
    return angles_to(points, unit_rows(reference).mean(0))


def _check(points: np.ndarray, groups: np.ndarray, reference: np.ndarray, reference_groups: np.ndarray) -> None:
    shapes = tuple(np.shape(each) for each in (points, groups, reference, reference_groups))
    wide = len(shapes[0]) == len(shapes[2]) == 2 and shapes[0][1] == shapes[2][1]
    if not wide or shapes[1] != shapes[0][:1] or shapes[3] != shapes[2][:1]:
        raise UsageError(
            f"Points, groups, references and their groups have shapes {', '.join(map(str, shapes))}",
            "They are (n, d), (n,), (m, d), (m,)",
            "Give one group a row",
        )
