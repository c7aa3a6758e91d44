"""Kernels as cones: apex, opening, edges and type of {x : A x + b >= 0}, A the shifts of a kernel on a closed grid.

Every row of A is the kernel at another place, so A is circulant and everything follows from sums and Fourier
transforms. e_c is the indicator of channel c; what they span, constant images, is the identity subspace, with one
channel the identity line. w is the kernel, s_c are its channel sums, N = H W, P(f) = sum over c of |w_c(f)|^2.
Reference: Carlsson, Geometry of deep convolutional networks (2019); Gamba, Carlsson, Azizpour, Bjorkman, On the
geometry of rectifier convolutional neural networks (2019). The closed forms are this project's.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ...errors import UsageError
from .torus import ZERO, multiplicity, placed, spans, spectra

BLOCK = 1 << 21  # Fourier coefficients at once: 32 MB


class Status(IntEnum):
    """What kind of set it is: a cone (times a subspace), a cylinder around it, nothing, or a subspace."""

    OK = 0
    NO_APEX = 1  # the sum is 0 and b > 0
    EMPTY = 2  # the sum is 0 and b < 0: the map can never be on everywhere
    SUBSPACE = 3  # the sum and b are 0


@dataclass(frozen=True, kw_only=True)
class Modes:
    """Of the spectrum of A A^T: sum over f != 0 of P(0) / P(f), largest and smallest P, how many P are 0."""

    inverse: np.ndarray
    largest: np.ndarray
    smallest: np.ndarray
    zeros: np.ndarray


@dataclass(frozen=True, kw_only=True)
class ConeSet:
    """Many cones on one grid; every property has their shape. `slice_cones` and `filter_cones` make them.

    Shapes: kernels (..., n, kh, kw), n channels; biases (...); grid (H, W) that of the layer's input.
    Raises: UsageError for a grid that the stride does not divide, and numbers that are not finite.
    """

    kernels: np.ndarray
    biases: np.ndarray
    grid: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if any(extent % step for extent, step in zip(self.grid, self.stride, strict=True)):
            raise UsageError(
                f"The grid has {self.grid[0]} x {self.grid[1]} places, and the stride is {self.stride}",
                "On a grid that closes upon itself the stride divides height and width",
                "Give a grid that is a multiple of the stride",
            )
        if not (np.isfinite(self.kernels).all() and np.isfinite(self.biases).all()):
            raise UsageError(
                "The kernels or biases have entries that are not finite",
                "Cones are those of finite weights",
                "Look for NaN or infinite weights in the layer",
            )

    def __getitem__(self, places: Any) -> "ConeSet":
        """Some of the cones, by an index into their shape."""
        return replace(self, kernels=self.kernels[places], biases=self.biases[places])

    @property
    def shape(self) -> tuple[int, ...]:
        """How many cones, in which arrangement."""
        return self.biases.shape

    @property
    def places(self) -> int:
        """N = H W."""
        return prod(self.grid)

    @property
    def rows(self) -> int:
        """How many facets: N, with a stride fewer."""
        return self.places // prod(self.stride)

    @cached_property
    def taps(self) -> np.ndarray:
        """The kernels' weights on the grid, added up where a kernel meets itself. Shapes: (..., n, h, w)."""
        reach = spans(self.kernels.shape[-2:], self.dilation)
        fits = reach[0] <= self.grid[0] and reach[1] <= self.grid[1]
        return self.kernels.astype(np.float64) if fits else placed(self.kernels, self.grid, self.dilation)

    @cached_property
    def sums(self) -> np.ndarray:
        """Channel sums s; exactly 0 where the weights cancel up to rounding. Shapes: (..., n)."""
        sums = self.taps.sum((-2, -1))
        return np.where(np.abs(sums) <= ZERO * np.abs(self.taps).sum((-2, -1)), 0.0, sums)

    @cached_property
    def sum_squares(self) -> np.ndarray:
        """|s|^2. Shapes: (...)."""
        return (self.sums**2).sum(-1)

    @cached_property
    def norms(self) -> np.ndarray:
        """|w| on the grid. Shapes: (...)."""
        return np.sqrt(np.einsum("...chw,...chw->...", self.taps, self.taps))

    @cached_property
    def turning_norms(self) -> np.ndarray:
        """|p|, p the kernel without its projection on the identity subspace: |w|^2 - |s|^2 / N. Shapes: (...)."""
        mean, inside = self.sums / self.places, prod(self.taps.shape[-2:])
        away = self.taps - mean[..., None, None]
        return np.sqrt(np.einsum("...chw,...chw->...", away, away) + (self.places - inside) * (mean**2).sum(-1))

    @cached_property
    def periodised(self) -> np.ndarray:
        """A^T 1, which repeats with the stride: the sums of the kernel's phases. Shapes: (..., n, qh, qw)."""
        if self.rows == self.places:
            return self.sums[..., None, None]
        return placed(self.kernels, self.stride, self.dilation)

    @cached_property
    def level(self) -> np.ndarray:
        """<A_0, A^T 1>, the eigenvalue of A A^T at constant maps; without a stride |s|^2. Shapes: (...)."""
        phases = self.periodised
        squares = np.einsum("...chw,...chw->...", phases, phases)
        return np.where(squares <= (ZERO * np.abs(self.taps).sum((-3, -2, -1))) ** 2, 0.0, squares)

    @cached_property
    def status(self) -> np.ndarray:
        """The Status of each, int8. Shapes: (...)."""
        sign = np.sign(self.biases)
        flat = np.select([sign > 0, sign < 0], [Status.NO_APEX, Status.EMPTY], Status.SUBSPACE)
        return np.where(self.level > 0, Status.OK, flat).astype(np.int8)

    @cached_property
    def apex(self) -> np.ndarray:
        """The apex on the identity subspace that is nearest to the origin: t_c = -b s_c / |s|^2.

        0 where b = 0, NaN where there is none. Shapes: (..., n).
        """
        has = self.sum_squares > 0
        scaled = -self.biases / np.where(has, self.sum_squares, 1.0)
        apart = np.where(self.biases == 0, 0.0, np.nan)
        return np.where(has[..., None], scaled[..., None] * self.sums, apart[..., None]) + 0.0

    @cached_property
    def apex_distance(self) -> np.ndarray:
        """How far the nearest apex is from the origin: |b| sqrt(N) / |s|; NaN where there is none. Shapes: (...)."""
        far = np.abs(self.biases) * np.sqrt(self.rows / np.where(self.level > 0, self.level, 1.0))
        return np.where(self.level > 0, far, np.where(self.biases == 0, 0.0, np.nan))

    @cached_property
    def orientation(self) -> np.ndarray:
        """Whether it opens towards bright images or dark ones: the sign of the sum of all weights. Shapes: (...)."""
        return np.sign(self.sums.sum(-1))

    @cached_property
    def kappa(self) -> np.ndarray:
        """The sum of w / (|w| sqrt(n kh kw)), -1 to 1, whatever the grid; 0 of a kernel of zeros. Shapes: (...).

        Reference: Gamba, Azizpour, Carlsson, Bjorkman, Hyperplane arrangements of trained ConvNets are biased (2020).
        """
        norms = np.sqrt(np.einsum("...chw,...chw->...", *[self.kernels.astype(np.float64)] * 2))
        whole = norms * np.sqrt(prod(self.kernels.shape[-3:]))
        return np.divide(self.sums.sum(-1), whole, out=np.zeros(self.shape), where=whole > 0)

    @cached_property
    def facet_angle(self) -> np.ndarray:
        """The angle from the axis to every facet, that is of the largest round cone inside; radians, 0 to pi / 2.

        The axis is s_c e_c summed over channels. atan2, because the arc sine loses half of the digits. Shapes: (...).
        """
        return np.arctan2(np.sqrt(self.sum_squares / self.places), self.turning_norms)

    @cached_property
    def modes(self) -> Modes:
        """What the spectrum of A A^T amounts to, worked out in blocks."""
        count = prod(self.shape)
        kernels = self.kernels.reshape(count, *self.kernels.shape[-3:])
        size = max(1, BLOCK // (self.places * kernels.shape[1]))
        parts = [self._modes(kernels[start : start + size]) for start in range(0, count, size)]
        inverse, largest, smallest, zeros = (
            np.concatenate(each).reshape(self.shape) for each in zip(*parts, strict=True)
        )
        return Modes(inverse=inverse, largest=largest, smallest=smallest, zeros=zeros.astype(np.int64))

    def _modes(self, kernels: np.ndarray) -> tuple[np.ndarray, ...]:
        weights = np.abs(kernels).sum((-3, -2, -1))[:, None]
        if self.rows == self.places:
            often = np.broadcast_to(multiplicity(self.grid), (self.grid[0], self.grid[1] // 2 + 1)).ravel()
            power = _power(spectra(kernels, self.grid, self.dilation)).reshape(len(kernels), -1)
        else:
            power = self._aliased(_power(spectra(kernels, self.grid, self.dilation, half=False)))
            often, power = np.ones(self.rows), power.reshape(len(kernels), -1)
        zero = power <= (ZERO * weights) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(zero, np.inf, power[:, :1] / power)
        inverse = ratio[:, 1:] @ often[1:] if self.rows > 1 else np.zeros(len(kernels))
        return inverse, power.max(1), np.where(zero, 0.0, power).min(1), zero @ often

    def _aliased(self, power: np.ndarray) -> np.ndarray:
        """Power on the coarse grid: the mean over what cannot be told apart there."""
        (high, wide), (down, across) = self.grid, self.stride
        return power.reshape(-1, down, high // down, across, wide // across).mean((1, 3))

    @property
    def edge_angle(self) -> np.ndarray:
        """The angle from the axis to every extreme ray: of the smallest round cone around it; radians.

        atan sqrt(sum over f != 0 of P(0) / P(f)), the same for all rays; pi / 2 if some P(f) is 0, NaN without an axis.
        With a stride the axis is A^T 1. Shapes: (...).
        """
        return np.where(self.level > 0, np.arctan(np.sqrt(self.modes.inverse)), np.nan)

    @property
    def condition(self) -> np.ndarray:
        """sqrt(largest P / smallest P): how much rounding is magnified; infinite if some P is 0. Shapes: (...)."""
        modes = self.modes
        with np.errstate(divide="ignore"):
            return np.where(modes.smallest > 0, np.sqrt(modes.largest / modes.smallest), np.inf)

    @property
    def lineality_dim(self) -> np.ndarray:
        """The dimension of the largest subspace along which the cone goes on: that of ker A. Shapes: (...)."""
        return self.kernels.shape[-3] * self.places - self.rows + self.modes.zeros

    def spectrum(self) -> np.ndarray:
        """The kernels' Fourier transforms. Shapes: (..., n, H, W // 2 + 1), half spectra."""
        return spectra(self.kernels, self.grid, self.dilation)

    def depth(self, means: np.ndarray) -> np.ndarray:
        """How far constant images of these means lie inside, measured from the facets: (<s, mu> + b) / |w|.

        Shapes: means (..., n), or (n,) for all -> (...); NaN of a kernel of zeros.
        """
        inside = (self.sums * means).sum(-1) + self.biases
        return np.divide(inside, self.norms, out=np.full(self.shape, np.nan), where=self.norms > 0)


def _power(spectrum: np.ndarray) -> np.ndarray:
    """Summed over channels. Shapes: (B, n, H, V) -> (B, H, V)."""
    return (spectrum.real**2 + spectrum.imag**2).sum(1)
