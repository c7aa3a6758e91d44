"""For which units pictures are grown where growing them for all costs too much."""

from collections.abc import Mapping

import numpy as np

from ..sampling import spread_over_depth
from ..specimen import Specimen

BACK = 3  # a step costs so many forward passes: one, and two on the way back
CALL = 2e6  # multiply-adds in whose time one call of the network is set up, there and back


def affordable_units(
    specimen: Specimen, where: Mapping[str, str], steps: int, budget: float, most: int
) -> dict[str, int]:
    """How many units of each layer get a picture: every layer one before any gets two, then twice as many, the cheapest
    layers first. Units: budget in multiply-adds.
    """
    each: dict[str, float] = {}
    setup: dict[str, float] = {}
    reached, layers = 0, {site: layer for layer, site in where.items()}
    for place, site in enumerate(specimen.sites.values()):
        reached += site.macs
        if site.name in layers:
            each[layers[site.name]], setup[layers[site.name]] = steps * BACK * reached, steps * (place + 1) * CALL
    counts, left, wanted = dict.fromkeys(where, 0), budget, 1
    largest = min(most, max(specimen.sites[layer].units for layer in where))
    while True:
        for layer in sorted(each, key=lambda layer: each[layer]):
            count = min(wanted, most, specimen.sites[layer].units)
            cost = each[layer] * (count - counts[layer]) + (0 if counts[layer] else setup[layer])
            if count > counts[layer] and cost <= left:
                counts[layer], left = count, left - cost
        if wanted >= largest:
            return counts
        wanted *= 2


def spread_units(specimen: Specimen, layer: str, count: int) -> tuple[int, ...]:
    """So many channels evenly over a layer, and those that were named."""
    units = specimen.sites[layer].units
    spread = np.linspace(0, units - 1, min(count, units)).round().astype(int) if count else np.zeros(0, int)
    return tuple(sorted({*spread.tolist(), *specimen.named_units.get(layer, ())}))


def in_batches(units: Mapping[str, np.ndarray], most: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The units of every layer, at most so many at once."""
    return tuple(
        (layer, tuple(map(int, chosen[at : at + most])))
        for layer, chosen in units.items() for at in range(0, len(chosen), most)
    )  # fmt: skip


def some_of(units: Mapping[str, np.ndarray], layers: int, most: int) -> dict[str, tuple[int, ...]]:
    """A few units of so many layers, spread over the depth."""
    chosen = spread_over_depth([layer for layer, found in units.items() if len(found)], layers)
    return {layer: tuple(map(int, units[layer][:most])) for layer in chosen}
