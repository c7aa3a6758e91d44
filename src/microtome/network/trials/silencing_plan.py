"""On how many images, and for how many units of each layer, a network can be run again within a budget."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..recording.sites import Sites
from ..specimen import Effort, Specimen
from .silencing import needed_behind, stacked

SILENCING: dict[Effort, float] = {"quick": 2e10, "normal": 4e11, "full": float("inf")}  # multiply-adds of it
ESTIMATES: dict[Effort, float] = {"quick": 1e10, "normal": 1e11, "full": float("inf")}
FEWEST_UNITS = 4  # of a layer: some that matter by the estimate, some at random
IMAGES = (256, 128, 64, 32, 16)  # that are tried where not all can be used
ESTIMATED = 128  # images, where that can be afforded
KEPT_BYTES = 1 << 28  # of the tensors that are put back in their places
TOGETHER = 16  # images that are worked on at once
CALL = 2e6  # multiply-adds in whose time one call of the network is set up
ESTIMATING = 5  # an estimate takes the time of so many forward passes: measured, there, back and the sums


def images_together(sites: Sites, where: Mapping[str, str]) -> int:
    """How many images are worked on at once, so that the tensors that are kept of them stay small."""
    kept = {name for site in where.values() for name in needed_behind(sites, site)}
    size = sum(4 * int(np.prod(sites[name].shape)) for name in kept)
    return max(1, min(TOGETHER, KEPT_BYTES // max(1, size)))


def images_for_estimate(specimen: Specimen) -> int:
    """On how many images the estimate can be made; as few as make sense where none can be afforded."""
    sites, budget = specimen.sites, ESTIMATES[specimen.effort]
    each = ESTIMATING * (sum(site.macs for site in sites.values()) + CALL * len(sites) / TOGETHER)
    most = len(specimen.need_images("effects")) if specimen.effort == "full" else ESTIMATED
    return max(min(IMAGES), int(min(budget / each, most)))


def plan(specimen: Specimen, where: Mapping[str, str], images: int, units: int) -> tuple[int, dict[str, int]]:
    """On how many images effects are measured, and for how many units of each layer; 0: as the effort allows."""
    half = -(-len(specimen.need_images("effects")) // 2)
    tried = [min(number, half) for number in IMAGES]
    tried = [half] if specimen.effort == "full" else tried[-1:] if specimen.effort == "quick" else tried
    tried = [min(images, half)] if images else tried
    number, counts = affordable(specimen.sites, where, SILENCING[specimen.effort], tried)
    return number, dict.fromkeys(where, units) if units else counts


def cost_of_a_unit(sites: Sites, where: Mapping[str, str], images: int) -> dict[str, float]:
    """The multiply-adds of silencing one unit on so many images, by layer.

    What lies behind the unit is worked out for all images, what lies before it for one, with several units at once.
    """
    order, together = list(sites.values()), images_together(sites, where)
    place = {site.name: k for k, site in enumerate(order)}
    found = {}
    for layer, name in where.items():
        behind = sum(site.macs for site in order[place[name] + 1 :])
        before = sum(site.macs for site in order[: place[name] + 1])
        some = min(together, max(1, images))
        runs = -(-images // some) / stacked(sites, name, some)
        found[layer] = behind * images + (before + CALL * len(order)) * runs
    return found


def affordable(
    sites: Sites, where: Mapping[str, str], budget: float, images: Sequence[int]
) -> tuple[int, dict[str, int]]:
    """On how many images, and how many units of each layer, within a budget in multiply-adds.

    Every layer gets two units before any gets four, and so on, the cheapest layers first. Numbers of images are tried
    in their order, until every layer gets four.
    """
    units = {layer: sites[layer].units for layer in where}
    counts: dict[str, int] = {}
    number = images[0]
    for number in images:
        cost = cost_of_a_unit(sites, where, number)
        counts, left, wanted = dict.fromkeys(where, 0), budget, 1
        while wanted < max(units.values()) or wanted == 1:
            wanted *= 2
            for layer in sorted(where, key=lambda layer: cost[layer]):
                more = min(wanted, units[layer]) - counts[layer]
                if more > 0 and more * cost[layer] <= left:
                    counts[layer], left = counts[layer] + more, left - more * cost[layer]
        if all(count >= min(FEWEST_UNITS, units[layer]) for layer, count in counts.items()):
            break
    return number, counts


def chosen_units(
    estimate: np.ndarray, count: int, named: Sequence[int], seed: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Which units of a layer are silenced: half of them those with the largest estimate, the others at random, and
    those that are named; and which of these were drawn at random.

    Shapes: estimate (U,), NaN where there is none -> (m,) ascending, (m,) bool; all of a whole layer count as drawn.
    """
    count = min(count, len(estimate))
    known = np.nan_to_num(np.abs(estimate), nan=0.0)
    largest = np.argsort(-known, kind="stable")[: count // 2] if known.any() else np.zeros(0, int)
    others = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(len(estimate)), largest))
    drawn = others[: count - len(largest)]
    units = np.unique(np.concatenate([largest, drawn, np.asarray(named, int)]))
    return units, np.isin(units, drawn) | (len(units) == len(estimate))
