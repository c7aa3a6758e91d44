"""Whether filters whiten their input: slopes and evenness of their profile, and what their responses have in common."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..checks import known
from ..errors import UsageError
from .spectrum import rank

FEWEST = 3  # axes, for a slope
WINDOW = 5  # axes, for a local slope
DEAD = 0.05  # of the median standard deviation: a filter that responds less says nothing
REDUNDANT = 0.95  # correlation from which on two filters say the same
ROUNDING = 1e-20  # of the mean square: a smaller power is what subtracting a mean leaves of constants

Centre = Literal["none", "channel", "image"]


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """How near a profile is to 1 / lambda, which would make all responses equally strong and uncorrelated.

    Slopes are those of log e on log lambda: -1 whitens, 0 is flat as random filters are, 1 is along the input. One
    slope over a bump misleads, so there are also those above and below its top. Axes without variance or energy do not
    count; a slope over fewer than 3 axes is NaN.

    rank_in, rank_out: over how many axes the variance is spread, of the patches and of what the filters pass on; the
    exponential of the entropy of its shares, D if white. unevenness: standard deviation over mean of e lambda on the
    axes above the top, 0 if white, NaN for fewer than 2.

    Shapes: local_slope (D,), each over 5 axes, fewer at the ends.
    """

    slope: float
    slope_above: float
    slope_below: float
    local_slope: np.ndarray
    rank_in: float
    rank_out: float
    unevenness: float


def whitening(energy: np.ndarray, variance: np.ndarray, peak_variance: float) -> Whitening:
    """How far a profile whitens patches of these variances.

    Shapes: energy, variance (D,), variance in falling order; peak_variance as a fit found it: the axes above it are
    those that should be whitened.
    """
    used = (np.arange(len(variance)) < rank(variance)) & (energy > 0)
    log_energy, log_deviation = (np.log(np.where(used, values, 1.0)) for values in (energy, np.sqrt(variance)))

    def slope(chosen: np.ndarray) -> float:
        return _slope(log_deviation[used & chosen], log_energy[used & chosen])

    place, above = np.arange(len(variance)), variance > peak_variance
    near = np.abs(place[:, None] - place) <= WINDOW // 2
    strength = (energy * np.sqrt(variance))[above]
    even = len(strength) > 1 and strength.any()
    return Whitening(
        slope=slope(used), slope_above=slope(above), slope_below=slope(~above),
        local_slope=np.array([slope(window) for window in near]), rank_in=effective_rank(variance),
        rank_out=effective_rank(variance * energy**2),
        unevenness=float(strength.std() / strength.mean()) if even else float("nan"),
    )  # fmt: skip


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of the least-squares line; NaN for too few values, and for equal x."""
    if len(x) < FEWEST or np.ptp(x) == 0:
        return float("nan")
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred))


def effective_rank(variance: np.ndarray) -> float:
    """Over how many axes a variance is spread: exp of the entropy of its shares; NaN of zeros. Shapes: (D,).

    Reference: Roy and Vetterli, The effective rank: a measure of effective dimensionality (2007).
    """
    if not variance.any():
        return float("nan")
    shares = variance[variance > 0] / variance.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


@dataclass(frozen=True, kw_only=True)
class Responses:
    """What filters answer to patches, without a forward pass: W C W^T.

    Shapes: covariance, correlation (K, K), the latter 0 for filters without response; deviation (K,); dead (K,) bool,
    those whose deviation is below 5% of the median.
    """

    covariance: np.ndarray
    correlation: np.ndarray
    deviation: np.ndarray
    dead: np.ndarray

    def redundant(self, above: float = REDUNDANT) -> np.ndarray:
        """Pairs of living filters whose responses correlate so much, positively or negatively, strongest first.

        Shapes: -> (P, 2), the lower number first.
        """
        alive = ~self.dead
        strength = np.triu(np.abs(self.correlation) * np.outer(alive, alive), 1)
        pairs = np.argwhere(strength > above)
        return pairs[np.argsort(-strength[pairs[:, 0], pairs[:, 1]], kind="stable")]


def responses(weights: np.ndarray, covariance: np.ndarray) -> Responses:
    """Covariance of the responses of filters to patches of this covariance.

    Shapes: weights (K, D) or (K, C, kh, kw); covariance (D, D).
    Raises: UsageError if they do not fit together.
    """
    bank = weights.reshape(len(weights), -1).astype(np.float64)
    if covariance.shape != (bank.shape[1], bank.shape[1]):
        raise UsageError(
            f"The filters have {bank.shape[1]} weights each, and the covariance shape {covariance.shape}",
            "The covariance has a row and a column for every weight",
            "Measure the patches with the channels and the kernel size of the filters",
        )
    found = bank @ covariance @ bank.T
    found = (found + found.T) / 2
    deviation = np.sqrt(np.maximum(np.diag(found), 0.0))
    scale = np.where(deviation > 0, deviation, np.inf)
    return Responses(
        covariance=found, correlation=np.clip(found / np.outer(scale, scale), -1.0, 1.0), deviation=deviation,
        dead=(deviation < DEAD * np.median(deviation)) | (deviation == 0),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Autocorrelation:
    """How alike places are at every distance, from 0 (1 by definition). Shapes: (S + 1,).

    horizontal, vertical: of places beside and below each other; mean: of both.
    """

    horizontal: np.ndarray
    vertical: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Over both directions. Shapes: (S + 1,)."""
        return (self.horizontal + self.vertical) / 2


def autocorrelation(maps: np.ndarray, furthest: int = 10, centre: Centre = "channel") -> Autocorrelation:
    """E[y(i) . y(i + d)] / E[y(i) . y(i)], y(i) the values of all channels at a place, d from 0 to `furthest`.

    `centre` says what is subtracted first: nothing, the mean of each channel, or that of each channel of each image. It
    matters: neighbours that are both bright correlate whether or not they have detail in common.
    Shapes: maps (N, C, H, W). Units: pixels of the map.
    Raises: UsageError for a distance that the maps do not have, UnknownName.
    Reference: Chowers and Weiss, What do CNNs learn in the first layer and why? (2023), section 5.
    """
    known("Centre", centre, get_args(Centre), "Choose one of them")
    if furthest >= min(maps.shape[2:]):
        raise UsageError(
            f"The furthest distance is {furthest} pixels, and the maps are {maps.shape[2]} x {maps.shape[3]}",
            f"It must be below {min(maps.shape[2:])}",
            "Choose a smaller distance, or larger images",
        )
    axes = {"none": (), "channel": (0, 2, 3), "image": (2, 3)}[centre]
    values = maps.astype(np.float64)
    if axes:
        values = values - values.mean(axes, keepdims=True)
    power = (values**2).mean()
    if power <= ROUNDING * np.square(maps, dtype=np.float64).mean():
        return Autocorrelation(horizontal=np.full(furthest + 1, np.nan), vertical=np.full(furthest + 1, np.nan))
    across, down = (
        [
            (turned[..., : turned.shape[-1] - shift] * turned[..., shift:]).mean() / power
            for shift in range(furthest + 1)
        ]
        for turned in (values, values.swapaxes(2, 3))
    )
    return Autocorrelation(horizontal=np.array(across), vertical=np.array(down))
