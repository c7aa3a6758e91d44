"""How far one cone has to be turned about the identity subspace to lie along another, wherever its kernel is."""

from math import prod

import numpy as np
from numpy.typing import DTypeLike

from ...errors import UsageError
from .cone_set import ConeSet
from .torus import placed, spans

BLOCK = 1 << 18  # correlations at once: they stay in the processor's cache
NEAR = 1e-3  # below one, a cosine from which the arc cosine loses digits


def rotation_between(one: ConeSet, other: ConeSet, dtype: DTypeLike = np.float64) -> np.ndarray:
    """The least angle between p and any shift of q, radians, for every pair of the two sets.

    p and q are the kernels without their projections on the identity subspace. Shifts at which the kernels do not meet
    all give the same angle, so that there are (2 k - 1)^2 lags whatever the grid; on a smaller one they come around.
    0 where it is not defined: between single weights, and for kernels that are constant on the grid.
    Shapes: cones (..., A) and (..., B) -> (..., A, B), of `dtype`; batches are gone through one by one.
    Raises: UsageError for cones of different grids, channels or batches, and with a stride.
    """
    check_same_space(one, other)
    found = np.empty((*one.shape, other.shape[-1]), dtype)
    for batch in np.ndindex(*one.shape[:-1]):
        found[batch] = _between(one[batch], other[batch], np.dtype(dtype))
    return found


def axis_tilt(one: ConeSet, other: ConeSet) -> np.ndarray:
    """The angle between the cones' channel sums, radians: how far their axes are apart within the identity subspace.

    Shapes: cones (..., n channels) of equal or broadcast shape -> (...); NaN where a kernel's sums are all 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (each.sums / np.sqrt(each.sum_squares)[..., None] for each in (one, other))
    apart, together = first - second, first + second
    return 2 * np.arctan2(np.sqrt((apart**2).sum(-1)), np.sqrt((together**2).sum(-1)))


def check_same_space(one: ConeSet, other: ConeSet) -> None:
    """Raises: UsageError for cones that do not lie in the same space, or are not closed under all shifts."""
    same = one.grid == other.grid and one.kernels.shape[-3] == other.kernels.shape[-3]
    if same and one.rows == other.rows == one.places and one.shape[:-1] == other.shape[:-1]:
        return
    words = [
        f"{each.shape} cones of {each.kernels.shape[-3]} channels on {each.grid}, stride {each.stride}"
        for each in (one, other)
    ]
    raise UsageError(
        f"There are {words[0]}, and {words[1]}",
        "Two cones are compared on the same grid, with as many channels, in the same batches and without a stride",
        "Put both on the grid of the map between the layers",
    )


def _between(one: ConeSet, other: ConeSet, dtype: np.dtype) -> np.ndarray:
    """Of two flat sets. Shapes: (A,), (B,) -> (A, B)."""
    scale_one, scale_other = _inverse(one.turning_norms, one), _inverse(other.turning_norms, other)
    bank, lags = _shifted(one, other)  # (lags, A, n kh kw)
    bank = (bank * scale_one[:, None]).astype(dtype)
    flat = (other.kernels.reshape(len(scale_other), -1) * scale_other[:, None]).T.astype(dtype)
    cosine = np.empty((len(scale_one), len(scale_other)), dtype)
    size = max(1, BLOCK // (len(bank) * max(1, flat.shape[1])))
    for start in range(0, len(scale_one), size):
        products = np.matmul(bank[:, start : start + size], flat)  # (lags, rows, B)
        np.max(products, axis=0, out=cosine[start : start + size])
    if prod(lags) < one.places:
        np.maximum(cosine, 0, out=cosine)  # shifts at which the kernels do not meet
    sums_one = (one.sums * (scale_one / one.places)[:, None]).astype(dtype)
    cosine -= sums_one @ (other.sums * scale_other[:, None]).T.astype(dtype)
    angles = np.arccos(np.clip(cosine, -1, 1, out=cosine), out=cosine)
    if dtype.itemsize == 8:
        for first, second in np.argwhere(angles < np.sqrt(2 * NEAR)):
            angles[first, second] = _by_chord(one[first], other[second])
    undefined = (scale_one == 0)[:, None] | (scale_other == 0)
    if prod(one.kernels.shape[-2:]) == prod(other.kernels.shape[-2:]) == 1:
        undefined[:] = True
    angles[undefined] = 0
    return angles


def _inverse(turning: np.ndarray, cones: ConeSet) -> np.ndarray:
    """1 / |p|, 0 where p is nothing but rounding."""
    there = turning > 1e-14 * cones.norms
    return np.where(there, 1 / np.where(there, turning, 1.0), 0.0)


def _lags(one: ConeSet, other: ConeSet) -> tuple[int, int]:
    """How many shifts differ at all: two kernels meet only at so many, or the grid ends before."""
    reach = zip(_reach(one), _reach(other), one.grid, strict=True)
    down, across = (min(first + second - 1, extent) for first, second, extent in reach)
    return down, across


def _reach(cones: ConeSet) -> tuple[int, int]:
    return spans(cones.kernels.shape[-2:], cones.dilation)


def _shifted(one: ConeSet, other: ConeSet) -> tuple[np.ndarray, tuple[int, int]]:
    """What each weight of the other meets in the first ones, at every lag. Shapes: (lags, A, n kh kw)."""
    lags = _lags(one, other)
    canvas = placed(one.kernels, lags, one.dilation)
    rows, columns = (
        (np.arange(lag)[:, None] + step * np.arange(taps)) % lag
        for lag, step, taps in zip(lags, other.dilation, other.kernels.shape[-2:], strict=True)
    )
    met = canvas[:, :, rows[:, None, :, None], columns[None, :, None, :]]  # (A, n, down, across, kh, kw)
    return np.moveaxis(met, (2, 3), (0, 1)).reshape(prod(lags), len(canvas), -1), lags


def _by_chord(one: ConeSet, other: ConeSet) -> float:
    """The same of two single cones by the length between unit vectors, to the last digit where they nearly agree."""
    lags = _lags(one, other)
    first = placed(one.kernels, lags, one.dilation) / one.turning_norms
    second = placed(other.kernels, lags, other.dilation) / other.turning_norms
    best = np.inf
    for shift in np.ndindex(*lags):
        apart = first - np.roll(second, shift, axis=(-2, -1))
        mean = apart.sum((-2, -1), keepdims=True) / one.places
        square = ((apart - mean) ** 2).sum() + (one.places - prod(lags)) * (mean**2).sum()
        best = min(best, float(square))
    return float(2 * np.arcsin(min(1.0, np.sqrt(best) / 2)))
