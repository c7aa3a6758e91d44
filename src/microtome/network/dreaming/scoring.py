"""What a grown picture is worth: the activation that moved copies of it reach, and how much there is to see in it."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...formulas.contrast import contrast
from ...images.preprocessing import MODES
from ..model import Model
from .cut import Cut
from .objective import Objective
from .palette import Palette
from .part import Part
from .recipe import Recipe
from .transforms import margin, moved

Box = tuple[int, int, int, int]  # top, left, bottom, right, of which the latter two are excluded

PLAIN = 0.1  # contrast below which a picture shows nothing


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Shapes: reached, other, contrast (R,) float64; plain, dead (R,) bool. `other` is what the next of the units that
    were asked for makes of the same picture, NaN where there is one alone.
    """

    reached: np.ndarray
    other: np.ndarray
    contrast: np.ndarray
    plain: np.ndarray
    dead: np.ndarray

    @classmethod
    def empty(cls, rows: int) -> Self:
        """Scores to be put in."""
        return cls(reached=np.zeros(rows), other=np.full(rows, np.nan), contrast=np.zeros(rows),
                   plain=np.ones(rows, bool), dead=np.ones(rows, bool))  # fmt: skip

    def put(self, rows: np.ndarray, others: "Scores", which: np.ndarray) -> None:
        """Write the scores of some rows, those of them that `which` says. Shapes: (r,), (r,) bool."""
        for name, values in others.by_name().items():
            self.by_name()[name][rows[which]] = values[which]

    def by_name(self) -> dict[str, np.ndarray]:
        """Every array by its name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @staticmethod
    def shown(model: Model, images: Tensor) -> np.ndarray:
        """Pictures as people see them. Shapes: (R, C, H, W) -> (R, C, H, W) uint8; what is no colour is grey."""
        arrays = images.cpu().numpy()
        made = np.stack([model.preprocessing.display(each) for each in arrays])
        return np.broadcast_to(made, arrays.shape).copy()


def scored(
    network: Cut, model: Model, part: Part, images: Tensor, palette: Palette, recipe: Recipe, box: Box
) -> Scores:
    """Scores of finished pictures, as people see them, so with 8 bits where the data has 8 bits.

    Shapes: images (R, C, H, W), as the network is given them.
    """
    if palette.shown and model.preprocessing.channels in MODES:
        images = model.preprocessing.normalise(torch.from_numpy(Scores.shown(model, images))).to(images.device)
    random = np.random.default_rng([part.seed, part.attempt, recipe.steps])
    mean = torch.tensor(palette.mean, dtype=images.dtype, device=images.device).view(-1, 1, 1)
    below = part.asked.sign < 0 and part.asked.rectified(model)
    peaks, others = [], []
    beside = part.next_objective
    with torch.no_grad():
        for _ in range(recipe.copies):
            moves = recipe.transforms.draw(random, len(images))
            seen = network.run(moved(images, moves, recipe.transforms.pad, mean), before=below)
            peaks.append(part.objective.peak(seen, part.each).double().cpu().numpy())
            others.append(beside.peak(seen, part.each).double().cpu().numpy())
    reached = np.median(peaks, axis=0)
    other = np.median(others, axis=0) if len(part.asked.channels) > 1 else np.full(len(reached), np.nan)
    top, left, bottom, right = box
    inside = images[:, :, top:bottom, left:right].double().cpu().numpy()
    visible = contrast(inside, palette.half_range)
    dead = ~(part.asked.sign * reached > 0) if part.asked.rectified(model) else ~np.isfinite(reached)
    return Scores(reached=reached, other=other, contrast=visible, plain=~(visible >= PLAIN), dead=dead)


def interior(model: Model, objective: Objective, recipe: Recipe) -> Box:
    """What a picture is about: top, left, bottom, right of what one position sees, or all but what moves bring in."""
    height, width = model.preprocessing.size
    site = model.sites[objective.site]
    field = model.receptive_fields[objective.site]
    if not objective.over_map and field is not None and len(site.extent) == 2:
        at = objective.where if isinstance(objective.where, tuple) else tuple(length // 2 for length in site.extent)
        box = field.boxes(np.array(at[0] * site.extent[1] + at[1]), site.extent[1], (height, width))
        return tuple(int(value) for value in box)  # type: ignore[return-value]
    edge = margin(recipe.transforms, (height, width))
    return edge, edge, height - edge, width - edge
