"""What units answer to short bright bars, at every angle and at many places of the picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .addresses import Address
from .calls import Following
from .catching import Catch
from .inputs import like_parameters
from .measure import FEWEST_ROWS
from .model import Model
from .untouched import untouched

LENGTH, WIDTH = 1 / 4, 1 / 16  # of a bar, in short sides of the picture
BATCH = 8  # pictures at a time: all wanted maps of them are held
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
        for layer, maps in units(model, where, model.preprocessing.normalise(torch.from_numpy(pixels))).items():
            pooled[layer].append(maps.amax(2).cpu().numpy())
            few = 1 < maps.shape[2] <= FEW
            single[layer].append((maps if few else maps[:, :, :0]).cpu().numpy())
    shape = angles, grid * grid
    found = {}
    for layer in where:
        largest, each = np.concatenate(pooled[layer]), np.concatenate(single[layer])
        found[layer] = BarAnswers(pooled=np.moveaxis(largest, 0, -1).reshape(-1, *shape),
                                  single=np.moveaxis(each, 0, -1).reshape(*each.shape[1:], *shape))  # fmt: skip
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
        for layer, maps in units(model, where, some).items():
            total[layer] = total.get(layer, 0) + maps.sum(0).cpu().numpy()
            squares[layer] = squares.get(layer, 0) + (maps**2).sum(0).cpu().numpy()
    return {layer: MapSums(count=len(images), total=total[layer], squares=squares[layer]) for layer in where}


def units(model: Model, where: Mapping[str, str], images: Tensor) -> dict[str, Tensor]:
    """The units of layers that are read at these sites, on a few images. Shapes: (n, C, H, W) -> (n, U, M) float64."""
    count, rows = len(images), images[torch.arange(max(FEWEST_ROWS, len(images))) % len(images)]
    addresses = {layer: Address(site) for layer, site in where.items()}
    listener = Catch(list(model.sites.values()), set(addresses.values()))
    layout = torch.channels_last if rows.device.type == "cpu" else torch.preserve_format
    with untouched(model.module) as module, Following(module, listener):
        module(like_parameters(rows.clone(memory_format=layout), module))
    listener.finish()
    found = {}
    for layer, address in addresses.items():
        axis = model.sites[address.site].channel_axis
        maps = listener.found[address][0].movedim(axis, 1)[:count]
        found[layer] = maps.double().reshape(*maps.shape[:2], -1)
    return found
