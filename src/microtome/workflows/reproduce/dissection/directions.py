"""Which of the four directions filters cover, and how often as many filters or angles at random do."""

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from ....formulas.labels import ALPHA, label_kernels

DIRECTIONS = (0, 45, 90, 135)
NAMES = ("horizontal", "slope 45", "vertical", "slope 135")
DRAWS = 10_000  # sets


def direction(words: str) -> int | None:
    """The direction that a label speaks of, in degrees counter-clockwise from horizontal; None for blobs and ""."""
    found = [angle for angle, name in zip(DIRECTIONS, NAMES, strict=True) if words.removesuffix(")").endswith(
        name if name.startswith("slope") else f"{name} line")]  # fmt: skip
    return found[0] if found else None


def covered(words: Sequence[str]) -> tuple[int, ...]:
    """The directions that labels speak of, ascending."""
    return tuple(sorted({angle for angle in map(direction, words) if angle is not None}))


def repeats(words: Sequence[str]) -> int:
    """How many labels have been there before, "" left out."""
    known = [each for each in words if each]
    return len(known) - len(set(known))


def chance_of_all(count: int) -> float:
    """How often so many angles at random, each nearest to one of four directions alike, cover all four."""
    four = len(DIRECTIONS)
    return float(sum((-1) ** missing * comb(four, missing) * ((four - missing) / four) ** count
                     for missing in range(four + 1)))  # fmt: skip


def random_words(side: int, seed: int, count: int) -> tuple[str, ...]:
    """The labels of filters of Gaussian noise that pass for a pattern: the most similar twentieth."""
    kernels = np.random.default_rng([seed, side, count]).standard_normal((count, side, side))
    return tuple(label.words for label in label_kernels(kernels, ALPHA, corrected=False) if label.words)


def at_random(words: Sequence[str], count: int, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """Sets of `count` of these labels, drawn with replacement: how often all directions are covered, and repeats; sets
    of none cover and repeat nothing.
    """
    random = np.random.default_rng(seed)
    if not words or not count:
        return {"all": 0.0, "repeats": np.zeros(1, np.int64)}
    names = {name: place for place, name in enumerate(dict.fromkeys(words))}
    numbers = np.array([names[word] for word in words])
    angles = np.array([-1 if (angle := direction(word)) is None else angle for word in words])
    chosen = random.integers(len(words), size=(draws, count))
    every = np.all([(angles[chosen] == angle).any(1) for angle in DIRECTIONS], axis=0)
    ordered = np.sort(numbers[chosen], 1)
    return {"all": float(every.mean()), "repeats": (ordered[:, 1:] == ordered[:, :-1]).sum(1)}
