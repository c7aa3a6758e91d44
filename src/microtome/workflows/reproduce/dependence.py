"""Does the answer "cat" depend on the pixels that the reconstruction of the deepest layer calls strongest?"""

from collections.abc import Mapping

import numpy as np
import torch

from ... import scratch as mts
from ...formulas.perturbation import blurred, middle_area, random_area, replaced, strength, strongest_area
from .concentration import MAP, UNIT, reconstructions, rectified
from .data import CAT, OTHER, scaled

SHARE, DRAWS = 0.1, 10
FILLS = ("blur", "mean colour")
MIDDLE = "middle"


def margins(net: mts.Net, x: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """The cat's logit minus the other's. Shapes: x (N, 3, H, W) in 0..1 -> (N,)."""
    logits = np.concatenate([net.eval()(x[first : first + batch_size]) for first in range(0, len(x), batch_size)])
    return np.asarray(logits[:, CAT] - logits[:, OTHER], np.float64)


def maps_of(net: mts.Net, images: np.ndarray) -> dict[str, np.ndarray]:
    """How strong the reconstructions of the deepest layer are. Shapes: -> by kind (N, H, W)."""
    if not len(images):
        return {kind: np.zeros((0, *images.shape[2:])) for kind in (UNIT, MAP)}
    ((_, units, maps, _),) = reconstructions(net, images, rectified(net)[-1:])
    return {UNIT: strength(units[0]), MAP: strength(maps)}


def falls(
    net: mts.Net, images: np.ndarray, maps: Mapping[str, np.ndarray], seed: int = 0
) -> dict[str, dict[str, np.ndarray]]:
    """How far the margin falls when the strongest tenth of each map is covered, and, "random", the mean over random
    areas of equal size and shape; "middle" covers the middle, "before" is the margin, "all" covers everything.

    Shapes: images (N, 3, H, W) uint8; maps by name (N, H, W) -> by fill and name (N,), NaN for maps of zeros.
    """
    random = np.random.default_rng(seed)
    names = [*maps, *(random_name(name) for name in maps), MIDDLE, "before", "all"]
    found = {fill: {name: np.full(len(images), np.nan) for name in names} for fill in FILLS}
    shape = (images.shape[2], images.shape[3])
    for place, image in enumerate(images):
        areas: list[tuple[str, np.ndarray]] = [(MIDDLE, middle_area(shape, SHARE)), ("all", np.ones(shape, bool))]
        for name, strengths in maps.items():
            if strengths[place].any():
                area = strongest_area(strengths[place], SHARE)
                areas += [(name, area)] + [(random_name(name), random_area(area, random)) for _ in range(DRAWS)]
        x = torch.from_numpy(scaled(image))
        covers = torch.from_numpy(np.stack([area for _, area in areas]))
        for fill in FILLS:
            by = blurred(x) if fill == "blur" else x.mean((1, 2), keepdim=True)
            after = margins(net, np.concatenate([x.numpy()[None], replaced(x, covers, by).numpy()]))
            lost = after[0] - after[1:]
            found[fill]["before"][place] = after[0]
            for name in {name for name, _ in areas}:
                found[fill][name][place] = np.mean([fall for (of, _), fall in zip(areas, lost, strict=True)
                                                    if of == name])  # fmt: skip
    return found


def random_name(name: str) -> str:
    """What the random areas of a map are called."""
    return f"random for {name}"
