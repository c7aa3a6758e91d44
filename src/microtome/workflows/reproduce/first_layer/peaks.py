"""At which spatial frequencies the first layer is most sensitive, colour by colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....formulas.patch_frequency import Colours, Description, described
from ....formulas.spectrum import Basis
from .pairs import Bank
from .profiles import MOVED, RAW, banks, free
from .trainings import Learnt

THIRDS = 3


def measure_peaks(learnt: Sequence[Learnt], basis: Basis, colours: Colours, draws: int, seed: int) -> dict[str, Any]:
    """Where profiles peak, and how far intermediate frequencies stand out, colour axis by colour axis.

    Shapes of what comes back: by raw and moved, peak (nets,) axis and frequency (nets,) of the largest energy, and
    tops (nets, C) of each colour's; hump (nets, C) with its interval low, high (nets, C). chance (C, 2): the middle 95%
    of random banks' humps, by number of filters; frequency (D,), colour (D,).
    Units: frequency in cycles per pixel; hump as a logarithm.
    """
    seen = described(basis.patterns, colours)
    parts = thirds(seen)
    nets = free(learnt)
    found: dict[str, Any] = {"names": list(colours.names), "frequency": seen.frequency, "colour": seen.colour,
                             "nets": [net.job.name for net in nets], "labels": [net.job.labels for net in nets],
                             "filters": [net.bank.shape[1] for net in nets]}  # fmt: skip
    for kind in (RAW, MOVED):
        of = banks(nets, basis, kind)
        peak = np.array([bank.energy.argmax() for bank in of])
        humps = [_with_interval(bank, parts, number) for number, bank in enumerate(of)]
        found[kind] = {"peak": peak, "frequency": seen.frequency[peak],
                       "tops": np.array([_tops(bank.energy, seen) for bank in of]),
                       "hump": np.array([each[0] for each in humps]), "low": np.array([each[1] for each in humps]),
                       "high": np.array([each[2] for each in humps])}  # fmt: skip
    found["chance"] = {str(count): by_chance(count, parts, len(basis.variance), draws, seed)
                       for count in sorted(set(found["filters"]))}  # fmt: skip
    return found


def _tops(energy: np.ndarray, seen: Description) -> list[float]:
    """The frequency of the largest energy among each colour's axes; NaN of a colour without."""
    found = []
    for colour in range(len(seen.names)):
        axes = np.flatnonzero(seen.colour == colour)
        found.append(float(seen.frequency[axes[energy[axes].argmax()]]) if len(axes) else float("nan"))
    return found


def thirds(seen: Description) -> list[list[np.ndarray]]:
    """The axes of each colour in three equal parts, from low to high frequency; by colour and part, their numbers."""
    order = seen.order("frequency")
    return [np.array_split(order[seen.colour[order] == colour], THIRDS) for colour in range(len(seen.names))]


def humps_of(energies: np.ndarray, parts: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Logarithm of the mean energy at intermediate frequencies over the larger at low or high ones.

    Above 0, the profile has its top in between. Shapes: energies (n, D) -> (n, C); NaN where a colour has too few axes.
    """
    found = np.full((len(energies), len(parts)), np.nan)
    for colour, members in enumerate(parts):
        if all(map(len, members)):
            low, middle, high = (energies[:, axes].mean(1) for axes in members)
            found[:, colour] = np.log(middle / np.maximum(low, high))
    return found


def by_chance(filters: int, parts: Sequence[Sequence[np.ndarray]], axes: int, draws: int, seed: int) -> np.ndarray:
    """The middle 95% of the humps of random filters. Shapes: -> (C, 2)."""
    energies = np.sqrt(np.random.default_rng(seed).chisquare(filters, (draws, axes)) / filters)
    return np.quantile(humps_of(energies, parts), (0.025, 0.975), axis=0).T


def _with_interval(bank: Bank, parts: Sequence[Sequence[np.ndarray]], seed: int) -> tuple[np.ndarray, ...]:
    low, high = np.quantile(humps_of(bank.again(seed), parts), (0.025, 0.975), axis=0)
    return humps_of(bank.energy[None], parts)[0], low, high
