"""Which units are worked on where only a few can be: spread over the depth, over the channels, by image."""

from collections.abc import Mapping, Sequence

import numpy as np

from .specimen import Specimen

ByImage = dict[int, dict[str, list[tuple[int, int]]]]  # image -> site -> channel and flat position


def spread_over_depth(names: Sequence[str], count: int) -> list[str]:
    """At most `count` of them in order, the first and the last among them."""
    if len(names) <= count:
        return list(names)
    places = np.unique(np.round(np.linspace(0, len(names) - 1, count)).astype(int))
    return [names[place] for place in places]


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
