"""What units answer to short bright bars, at every angle and at many places of the picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..model import Model
from ..recording.in_order import InOrder
from ..recording.measure import FEWEST_ROWS
from ..recording.sites import Site, Sites
from ..recording.untouched import untouched
from .replacing import run

LENGTH, WIDTH = 1 / 4, 1 / 16  # of a bar, in short sides of the picture
BATCH = 8  # pictures at a time
FEW = 64  # places of a map, up to which each is looked at by itself


@dataclass(frozen=True, kw_only=True)
class BarAnswers:
    """Responses by angle (A) and place (P) of a bar.

    Shapes: pooled (U, A, P), the largest of the map; single (U, M, A, P) at each of M places of a map of few, of others
    M is 0.
    """

    pooled: np.ndarray
    single: np.ndarray


def bars(size: tuple[int, int], angles: int, grid: int) -> np.ndarray:
    """Bright bars on black, wholly inside, centred on whole pixels; a border pixel is as bright as it is covered.

    Angles count counter-clockwise from horizontal. Shapes: size (H, W) -> (angles, grid^2, H, W) uint8.
    """
    length, width = LENGTH * min(size), max(2.0, WIDTH * min(size))
    rows, columns = (np.round(np.linspace(length / 2 + 1, side - 2 - length / 2, grid)) for side in size)
    down, right = np.arange(size[0])[:, None], np.arange(size[1])[None]
    drawn = np.zeros((angles, grid * grid, *size), np.uint8)
    for place, (row, column) in enumerate((row, column) for row in rows for column in columns):
        up, aside = row - down, right - column
        for angle in range(angles):
            theta = np.pi * angle / angles
            along = aside * np.cos(theta) + up * np.sin(theta)
            across = up * np.cos(theta) - aside * np.sin(theta)
            covered = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(width / 2 + 0.5 - np.abs(across), 0, 1)
            drawn[angle, place] = np.round(255 * covered)
    return drawn


def bar_answers(model: Model, where: Mapping[str, str], angles: int, grid: int) -> dict[str, BarAnswers]:
    """What the units read at these sites answer, from one pass over all bars; the model stays as it is."""
    pictures = bars(model.preprocessing.size, angles, grid)
    pictures = pictures.reshape(-1, *pictures.shape[2:])
    pooled: dict[str, list[np.ndarray]] = {layer: [] for layer in where}
    single: dict[str, list[np.ndarray]] = {layer: [] for layer in where}
    for first in range(0, len(pictures), BATCH):
        pixels = np.repeat(pictures[first : first + BATCH, None], model.preprocessing.channels, 1)
        images = model.preprocessing.normalise(torch.from_numpy(pixels))
        for layer, (largest, each) in units(model, where, images, _largest_and_each).items():
            pooled[layer].append(largest.double().cpu().numpy())
            single[layer].append(each.double().cpu().numpy())
    shape = angles, grid * grid
    found = {}
    for layer in where:
        whole, places = np.concatenate(pooled[layer]), np.concatenate(single[layer])
        found[layer] = BarAnswers(pooled=np.moveaxis(whole, 0, -1).reshape(-1, *shape),
                                  single=np.moveaxis(places, 0, -1).reshape(*places.shape[1:], *shape))  # fmt: skip
    return found


@dataclass(frozen=True, kw_only=True)
class MapSums:
    """Sums over `count` images at every place of a map: of values and of their squares. Shapes: (U, M)."""

    count: int
    total: np.ndarray
    squares: np.ndarray


def map_sums(model: Model, where: Mapping[str, str], images: Tensor) -> dict[str, MapSums]:
    """What units do place by place, over images that are normalised. Shapes: images (n, C, H, W)."""
    total: dict[str, np.ndarray] = {}
    squares: dict[str, np.ndarray] = {}
    for some in torch.split(images, BATCH):
        for layer, (values, powers) in units(model, where, some, _sums).items():
            total[layer] = total.get(layer, 0) + values.cpu().numpy()
            squares[layer] = squares.get(layer, 0) + powers.cpu().numpy()
    return {layer: MapSums(count=len(images), total=total[layer], squares=squares[layer]) for layer in where}


def _largest_and_each(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.amax(2), (maps if 1 < maps.shape[2] <= FEW else maps[:, :, :0]).clone()


def _sums(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.sum(0, dtype=torch.float64), (maps.float() ** 2).sum(0, dtype=torch.float64)


Reduce = Callable[[Tensor], tuple[Tensor, Tensor]]


def units(model: Model, where: Mapping[str, str], images: Tensor, reduce: Reduce) -> dict[str, tuple[Tensor, Tensor]]:
    """What is taken of the units of layers that are read at these sites, (n, U, M), on a few images (n, C, H, W)."""
    listener = _Reading(model.sites, where, reduce)
    rows = images[torch.arange(max(FEWEST_ROWS, len(images))) % len(images)]
    with untouched(model.module) as module:
        run(module, rows, len(images), listener)
    return {layer: listener.found[layer] for layer in where}


class _Reading(InOrder):
    """Takes what is wanted of units while they are there: whole maps of all layers are large."""

    def __init__(self, sites: Sites, where: Mapping[str, str], reduce: Reduce) -> None:
        self.where, self.reduce = where, reduce
        self.found: dict[str, tuple[Tensor, Tensor]] = {}
        super().__init__(sites)

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        for layer in (layer for layer, name in self.where.items() if name == site.name):
            maps = tensor.movedim(site.channel_axis, 1)[: self.rows]
            self.found[layer] = self.reduce(maps.reshape(*maps.shape[:2], -1))
        return None
