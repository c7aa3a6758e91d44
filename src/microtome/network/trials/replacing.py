"""What a network answers with a stand-in in the place of a layer; the network itself stays as it is."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..model import Model
from ..parts.linear_layers import LinearLayer
from ..recording.calls import Following, first_tensor
from ..recording.in_order import InOrder
from ..recording.inputs import like_parameters
from ..recording.measure import FEWEST_ROWS, automatic_batch
from ..recording.sites import Site, Sites
from ..recording.untouched import untouched
from .standing_in import StandIn

LARGE = 64  # pixels of a picture's side, from which channels last is faster on a CPU


class Replacing(InOrder):
    """Puts a stand-in in the place of a layer, whose batch norm and rectifier then act on it; a mean behind these."""

    def __init__(self, sites: Sites, layer: LinearLayer, stand_in: StandIn) -> None:
        self.layer, self.stand_in, self.here = layer, stand_in, sites[layer.layer]
        self.there = read_at(sites, layer.layer) if stand_in.kind == "mean" else self.here
        super().__init__(sites)

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        if site.name != self.there.name or given is None:
            return None
        return self.stand_in.output(self.layer, given, (self.here.extent[0], self.here.extent[1]))


def read_at(sites: Sites, layer: str) -> Site:
    """Where a layer's units are read."""
    return sites[sites[layer].read or layer]


def answers(model: Model, images: Tensor, listener: InOrder | None = None) -> np.ndarray:
    """What the network answers: the largest channel, at every place if it gives maps; of one channel, whether above 0.

    Shapes: images (n, C, H, W), normalised -> (n, ...) int32.
    """
    axis, size, found = model.sites[model.sites.output].channel_axis, max(FEWEST_ROWS, automatic_batch(model.sites)), []
    with untouched(model.module) as module:
        for some in torch.split(images, size):
            # few images are filled up with copies: CPU libraries take other kernels for them, which round otherwise
            rows = some[torch.arange(max(FEWEST_ROWS, len(some))) % len(some)]
            output = first_tensor(run(module, rows, len(some), listener))
            assert output is not None, "sites are found by running"
            best = output.argmax(axis) if output.shape[axis] > 1 else output.squeeze(axis) > 0
            found.append(best[: len(some)].to(torch.int32))
    return torch.cat(found).cpu().numpy()


def run(module: nn.Module, rows: Tensor, count: int, listener: InOrder | None) -> Any:
    """One forward pass, of `count` images and what fills them up, told to a listener if there is one."""
    layout = torch.channels_last if rows.device.type == "cpu" and min(rows.shape[2:]) > LARGE else torch.preserve_format
    given = like_parameters(rows.clone(memory_format=layout), module)
    if listener is None:
        return module(given)
    listener.restart(count)
    with Following(module, listener):
        return module(given)
