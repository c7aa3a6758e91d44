"""How the cones of two successive layers lie to each other, slice by slice: the states, and three ways to name them.

OUT is slice (o, c) of the later layer, IN is slice (c, p) of the earlier one; both are put on the grid of the map
between the layers, on one identity line. That they live in one space is a convention; `frames` has others.
Reference: Gamba, Carlsson, Azizpour, Bjorkman, On the geometry of rectifier convolutional neural networks (2019).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

import numpy as np

from ...checks import known
from ...errors import UsageError
from .cone_set import ConeSet
from .funnel import Evidence, Sizes, evidence, no_wider, not_behind
from .rotation import check_same_space

FLAT = 1e-6  # |kappa| below which a slice has no orientation to speak of

Mode = Literal["seed", "pair", "exact"]


class State(IntEnum):
    """Where two cones lie. In full only by their summaries, unless the mode is exact."""

    OUT_PARTIAL_IN = 0
    OUT_FULL_IN = 1
    IN_PARTIAL_OUT = 2
    IN_FULL_OUT = 3
    FACING = 4  # they open against each other, and meet
    DISJOINT = 5  # they open away from each other
    DEGENERATE = 6  # the weights of one cancel
    UNDECIDED = 7


def states(later: ConeSet, earlier: ConeSet, mode: Mode = "seed") -> np.ndarray:
    """The states of the slices of two successive layers.

    seed: OUT against all of IN at once, by the lowest apex and the widest opening, whatever their orientations. OUT if
    its apex is not below the lowest of IN, in full if it is not wider than the widest; else IN, in full if it is at
    least as wide. IN slices whose weights cancel are left out.
    pair: against each of IN, with their orientations: in full where apex and facet angle allow it, which is necessary.
    exact: the same, in full only where it is so. Equal apices count as OUT, so with biases of 0 there is no IN.
    Shapes: cones (O, C) and (C, P) -> State int8, seed (O, C), else (O, C, P).
    Raises: UsageError for layers that do not fit; UnknownName for another mode.
    """
    known("mode", mode, get_args(Mode), "Choose one of these")
    if mode == "seed":
        check_successive(later, earlier)
        return seed_rule(Combined.of(later), Covering.of(earlier))
    if mode == "exact":
        return exact_states(later, earlier)[0]
    check_successive(later, earlier)
    found = np.empty((*later.shape, earlier.shape[1]), np.int8)
    for channel in range(earlier.shape[0]):
        out, into = Sizes(cones=later[:, channel]), Sizes(cones=earlier[channel])
        found[:, channel] = _pair_rule(out, into)
    return found


def exact_states(later: ConeSet, earlier: ConeSet) -> tuple[np.ndarray, np.ndarray]:
    """States of mode exact, and the Evidence for or against inclusion of the cone whose apex lies ahead.

    Shapes: cones (O, C) and (C, P) -> int8 (O, C, P) twice; evidence UNDECIDED where the state is DEGENERATE.
    Raises: UsageError for layers that do not fit.
    """
    check_successive(later, earlier)
    found = np.empty((*later.shape, earlier.shape[1]), np.int8)
    why = np.empty_like(found)
    for channel in range(earlier.shape[0]):
        out, into = Sizes(cones=later[:, channel]), Sizes(cones=earlier[channel])
        found[:, channel], why[:, channel] = _exact_rule(out, into)
    return found, why


def counts_of(states: np.ndarray) -> np.ndarray:
    """How often each state occurs. Shapes: (...) -> (8,)."""
    return np.bincount(states.ravel(), minlength=len(State))


def check_successive(later: ConeSet, earlier: ConeSet) -> None:
    """Raises: UsageError unless these are slices of layers that follow each other, on one grid."""
    if len(later.shape) != 2 or len(earlier.shape) != 2 or later.shape[1] != earlier.shape[0]:
        raise UsageError(
            f"There are slices {later.shape} of the later layer and {earlier.shape} of the earlier one",
            "The later layer has (O, C) slices, and the earlier one (C, P)",
            "Give two layers that follow each other, of layers in groups one group at a time",
        )
    check_same_space(later[:0, 0], earlier[0, :0])


def is_flat(cones: ConeSet) -> np.ndarray:
    """Whether the weights of a slice cancel, as far as its direction is concerned. Shapes: (...)."""
    return np.abs(cones.kappa) < FLAT


@dataclass(frozen=True, kw_only=True)
class Combined:
    """What the seed rule takes from OUT. Shapes: all (O, C)."""

    apex: np.ndarray
    opening: np.ndarray
    flat: np.ndarray

    @classmethod
    def of(cls, later: ConeSet) -> "Combined":
        """Of the later layer's slices."""
        return cls(apex=later.apex[..., 0], opening=later.facet_angle, flat=is_flat(later))


@dataclass(frozen=True, kw_only=True)
class Covering:
    """What the seed rule takes from all of IN together. Shapes: all (C,); infinite where all slices are flat."""

    lowest: np.ndarray
    widest: np.ndarray

    @classmethod
    def of(cls, earlier: ConeSet) -> "Covering":
        """Of the earlier layer's slices: over the input channels of each filter."""
        flat = is_flat(earlier)
        lowest = np.where(flat, np.inf, earlier.apex[..., 0]).min(1)
        return cls(lowest=lowest, widest=np.where(flat, -np.inf, earlier.facet_angle).max(1))


def seed_rule(out: Combined, into: Covering) -> np.ndarray:
    """The state of each slice of the later layer. Shapes: (O, C), (C,) -> State int8 (O, C)."""
    ahead = out.apex >= into.lowest
    with np.errstate(invalid="ignore"):
        apart = out.opening - into.widest
    inside = np.where(apart <= 0, State.OUT_FULL_IN, State.OUT_PARTIAL_IN)
    around = np.where(apart >= 0, State.IN_FULL_OUT, State.IN_PARTIAL_OUT)
    degenerate = out.flat | np.isinf(into.lowest)
    return np.where(degenerate, State.DEGENERATE, np.where(ahead, inside, around)).astype(np.int8)


def _sides(out: Sizes, into: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per pair: degenerate, opening against each other, meeting if so, OUT ahead if not. Shapes: (O, P)."""
    sigma, other = out.sigma[:, None], into.sigma
    apex, beside = out.apex[:, None], into.apex
    degenerate = is_flat(out.cones)[:, None] | is_flat(into.cones)
    return degenerate, sigma != other, not_behind(apex, beside, other), not_behind(apex, beside, sigma)


def _pair_rule(out: Sizes, into: Sizes) -> np.ndarray:
    """States by summaries. Shapes: (O,), (P,) -> (O, P)."""
    degenerate, opposite, meeting, ahead = _sides(out, into)
    facet, beside = out.facet[:, None], into.facet
    inside = np.where(no_wider(facet, beside), State.OUT_FULL_IN, State.OUT_PARTIAL_IN)
    around = np.where(no_wider(beside, facet), State.IN_FULL_OUT, State.IN_PARTIAL_OUT)
    against = np.where(meeting, State.FACING, State.DISJOINT)
    found = np.where(opposite, against, np.where(ahead, inside, around))
    return np.where(degenerate, State.DEGENERATE, found).astype(np.int8)


def _exact_rule(out: Sizes, into: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """States and evidence. Shapes: (O,), (P,) -> (O, P) twice."""
    found = _pair_rule(out, into)
    why = np.full(found.shape, Evidence.UNDECIDED, np.int8)
    why[(found == State.FACING) | (found == State.DISJOINT)] = Evidence.REFUTED_ORIENTATION
    why[(found == State.OUT_PARTIAL_IN) | (found == State.IN_PARTIAL_OUT)] = Evidence.REFUTED_ANGLE
    o, p = np.nonzero(found == State.OUT_FULL_IN)
    why[o, p] = evidence(out, into, o, p)
    found[o, p] = _settled(why[o, p], State.OUT_FULL_IN, State.OUT_PARTIAL_IN)
    o, p = np.nonzero(found == State.IN_FULL_OUT)
    why[o, p] = evidence(into, out, p, o)
    found[o, p] = _settled(why[o, p], State.IN_FULL_OUT, State.IN_PARTIAL_OUT)
    return found, why


def _settled(why: np.ndarray, full: State, partial: State) -> np.ndarray:
    """The states that follow from evidence. Shapes: (K,) -> (K,)."""
    table = [State.UNDECIDED if code == Evidence.UNDECIDED else full if code.full else partial for code in Evidence]
    return np.array(table, np.int8)[why]
