"""What the document reads off the rows of one channel of the second layer, as claims about all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....formulas.omission import SLIGHT
from ..claims import Claim, percent, points
from ..verdicts import (
    HOLDS,
    IN_PART,
    NOT,
    UNKNOWN,
    Verdict,
    above,
    beaten,
    difference_of,
    mean_of,
    of_presence,
    share_of,
)
from .networks import SECOND
from .rows import WEAK
from .words import each, networks

Numbers = Mapping[str, Any]
LIMIT = 0.05  # how often chance may do as well


def claims_of_rows(of: Numbers) -> list[Claim]:
    """In the document's order."""
    return [_dominates(of), _negates(of), _matches(of), _ignored(of)]


def leads(table: Numbers) -> np.ndarray:
    """By how much the largest share of a unit is larger than the second. Shapes: share (U, J) -> (U,)."""
    ordered = np.sort(np.asarray(table["share"]), 1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def kinds(table: Numbers) -> dict[str, np.ndarray]:
    """Which rows negate their input, pass it on, or are weak. Shapes: share, rho (U, J) -> (U, J) bool each."""
    share, rho = np.asarray(table["share"]), np.asarray(table["rho"])
    return {"negated": rho <= -0.5, "passed on": rho >= 0.5, "weak": np.abs(share) < WEAK / share.shape[1]}


def _largest(table: Numbers) -> np.ndarray:
    return np.asarray(np.max(table["share"], 1))


def _dominates(of: Numbers) -> Claim:
    lead, largest = (np.concatenate([of_table(table) for table in of["tables"]]) for of_table in (leads, _largest))
    beside, largest_beside = (np.array([of_table(table).mean() for table in of["untrained"]])
                              for of_table in (leads, _largest))  # fmt: skip
    beyond = difference_of(lead, beside)
    measured = (f"Largest share of {len(lead)} channels of {networks(len(of['tables']))}, over {of['measured']} images "
                f"held out: {percent(mean_of(largest))}, ahead of the second by {points(mean_of(lead))} points; "
                f"control: {len(beside)} untrained networks {percent(mean_of(largest_beside))} and "
                f"{points(mean_of(beside))}; ahead beyond theirs by {points(beyond)}. {_read(of)}")  # fmt: skip
    return Claim(claim="One row of a channel of conv2 is by far the most significant (8 of conv2_3)",
                 measured=measured, verdict=beaten(beyond, []))  # fmt: skip


def _read(of: Numbers) -> str:
    """The one channel that is read as the document reads conv2_3."""
    share = np.asarray(of["tables"][0]["share"])[of["unit"]]
    told = ", ".join(f"{row + 1} {share[row]:.0%}" for row in np.argsort(-share, kind="stable"))
    return (f"The channel for slope 135 of the first network, conv2_{of['unit'] + 1} ({SECOND}:{of['unit']}), has the "
            f"shares (rows from 1) {told}")  # fmt: skip


def _rows(tables: Sequence[Numbers], kind: str) -> list[np.ndarray]:
    """The share of each unit's rows that are of a kind, by network."""
    return [kinds(table)[kind].mean(1) for table in tables]


def _negates(of: Numbers) -> Claim:
    own = np.concatenate(_rows(of["tables"], "negated"))
    untrained = np.array([shares.mean() for shares in _rows(of["untrained"], "negated")])
    passed = np.concatenate(_rows(of["tables"], "passed on"))
    there, beyond = mean_of(own), difference_of(own, untrained)
    measured = (f"{percent(there)} of the rows of a channel are the negative of their input (correlation -0.5 or less "
                f"at the best shift of up to two places), {percent(mean_of(passed))} are their input; n "
                f"{there['n']} channels; control: {len(untrained)} untrained networks "
                f"{percent(mean_of(untrained))} negated, difference {points(beyond)} points")  # fmt: skip
    return Claim(claim="Some rows negate what they are given (3 and 5 of conv2_3)", measured=measured,
                 verdict=of_presence(there, beyond))  # fmt: skip


def _matches(of: Numbers) -> Claim:
    own = share_of(sum(m["hits"] for m in of["matching"]), sum(m["tried"] for m in of["matching"]))
    drawn = np.sum([m["shuffled"] for m in of["matching"]], axis=0)  # (draws, 2)
    shuffled = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    as_many = int((shuffled >= own["mean"]).sum()) if own["n"] else 0
    measured = (f"Of rows with more than an even share, in which both the filter and the channel that it is given have "
                f"a named direction, {percent(own)} ({own['hits']} of {own['n']}) have the same; control: with the "
                f"channels' labels shuffled {shuffled.mean():.0%}, as large a share or larger in {as_many} of "
                f"{len(shuffled):,} draws")  # fmt: skip
    verdict: Verdict = UNKNOWN
    if own["n"]:
        better = own["mean"] > shuffled.mean()
        verdict = HOLDS if better and as_many <= LIMIT * len(shuffled) else UNKNOWN if better else NOT
    return Claim(claim="The filter of a significant row looks for what its input shows (4 and 8 of conv2_3)",
                 measured=measured, verdict=verdict)  # fmt: skip


def _ignored(of: Numbers) -> Claim:
    own, weak, strong, random = (np.concatenate([left[name] for left in of["left"]])
                                 for name in ("own", "weak", "strong", "random"))  # fmt: skip
    lost, beyond = mean_of(own - weak), mean_of(weak - random)
    rows = each([f"{left['rows']} of {left['of']}" for left in of["left"]])
    measured = (f"Rows with less than half an even share: {rows}. With all of them replaced by their mean, accuracy on "
                f"{of['tested']} other images is {percent(mean_of(weak), 1)} instead of {percent(mean_of(own), 1)}, "
                f"{points(lost, 1)} points lost; control: with as many rows at random "
                f"{percent(mean_of(random), 1)}, with the strongest {percent(mean_of(strong), 1)}; better than "
                f"random by {points(beyond, 1)}")  # fmt: skip
    harmless, better = lost["high"] <= SLIGHT, above(beyond) is True
    verdict = HOLDS if harmless and better else IN_PART if harmless or better else NOT
    return Claim(claim="Weak rows can be ignored (1, 2, 6 and 7 of conv2_3)", measured=measured, verdict=verdict)
