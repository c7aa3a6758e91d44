"""What is kept of grown pictures: what they are about, no larger than a page shows it, and their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import NotApplicable
from ..model import Model
from ..specimen import Specimen
from .loop import Superstimuli, superstimuli
from .objective import Objective, usual_place
from .palette import Palette, assumed, measured
from .recipe import Recipe

SIDE = 112  # pixels of a kept picture's longer side
NAMES = ("pictures", "reached", "other", "contrast", "plain", "dead")
EMPTY = {"pictures": np.uint8, "plain": bool, "dead": bool}

Kept = dict[str, np.ndarray]
Item = tuple[str, tuple[int, ...]]  # a layer and some of its units


def kept(found: Superstimuli, longest: int = SIDE) -> Kept:
    """Pictures cut to what they are about and made smaller if they are larger, and their scores, by name.

    Shapes: pictures (U, n, C, h, w) uint8, the others (U, n).
    """
    top, left, bottom, right = found.box
    cut = torch.from_numpy(found.pictures[..., top:bottom, left:right])
    longer = max(cut.shape[3:])
    if longer > longest:
        size = tuple(max(1, round(length * longest / longer)) for length in cut.shape[3:])
        flat = cut.flatten(0, 1).float()
        cut = F.adaptive_avg_pool2d(flat, (size[0], size[1])).round().to(torch.uint8).view(*cut.shape[:3], *size)
    return {"pictures": cut.numpy(), **{name: getattr(found, name) for name in NAMES[1:]}}


class Grower:
    """Grows pictures for units of a specimen's layers, read at the sites of `where`, or on a copy that is shuffled.

    `data_max` is the data's largest activation of every unit, by layer.
    """

    def __init__(
        self, specimen: Specimen, where: Mapping[str, str], recipe: Recipe, data_max: Mapping[str, np.ndarray]
    ) -> None:
        self._specimen, self._where, self._recipe, self._data_max = specimen, where, recipe, data_max

    def grow(self, items: Sequence[Item], shuffled: bool = False) -> list[Kept]:
        """A picture for every unit of layers and units; nothing if the network cannot be copied."""
        if shuffled and self._copy is None:
            return [{} for _ in items]
        return [self._grown(item, 1, {}, shuffled) for item in items]

    def further(self, items: Sequence[Item], ways: Sequence[tuple[Mapping[str, Any], int]]) -> list[Kept]:
        """For every unit so many pictures of each way: how its objective differs from the usual one."""
        return [joined([self._grown(item, each, changes, False) for changes, each in ways], 1) for item in items]

    def _grown(self, item: Item, each: int, changes: Mapping[str, Any], shuffled: bool) -> Kept:
        (layer, channels), model = item, self._copy if shuffled else self._specimen.model
        assert model is not None
        place = usual_place(self._specimen.model, layer)
        asked = replace(Objective(site=self._where[layer], channels=tuple(channels), where=place), **changes)
        # a copy with other weights has other activations: only dead pictures are begun again there
        largest = None if shuffled or changes else self._data_max[layer][list(channels)]
        return kept(superstimuli(model, asked, self._palette, self._recipe, each=each, seed=self._specimen.seed,
                                 data_max=largest))  # fmt: skip

    @cached_property
    def _palette(self) -> Palette:
        found = self._specimen
        return measured(found.model, found.images, found.seed) if found.images is not None else assumed(found.model)

    @cached_property
    def _copy(self) -> Model | None:
        try:
            return self._specimen.shuffled()
        except NotApplicable:
            return None


def joined(found: Sequence[Mapping[str, np.ndarray]], axis: int = 0) -> Kept:
    """One array a name of several: along the units, or along the pictures of each; of none, empty ones."""
    if found:
        return {name: np.concatenate([part[name] for part in found], axis) for name in NAMES}
    return {name: np.zeros((0, 1, 1, 1, 1) if name == "pictures" else (0, 1), EMPTY.get(name, np.float64))
            for name in NAMES}  # fmt: skip
