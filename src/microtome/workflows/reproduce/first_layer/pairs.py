"""How alike profiles are, pair by pair, with an interval from drawing the axes again, and what chance gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....formulas.correlation import correlation_matrix, rank_correlation
from ....formulas.spectrum import Basis, energy_profile

AGAIN = 1000  # draws of axes, or of filters
CHANCE = (0.5, 0.95, 0.975)  # quantiles of what random banks correlate


@dataclass(frozen=True, kw_only=True)
class Bank:
    """The squares of one filter bank on some axes. Banks of one `origin` began with the same weights.

    Shapes: squares (K, D).
    """

    name: str
    squares: np.ndarray
    origin: int = -1

    @property
    def energy(self) -> np.ndarray:
        """The profile. Shapes: (D,)."""
        return np.sqrt(self.squares.mean(0))

    def again(self, seed: int) -> np.ndarray:
        """Profiles of as many filters drawn with replacement. Shapes: -> (draws, D)."""
        count = len(self.squares)
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=AGAIN) / count
        return np.asarray(np.sqrt(drawn @ self.squares))


def bank_of(name: str, weights: np.ndarray, basis: Basis, origin: int = -1) -> Bank:
    """Filters along the axes. Shapes: weights (K, C, kh, kw)."""
    return Bank(name=name, squares=energy_profile(weights, basis).squares, origin=origin)


def within(banks: Sequence[Bank]) -> list[tuple[Bank, Bank]]:
    """Every pair of them, once."""
    return [(one, other) for place, one in enumerate(banks) for other in banks[place + 1 :]]


def between(ones: Sequence[Bank], others: Sequence[Bank]) -> list[tuple[Bank, Bank]]:
    """Each of these with each of those, but for pairs that began with the same weights."""
    return [(one, other) for one in ones for other in others if one.origin != other.origin or one.origin < 0]


def alike(pairs: Sequence[tuple[Bank, Bank]], axes: int) -> dict[str, Any]:
    """Pearson's r of all pairs, over the first so many axes; of their mean an interval over axes, not over trainings.

    Shapes of what comes back: r, rest (without the first axis), rank (Spearman's) (pairs,); mean, low, high, n.
    """
    energies = [np.stack([one.energy[:axes], other.energy[:axes]]) for one, other in pairs]
    r = np.array([r_of(*both) for both in energies])
    drawn = np.random.default_rng(0).integers(axes, size=(AGAIN, axes))
    again = np.array([rows_correlation(*both[:, drawn]) for both in energies])
    low, high = np.quantile(again.mean(0), (0.025, 0.975)) if pairs else (np.nan, np.nan)
    return {
        "r": r, "rest": np.array([r_of(*both[:, 1:]) for both in energies]),
        "rank": np.array([rank_correlation(*both) for both in energies]),
        "names": [f"{one.name} {other.name}" for one, other in pairs],
        "mean": float(r.mean()) if pairs else float("nan"), "low": float(low), "high": float(high), "n": len(pairs),
    }  # fmt: skip


def chance(filters: tuple[int, int], axes: int, draws: int, seed: int) -> dict[str, float]:
    """What profiles of two banks of random filters correlate: normal weights, whose profile is flat but for chance."""
    random = np.random.default_rng(seed)
    one, other = (np.sqrt(random.chisquare(count, (draws, axes)) / count) for count in filters)
    quantiles = np.quantile(rows_correlation(one, other), CHANCE)
    return dict(zip(("median", "q95", "q975"), quantiles.tolist(), strict=True))


def rows_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's r of every row with its like. Shapes: (n, D), (n, D) -> (n,)."""
    first, second = (rows - rows.mean(1, keepdims=True) for rows in (one, other))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(1) / np.where(lengths > 0, lengths, 1.0))


def r_of(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's r; 0 of a constant one. Shapes: (n,), (n,)."""
    return float(correlation_matrix(np.stack([one, other], 1))[0, 1])


def told(of: Mapping[str, Any]) -> str:
    """A mean correlation with its interval, and the least and largest of several pairs: .97 [.96, .98] (.95 to .99)."""
    if not of["n"]:
        return "not measured"
    ends = f", {min(of['r']):.2f} to {max(of['r']):.2f} in {of['n']} pairs" if of["n"] > 1 else ""
    return f"{of['mean']:.2f} [{of['low']:.2f}, {of['high']:.2f}]{ends}"
