"""Does one map of one picture point at the pixels that matter? Blurred are its strongest, and what it has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..network.classes import logits_site
from ..network.model import Model
from ..network.responses import Pick
from ..network.specimen import Specimen
from ..network.trials.pointing import Pointer, Target, activation_of, logit_and_probability

SHARE, SIGMA = 0.1, 0.1  # of the area that is blurred; of the blur, in longer sides of the picture
DRAWS = 19  # random areas: a map that beats them all would do so by chance once in twenty times
MAP = "map"


@dataclass(frozen=True, kw_only=True)
class MapTruth:
    """How far a unit or a logit falls when the strongest `share` of what it can see is blurred, and what stands beside.

    A fall is 1 - after / before. Shapes: random (draws,), of the same area moved at random.
    """

    what: str
    share: float
    fall: float
    random: tuple[float, ...]
    edges: float
    middle: float

    def sentence(self) -> str:
        """The answer in one line."""
        beaten = sum(self.fall > other for other in self.random)
        return (
            f"Blurring the map's strongest {self.share:.0%} lowers {self.what} by {self.fall:.0%}: more than "
            f"{beaten} of {len(self.random)} random areas (mean {np.mean(self.random):.0%}); the strongest edges "
            f"{self.edges:.0%}, the middle {self.middle:.0%}"
        )

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        return {"what": self.what, "share": self.share, "fall": self.fall, "random": list(self.random),
                "edges": self.edges, "middle": self.middle}  # fmt: skip


def truth_of_map(
    model: Model, pixels: np.ndarray, site: str, unit: tuple[int, ...], box: Sequence[int], strength: np.ndarray
) -> MapTruth | None:
    """The truth of one map; None where what is mapped is not above 0, or the map is 0 everywhere.

    `unit` is its place in one image's tensor; the logit of a class is taken above the mean of all classes.
    Shapes: pixels (C, H, W); box top, left, bottom, right; strength (H, W).
    """
    if not strength.any():
        return None
    of_class = len(unit) == 1 and bool(Specimen(model=model).classes) and site == logits_site(model)
    pick: Pick = logit_and_probability(unit[0]) if of_class else activation_of(unit)
    top, left, bottom, right = (int(edge) for edge in box)
    target = Target(pixels=pixels, image=0, channel=unit[0], place=0, box=(top, left, bottom, right))
    pointer = Pointer(model=model, methods=(), share=SHARE, draws=DRAWS, sigma=SIGMA, seed=0)
    found = pointer.judged(site, [target], {MAP: strength[None]}, [pick], {})
    before = float(found.before[0, 0])
    if not before > 0:
        return None
    return MapTruth(
        what="the logit above the mean of all classes" if of_class else "the unit", share=SHARE,
        fall=1 - float(found.after[MAP][0, 0]) / before, edges=1 - float(found.edges[0, 0]) / before,
        random=tuple((1 - found.random[MAP][0, :, 0] / before).tolist()),
        middle=1 - float(found.middle[0, 0]) / before,
    )  # fmt: skip


def with_truth(text: str, truth: MapTruth | None) -> str:
    """A text for below a figure, and the truth about the map in it in a line of its own."""
    return f"{text}\n{truth.sentence()}." if truth else text
