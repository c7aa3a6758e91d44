"""A rectifier as a rotation: how far it turns a vector, and how much of its length is left.

With v+ = relu(v) and v- = relu(-v), v = v+ - v- and <v+, v-> = 0. So relu(v) = cos(angle) Q v: a turn Q in the plane of
the two parts, by the least angle to any vector without negative entries, and the length of the projection. Of a vector
and of any set of its entries the angle is told by two energies, |v+|^2 and |v-|^2, which add up over entries.
Reference: Tian, Understanding forward process of convolutional neural network (2023), whose full text was not at hand:
what its abstract leaves open is defined here.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an activation does to a vector. Shapes: all (...). Units: radians.

    angle lies between input and output; gain is how much of the length is left; excess is gain / cos(angle), 1 for an
    orthogonal projection such as a ReLU's, and NaN where the cosine is not above 0.
    """

    angle: np.ndarray
    gain: np.ndarray
    excess: np.ndarray


def angle_of(kept: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """The angle by which a ReLU turns, from the energies of what it keeps and of what it sets to 0.

    90 degrees where nothing is kept, NaN where nothing was there. Never from their sum less one of them, and by no arc
    cosine: both lose all digits of small angles.
    Shapes: (...), (...) -> (...) float64. Units: radians.
    """
    kept, lost = np.asarray(kept, np.float64), np.asarray(lost, np.float64)
    return np.where(kept + lost > 0, np.arctan2(np.sqrt(lost), np.sqrt(kept)), np.nan)


def gain_of(kept: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """How much of the length a ReLU leaves: the cosine of its angle; NaN where nothing was there.

    Shapes: (...), (...) -> (...) float64.
    """
    kept, lost = np.asarray(kept, np.float64), np.asarray(lost, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(kept / (kept + lost)))


def selective_rotation(vectors: np.ndarray, axis: int = -1) -> Turn:
    """What a ReLU does to each of the vectors along an axis.

    Shapes: (..., C) -> (...). Units: radians.
    """
    vectors = np.asarray(vectors, np.float64)
    kept = np.square(np.maximum(vectors, 0)).sum(axis)
    lost = np.square(np.minimum(vectors, 0)).sum(axis)
    excess = np.where(kept > 0, 1.0, np.nan)
    return Turn(angle=angle_of(kept, lost), gain=gain_of(kept, lost), excess=excess)


def orthant_angle(vectors: np.ndarray, axis: int = -1) -> np.ndarray:
    """The least angle to any vector without negative entries: a ReLU's, and 90 degrees or more where all are negative.

    Shapes: (..., C) -> (...) float64, NaN for zeros. Units: radians, up to pi.
    """
    vectors = np.asarray(vectors, np.float64)
    turned, largest = selective_rotation(vectors, axis).angle, vectors.max(axis)
    with np.errstate(invalid="ignore"):
        behind = np.arccos(np.clip(largest / np.linalg.norm(vectors, axis=axis), -1, 1))
    return np.where(largest > 0, turned, behind)


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """The turn Q of a ReLU: relu(v) = cos(angle) Q v; it moves nothing outside the plane of v+ and v-.

    Shapes: (C,) -> (C, C) float64. Raises: UsageError for a vector of zeros or without a positive entry, whose plane
    is not defined.
    """
    vector = np.asarray(vector, np.float64)
    identity = np.eye(len(vector))
    kept, lost = np.maximum(vector, 0), np.maximum(-vector, 0)
    if not kept.any():
        raise UsageError(
            f"A vector of {len(vector)} entries without a positive one was given",
            "A ReLU turns in the plane of what it keeps and of what it loses; it keeps nothing here",
            "Ask `selective_rotation` for its angle, which is 90 degrees",
        )
    if not lost.any():
        return identity
    angle = angle_of(kept @ kept, lost @ lost)
    kept, lost = kept / np.linalg.norm(kept), lost / np.linalg.norm(lost)
    within = np.outer(kept, kept) + np.outer(lost, lost)
    across = np.outer(lost, kept) - np.outer(kept, lost)
    return np.asarray(identity + (np.cos(angle) - 1) * within + np.sin(angle) * across)


def activation_turn(before: np.ndarray, after: np.ndarray, axis: int = -1) -> Turn:
    """What any activation does to each of the vectors along an axis.

    Shapes: (..., C), (..., C) -> (...), NaN for inputs of zeros; outputs of zeros are at 90 degrees. Units: radians.
    Reference: Kahan, How futile are mindless assessments of roundoff in floating-point computation (2006), section 12.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    one, other = (np.linalg.norm(each, axis=axis, keepdims=True) for each in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = before / one, after / other
    apart, together = (np.linalg.norm(each, axis=axis) for each in (first - second, first + second))
    return _turn(2 * np.arctan2(apart, together), one.squeeze(axis), other.squeeze(axis))


def turn_of_energies(before: np.ndarray, after: np.ndarray, apart: np.ndarray) -> Turn:
    """What an activation does, from the energies of input, output and their difference: these add up over entries.

    The angle of a triangle from its three sides, by the formula that loses no digits to needles.
    Shapes: (...) each -> (...). Units: radians.
    Reference: Kahan, Miscalculating area and angles of a needle-like triangle (2014).
    """
    one, other, side = (np.sqrt(np.asarray(each, np.float64)) for each in (before, after, apart))
    long, short = np.maximum(one, other), np.minimum(one, other)
    rest = np.where(short >= side, side - (long - short), short - (long - side))
    with np.errstate(invalid="ignore", divide="ignore"):
        square = ((long - short) + side) * np.maximum(rest, 0) / (
            (long + (short + side)) * np.maximum((long - side) + short, 0)
        )  # fmt: skip
    return _turn(2 * np.arctan(np.sqrt(square)), one, other)


def _turn(angle: np.ndarray, before: np.ndarray, after: np.ndarray) -> Turn:
    """With the conventions for lengths of 0."""
    angle = np.where(before > 0, np.where(after > 0, angle, np.pi / 2), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(before > 0, after / before, np.nan)
        ahead = (after > 0) & (np.cos(angle) > 0)
        excess = np.where(ahead, gain / np.cos(angle), np.nan)
    return Turn(angle=angle, gain=gain, excess=excess)


def leaky_turn(kept: np.ndarray, lost: np.ndarray, slope: float) -> Turn:
    """What a leaky ReLU does, from the energies of the positive and the negative part.

    Shapes: (...), (...) -> (...). Units: radians. slope is that of the negative side, 0..1.
    """
    kept, lost = np.asarray(kept, np.float64), np.asarray(lost, np.float64)
    angle = np.arctan2((1 - slope) * np.sqrt(kept * lost), kept + slope * lost)
    return _turn(angle, np.sqrt(kept + lost), np.sqrt(kept + slope**2 * lost))


def largest_leaky_angle(slope: float) -> float:
    """The most by which a leaky ReLU turns any vector. Units: radians; slope above 0."""
    return float(np.arctan((1 - slope) / (2 * np.sqrt(slope))))


def spread_without_structure(entries: int) -> float:
    """Standard deviation of cos(angle)^2, which is 1/2 on average, over vectors of independent normal entries."""
    return float(np.sqrt(3 / (4 * (entries + 2))))
