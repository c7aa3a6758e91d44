"""Which units of a layer could go: criteria as ranks, and what is too important to go by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

VARIES_LITTLE = 0.25  # of the layer's median standard deviation
RARE = 1e-3  # share of active positions below which a unit is all but dead
NOISE = 0.05  # p of a filter beside random ones
PLAIN = 0.1  # contrast of a superstimulus, of half the range of pixels
UNSELECTIVE = 0.05  # sparseness
LOWEST = 0.1  # of a layer's units: the least selective
TWIN = 0.95  # correlation from which another unit does the same
IMPORTANT = 0.5  # of a layer's units: the most important half stays

TOGETHER = "low ranks together"  # no criterion condemns the unit alone
REASONS = ("varies little", "like noise", "plain superstimulus", "not selective", "has a twin")


def percentile(values: np.ndarray) -> np.ndarray:
    """Rank of each value among all, 0 for the smallest, 1 for the largest, equal ones alike; NaN where unknown.

    Shapes: (n,) -> (n,).
    """
    out, known = np.full(len(values), np.nan), ~np.isnan(values)
    if known.sum() > 1:
        out[known] = (rankdata(values[known]) - 1) / (known.sum() - 1)
    elif known.any():
        out[known] = 0.5
    return out


def keep_ranks(criteria: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of the ranks by several criteria, each the larger the better; those unknown of a unit do not count.

    Shapes: m arrays (n,) -> (n,) in 0..1, 0.5 where nothing is known.
    """
    ranks = np.stack([percentile(np.asarray(values, np.float64)) for values in criteria])
    known = ~np.isnan(ranks)
    total = np.where(known, ranks, 0).sum(0)
    return np.divide(total, known.sum(0), out=np.full(ranks.shape[1], 0.5), where=known.any(0))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of a layer's U units, NaN where unknown.

    Shapes: std, active, contrast, stimuli, maps, importance, redundancy (U,); noise (U,) p of each filter that looks at
    the picture itself; twin (U,) the unit that is most alike.
    """

    std: np.ndarray
    active: np.ndarray
    noise: np.ndarray
    contrast: np.ndarray
    stimuli: np.ndarray
    maps: np.ndarray
    importance: np.ndarray
    redundancy: np.ndarray
    twin: np.ndarray

    @property
    def keep(self) -> np.ndarray:
        """How much speaks for keeping each: (U,) in 0..1."""
        return keep_ranks([self.std, -self.noise, self.contrast, self.selective])

    @property
    def median(self) -> float:
        """The layer's median standard deviation, 0 where none is known."""
        known = self.std[~np.isnan(self.std)]
        return float(np.median(known)) if len(known) else 0.0

    @property
    def selective(self) -> np.ndarray:
        """The larger of the ranks of both sparsenesses: (U,)."""
        return np.fmax(percentile(self.stimuli), percentile(self.maps))

    @property
    def spared(self) -> np.ndarray:
        """Units that are too important to go, unless another one does the same: (U,) bool."""
        among = np.nan_to_num(percentile(self.importance), nan=0.0)
        return (among >= IMPORTANT) & ~(np.nan_to_num(self.redundancy) > TWIN)

    def flags(self) -> dict[str, np.ndarray]:
        """By reason, the units that it condemns: (U,) bool."""
        low = [values <= np.nanquantile(values, LOWEST) if (~np.isnan(values)).any() else np.zeros(len(values), bool)
               for values in (self.stimuli, self.maps)]  # fmt: skip
        both = (low[0] & low[1]) | (np.fmax(self.stimuli, self.maps) < UNSELECTIVE)
        still = (self.std < VARIES_LITTLE * self.median) | (self.active < RARE)
        found = (still, self.noise > NOISE, self.contrast < PLAIN, both, self.redundancy > TWIN)
        return dict(zip(REASONS, found, strict=True))

    def reason(self, unit: int) -> str:
        """What speaks most against a unit, with its number; if no criterion condemns it, by which it ranks lowest."""
        ranks = {"varies little": percentile(self.std)[unit], "like noise": percentile(-self.noise)[unit],
                 "plain superstimulus": percentile(self.contrast)[unit], "not selective": self.selective[unit],
                 "has a twin": 0.5}  # fmt: skip
        known = {name: rank for name, rank in ranks.items() if not np.isnan(rank)}
        condemned = [name for name, flags in self.flags().items() if flags[unit] and name in known]
        numbers = self._numbers(unit)
        if condemned:
            worst = min(condemned, key=lambda name: known[name])
            return f"{worst}: {numbers[worst]}"
        known.pop("has a twin")
        if not known:
            return f"{TOGETHER}: nothing is known of it"
        worst = min(known, key=lambda name: known[name])
        return f"{TOGETHER}, lowest by {numbers[worst]}"

    def _numbers(self, unit: int) -> dict[str, str]:
        """The number of each criterion, in words."""
        return {
            "varies little": f"standard deviation {self.std[unit]:.2g}, median of its layer {self.median:.2g}",
            "like noise": f"p {self.noise[unit]:.2f} of its filter beside random ones",
            "plain superstimulus": f"contrast {self.contrast[unit]:.2f} of its superstimulus",
            "not selective": f"sparseness {self.stimuli[unit]:.2f} over patterns, {self.maps[unit]:.2f} over positions",
            "has a twin": f"r {self.redundancy[unit]:.2f} with unit {int(self.twin[unit])}",
        }


def lowest_first(
    keep: np.ndarray, spared: np.ndarray, importance: np.ndarray, twins: Mapping[int, int], count: int
) -> list[int]:
    """The `count` units that go: the least worth keeping that are not spared, then the least important of those.

    Of two that do the same (`twins`, by unit) only one goes while others are left.
    Shapes: keep, spared, importance (n,) -> numbers in the order in which they go.
    """
    order = [int(k) for k in np.lexsort((np.arange(len(keep)), keep)) if not spared[k]]
    gone: list[int] = []
    later: list[int] = []
    for unit in order:
        (later if twins.get(unit, -1) in gone else gone).append(unit)
    rest = [int(k) for k in np.lexsort((np.arange(len(keep)), np.nan_to_num(importance))) if spared[k]]
    return [*gone, *later, *rest][:count]
