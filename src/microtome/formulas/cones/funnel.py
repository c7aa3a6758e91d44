"""Which slices lie inside which, cheapest question first: most pairs are settled by numbers that each cone has alone.

A cone inside another opens the same way, its apex is not behind the other's, neither the largest round cone in it nor
the smallest around it is wider than the other's, and no Fourier coefficient relative to the sum is smaller. It does lie
inside if the round cone around it fits into the round cone in the other. What is left is decided by y of `inclusion`.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from .cone_set import ConeSet
from .inclusion import TOLERANCE, Quotients, divided, verdicts
from .rotation import check_same_space
from .torus import ZERO, back

BLOCK = 1 << 18  # Fourier coefficients at once


class Evidence(IntEnum):
    """Why a pair is called included or not."""

    REFUTED_ORIENTATION = 0
    REFUTED_APEX = 1
    REFUTED_ANGLE = 2  # the facet angles
    REFUTED_EDGE = 3
    REFUTED_SPECTRUM = 4
    CERTIFIED = 5  # edge angle inside <= facet angle outside
    FFT_TRUE = 6
    FFT_FALSE = 7
    UNDECIDED = 8

    @property
    def full(self) -> bool:
        """Whether it says that the inner cone lies inside."""
        return self in (Evidence.CERTIFIED, Evidence.FFT_TRUE)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the funnel compares of a flat set of slices, worked out once for all pairs. Shapes: all (A,)."""

    cones: ConeSet

    @cached_property
    def sigma(self) -> np.ndarray:
        """Orientation."""
        return self.cones.orientation

    @cached_property
    def apex(self) -> np.ndarray:
        """On the identity line."""
        return self.cones.apex[:, 0]

    @cached_property
    def facet(self) -> np.ndarray:
        """Facet angles."""
        return self.cones.facet_angle

    @cached_property
    def edge(self) -> np.ndarray:
        """Edge angles, a right angle for cones without an axis."""
        return np.nan_to_num(self.cones.edge_angle, nan=np.pi / 2)

    @cached_property
    def spread(self) -> np.ndarray:
        """Squared tangents of the edge angles, which keep their digits near a right angle."""
        return self.cones.modes.inverse

    @cached_property
    def spectrum(self) -> np.ndarray:
        """Half spectra. Shapes: (A, H, W // 2 + 1)."""
        return self.cones.spectrum()[:, 0]

    @cached_property
    def relative(self) -> np.ndarray:
        """Sizes of the Fourier coefficients relative to the sum. Shapes: (A, H (W // 2 + 1))."""
        sums = np.abs(self.cones.sums)
        return np.abs(self.spectrum.reshape(len(sums), -1)) / np.where(sums > 0, sums, np.nan)

    @cached_property
    def rounding(self) -> np.ndarray:
        """Below what a relative coefficient is 0. Shapes: (A, 1)."""
        sums, weights = np.abs(self.cones.sums), np.abs(self.cones.kernels).sum((-2, -1))
        return ZERO * weights / np.where(sums > 0, sums, np.nan)

    @cached_property
    def threshold(self) -> np.ndarray:
        """Below what a squared Fourier coefficient is 0."""
        return (ZERO * np.abs(self.cones.kernels).sum((-3, -2, -1), dtype=np.float64)) ** 2


def not_behind(inner: np.ndarray, outer: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Whether an apex lies where the outer cone opens to; equal ones, up to rounding, do. Shapes: all (...)."""
    return sigma * (inner - outer) >= -TOLERANCE * np.maximum(np.abs(inner), np.abs(outer))


def no_wider(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Whether an angle, or what grows with it, is not larger, up to rounding. Shapes: all (...)."""
    return inner <= outer * (1 + TOLERANCE)


def evidence(inner: Sizes, outer: Sizes, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether inner[first] lies inside outer[second], and what says so.

    Shapes: first, second (K,), which pairs -> Evidence (K,), int8.
    Raises: UsageError for cones of different spaces.
    """
    check_same_space(inner.cones[:0], outer.cones[:0])
    found = np.full(len(first), Evidence.UNDECIDED, np.int8)
    left = np.arange(len(first))

    def keep(good: np.ndarray, otherwise: Evidence) -> None:
        nonlocal left
        found[left[~good]] = otherwise
        left = left[good]

    sigma = inner.sigma[first]
    keep(sigma * outer.sigma[second] > 0, Evidence.REFUTED_ORIENTATION)
    keep(not_behind(inner.apex[first[left]], outer.apex[second[left]], sigma[left]), Evidence.REFUTED_APEX)
    keep(no_wider(inner.facet[first[left]], outer.facet[second[left]]), Evidence.REFUTED_ANGLE)
    keep(no_wider(inner.spread[first[left]], outer.spread[second[left]]), Evidence.REFUTED_EDGE)
    keep(inner.edge[first[left]] > outer.facet[second[left]], Evidence.CERTIFIED)
    keep(_dominated(inner, outer, first[left], second[left]), Evidence.REFUTED_SPECTRUM)
    found[left] = _divided(inner, outer, first[left], second[left])
    return found


def _blocks(count: int, each: int) -> list[slice]:
    size = max(1, BLOCK // each)
    return [slice(start, start + size) for start in range(0, count, size)]


def _dominated(inner: Sizes, outer: Sizes, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether no coefficient of the outer kernel exceeds that of the inner one, both relative to their sums.

    Their quotient is a coefficient of y, and y >= 0 has no Fourier coefficient above its sum.
    Shapes: (K,), (K,) -> (K,).
    """
    below, above = inner.relative * (1 + TOLERANCE), outer.relative - outer.rounding
    good = [(above[second[part]] <= below[first[part]]).all(1) for part in _blocks(len(first), below.shape[1])]
    return np.concatenate(good) if good else np.zeros(0, bool)


def _divided(inner: Sizes, outer: Sizes, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The exact test. Shapes: (K,), (K,) -> Evidence (K,)."""
    found = np.empty(len(first), np.int8)
    for part in _blocks(len(first), inner.cones.places):
        i, j = first[part], second[part]
        quotient: Quotients = divided(inner.spectrum[i, None], outer.spectrum[j, None], inner.threshold[i])
        y = back(quotient.spectrum, inner.cones.grid)
        least = y.min((-2, -1))
        most = np.maximum(y.max((-2, -1)), -least)
        full, decided = verdicts(inner.cones[i], outer.cones[j], quotient, least, most)
        found[part] = np.where(full, Evidence.FFT_TRUE, np.where(decided, Evidence.FFT_FALSE, Evidence.UNDECIDED))
    return found
