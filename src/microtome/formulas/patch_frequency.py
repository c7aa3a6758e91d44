"""Colour, spatial frequency and orientation of small patterns, and a filter bank's response to frequencies."""

from dataclasses import dataclass
from itertools import permutations
from math import prod
from typing import Literal, get_args

import numpy as np

from ..checks import known
from ..errors import UsageError

SIDE = 32  # of the padded Fourier transform, in pixels: 16 steps from constant to the finest grating
DIGITS = 9  # frequencies that agree so far are equal: a pattern and the same one turned
NAMED = {
    "luminance": np.array([1.0, 1, 1]) / np.sqrt(3),
    "yellow-blue": np.array([1.0, 1, -2]) / np.sqrt(6),
    "red-green": np.array([1.0, -1, 0]) / np.sqrt(2),
}  # what the principal axes of colours of photographs are nearly along, in red, green and blue

Order = Literal["variance", "frequency"]


@dataclass(frozen=True, kw_only=True)
class Colours:
    """Principal axes of the colours of pixels, largest variance first.

    Shapes: axes (C, C), columns; names, one an axis.
    """

    names: tuple[str, ...]
    axes: np.ndarray


def colour_axes(covariance: np.ndarray, shape: tuple[int, int, int]) -> Colours:
    """The axes of the colours in patches of this covariance; three are called luminance, yellow-blue and red-green.

    The names are given out so that the axes lie along what they say as well as they can together; positive is light,
    yellow, red. They suppose channels in the order red, green, blue. One channel is luminance, others are numbered.
    Shapes: covariance (D, D); shape (C, kh, kw) of a patch, D = C kh kw.
    Raises: UsageError for a covariance of another size.
    """
    channels, places = shape[0], shape[1] * shape[2]
    if covariance.shape != (prod(shape), prod(shape)):
        raise UsageError(
            f"The covariance has shape {covariance.shape}",
            f"Patches of {' x '.join(map(str, shape))} numbers have one of shape {(prod(shape), prod(shape))}",
            "Give the shape of the patches that were measured",
        )
    of_pixels = np.einsum("apbp->ab", covariance.reshape(channels, places, channels, places)) / places
    axes = np.linalg.eigh((of_pixels + of_pixels.T) / 2)[1][:, ::-1]
    if channels != len(NAMED):
        names = ("luminance",) if channels == 1 else tuple(f"colour axis {axis}" for axis in range(channels))
        return Colours(names=names, axes=axes * np.where(axes.sum(0) < 0, -1.0, 1.0))
    along = axes.T @ np.stack(list(NAMED.values()), axis=1)  # (axis, name)
    best = max(
        permutations(range(channels)), key=lambda order: sum(along[axis, name] ** 2 for axis, name in enumerate(order))
    )
    signs = np.where(along[np.arange(channels), best] < 0, -1.0, 1.0)
    return Colours(names=tuple(list(NAMED)[name] for name in best), axes=axes * signs)


@dataclass(frozen=True, kw_only=True)
class Description:
    """Colour, frequency and orientation of patterns, in the order of their variances if they are principal axes.

    Shapes: colour_shares (D, C) of each pattern's energy along each colour axis; frequency (D,), the mean length of
    the frequency vector weighted by power; orientation (D,) of its stripes, and oriented (D,), 0 if all directions are
    alike and 1 for stripes that never end. NaN for patterns of zeros.
    Units: frequency in cycles per pixel, orientation in degrees, counter-clockwise from horizontal, 0 to 180.
    """

    names: tuple[str, ...]
    colour_shares: np.ndarray
    frequency: np.ndarray
    orientation: np.ndarray
    oriented: np.ndarray

    @property
    def colour(self) -> np.ndarray:
        """Number of the colour axis that most of each pattern lies along. Shapes: (D,)."""
        return self.colour_shares.argmax(1)

    @property
    def luminance(self) -> np.ndarray:
        """Share of each pattern along luminance; NaN where no colour axis is called so. Shapes: (D,)."""
        if "luminance" not in self.names:
            return np.full(len(self.colour_shares), np.nan)
        return self.colour_shares[:, self.names.index("luminance")]

    def order(self, by: Order) -> np.ndarray:
        """Numbers of the patterns as they are, or from low to high frequency. Shapes: (D,). Raises: UnknownName."""
        known("Order", by, get_args(Order), "Choose one of them")
        if by == "variance":
            return np.arange(len(self.frequency))
        return np.argsort(np.round(self.frequency, DIGITS), kind="stable")


def described(patterns: np.ndarray, colours: Colours) -> Description:
    """What patterns look like: principal axes, or filters. Their power spectra are those of them padded with zeros.

    Shapes: patterns (D, C, kh, kw).
    Raises: UsageError for patterns of other channels or more than 32 pixels.
    """
    split = _along(patterns, colours)
    energy = (split**2).sum((2, 3))
    power = _power(split, SIDE).sum(1)
    down, right = frequencies(SIDE)
    whole = power.sum((1, 2))
    present = whole > 0

    def mean(values: np.ndarray) -> np.ndarray:
        return np.where(present, (power * values).sum((1, 2)) / np.where(present, whole, 1.0), np.nan)

    # second moments: stripes lie across the direction in which the spectrum is longest; rows count downwards
    both, straight = mean(-2 * right * down), mean(right**2 - down**2)
    across = np.degrees(np.arctan2(both, straight)) / 2
    shares = energy / np.where(present, energy.sum(1), np.nan)[:, None]
    return Description(
        names=colours.names, colour_shares=shares, frequency=mean(np.hypot(down, right)),
        orientation=np.mod(across + 90, 180), oriented=np.hypot(both, straight) / mean(right**2 + down**2),
    )  # fmt: skip


def frequency_response(weights: np.ndarray, colours: Colours, side: int = SIDE) -> np.ndarray:
    """Mean squared gain of a filter bank for gratings of every frequency, along each colour axis.

    The gain of a filter for a grating does not depend on how large the kernel is, so banks of 3 x 3 and of 7 x 7 can be
    compared, whose principal axes cannot. Times the power spectrum of the input it is that of the responses. The mean
    over frequencies, summed over colours, is the filters' mean squared norm.
    Shapes: weights (K, C, kh, kw) -> (C, side, side), frequency 0 in the middle, as `frequencies` says.
    Raises: UsageError for filters of other channels or larger than `side`.
    """
    return np.fft.fftshift(_power(_along(weights, colours), side).mean(0), axes=(1, 2))


def frequencies(side: int = SIDE, centred: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The frequencies of a Fourier transform, down and to the right; with 0 in the middle, or in its own order.

    Shapes: -> (side, side) twice. Units: cycles per pixel, from -1/2.
    """
    line = np.fft.fftshift(np.fft.fftfreq(side)) if centred else np.fft.fftfreq(side)
    down, right = np.meshgrid(line, line, indexing="ij")
    return down, right


def _along(patterns: np.ndarray, colours: Colours) -> np.ndarray:
    """Patterns in the coordinates of the colour axes. Shapes: (D, C, kh, kw) -> the same, C of colour axes."""
    if patterns.ndim != 4 or patterns.shape[1] != len(colours.axes):
        raise UsageError(
            f"The patterns have shape {patterns.shape}",
            f"With {len(colours.axes)} colour axes they have shape (number, {len(colours.axes)}, height, width)",
            "Take the colour axes from patches with the same channels",
        )
    return np.einsum("ca,dchw->dahw", colours.axes, patterns.astype(np.float64))


def _power(patterns: np.ndarray, side: int) -> np.ndarray:
    """Squared magnitudes of the transform of patterns padded with zeros. Shapes: (..., kh, kw) -> (..., side, side)."""
    if max(patterns.shape[-2:]) > side:
        raise UsageError(
            f"The patterns have {patterns.shape[-2]} x {patterns.shape[-1]} pixels",
            f"A spectrum of side {side} is that of patterns of {side} x {side} pixels at most",
            "Choose a larger side",
        )
    return np.abs(np.fft.fft2(patterns, (side, side))) ** 2
