"""What a network answers to pictures that were changed, at one site, and no further."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .model import Model
from .recording.calls import Call, Following, Listener, first_tensor
from .recording.inputs import like_parameters
from .recording.measure import FEWEST_ROWS, automatic_batch
from .recording.recorder import Enough
from .recording.sites import Site
from .recording.untouched import untouched

Pick = Callable[[Tensor], Tensor]  # a site's tensor (n, ...) -> what is wanted of it (n, ...)


def responses(model: Model, images: Tensor, site: str, pick: Pick) -> np.ndarray:
    """What `pick` takes of a site's tensor, for images that are normalised already; the model stays as it is.

    Shapes: images (n, C, H, W) -> (n, ...) float64. Raises: UnknownName.
    """
    wanted = model.sites[model.sites.resolve(site)]
    size = max(FEWEST_ROWS, automatic_batch(model.sites))
    found = []
    with untouched(model.module) as module:
        for some in torch.split(images, size):
            # few images are filled up with copies: CPU libraries take other kernels for them, which round otherwise
            rows = some[torch.arange(max(FEWEST_ROWS, len(some)), device=some.device) % len(some)]
            listener = _Picking(wanted, list(model.sites), pick)
            with Following(module, listener), suppress(Enough):
                module(like_parameters(rows.clone(), module))
            assert listener.found is not None, "sites are found by running"
            found.append(listener.found[: len(some)])
    return torch.cat(found).double().cpu().numpy()


def unit_at(site: Site, channel: int, place: int) -> tuple[int, ...]:
    """Where in one image's tensor a channel's flat position is: one number an axis of `site.shape`."""
    where = [int(axis) for axis in np.unravel_index(place, site.extent)] if site.extent else []
    where.insert(site.channel_axis - 1, channel)
    return tuple(where)


class _Picking(Listener):
    """Takes what is wanted of one site's tensor, before anything can overwrite it, and stops."""

    def __init__(self, site: Site, order: list[str], pick: Pick) -> None:
        self.last, self.position, self.pick = order.index(site.name), -1, pick
        self.found: Tensor | None = None

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        self.position += 1
        if self.position == self.last:
            self.found = self.pick(tensor.detach()).clone()
            raise Enough
        return output
