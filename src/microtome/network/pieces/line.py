"""The linear regions that a straight line between two inputs goes through, exactly.

Where all switches up to one agree at both ends of a piece of the line, they agree all along it, because regions are
convex; so what that switch is given is affine there, and its crossings follow from the two ends. The line is cut
there, and what is left is looked at again, until no piece has a crossing inside.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...errors import NotApplicable, UsageError
from ..model import Model
from ..recording.recorder import Enough
from .watching import Watching, in_double

NOISE = 1e-13  # of the largest number of a site: what is nearer to a bend may lie on either side by rounding
NARROWEST = 1e-12  # of the line: crossings nearer to each other are one
ROWS = 64  # points a forward pass; more are no faster in double precision
TRIED = 16  # of the widest pieces are looked at in their middle, where everything has to be the mean of the ends
AFFINE = 1e-8  # of the largest number of a site: by how much the middle may differ


Piece = tuple[float, float]
Crossing = tuple[float, str, int]  # where, by which switch, by how many of its places


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """Where a line goes from one region into the next.

    Shapes: at (n,) rising, a share of the line; switch (n,), which of `switches` is the first of those that turn there;
    turning (n,), how many of its places do. Units: `at` 0 is the one end, 1 the other.
    """

    at: np.ndarray
    switch: np.ndarray
    turning: np.ndarray
    switches: tuple[str, ...]

    @property
    def regions(self) -> int:
        """How many regions the line goes through."""
        return len(self.at) + 1

    def by_switch(self) -> dict[str, int]:
        """How many crossings every rectifier and pool makes."""
        counts = Counter(self.switch.tolist())
        return {name: counts[place] for place, name in enumerate(self.switches)}


def regions_between(
    model: Model, one: Tensor, other: Tensor, *, until: str = "", within: tuple[float, float] = (0.0, 1.0)
) -> Crossings:
    """Where the line between two inputs crosses from region to region, up to a site (the output if none is named).

    `within` takes a part of the line: a wide network has 100,000 regions on one, and each costs a forward pass.
    Shapes: one, other (C, H, W), normalised.
    Raises: NotApplicable where the network is not affine between its switches; UsageError for a part that is none.
    Reference: Montufar et al., On the number of linear regions of deep neural networks (2014), section 2.
    """
    low, high = within
    if not low < high:
        raise UsageError(f"The part of the line is {low} to {high}", "It begins before it ends",
                         "Give two numbers, the smaller one first")  # fmt: skip
    line = _Line(one.double(), other.double())
    with in_double(model):
        watching = _Cutting(model, until)
        with watching.hooked():
            found, leaves = _cut_up(watching, line, (low, high))
        _make_sure(model, line, leaves, until)
    found.sort()
    return Crossings(
        at=np.array([at for at, _, _ in found]), turning=np.array([count for _, _, count in found], int),
        switch=np.array([watching.switches.index(site) for _, site, _ in found], int), switches=watching.switches,
    )  # fmt: skip


def first_crossing(model: Model, start: Tensor, towards: Tensor, until: str = "") -> float:
    """Up to which share of the way from one input to another the region stays the same; 1 if it is never left.

    Shapes: (C, H, W), normalised.
    """
    high, line = 1.0, _Line(start.double(), towards.double())
    watching = _Cutting(model, until)
    with in_double(model), watching.hooked():
        while cuts := watching.cut(line, [(0.0, high)]):
            high = cuts[0.0, high][0][0]
    return high


@dataclass(frozen=True)
class _Line:
    """A straight line. Shapes: one, other (C, H, W)."""

    one: Tensor
    other: Tensor

    def at(self, shares: Tensor) -> Tensor:
        """The inputs at some shares of the way. Shapes: (n,) -> (n, C, H, W)."""
        there = shares.to(self.one)[:, None, None, None]
        return self.one * (1 - there) + self.other * there


@dataclass
class _Open:
    """The pieces of a pass that no switch has cut yet. Shapes: low, high, left and right rows (P,)."""

    low: Tensor
    high: Tensor
    left: Tensor
    right: Tensor
    cuts: dict[Piece, list[Crossing]] = field(default_factory=dict)


class _Cutting(Watching):
    """Cuts pieces at the first switch that turns inside them."""

    def cut(self, line: _Line, pieces: list[Piece]) -> dict[Piece, list[Crossing]]:
        """For every piece that is cut: where, by which switch and by how many of its places, in rising order."""
        ends = torch.tensor(pieces, dtype=torch.float64)
        points, rows = torch.unique(ends, return_inverse=True)
        self.open = _Open(low=ends[:, 0], high=ends[:, 1], left=rows[:, 0], right=rows[:, 1])
        self.run(line.at(points))
        return self.open.cuts

    def bend(self, site: str, values: Tensor, ends: tuple[float, ...]) -> None:
        here = self.open
        noise = NOISE * values.abs().amax(1)
        found = []
        for end in ends:
            above = values > end
            piece, place = (above[here.left] != above[here.right]).nonzero(as_tuple=True)
            before, after = values[here.left[piece], place] - end, values[here.right[piece], place] - end
            found.append(_turning(piece, before, after, noise[here.left[piece]], noise[here.right[piece]]))
        self._cut(site, *(torch.cat(each) for each in zip(*found, strict=True)))

    def choose(self, site: str, taps: Tensor) -> None:
        here = self.open
        highest, chosen = taps.max(0)  # (N, M)
        noise = NOISE * highest.abs().amax(1)
        piece, place = (chosen[here.left] != chosen[here.right]).nonzero(as_tuple=True)
        left, right = here.left[piece], here.right[piece]
        first, last = chosen[left, place], chosen[right, place]
        before = highest[left, place] - taps[last, left, place]
        after = taps[first, right, place] - highest[right, place]
        self._cut(site, *_turning(piece, before, after, noise[left], noise[right]))

    def _cut(self, site: str, piece: Tensor, share: Tensor) -> None:
        """Cut pieces at shares of theirs. Shapes: (n,)."""
        here = self.open
        low, high = (ends.to(share)[piece.to(share.device)] for ends in (here.low, here.high))
        at = low + share * (high - low)
        inside = ((at > low + NARROWEST) & (at < high - NARROWEST)).nonzero()[:, 0]
        if not len(inside):
            return
        hit = piece[inside].cpu()
        for one in torch.unique(hit).tolist():
            crossings = np.sort(at[inside].cpu().numpy()[(hit == one).numpy()])
            starts = np.flatnonzero(np.diff(crossings, prepend=-np.inf) > NARROWEST)
            counts = np.diff(np.append(starts, len(crossings)))
            here.cuts[float(here.low[one]), float(here.high[one])] = [
                (float(crossings[start]), site, int(count)) for start, count in zip(starts, counts, strict=True)
            ]
        left = torch.ones(len(here.low), dtype=torch.bool)
        left[hit] = False
        self.open = _Open(low=here.low[left], high=here.high[left], left=here.left[left], right=here.right[left],
                          cuts=here.cuts)  # fmt: skip
        if not left.any():
            raise Enough


def _turning(piece: Tensor, before: Tensor, after: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Of places that differ at the ends of pieces: those that really turn, and at which share. Shapes: (n,)."""
    real = (before * after < 0) & (before.abs() > low) & (after.abs() > high)
    piece, start, end = piece[real], before[real], after[real]
    return piece, start / (start - end)


def _cut_up(watching: _Cutting, line: _Line, whole: Piece) -> tuple[list[Crossing], list[Piece]]:
    """Every crossing of a piece, and what lies between them, in no order."""
    waiting, leaves = [whole], []
    found: list[Crossing] = []
    while waiting:
        some, waiting = waiting[-ROWS // 2 :], waiting[: -ROWS // 2]  # neighbours, which share their ends
        cuts = watching.cut(line, some)
        leaves += [piece for piece in some if piece not in cuts]
        for piece, here in cuts.items():
            found += here
            ends = [piece[0], *(at for at, _, _ in here), piece[1]]
            waiting += zip(ends, ends[1:], strict=False)
    return found, leaves


class _Middles(Watching):
    """Holds the middles of pieces against their ends: rows are all lower ends, all middles, all upper ends."""

    worst: tuple[float, str] = (0.0, "")

    def bend(self, site: str, values: Tensor, ends: tuple[float, ...]) -> None:
        low, middle, high = values.view(3, -1, values.shape[1])
        off = float((middle - (low + high) / 2).abs().max() / values.abs().max().clamp(min=1e-300))
        self.worst = max(self.worst, (off, site))

    def choose(self, site: str, taps: Tensor) -> None:
        known = torch.where(taps.isfinite(), taps, 0.0)
        for tap in known:
            self.bend(site, tap, ())


def _make_sure(model: Model, line: _Line, leaves: list[Piece], until: str) -> None:
    """Raise unless the network is affine on the widest pieces. Raises: NotApplicable."""
    widest = torch.tensor(sorted(leaves, key=lambda piece: piece[0] - piece[1])[:TRIED], dtype=torch.float64)
    watching = _Middles(model, until)
    with watching.hooked():
        watching.run(line.at(torch.cat([widest[:, 0], widest.mean(1), widest[:, 1]])))
    off, site = watching.worst
    if off > AFFINE:
        raise NotApplicable(
            f"What {site} is given bends by {off:.1g} of its size inside a region",
            "Between its rectifiers and max pools the network has to be affine",
            f"Stop before {site} with until=..., or give a network of rectifiers",
        )
