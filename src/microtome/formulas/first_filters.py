"""A first layer as a linear system: its filters, the axes of what they see, and what can be said of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import chi2

from .patch_frequency import NAMED, Colours, Description, colour_axes, described
from .profile_fit import Fit, Null, fit_profile, null_of_fits, s_interval
from .spectrum import Basis, Profile, energy_profile, principal_axes
from .whitening import Responses, Whitening, responses, whitening

CORNER = 3  # pixels a side: the part of a kernel in which halved colour gives itself away
HALVED = 0.45  # .26 to .34 in pictures whose colour a JPEG has halved, .6 to 1 in others, of 32 to 224 pixels
GREY = 1 / 3  # of the axes: all that grey pictures in three channels vary along
OFF_CENTRE = 1.0  # standard deviations
PER_AXIS = 10  # patches
ENOUGH = 1_000_000  # patches, with which a profile correlates .9996 with that of all


@dataclass(frozen=True, kw_only=True)
class FirstFilters:
    """The filters of a first layer on the principal axes of the patches that it sees.

    Shapes: bank (K, D) by scale, flattened in the order of `shape` (C, kh, kw); covariance (D, D) and mean (D,) of the
    patches, variances up to `rounding` being nothing else. images, patches are how many were seen, `exact` whether
    these are all. `against` says what was subtracted from the weights, "" for nothing. Axes are not kept: those of
    nearly equal variance depend on the last digits of a covariance, what is said of them does not.
    """

    layer: str
    shape: tuple[int, int, int]
    bank: Mapping[str, np.ndarray]
    covariance: np.ndarray
    rounding: float
    mean: np.ndarray
    images: int
    patches: int
    exact: bool
    against: str
    seed: int

    @cached_property
    def basis(self) -> Basis:
        """The axes."""
        return principal_axes(self.covariance, self.shape, self.rounding)

    @property
    def variance(self) -> np.ndarray:
        """Of the patches along every axis. Shapes: (D,)."""
        return self.basis.variance

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """The energy profile, by scale of the filters."""
        return {scale: energy_profile(bank, self.basis) for scale, bank in self.bank.items()}

    @property
    def filters(self) -> np.ndarray:
        """The filters as they are. Shapes: (K, C, kh, kw)."""
        return next(iter(self.bank.values())).reshape(-1, *self.shape)

    @property
    def profile(self) -> Profile:
        """That of the filters as they are."""
        return next(iter(self.profiles.values()))

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """The best fit of the predicted profile, by scale."""
        return {scale: fit_profile(each.energy, self.variance) for scale, each in self.profiles.items()}

    @property
    def fit(self) -> Fit:
        """That to the filters as they are."""
        return next(iter(self.fits.values()))

    @cached_property
    def null(self) -> Null:
        """How well the formula fits as many random filters."""
        return null_of_fits(len(self.profile.squares), self.variance, seed=self.seed)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of s."""
        return s_interval(self.profile.squares, self.variance, seed=self.seed)

    @property
    def band(self) -> np.ndarray:
        """Between which energies 95% of as many random filters of the same norm lie, along every axis. Shapes: (2, D).

        K e_i^2 of normal weights is chi-squared with K degrees of freedom, whatever the axes.
        """
        filters = len(self.profile.squares)
        level = np.sqrt((self.profile.energy**2).mean())
        ends = level * np.sqrt(chi2.ppf((0.025, 0.975), filters) / filters)
        return np.repeat(ends[:, None], len(self.variance), 1)

    @cached_property
    def whitening(self) -> Whitening:
        """How far the filters whiten what they see."""
        return whitening(self.profile.energy, self.variance, self.fit.peak_variance)

    @cached_property
    def responses(self) -> Responses:
        """What the filters answer to the patches."""
        return responses(next(iter(self.bank.values())), self.covariance)

    @cached_property
    def colours(self) -> Colours:
        """The axes of the patches' colours."""
        return colour_axes(self.covariance, self.shape)

    @cached_property
    def components(self) -> Description:
        """Colour and frequency of the axes."""
        return described(self.basis.patterns, self.colours)

    @property
    def light(self) -> np.ndarray:
        """Which axes are of brightness rather than of colour; all, where colours have no names. Shapes: (D,) bool."""
        return ~(self.components.luminance <= 0.5)

    def unsafe(self) -> tuple[str, ...]:
        """What in the images makes the answer unsafe, in sentences."""
        size = len(self.variance)
        found = []
        if self.patches < PER_AXIS * size:
            found.append(f"{self.patches:,} patches are too few for {size} axes ({PER_AXIS} each)")
        elif self.patches < ENOUGH and self.images < ENOUGH // 1000:
            found.append(f"from {self.images:,} images ({self.patches:,} patches) axes of nearly equal variance are "
                         "mixed: profiles on axes of other images correlate .85 to .99 with this one's")  # fmt: skip
        if self.shape[0] == 3 and self.basis.rank <= GREY * size:
            found.append("the pictures are grey: they vary along a third of the axes")
        elif self.colour_detail() < HALVED:
            found.append("the colour of these pictures has been halved in resolution, as JPEG does it: the last "
                         "axes carry next to nothing, and what is said of them holds for these images")  # fmt: skip
        away = np.abs(self.mean) / np.sqrt(np.maximum(np.diag(self.covariance), np.finfo(np.float64).tiny))
        if away.max() > OFF_CENTRE:
            found.append(f"what the layer sees is not centred (mean {away.max():.1f} standard deviations from 0): the "
                         "mean colour is not among the axes, though it acts on the filters")  # fmt: skip
        return tuple(found)

    def colour_detail(self) -> float:
        """How much of colour's variance is fine, beside how much of brightness's is; NaN without three colours.

        Fine is the second difference of neighbours, coarse the first of those two apart. Resizing smooths both alike,
        and leaves this near 1; halving colour alone does not.
        """
        channels, rows, columns = self.shape
        if channels != len(NAMED) or min(rows, columns) < CORNER:
            return float("nan")
        number = np.arange(len(self.variance)).reshape(self.shape)[:, :CORNER, :CORNER].reshape(-1)
        corner = self.covariance[np.ix_(number, number)].reshape(channels, CORNER**2, channels, CORNER**2)
        fine, coarse = (np.outer(np.ones(CORNER), line).reshape(-1) for line in ((1, -2, 1), (-1, 0, 1)))

        def share(names: tuple[str, ...]) -> float:
            both = [sum(np.einsum("a,p,apbq,b,q", NAMED[name], line, corner, NAMED[name], line) for name in names)
                    for line in (fine, coarse)]  # fmt: skip
            return float(both[0] / both[1]) if both[1] > 0 else float("nan")

        light, *colours = NAMED
        return share(tuple(colours)) / share((light,))
