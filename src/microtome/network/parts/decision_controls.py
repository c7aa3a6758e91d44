"""What stands beside a path through a network: what its channels add on average, and what cutting it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...images.collection import Images
from ..model import Model
from .contributions import contributions
from .decision_path import Path, Step
from .dissecting import background
from .linear_layers import linear_layers
from .pathways import Thinned
from .wiring import PASSES

DRAWS = 20  # of random connections that are cut
MOST, LEAST, BUDGET = 32, 4, 2e11  # images that say what is usual; multiply-adds


def usual(model: Model, pixels: np.ndarray, images: Images | None) -> tuple[dict[str, np.ndarray], str]:
    """What each channel adds on average over images, a sample by hash, or else over a picture of the background of this
    one; and which, in words.

    Shapes: pixels (C, H, W) uint8 -> (O, J) by layer. Raises: NotApplicable.
    """
    layers = linear_layers(model)
    if images is None:
        plain = np.broadcast_to(background(pixels[None])[:, None, None], pixels.shape).copy()
        images = Images(source="background", ids=("background",), labels=np.array([-1]), class_names=(),
                        shape=(pixels.shape[0], pixels.shape[1], pixels.shape[2]), read=lambda _: plain)  # fmt: skip
        places, words = np.zeros(1, int), "a picture of its background only"
    else:
        each = PASSES * max(1, sum(site.macs for site in model.sites.values()))
        places = images.readable(np.argsort(images.hashes, kind="stable"), int(np.clip(BUDGET / each, LEAST, MOST)))
        words = f"{len(places)} images of {images.source}"
    found = contributions(model, images, [int(place) for place in places], layers)
    return {name: table.mean for name, table in found.items()}, words


@dataclass(frozen=True, kw_only=True)
class Falls:
    """A class's logit, and how far it falls with connections cut at all positions: the path's first, all of it, and all
    but the first; and random ones of the same units instead of all, and of all but the first.

    Shapes: random, random_rest (draws,).
    """

    logit: float
    first: float
    path: float
    rest: float
    random: np.ndarray
    random_rest: np.ndarray


def falls(
    model: Model, pixels: np.ndarray, number: int, path: Path, mean: Mapping[str, np.ndarray], draws: int = DRAWS,
    seed: int = 0,
) -> Falls:  # fmt: skip
    """What cutting a path costs a class's logit, each cut connection adding its mean, beside as many random ones: of
    each of the path's units any channel.

    Shapes: pixels (C, H, W) uint8. Raises: NotApplicable.
    """
    thinned = Thinned(model, {step.place.layer: mean[step.place.layer] for step in path.steps})
    numbers = np.random.default_rng(seed)

    def fall(cut: Sequence[tuple[Step, int]]) -> float:
        kept = {name: np.ones(values.shape, bool) for name, values in thinned.mean.items()}
        for step, row in cut:
            kept[step.place.layer][step.place.unit, row] = False
        return whole - float(thinned.answers(kept, pixels[None])[0, number])

    whole = 0.0
    whole = -fall([])
    own = [(step, step.row) for step in path.steps]
    drawn = [[(step, int(numbers.integers(step.count))) for step in path.steps] for _ in range(draws)]
    return Falls(
        logit=whole, first=fall(own[:1]), path=fall(own), rest=fall(own[1:]),
        random=np.array([fall(each) for each in drawn]), random_rest=np.array([fall(each[1:]) for each in drawn]),
    )  # fmt: skip
