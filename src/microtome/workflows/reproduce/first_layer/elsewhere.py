"""Other data sets: what their patches have in common with those of the first, and the same filters on the axes of each.

Where few images were seen, axes of nearly equal variance are mixed, so profiles are compared pooled over these too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....formulas.patch_frequency import colour_axes, described
from ....formulas.spectrum import Basis, near_degenerate, pooled
from .architectures import DEEP
from .pairs import alike, bank_of, between, r_of
from .profiles import MOVED, RAW, banks, chosen
from .settings import OWN, RANDOM, TRUE
from .trainings import Learnt

TURNED = 200  # bases at random


def measure_elsewhere(learnt: Sequence[Learnt], bases: Mapping[str, Basis], seed: int) -> dict[str, Any]:
    """Every other data set beside the one that networks learn from; empty without others."""
    own = bases[OWN]
    return {
        "sets": {name: _one(learnt, name, own, basis, seed) for name, basis in bases.items() if name != OWN},
        "variance": {name: basis.variance for name, basis in bases.items()},
    }  # fmt: skip


def _one(learnt: Sequence[Learnt], name: str, own: Basis, other: Basis, seed: int) -> dict[str, Any]:
    axes = min(own.rank, other.rank)
    filters = {
        kind: [net.raw() if kind == RAW else net.moved() for net in chosen(learnt, DEEP)] for kind in (RAW, MOVED)
    }
    random = np.random.default_rng(seed)
    turned = [_turned(other, random) for _ in range(TURNED)]
    by_kind = {}
    for kind, weights in filters.items():
        both = [(bank_of("", each, own).energy, bank_of("", each, other).energy) for each in weights]
        control = [r_of(pooled(one, own.variance), pooled(bank_of("", each, basis).energy, own.variance))
                   for (one, _), each in zip(both, weights, strict=True) for basis in turned]  # fmt: skip
        by_kind[kind] = {
            "r": np.array([r_of(one[:axes], two[:axes]) for one, two in both]),
            "pooled": np.array([r_of(pooled(one, own.variance)[:axes], pooled(two, other.variance)[:axes])
                                for one, two in both]),
            "turned": np.quantile(control, (0.5, 0.975)),
        }  # fmt: skip
    return {"overlap": overlap(own, other), "shared": shared(own, other), "same": by_kind,
            "trained": _trained(learnt, name, own), "kinds": _kinds(own, other)}  # fmt: skip


def overlap(own: Basis, other: Basis) -> np.ndarray:
    """How much of each axis lies along the one of the same number: |u_i . v_i|. Shapes: -> (D,)."""
    return np.asarray(np.abs((own.axes * other.axes).sum(0)))


def shared(own: Basis, other: Basis) -> np.ndarray:
    """How much of each axis lies in the group of nearly equal variance with the same numbers in the other set.

    Shapes: -> (D,) in 0..1, 1 where the groups span the same.
    """
    squares = (own.axes.T @ other.axes) ** 2
    group = near_degenerate(own.variance)
    return np.asarray(np.sqrt((squares * (group[:, None] == group)).sum(1)))


def _turned(basis: Basis, random: np.random.Generator) -> Basis:
    """Axes at random with these variances."""
    axes, _ = np.linalg.qr(random.standard_normal(basis.axes.shape))
    return Basis(variance=basis.variance, axes=axes, shape=basis.shape)


def _kinds(own: Basis, other: Basis) -> float:
    """Share of the axes that are of the same colour in both sets, in the order of their variances."""
    colours = []
    for basis in (own, other):
        covariance = (basis.axes * basis.variance) @ basis.axes.T
        colours.append(described(basis.patterns, colour_axes(covariance, basis.shape)).colour)
    return float((colours[0] == colours[1]).mean())


def _trained(learnt: Sequence[Learnt], name: str, own: Basis) -> dict[str, Any]:
    """Networks that learnt from the other set beside those of the first, on the axes of the first."""
    others = [net for labels in (TRUE, RANDOM) for net in chosen(learnt, DEEP, labels, data=name)]

    return {"labels": others[0].job.labels if others else TRUE, "training": [net.training for net in others],
            **{kind: alike(between(banks(chosen(learnt, DEEP), own, kind), banks(others, own, kind)), own.rank)
               for kind in (RAW, MOVED)}}  # fmt: skip
