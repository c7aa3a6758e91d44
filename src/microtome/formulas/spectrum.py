"""The principal axes of patches, and how much of a filter bank's energy lies along each of them."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, get_args

import numpy as np
from scipy.stats import rankdata

from ..checks import known
from ..errors import UsageError
from .correlation import correlation_matrix

NEAR = 0.25  # by how much of the first one's variance directions may differ that turn into each other with few images
TIE = 1e-6  # entries that differ by less, of the largest, are equally large

Scale = Literal["none", "max", "l2", "sum"]
Correlation = Literal["pearson", "spearman"]


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The principal axes of a set of patches, in the order of their variances, largest first.

    Shapes: variance (D,) lambda_i^2, none below 0; axes (D, D), whose columns are the directions u_i; shape
    (C, kh, kw) of a patch, flattened in this order, D = C kh kw.
    """

    variance: np.ndarray
    axes: np.ndarray
    shape: tuple[int, int, int]

    @cached_property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the patches along every axis, lambda_i. Shapes: (D,)."""
        return np.sqrt(self.variance)

    @property
    def rank(self) -> int:
        """Along how many axes the patches vary at all."""
        return rank(self.variance)

    @property
    def share(self) -> np.ndarray:
        """Share of the patches' variance along every axis; 0 of patches that do not vary. Shapes: (D,)."""
        total = self.variance.sum()
        return self.variance / total if total > 0 else np.zeros_like(self.variance)

    @property
    def patterns(self) -> np.ndarray:
        """The axes as small images. Shapes: (D, C, kh, kw)."""
        return self.axes.T.reshape(-1, *self.shape)


def rank(variance: np.ndarray) -> int:
    """How many variances are more than rounding: above D eps times the largest. Shapes: (D,), in falling order."""
    return int((variance > len(variance) * np.finfo(np.float64).eps * variance[0]).sum())


def principal_axes(covariance: np.ndarray, shape: tuple[int, int, int], rounding: float = 0.0) -> Basis:
    """Eigenvectors of a covariance of patches; of each the largest entry is positive, of equal ones the first.

    Variances that are not above `rounding` count as 0.
    Shapes: covariance (D, D); shape (C, kh, kw) of a patch with D = C kh kw.
    Raises: UsageError for another size, and for numbers that are not finite.
    """
    size = prod(shape)
    if covariance.shape != (size, size):
        raise UsageError(
            f"The covariance has shape {covariance.shape}",
            f"Patches of {' x '.join(map(str, shape))} numbers have one of shape {(size, size)}",
            "Measure the covariance on patches as large as the filters",
        )
    if not np.isfinite(covariance).all():
        raise UsageError(
            "The covariance of the patches has entries that are not finite",
            "Principal axes are those of finite numbers",
            "Look for NaN or infinite pixels in the images, and for a division by 0 in the preprocessing",
        )
    symmetric = (covariance + covariance.T) / 2
    variance, axes = np.linalg.eigh(symmetric.astype(np.float64))
    axes = axes[:, ::-1]
    largest = np.argmax(np.abs(axes) >= (1 - TIE) * np.abs(axes).max(0), axis=0)
    axes = axes * np.where(axes[largest, np.arange(size)] < 0, -1.0, 1.0)
    falling = variance[::-1]
    return Basis(variance=np.where(falling > max(rounding, 0.0), falling, 0.0), axes=axes, shape=shape)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How much of a filter bank lies along every axis of its input.

    Shapes: energy (D,) e_i, the root mean square over the filters of w_k . u_i; squares (K, D), (w_k . u_i)^2;
    deviation (D,) of the patches, lambda_i.
    """

    energy: np.ndarray
    squares: np.ndarray
    deviation: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Which share of each filter lies along every axis; 0 for a filter of zeros. Shapes: (K, D)."""
        whole = self.squares.sum(1, keepdims=True)
        return self.squares / np.where(whole > 0, whole, 1.0)

    @property
    def centroid(self) -> np.ndarray:
        """The mean axis number of each filter, weighted by its shares; NaN for a filter of zeros. Shapes: (K,)."""
        shares = self.shares
        return np.where(shares.any(1), shares @ np.arange(shares.shape[1]), np.nan)


def energy_profile(weights: np.ndarray, basis: Basis) -> Profile:
    """The energy of filters along the principal axes of their input: e_i^2 = mean over k of (w_k . u_i)^2.

    The squares add up to the filters' mean squared norm, and stay as they are when filters are permuted, change sign or
    are mixed by an orthogonal matrix.
    Shapes: weights (K, D), or (K, C, kh, kw) in the shape of the basis.
    Raises: UsageError for filters of another shape, and without filters.
    Reference: Chowers and Weiss, What do CNNs learn in the first layer and why? (2023), section 2.
    """
    if weights.shape[1:] not in (basis.shape, (len(basis.variance),)) or not len(weights):
        raise UsageError(
            f"The filters have shape {weights.shape}",
            f"Along these axes go (K, {', '.join(map(str, basis.shape))}) or (K, {len(basis.variance)}), K at least 1",
            "Measure the patches with the channels and the kernel size of the filters",
        )
    squares = (weights.reshape(len(weights), -1).astype(np.float64) @ basis.axes) ** 2
    return Profile(energy=np.sqrt(squares.mean(0)), squares=squares, deviation=basis.deviation)


def normalised(energy: np.ndarray, scale: Scale) -> np.ndarray:
    """Profiles divided by their largest value, length or sum, or as they are; those of zeros stay so. Shapes: (..., D).

    Raises: UnknownName.
    """
    known("Scale", scale, get_args(Scale), "Choose one of them")
    if scale == "none":
        return energy
    order = {"max": np.inf, "l2": 2, "sum": 1}[scale]
    by = np.linalg.norm(energy, order, axis=-1, keepdims=True)
    return energy / np.where(by > 0, by, 1.0)


def near_degenerate(variance: np.ndarray, rtol: float = NEAR) -> np.ndarray:
    """Number of the group of every axis: one begins where the variance falls by more than `rtol` of its first one's.

    With few images, axes of nearly the same variance turn into each other; what they hold together does not.
    Shapes: variance (D,), falling -> (D,).
    """
    group, first = np.zeros(len(variance), int), 0
    for axis in range(1, len(variance)):
        begins = variance[axis] < (1 - rtol) * variance[first]
        first = axis if begins else first
        group[axis] = group[axis - 1] + begins
    return group


def pooled(energy: np.ndarray, variance: np.ndarray, rtol: float = NEAR) -> np.ndarray:
    """Profiles with the root mean square of each group of nearly degenerate axes in the place of its members.

    Shapes: energy (..., D), variance (D,) -> (..., D).
    """
    group = near_degenerate(variance, rtol)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    means = np.add.reduceat(np.asarray(energy, np.float64) ** 2, starts, axis=-1) / np.bincount(group)
    return np.sqrt(means)[..., group]


def profile_correlation(
    energies: np.ndarray, method: Correlation = "pearson", variance: np.ndarray | None = None, rtol: float = NEAR
) -> np.ndarray:
    """Correlation of every pair of profiles on one basis; one that is the same along all axes correlates 0.

    With `variance`, profiles are pooled first: for banks whose axes were measured on different images.
    Shapes: energies (M, D), variance (D,) -> (M, M).
    Raises: UnknownName.
    """
    known("Method", method, get_args(Correlation), "Choose one of them")
    values = energies if variance is None else pooled(energies, variance, rtol)
    return correlation_matrix((values if method == "pearson" else rankdata(values, axis=1)).T)
