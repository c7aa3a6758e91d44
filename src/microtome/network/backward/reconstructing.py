"""Work on one image: reconstructions of many units of many sites, and what they are worth, from one forward pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...formulas.specificity import concentration, specificity
from ..model import Model
from ..recording.inputs import prepare
from ..sampling import ByImage
from ..specimen import Specimen
from .projection import Projection, Projector, strongest
from .rules import Method
from .tracing import Trace, tracing_all

STORED = 80_000_000  # bytes of all pictures of a run
LARGEST, SMALLEST = 48, 8  # pixels of a picture's side
LEVELS = 127  # steps of a stored picture on either side of 0
FULL = 0.999  # of a map's magnitudes lie within its scale: one outlier must not make everything else grey

Places = Mapping[str, Sequence[tuple[int, int]]]  # by site: channel, flat position


def reconstructions(
    model: Model, pixels: np.ndarray, places: Places, method: Method, sides: Mapping[str, int], enlarge: bool = False
) -> dict[str, np.ndarray]:
    """Small reconstructions by site, in steps of each map's own scale; 0 is 0.

    Shapes: pixels (C, H, W) uint8; -> (n, C, side, side) int8, cut to the receptive field and centred. With `enlarge`
    every pixel of a small field becomes a square, as far as they fit.
    """
    found = {}
    with tracing_all(model, _prepared(model, pixels), places) as traces:
        for site, wanted in places.items():
            units = [_unit(traces[site], *where) for where in wanted]
            projection, boxes = Projector(traces[site], method).project(units), fields(model, traces[site], units)
            small = [_small(cut(projection, i, box), sides[site], enlarge) for i, box in enumerate(boxes)]
            found[site] = np.stack(small)
    return found


def worth(
    model: Model, pixels: np.ndarray, channels: Mapping[str, np.ndarray], methods: Sequence[Method]
) -> dict[str, dict[Method, tuple[float, float]]]:
    """Specificity and concentration by site and method, of the channel that comes first, at its strongest position.

    The other channels are projected from the same position, all with the same seed: where they are is no difference.
    Shapes: pixels (C, H, W) uint8; channels (n,) of each site, distinct.
    """
    found: dict[str, dict[Method, tuple[float, float]]] = {}
    with tracing_all(model, _prepared(model, pixels), channels) as traces:
        for site, chosen in channels.items():
            first, *rest = strongest(traces[site], [0] * len(chosen), [int(c) for c in chosen])
            units = [first, *((0, unit[1], *first[2:]) for unit in rest)]
            box = fields(model, traces[site], [first])[0]
            found[site] = {method: _worth(traces[site], method, units, box) for method in methods}
    return found


def _worth(trace: Trace, method: Method, units: Sequence[tuple[int, ...]], box: np.ndarray) -> tuple[float, float]:
    value = float(trace.activation[units[0]])
    if value == 0:
        return float("nan"), float("nan")
    maps = Projector(trace, method).project(units, [float(np.sign(value))] * len(units))
    cuts = [cut(maps, number, box).double().cpu().numpy() for number in range(len(units))]
    alone = len(cuts) == 1
    return float("nan") if alone else specificity(cuts[0], np.stack(cuts[1:])), concentration(cuts[0])


def _prepared(model: Model, pixels: np.ndarray) -> Tensor:
    return prepare(torch.from_numpy(pixels[None]), model.preprocessing, model.module)


def _unit(trace: Trace, channel: int, place: int) -> tuple[int, ...]:
    extent = trace.activation.shape[2:]
    return (0, channel, *(int(i) for i in np.unravel_index(place, extent))) if extent else (0, channel)


def fields(model: Model, trace: Trace, units: Sequence[tuple[int, ...]]) -> np.ndarray:
    """What units see of the image, cut at its border. Shapes: -> (n, 4) top, left, bottom, right."""
    size, extent = model.preprocessing.size, trace.activation.shape[2:]
    field = model.receptive_fields[trace.site.name]
    if field is None:
        return np.tile([0, 0, *size], (len(units), 1))
    places = np.array([unit[2] * extent[1] + unit[3] for unit in units])
    return field.boxes(places, extent[1], size)


def cut(projection: Projection, unit: int, box: np.ndarray) -> Tensor:
    """A map within a box of the image. Shapes: -> (C, h, w)."""
    top, left = (int(v) for v in projection.boxes[unit, :2])
    return projection.maps[unit, :, box[0] - top : box[2] - top, box[1] - left : box[3] - left]


def _small(map_: Tensor, side: int, enlarge: bool) -> np.ndarray:
    """A map as a square picture in steps of its scale, what is missing at the edges 0. Shapes: -> (C, side, side)."""
    magnitudes = map_.abs().double().cpu().numpy()
    scale = float(np.quantile(magnitudes, FULL)) or float(magnitudes.max())
    levels = (map_ / scale).clamp(-1, 1) if scale > 0 else torch.zeros_like(map_)
    height, width = levels.shape[1:]
    longer = max(height, width)
    shrunk = max(1, round(height * side / longer)), max(1, round(width * side / longer))
    if longer > side:
        levels = F.adaptive_avg_pool2d(levels[None], shrunk)[0]
        levels = levels / levels.abs().max().clamp(min=1e-12)  # averages of what has both signs are pale
    elif enlarge:
        levels = levels.repeat_interleave(side // longer, 1).repeat_interleave(side // longer, 2)
    out = np.zeros((levels.shape[0], side, side), np.int8)
    top, left = (side - levels.shape[1]) // 2, (side - levels.shape[2]) // 2
    out[:, top : top + levels.shape[1], left : left + levels.shape[2]] = np.round(levels.float().cpu().numpy() * LEVELS)
    return out


def picture_sides(specimen: Specimen, where: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, int]:
    """The side of a picture by site: what units see, as far as all pictures together stay within bounds."""
    channels = specimen.model.preprocessing.shape[0]
    size, seen = specimen.model.preprocessing.size, {}
    for site in where.values():
        field = specimen.receptive_fields[site]
        both = size if field is None else [axis.high - axis.low + 1 for axis in (field.rows, field.columns)]
        seen[site] = max(min(both[0], size[0]), min(both[1], size[1]))
    pictures = {site: specimen.sites[layer].units * counts[layer] for layer, site in where.items()}
    for bound in range(LARGEST, SMALLEST, -1):
        sides = {site: min(bound, side) for site, side in seen.items()}
        if sum(pictures[site] * sides[site] ** 2 for site in pictures) * channels <= STORED:
            return sides
    return {site: min(SMALLEST, side) for site, side in seen.items()}


def arranged(
    specimen: Specimen, where: Mapping[str, str], index: Mapping[str, np.ndarray], wanted: ByImage,
    tiles: Sequence[Any], sides: Mapping[str, int],
) -> dict[str, np.ndarray]:  # fmt: skip
    """Pictures by unit and rank, from pictures by image."""
    channels = specimen.model.preprocessing.shape[0]
    maps = {
        layer: np.zeros((*index[layer].shape, channels, sides[site], sides[site]), np.int8)
        for layer, site in where.items()
    }
    layers = {site: layer for layer, site in where.items()}
    for (image, found), made in zip(wanted.items(), tiles, strict=True):
        for site, units in found.items():
            layer = layers[site]
            for (unit, _), tile in zip(units, made[site], strict=True):
                maps[layer][unit, index[layer][unit] == image] = tile
    return maps
