"""A few units that stand for a network: layers spread over its depth, units that fire, images on which they do."""

import numpy as np

from ..statistics.extremes import ExtremesAnswer
from .specimen import Specimen

LAYERS = 6

Seat = tuple[int, int, int]  # unit, image, flat position


def layers_in_depth(specimen: Specimen) -> dict[str, str]:
    """Six layers, evenly in depth from the first convolution to the last, and those of units that were named, with
    the sites where their units are read. A network without convolutions gives linear layers.
    """
    reading = specimen.reading()
    spread = [layer for layer in reading if len(specimen.sites[layer].extent) > 1] or list(reading)
    places = np.unique(np.linspace(0, len(spread) - 1, LAYERS).round().astype(int))
    chosen = {spread[place] for place in places} | set(specimen.named_units)
    return {layer: site for layer, site in reading.items() if layer in chosen}


def drawn(specimen: Specimen, layer: str, strong: ExtremesAnswer, count: int) -> tuple[tuple[Seat, ...], int]:
    """Units of a layer that fire, named ones first and the others at random, each on one of the images on which it is
    strong; and how many do not fire.
    """
    fires = (strong.index >= 0) & (strong.values > 0)
    living = np.flatnonzero(fires.any(1))
    random = np.random.default_rng([specimen.seed, list(specimen.sites).index(layer)])
    named = [unit for unit in specimen.named_units.get(layer, ()) if unit in living]
    others = [unit for unit in random.permutation(living) if unit not in named]
    seats = []
    for unit in sorted([*named, *others[: max(0, count - len(named))]]):
        rank = random.integers(fires[unit].sum())  # values descend, so those that fire come first
        seats.append((int(unit), int(strong.index[unit, rank]), int(strong.place[unit, rank])))
    return tuple(seats), len(fires) - len(living)
