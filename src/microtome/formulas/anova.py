"""How much of a response depends on the pattern shown, on where it is shown, and on both together."""

from dataclasses import dataclass

import numpy as np

SAME = 1e-5  # of a response's magnitude: less variation is rounding


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of the sum of squares around the mean; they add up to 1, and are NaN of a constant. Shapes: (...)."""

    pattern: np.ndarray
    position: np.ndarray
    interaction: np.ndarray


def two_way(response: np.ndarray) -> Shares:
    """Two-way analysis of variance, one value a cell, so what is left is interaction.

    Shapes: response (..., A, P), by pattern and position -> (...). Reference: Fisher, Statistical Methods for Research
    Workers (1925), chapter 8.
    """
    values = response.astype(np.float64)
    mean = values.mean((-2, -1), keepdims=True)
    patterns, positions = values.shape[-2:]
    by_pattern, by_position = values.mean(-1) - mean[..., 0], values.mean(-2) - mean[..., 0]
    total = ((values - mean) ** 2).sum((-2, -1))
    rounding = patterns * positions * (SAME * np.abs(values).max((-2, -1))) ** 2
    whole = np.where(total > rounding, total, np.nan)
    pattern = positions * (by_pattern**2).sum(-1) / whole
    position = patterns * (by_position**2).sum(-1) / whole
    return Shares(pattern=pattern, position=position, interaction=np.maximum(1 - pattern - position, 0))


def by_chance(patterns: int, positions: int) -> tuple[float, float, float]:
    """The shares to be expected of a response that is random in every cell: degrees of freedom over their sum."""
    total = patterns * positions - 1
    return (patterns - 1) / total, (positions - 1) / total, (patterns - 1) * (positions - 1) / total


def location_index(total: np.ndarray, squares: np.ndarray, count: int) -> np.ndarray:
    """Share of a map's variance, over images and positions, that lies between positions: var(mean map) / var.

    About 1 / count where positions do not matter; NaN of a constant and of maps of one place.
    Shapes: total, squares (U, P), sums over `count` images of values and of their squares -> (U,).
    """
    mean = total / count
    variance = (squares / count).mean(1) - mean.mean(1) ** 2
    known = (variance > SAME**2 * (squares / count).mean(1)) & (total.shape[1] > 1)
    return np.where(known, mean.var(1) / np.where(known, variance, 1), np.nan)


def participation(kernels: np.ndarray) -> np.ndarray:
    """How many of a kernel's places carry it, as a share: (sum w^2)^2 / (K sum w^4), K places; mean over the input
    channels, weighted by their energy. 1 for equal magnitudes, 1 / K for one place, 1/3 for many Gaussian weights.

    NaN for kernels of one place and of zeros. Shapes: (U, J, ...) -> (U,).
    """
    flat = kernels.astype(np.float64).reshape(*kernels.shape[:2], -1) ** 2
    energy, fourth = flat.sum(2), (flat**2).sum(2)
    places = flat.shape[2]
    if places < 2:
        return np.full(len(flat), np.nan)
    each = np.divide(energy**2, places * fourth, out=np.zeros_like(energy), where=fourth > 0)
    whole = energy.sum(1)
    return np.where(whole > 0, (each * energy).sum(1) / np.where(whole > 0, whole, 1), np.nan)
