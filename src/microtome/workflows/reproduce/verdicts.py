"""What follows from numbers, and nothing else: verdicts, from intervals alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ...formulas.proportions import wilson_interval
from ...formulas.resampling import DRAWS, bootstrap_mean

Verdict = Literal["holds", "holds in part", "does not hold", "cannot be told"]
HOLDS: Verdict = "holds"
IN_PART: Verdict = "holds in part"
NOT: Verdict = "does not hold"
UNKNOWN: Verdict = "cannot be told"
SAME = 1e-8  # of the largest number: what float64 rounds away over a network, or over a short training
ALIKE = 0.99  # cosine from which two reconstructions are called the same
Interval = Mapping[str, Any]  # mean, low, high, n


def mean_of(values: np.ndarray) -> dict[str, Any]:
    """A mean with its bootstrap interval; what is not a number is left out and counted."""
    known = values[~np.isnan(values)]
    mean, low, high = bootstrap_mean(known)
    return {"mean": mean, "low": low, "high": high, "n": len(known), "left_out": len(values) - len(known)}


def share_of(hits: int, trials: int) -> dict[str, Any]:
    """A share with its Wilson interval."""
    low, high = wilson_interval(np.array(hits), np.array(trials))
    return {"mean": hits / trials if trials else float("nan"), "low": float(low), "high": float(high), "n": trials,
            "hits": hits}  # fmt: skip


def above(interval: Interval, limit: float = 0.0) -> bool | None:
    """Whether all of an interval lies above a limit (True) or below it (False); None if it cannot be told."""
    if interval["low"] > limit:
        return True
    return False if interval["high"] < limit else None


def beaten(claim: Interval, controls: Sequence[Interval]) -> Verdict:
    """Of a difference that should be above 0, and of what it should be above in turn."""
    sign = above(claim)
    if sign is None:
        return UNKNOWN
    if not sign:
        return NOT
    return HOLDS if all(above(control) for control in controls) else IN_PART


def of_accuracy(own: Interval, chance: float, document: float) -> Verdict:
    """It holds if the document's number lies within the interval or below, in part if only chance is beaten."""
    if not above(own, chance):
        return NOT
    return HOLDS if own["high"] >= document else IN_PART


def of_recall(recall: Interval, false_positives: Interval, document: Interval) -> Verdict:
    """It holds if the intervals of both recalls overlap and cats are called cats more often than others are."""
    like = recall["low"] <= document["high"] and document["low"] <= recall["high"]
    recognised = recall["low"] > false_positives["high"]
    return HOLDS if like and recognised else IN_PART if like or recognised else NOT


def of_equality(differences: Sequence[float], rest: bool = True) -> Verdict:
    """It holds if all differences are rounding; in part if `rest`, which should follow, does not."""
    if max(differences) > SAME:
        return NOT
    return HOLDS if rest else IN_PART


def of_trend(trends: Sequence[Interval], controls: Sequence[Interval]) -> Verdict:
    """Of several ways to measure what should rise: all rise and beat the controls, some rise, none does."""
    signs = [above(trend) for trend in trends]
    if all(signs) and all(above(control) for control in controls):
        return HOLDS
    if any(signs):
        return IN_PART
    return NOT if all(sign is False for sign in signs) else UNKNOWN


def of_dependence(fall: Interval, controls: Sequence[Interval], part: float) -> Verdict:
    """It holds if the fall beats random areas and the controls and is more than half of the answer's margin."""
    found = beaten(fall, controls)
    return IN_PART if found == HOLDS and not part > 0.5 else found


def difference_of(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """The difference of the means of two samples that have nothing to do with each other, with a bootstrap interval.

    Shapes: (n,), (m,); what is not a number is left out.
    """
    first, second = (values[~np.isnan(values)] for values in (ours, theirs))
    if min(len(first), len(second)) < 2:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "n": len(first), "beside": len(second)}
    random = np.random.default_rng(seed)
    means = [each[random.integers(len(each), size=(DRAWS, len(each)))].mean(1) for each in (first, second)]
    low, high = np.quantile(means[0] - means[1], (0.025, 0.975))
    return {"mean": float(first.mean() - second.mean()), "low": float(low), "high": float(high), "n": len(first),
            "beside": len(second)}  # fmt: skip


def of_labels(own: Interval, control: Interval, allowed: float) -> Verdict:
    """It holds if all have words and of untrained ones hardly any, in part if only more than of those."""
    if own["hits"] == own["n"] and control["high"] <= allowed:
        return HOLDS
    return IN_PART if own["low"] > control["high"] else NOT


def of_chance(true: Sequence[bool], chance: Sequence[float], limit: float = 0.05) -> Verdict:
    """Of something that is true of some of several networks: it holds if it is true of all, and chance does it in
    hardly any; in part if it is true of some, or of all as by chance.
    """
    if not any(true):
        return NOT
    return HOLDS if all(true) and max(chance) <= limit else IN_PART


def of_presence(present: Interval, beyond: Interval) -> Verdict:
    """Of something that is there and should be more than elsewhere: in part if it is only there."""
    if not present["low"] > 0:
        return NOT
    return HOLDS if above(beyond) else IN_PART
