"""Whether one cone lies inside another: the outer kernel is then a filtering of the inner one without negative weights.

By Farkas' lemma the rows of the outer cone are non-negative sums of the inner one's rows, and as both are all shifts of
one kernel, w_outer = y * w_inner with y >= 0. On a grid there is one y, by division of Fourier transforms. Kernels of
several channels have to have the same y in each, which hardly ever happens: the question is one about slices.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ...errors import UsageError
from .cone_set import ConeSet, Status
from .programs import solved
from .rotation import check_same_space
from .torus import ZERO, back, multiplicity, placed
from .written_out import rows_of

TOLERANCE = 1e-9  # of the largest weight of y: how far rounding may put a weight below 0
ILL = 1e6  # condition of the inner cone from which on rounding may decide
HALF_NORMAL = np.sqrt(2 / np.pi)  # mean of |x|, x normal; its variance is 1 - 2 / pi
LARGEST_GRID = 144  # places for a linear program


@dataclass(frozen=True, kw_only=True)
class Inclusion:
    """Whether inner cones lie inside outer ones, pair by pair.

    `multiplier` is y. `margin` = min(y) / (|w_outer| |r|), r an extreme ray of the inner cone: the sine of the angle by
    which the worst ray is behind the worst facet (below 0), or the least one by which all are in front. `overlap`: the
    share of the outer facets that a random point of the inner cone is expected to be in front of, apices aside: its
    coordinates along the rays are half-normal, and their sum is taken as normal. Not `decided`: y is not unique and the
    one found does not do, or rounding decides.
    Shapes: full, decided, margin, overlap (...); multiplier (..., H, W).
    """

    full: np.ndarray
    decided: np.ndarray
    margin: np.ndarray
    overlap: np.ndarray
    multiplier: np.ndarray


def inclusion(inner: ConeSet, outer: ConeSet) -> Inclusion:
    """Whether each inner cone lies inside its outer one: exactly, up to rounding.

    Shapes: cones (...), as many in both -> (...). An empty cone lies in every other.
    Raises: UsageError for cones of different spaces or shapes.
    Reference: Farkas' lemma, e.g. Ziegler, Lectures on polytopes (1995), proposition 1.9.
    """
    check_same_space(inner, outer)
    if inner.shape != outer.shape:
        raise UsageError(
            f"There are {inner.shape} inner and {outer.shape} outer cones",
            "They are compared pair by pair",
            "Choose the pairs by an index, as inner[rows], outer[columns]",
        )
    quotient = quotients(inner, outer)
    y = back(quotient.spectrum, inner.grid)
    least, most = y.min((-2, -1)), np.abs(y).max((-2, -1))
    full, decided = verdicts(inner, outer, quotient, least, most)
    power = quotient.power
    with np.errstate(divide="ignore", invalid="ignore"):
        ray = np.sqrt((np.where(power > 0, 1 / power, 0.0) @ multiplicity(inner.grid)).sum(-1) / inner.places)
        margin = least / (outer.norms * ray)
        spread = np.sqrt((1 - 2 / np.pi) * (y**2).sum((-2, -1)))
        overlap = ndtr(HALF_NORMAL * y.sum((-2, -1)) / spread)
    return Inclusion(full=full, decided=decided, margin=margin, overlap=overlap, multiplier=y)


@dataclass(frozen=True, kw_only=True)
class Quotients:
    """Half spectra of y. Shapes: spectrum, power (..., H, W // 2 + 1); fits (...), whether y does for all channels."""

    spectrum: np.ndarray
    power: np.ndarray
    fits: np.ndarray


def quotients(inner: ConeSet, outer: ConeSet) -> Quotients:
    """The outer spectra over the inner ones, in the least squares over channels; 0 where the inner ones are 0."""
    return divided(inner.spectrum(), outer.spectrum(), _threshold(inner))


def divided(below: np.ndarray, above: np.ndarray, threshold: np.ndarray) -> Quotients:
    """The same of spectra. Shapes: (..., n, H, W // 2 + 1), power below which it is 0 (...) -> (..., H, W // 2 + 1)."""
    power = (below.real**2 + below.imag**2).sum(-3)
    there = power > threshold[..., None, None]
    power = np.where(there, power, 0.0)
    spectrum = (np.conj(below) * above).sum(-3) / np.where(there, power, 1.0) * there
    rest = np.abs(above - spectrum[..., None, :, :] * below).max((-3, -2, -1))
    return Quotients(spectrum=spectrum, power=power, fits=rest <= TOLERANCE * np.abs(above).max((-3, -2, -1)))


def _threshold(cones: ConeSet) -> np.ndarray:
    return (ZERO * np.abs(cones.kernels).sum((-3, -2, -1), dtype=np.float64)) ** 2


def verdicts(
    inner: ConeSet, outer: ConeSet, quotient: Quotients, least: np.ndarray, most: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What follows from the least and the largest |y|: full, decided. Shapes: all (...)."""
    total = quotient.spectrum[..., 0, 0].real  # the sum of y
    lies = inner.biases * total
    ahead = outer.biases - lies >= -TOLERANCE * (np.abs(outer.biases) + np.abs(lies))
    empty = inner.status == Status.EMPTY
    full = (quotient.fits & ahead & (least >= -TOLERANCE * most)) | empty
    smallest = quotient.power.min((-2, -1))
    condition = np.sqrt(quotient.power.max((-2, -1)) / np.where(smallest > 0, smallest, 1.0))
    rounding = 8 * np.finfo(np.float64).eps * condition * most
    ill = (smallest > 0) & (condition > ILL) & (np.abs(least) <= rounding)
    unseen = (smallest == 0) & (ahead | (quotient.power[..., 0, 0] == 0)) & ~full  # other y would do as well
    return full, ~quotient.fits | ~(ill | unseen) | empty


def inclusion_by_program(inner: ConeSet, outer: ConeSet) -> bool:
    """Whether one cone lies in another, by a linear program for y; also where y is not unique. For small grids.

    Shapes: cones () and ().
    Raises: UsageError for several cones, other spaces and grids of more than 144 places.
    """
    check_same_space(inner, outer)
    if inner.shape or outer.shape or inner.places > LARGEST_GRID:
        raise UsageError(
            f"There are cones of shape {inner.shape} and {outer.shape} on {inner.places} places",
            f"The program takes one of each, on up to {LARGEST_GRID} places",
            "Choose one by an index, and a smaller grid, or ask inclusion",
        )
    if inner.status == Status.EMPTY:
        return True
    rows = rows_of(inner)
    scale = max(float(np.abs(rows).max()), float(inner.norms)) or 1.0
    target = placed(outer.kernels, outer.grid, outer.dilation).ravel()
    size = float(np.abs(target).max()) or 1.0
    costs = np.full(inner.places, float(inner.biases) / scale)
    # of all y that make the outer kernel, the one that leaves its bias most room: where the sum of y is not settled,
    # the kernel's sum is 0, and as the cone is not empty its bias is not below 0, so that there is a least
    y = solved(costs, None, (rows.T / scale, target / size), (0.0, None))
    if y is None:
        return False
    needs = float(costs @ y) * size
    return bool(outer.biases - needs >= -1e-7 * (abs(float(outer.biases)) + abs(needs)))
