"""Where a feature vector lies among those of its class: how densely, and how far from the class's axis and from all's.

Directions alone are compared, so that a larger vector is not a more typical one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from ..checks import at_least
from ..errors import UsageError
from .correlation import rank_correlation
from .directions import angles_to, unit_rows

CONE_AXIS = "angle to cone axis"
MEASURES = ("density", "angle to class axis", CONE_AXIS)
SHUFFLES = 200
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


def typicality(points: np.ndarray, outputs: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """The measures of one half of images, drawn at random, beside the other half; classes are those answered.

    Also their confidence, the largest softmax of the outputs, and the norm of their features.
    Shapes: features (n, d), outputs (n, K) -> (n - n // 2,) each.
    """
    order = np.random.default_rng(seed).permutation(len(points))
    reference, held = order[: len(order) // 2], order[len(order) // 2 :]
    answered = outputs.argmax(1)
    four = points[held], answered[held], points[reference], answered[reference]
    return {
        "density": density(*four), "angle to class axis": class_axis_angle(*four),
        CONE_AXIS: cone_axis_angle(points[held], points[reference]),
        "confidence": softmax(outputs[held].astype(np.float64), 1).max(1),
        "norm": np.linalg.norm(points[held].astype(np.float64), axis=1),
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Association:
    """Rank correlation of a measure with confidence; NaN where it cannot be told.

    `shuffled` is what the size stays below in 95 of 100 when images are shuffled, `at_equal_norm` the partial
    correlation given the norm of the features.
    """

    value: float
    shuffled: float
    at_equal_norm: float
    images: int


def association(measure: np.ndarray, confidence: np.ndarray, norm: np.ndarray, seed: int = 0) -> Association:
    """How a measure goes with confidence, over the images of which it is known. Shapes: (n,), (n,), (n,)."""
    known = np.isfinite(measure) & np.isfinite(confidence)
    one, sure, length = measure[known], confidence[known], norm[known]
    value, by_norm, sure_norm = (rank_correlation(*two) for two in ((one, sure), (one, length), (sure, length)))
    left, random = (1 - by_norm**2) * (1 - sure_norm**2), np.random.default_rng(seed)
    drawn = [abs(rank_correlation(random.permutation(one), sure)) for _ in range(SHUFFLES)]
    return Association(
        value=value, shuffled=float(np.quantile(drawn, 0.95)), images=len(one),
        at_equal_norm=float((value - by_norm * sure_norm) / np.sqrt(left)) if left > 0 else float("nan"),
    )  # fmt: skip
