"""What follows from the numbers of first layers, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..verdicts import HOLDS, IN_PART, NOT, UNKNOWN, Interval, Verdict, above

CONSISTENT = 0.8  # the document's bar for a correlation of profiles
MARGIN = 0.02  # of accuracy: a smaller loss is no harm
CLOSE = 0.9  # correlation from which a formula is called right
WHITE = 0.25  # by which a slope may differ from -1
SMALL = 0.01  # of a profile's length: a residual that has vanished
ROUNDING = 1e-8
FAINT = 0.1  # correlation below which labels and patches have next to nothing in common


def of_likeness(kinds: Sequence[Mapping[str, Any]], chance: float, bar: float = CONSISTENT) -> Verdict:
    """Of profiles that should be alike, measured in one way or several: it holds if every pair reaches the bar in all
    of them, in part if they are at least more alike than chance in one.
    """
    kinds = [kind for kind in kinds if kind["n"]]
    if not kinds:
        return UNKNOWN
    if all(min(kind["r"]) >= bar and kind["low"] > chance for kind in kinds):
        return HOLDS
    if any(kind["low"] > chance for kind in kinds):
        return IN_PART
    return UNKNOWN if any(kind["high"] > chance for kind in kinds) else NOT


def of_unlikeness(kinds: Sequence[Mapping[str, Any]], chance: float) -> Verdict:
    """Of profiles that should have nothing in common: it holds if all lie within chance, in part if some do."""
    within = [kind["low"] <= chance for kind in kinds if kind["n"]]
    if not within:
        return UNKNOWN
    return HOLDS if all(within) else IN_PART if any(within) else NOT


def of_fit(r: Sequence[float], null: Sequence[float], trivial: Sequence[float], bar: float = CONSISTENT) -> Verdict:
    """Of a formula beside its null (the 99% point of random filters) and the curve of the first steps: it holds if all
    fits reach the bar and beat both, in part if all beat the null.
    """
    if all(own >= bar and own > by_chance and own > simple
           for own, by_chance, simple in zip(r, null, trivial, strict=True)):  # fmt: skip
        return HOLDS
    return IN_PART if all(own > by_chance for own, by_chance in zip(r, null, strict=True)) else NOT


def of_several(verdicts: Sequence[Verdict]) -> Verdict:
    """Of one claim measured in several ways: what all say, in part if they differ and one of them holds in part."""
    if len(set(verdicts)) == 1:
        return verdicts[0]
    return IN_PART if HOLDS in verdicts or IN_PART in verdicts else UNKNOWN


def of_peaks(low: np.ndarray, high: np.ndarray, chance: np.ndarray) -> Verdict:
    """It holds if every colour stands out at intermediate frequencies in every network, in part if one colour does.

    Shapes: low, high (nets, C) of the intervals, chance (nets, C) the 97.5% point of random filters.
    """
    stands = (low > np.maximum(chance, 0)).all(0)
    if stands.all():
        return HOLDS
    return IN_PART if stands.any() else UNKNOWN if (high > 0).any() else NOT


def of_growth(energy: Interval, s: Interval, walks: Interval) -> Verdict:
    """It holds if both energy and s rise with the steps, s more than in walks; in part if only one of them does."""
    if not energy["n"]:
        return UNKNOWN
    grows = [bool(above(energy)), bool(above(s)) and s["low"] > walks["high"]]
    return HOLDS if all(grows) else IN_PART if any(grows) else NOT


def of_whitening(gained: Sequence[Sequence[float]], begun: np.ndarray, slopes: np.ndarray) -> Verdict:
    """Of responses that should become even: it holds if they are spread over more axes than at first, in every
    network, and the slope above the top has come to -1; in part if they are spread or it has come nearer.

    Shapes: gained (nets, 2) intervals, begun and slopes (nets,).
    """
    spread, known = all(low > 0 for low, _ in gained), len(slopes) > 0
    if spread and known and bool((np.abs(slopes + 1) <= WHITE).all()):
        return HOLDS
    if spread or (known and bool((slopes < np.minimum(begun, 0)).all())):
        return IN_PART
    return NOT if all(high < 0 for _, high in gained) else UNKNOWN


def of_harmless(apart: Interval, control: Interval, margin: float = MARGIN) -> Verdict:
    """Of a difference of accuracy that should not be below 0: it holds if a loss of more than the margin can be ruled
    out; and nothing follows if the control, which must do harm, does none that can be seen.
    """
    if not control["high"] < -margin:
        return UNKNOWN
    if apart["low"] > -margin:
        return HOLDS
    return NOT if apart["high"] < -margin else UNKNOWN


def of_theorem(average: np.ndarray, single: np.ndarray, pictures: np.ndarray) -> Verdict:
    """It holds if it is right on average, of single networks and on pictures; in part if only on average."""
    right = [bool((values >= CLOSE).all()) for values in (average, single, pictures)]
    return HOLDS if all(right) else IN_PART if any(right) else NOT


def of_vanishing(residual: np.ndarray, closed: np.ndarray) -> Verdict:
    """Of what should vanish: it falls at every step and is small in the end; the network must be the formula's."""
    if not closed.max() <= ROUNDING:
        return UNKNOWN
    falls = bool((np.diff(residual) < 0).all())
    return HOLDS if falls and residual[-1] <= SMALL else IN_PART if falls else NOT


def of_limit(mosaics: float, pictures: float, limit: float = -1.0, within: float = WHITE) -> Verdict:
    """Of a slope that should reach a limit: on mosaics and on pictures, or on one of them."""
    reached = [abs(slope - limit) <= within for slope in (mosaics, pictures)]
    return HOLDS if all(reached) else IN_PART if any(reached) else NOT


def of_independence(r: np.ndarray, permuted: np.ndarray) -> Verdict:
    """Of correlations that should be chance: it holds if they are, as a whole, within the middle 95% of those of
    permuted labels, in part if they are small all the same.

    Shapes: r (classes, D), permuted (draws,) root mean squares.
    """
    if np.sqrt((r**2).mean()) <= np.quantile(permuted, 0.975):
        return HOLDS
    return IN_PART if np.abs(r).max() < FAINT else NOT


def of_axes(pooled: np.ndarray, turned: float, shared: np.ndarray) -> Verdict:
    """Of axes that should be those of another set: it holds if most lie in the same groups and the same filters have
    the same profile on both, in part if the profiles are only more alike than on axes at random.
    """
    if pooled.min() >= CONSISTENT and np.median(shared) >= CLOSE and pooled.min() > turned:
        return HOLDS
    return IN_PART if pooled.min() > turned else NOT
