"""Whether energy and s grow with the steps, beside filters that walk at random."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....formulas.correlation import rank_correlation
from ....formulas.profile_fit import fit_profile
from .profiles import MOVED

WALKS = 40
LATE = 0.1  # of the steps, from which on s is compared with its last value: what comes before is the first kicks


def measure_growth(nets: Sequence[Mapping[str, Any]], variance: np.ndarray, seed: int) -> dict[str, Any]:
    """Rank correlation of the step with energy and with s, network by network; and of walks at random.

    Shapes: nets as `by_itself` gives them. What comes back: energy, s (nets,), factor (nets,) by which s grows from a
    tenth of the steps to the end; walks (walks,) rank correlation of s.
    """
    energy, s, factor = [], [], []
    for net in nets:
        steps, moved = np.asarray(net["steps"], float)[1:], net[MOVED]
        total, fitted = np.square(moved["energy"][1:]).sum(1), moved["s"][1:]
        energy.append(rank_correlation(steps, total))
        s.append(rank_correlation(steps, fitted))
        factor.append(fitted[-1] / fitted[np.argmax(steps >= LATE * steps[-1])])
    return {"energy": np.array(energy), "s": np.array(s), "factor": np.array(factor),
            "labels": [net["labels"] for net in nets], "walks": _walks(nets[0], variance, seed)}  # fmt: skip


def _walks(net: Mapping[str, Any], variance: np.ndarray, seed: int) -> np.ndarray:
    """The same of filters that add up normal numbers, over as many moments. Shapes: -> (walks,)."""
    random, steps = np.random.default_rng(seed), np.asarray(net["steps"], float)
    apart = np.sqrt(np.diff(steps))[:, None, None]
    found = []
    for _ in range(WALKS):
        filters = np.cumsum(apart * random.standard_normal((len(apart), net["filters"], len(variance))), axis=0)
        fits = [fit_profile(np.sqrt((each**2).mean(0)), variance).s for each in filters]
        found.append(rank_correlation(steps[1:], np.array(fits)))
    return np.array(found)
