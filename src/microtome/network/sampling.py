"""Which units are worked on where only a few can be: spread over the depth, over the channels, by image."""

from collections.abc import Mapping, Sequence

import numpy as np

from .specimen import Specimen

CALL = 4e5  # multiply-adds in whose time one unit is led back through one call of the network, at least

ByImage = dict[int, dict[str, list[tuple[int, int]]]]  # image -> site -> channel and flat position


def spread_over_depth(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of them in order, the first and the last among them."""
    if len(names) <= count:
        return list(names)
    places = np.unique(np.round(np.linspace(0, len(names) - 1, count)).astype(int))
    return [names[place] for place in places]


def channels_first(specimen: Specimen) -> dict[str, str]:
    """The layers whose units are channels of maps or of a row, for reconstructions, and where they are read."""
    return {k: site for k, site in specimen.reading().items() if specimen.sites[site].channel_axis == 1}


def affordable(specimen: Specimen, where: Mapping[str, str], budget: float, most: int) -> dict[str, int]:
    """How many images of each unit can be led back, by layer: 0, 1, 3, ... or `most`, the cheapest layers first.

    One unit of one image costs the multiply-adds up to its site, within what the unit sees, and something for every
    call on the way. Units: budget in multiply-adds.
    """
    cost, size = {}, specimen.model.preprocessing.size
    so_far, names = 0, {site: layer for layer, site in where.items()}
    for place, site in enumerate(specimen.sites.values()):
        so_far += site.macs
        if site.name in names:
            field = specimen.receptive_fields[site.name]
            seen = size if field is None else [axis.high - axis.low + 1 for axis in (field.rows, field.columns)]
            share = min(1.0, seen[0] / size[0]) * min(1.0, seen[1] / size[1])
            cost[names[site.name]] = specimen.sites[names[site.name]].units * (so_far * share + (place + 1) * CALL)
    counts, left = dict.fromkeys(where, 0), budget
    for count in (1, *range(3, most, 3), most):  # every layer gets one before any gets three
        for layer in sorted(cost, key=lambda layer: cost[layer]):
            more = cost[layer] * (count - counts[layer])
            if more <= left:
                counts[layer], left = count, left - more
    return counts


def by_image(where: Mapping[str, str], index: Mapping[str, np.ndarray], place: Mapping[str, np.ndarray]) -> ByImage:
    """What there is to do on every image: for each unit of each layer its strongest images and positions.

    Shapes: index, place (U, k) by layer, index -1 for none; `where` gives the layers' sites. Images ascend.
    """
    found: ByImage = {}
    for layer, site in where.items():
        for unit, images in enumerate(index[layer]):
            for image, position in zip(images.tolist(), place[layer][unit].tolist(), strict=True):
                if image >= 0:
                    found.setdefault(image, {}).setdefault(site, []).append((unit, position))
    return dict(sorted(found.items()))


def drawn_channels(specimen: Specimen, site: str, count: int, draw: int) -> np.ndarray:
    """Distinct channels of a site, drawn by the specimen's seed and a number. Shapes: -> (count,) or fewer."""
    units = specimen.sites[site].shape[0]
    return np.random.default_rng((specimen.seed, draw)).permutation(units)[:count]
