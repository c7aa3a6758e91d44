"""Networks whose first layer stays as it was drawn, beside the same ones whose first layer learns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .architectures import DEPTHS
from .profiles import chosen
from .settings import ALL, FIRST, NOTHING, TRUE
from .trainings import Learnt

DRAWS = 2000


def measure_frozen(learnt: Sequence[Learnt]) -> dict[str, Any]:
    """Accuracy on images held out, by depth; and with no convolution that learns, as a control.

    Shapes of what comes back, by network: free, fixed (seeds,) accuracies; epochs (E,), curves (2, seeds, E); of the
    difference, fixed less free, mean, low, high, n. An interval draws seeds, and images of each, with replacement.
    """
    found: dict[str, Any] = {}
    for network in DEPTHS:
        free, fixed = (chosen(learnt, network, TRUE, which) for which in (NOTHING, FIRST))
        found[network] = _beside(free, fixed)
    deepest = max(DEPTHS, key=lambda name: DEPTHS[name])
    none = chosen(learnt, deepest, TRUE, ALL)
    return {"nets": found, "none": _beside(chosen(learnt, deepest)[: len(none)], none), "deepest": deepest,
            "trend": _trend(learnt)}  # fmt: skip


def _beside(free: Sequence[Learnt], fixed: Sequence[Learnt]) -> dict[str, Any]:
    apart = np.stack([two.right.astype(float) - one.right for one, two in zip(free, fixed, strict=True)])
    return {
        "free": np.array([net.right.mean() for net in free]), "fixed": np.array([net.right.mean() for net in fixed]),
        "epochs": free[0].epochs, "curves": np.stack([[net.curve for net in nets] for nets in (free, fixed)]),
        "training": [[net.training for net in nets] for nets in (free, fixed)], **drawn_again(apart),
    }  # fmt: skip


def drawn_again(apart: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """The mean of differences and an interval that draws seeds, and then images of each, again with replacement.

    Shapes: apart (seeds, n), 1 where only the second was right, -1 where only the first.
    """
    means = _means(apart, seed)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(apart.mean()), "low": float(low), "high": float(high), "n": apart.shape[1]}


def _means(apart: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    seeds, images = apart.shape
    found = np.empty(DRAWS)
    for draw in range(DRAWS):
        rows = random.integers(seeds, size=seeds)
        weights = random.multinomial(images, np.full(images, 1 / images), size=seeds) / images
        found[draw] = (apart[rows] * weights).sum(1).mean()
    return found


def _trend(learnt: Sequence[Learnt]) -> dict[str, Any]:
    """How much smaller the loss of accuracy is in the deepest network than in the shallowest."""
    order = sorted(DEPTHS, key=lambda name: DEPTHS[name])
    apart = [np.stack([two.right.astype(float) - one.right for one, two in
                       zip(chosen(learnt, name), chosen(learnt, name, TRUE, FIRST), strict=True)])
             for name in (order[0], order[-1])]  # fmt: skip
    means = _means(apart[1], 0) - _means(apart[0], 1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(apart[1].mean() - apart[0].mean()), "low": float(low), "high": float(high),
            "n": apart[0].shape[1]}  # fmt: skip
