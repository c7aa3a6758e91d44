"""The cones of two convolutions that follow each other, as far as they can be compared, and what is measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import NotApplicable
from ...formulas.cones.cone_set import ConeSet
from ...formulas.cones.layers import BiasRule, slice_cones
from ...formulas.cones.offsets import mean_rotations
from ...formulas.cones.permutation_null import permutation_null
from ...formulas.cones.states import counts_of, states
from ..model import Model
from ..specimen import Effort
from .layer_pairs import LayerPair, layer_pairs
from .linear_layers import LinearLayer

RULES: tuple[BiasRule, ...] = ("minnorm", "shared", "zero")
NAMED = 4  # pairs that are left out
# Fourier coefficients of pairs of slices for which inclusion is decided: seconds, some seconds, all of them
DECIDED: dict[Effort, float] = {"quick": 3e7, "normal": 4e8, "full": float("inf")}
SURVIVING = 0.05  # of pairs, that come as far as a Fourier transform: 4.5% in ResNet20
RANDOM = 32  # kernels a side, for the rotation that comes out by chance


def cone_pairs(model: Model) -> tuple[list[LayerPair], tuple[str, ...]]:
    """The pairs of layers whose cones are compared, and sentences about those that are not."""
    try:
        pairs = layer_pairs(model)
    except NotApplicable:
        return [], ()
    kept, why = [], dict[str, list[str]]()
    for pair in pairs:
        reason = _reason(pair)
        if reason:
            why.setdefault(reason, []).append(pair.name)
        else:
            kept.append(pair)
    return kept, tuple(f"{', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''} ({reason})"
                       for reason, names in why.items())  # fmt: skip


def _reason(pair: LayerPair) -> str:
    """Why the cones of a pair are not compared; "" if they are."""
    sides = [side for layer in (pair.before, pair.after) for side in layer.weight.shape[2:]]
    if pair.pooled:
        return "a pool lies between"
    if not pair.rectified:
        return "no rectifier lies between"
    if pair.before.groups > 1 or pair.after.groups > 1:
        return "in groups"
    if min(sides) < 2:
        return "kernels of one pixel"
    if min(pair.grid) < 2 * max(sides):
        return "the grid is hardly larger than the kernels"
    return ""


def slices(layer: LinearLayer, grid: tuple[int, int], rule: BiasRule) -> ConeSet:
    """The cones of a layer's slices on a grid. Shapes: -> (O, C)."""
    weights, biases = (tensor.double().cpu().numpy() for tensor in (layer.weight, layer.bias))
    return slice_cones(weights, biases, grid, rule, dilation=layer.dilation)


def measured(
    pair: LayerPair, rule: BiasRule, shuffles: int, seed: Sequence[int], effort: Effort
) -> dict[str, Any]:  # fmt: skip
    """States by the document's rule, their counts with filters shuffled, and inclusion of slices that can be afforded.

    Shapes: states (O, C) int8; drawn (R, 8); summary, exact (8,) counts of triples; rotation, rotation_null in degrees.
    """
    later, earlier = (slices(layer, pair.grid, rule) for layer in (pair.after, pair.before))
    random = np.random.default_rng(seed)
    cost = SURVIVING * later.shape[1] * earlier.shape[1] * pair.grid[0] * pair.grid[1]
    count = int(np.clip(DECIDED[effort] / max(1.0, cost), 1, len(later.biases)))
    some = later[np.sort(random.permutation(len(later.biases))[:count])]
    kernels = [slice_cones(random.normal(size=(RANDOM, RANDOM, *layer.weight.shape[2:])), np.zeros(RANDOM), pair.grid)
               for layer in (pair.after, pair.before)]  # fmt: skip
    return {
        "states": states(later, earlier), "drawn": permutation_null(later, earlier, draws=shuffles, seed=seed).drawn,
        "summary": counts_of(states(some, earlier, "pair")), "exact": counts_of(states(some, earlier, "exact")),
        "rotation": float(np.degrees(mean_rotations(later, earlier).mean())),
        "rotation_null": float(np.degrees(mean_rotations(kernels[0], kernels[1]).mean())),
    }  # fmt: skip
