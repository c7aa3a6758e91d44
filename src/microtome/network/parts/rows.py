"""The rows of a unit on one picture: what it is given by the channels that feed it most, and what each of them adds."""

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...figures import to_levels
from ...statistics.maps import smaller
from ..model import Model
from ..recording.calls import Following
from ..recording.inputs import prepare
from ..recording.recorder import Enough
from ..recording.untouched import untouched
from .contributions import Inputs
from .dissecting import passes_on
from .linear_layers import LinearLayer

SIDE = 14  # pixels of the longer side of a stored map

Wanted = Mapping[str, tuple[np.ndarray, np.ndarray]]  # by layer: units (n,), and their k channels (n, k)


def rows_on(
    model: Model, pixels: np.ndarray, layers: Mapping[str, LinearLayer], wanted: Wanted
) -> dict[str, dict[str, np.ndarray]]:
    """By layer, of n units and k rows each: x, a (n, k, s, t) and y (n, s, t) as steps of colour, each unit's x, a and
    y in a scale of its own; rho (n, k), the correlation of a with x moved by `moved` (n, k, 2) places down and right.

    Shapes: pixels (C, H, W) uint8. Channels are counted in the layer's input. The model stays as it is.
    """
    found: dict[str, dict[str, np.ndarray]] = {}

    def take(name: str, given: Tensor) -> None:
        found[name] = _rows(layers[name].to(torch.float32), given[:1].float(), *wanted[name])

    with untouched(model.module) as module, torch.no_grad():
        images = prepare(torch.from_numpy(np.ascontiguousarray(pixels[None])), model.preprocessing, module)
        with Following(module, Inputs(model, wanted, take)), suppress(Enough):
            module(images)
    return found


def _rows(layer: LinearLayer, given: Tensor, units: np.ndarray, channels: np.ndarray) -> dict[str, np.ndarray]:
    maps = layer.maps(given)
    count, rows = channels.shape
    flat = torch.from_numpy(channels.ravel()).to(maps.device)
    starts = np.array([layer.inputs_of(int(unit)).start for unit in units])
    within = torch.from_numpy((channels - starts[:, None]).ravel()).to(maps.device)
    owners = torch.from_numpy(np.repeat(units, rows)).to(maps.device)
    filters = layer.weight[owners, within][:, None]
    a = F.conv2d(layer.padded(maps)[:, flat], filters, None, layer.stride, 0, layer.dilation, groups=len(flat))
    x, y = maps[:, flat], layer.output(given)[0, torch.from_numpy(units).to(maps.device)]
    given_as, added = x[0, :, None].cpu().numpy(), a[0, :, None].cpu().numpy()
    rho, moved = passes_on(given_as, added, max(layer.weight.shape[2:]) // 2)
    return {
        "x": _levels(x.view(count, rows, *x.shape[2:])), "a": _levels(a.view(count, rows, *a.shape[2:])),
        "y": _levels(y[:, None])[:, 0], "rho": rho.reshape(count, rows), "moved": moved.reshape(count, rows, 2),
    }  # fmt: skip


def _levels(maps: Tensor) -> np.ndarray:
    """Shapes: (n, k, h, w) -> (n, k, s, t) int8, one scale for each of the n."""
    small = smaller(maps, SIDE).cpu().numpy()
    scale = np.abs(small).max((1, 2, 3), keepdims=True)
    return to_levels(small, np.where(scale > 0, scale, 1))
