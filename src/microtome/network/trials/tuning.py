"""What units answer to bright lines on black, by angle and offset: their tuning, seen through the whole network."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ...formulas.stimuli import LINE
from ...formulas.templates import ANGLES, distance
from ..model import Model
from ..recording.addresses import Address
from ..recording.calls import Following
from ..recording.catching import Catch
from ..recording.inputs import like_parameters
from ..recording.untouched import untouched

OFFSETS = np.arange(-3.0, 3.25, 0.5)  # of lines from the middle, in widths of a line
BATCH = 8  # stimuli at a time: all wanted maps of them are held


@dataclass(frozen=True, kw_only=True)
class LineTuning:
    """What the unit in the middle of each map answers, less what it answers to black.

    Shapes: response (U, A, O) by angle of `templates.ANGLES` and offset; offset (A, O) pixels from the middle of what
    the unit sees, along the line's normal; width of the line in pixels.
    """

    response: np.ndarray
    offset: np.ndarray
    width: float


def line_tuning(model: Model, where: Mapping[str, str], widths: float = 1.0) -> dict[str, LineTuning]:
    """The tuning of the layers whose tensors are at these addresses, `SITE` or `SITE:in`, from one pass over all lines,
    which are so many times as wide as usual.

    Every address has maps of more than one place. The model stays as it is.
    """
    size = model.preprocessing.size
    width = widths * max(2.0, LINE * min(size))
    offsets = width * OFFSETS
    stimuli = _lines(size, offsets, width)
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in where}
    addresses = {layer: model.sites.address(text) for layer, text in where.items()}
    with untouched(model.module) as module:
        for first in range(0, len(stimuli), BATCH):
            pixels = np.repeat(stimuli[first : first + BATCH, None], model.preprocessing.shape[0], 1)
            images = model.preprocessing.normalise(torch.from_numpy(pixels))
            listener = Catch(list(model.sites.values()), set(addresses.values()))
            with Following(module, listener):
                module(like_parameters(images, module))
            listener.finish()
            for layer, address in addresses.items():
                maps = listener.found[address][0]
                middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
                found[layer].append(middle.double().cpu().numpy())
    tunings = {}
    for layer, parts in found.items():
        values = np.concatenate(parts)  # (1 + A O, U), black first
        response = (values[1:] - values[0]).reshape(len(ANGLES), len(offsets), -1)
        shift = _middle_shift(model, addresses[layer])
        tunings[layer] = LineTuning(
            response=np.moveaxis(response, 2, 0), width=width,
            offset=np.array([offsets - distance(shift[1], shift[0], theta) for theta in ANGLES]),
        )  # fmt: skip
    return tunings


def _lines(size: tuple[int, int], offsets: np.ndarray, width: float) -> np.ndarray:
    """Black, then every line. Shapes: -> (1 + A O, H, W) uint8."""
    up = ((size[0] - 1) / 2 - np.arange(size[0]))[:, None]
    right = (np.arange(size[1]) - (size[1] - 1) / 2)[None, :]
    drawn = [np.zeros(size)]
    for theta in ANGLES:
        across = distance(right, up, theta)
        drawn += [np.clip(width / 2 + 0.5 - np.abs(across - offset), 0, 1) for offset in offsets]
    return np.round(255 * np.stack(drawn)).astype(np.uint8)


def _middle_shift(model: Model, address: Address) -> tuple[np.ndarray, np.ndarray]:
    """How far up and to the right of the picture's middle that of what the middle unit sees is, in pixels."""
    site = model.sites[address.site]
    name = site.inputs[0] if address.inputs and site.inputs else address.site
    field, extent = model.receptive_fields[name], model.sites[name].extent
    if field is None or len(extent) != 2:
        return np.zeros(()), np.zeros(())
    down, right = (
        axis.stride * (length // 2) + (axis.low + axis.high) / 2 - (side - 1) / 2
        for axis, length, side in zip((field.rows, field.columns), extent, model.preprocessing.size, strict=True)
    )
    return np.asarray(-down), np.asarray(right)
