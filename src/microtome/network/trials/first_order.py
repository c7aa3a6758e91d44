"""What silencing every unit would do if the network were linear: one pass there and one back for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..classes import logits_address
from ..model import Model
from ..recording.addresses import Address
from ..recording.calls import Following
from ..recording.catching import Catch
from ..recording.inputs import like_parameters
from ..recording.untouched import untouched


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """Sums over images and positions, from which means and estimates of any number of batches follow.

    Shapes, C channels: total (C,) of activations; slope (C,) of the gradients of the logits asked for, product (C,) of
    both together, NaN where there is no gradient. count says behind how many activations each sum stands, images how
    many images.
    """

    images: int
    count: int
    total: np.ndarray
    slope: np.ndarray
    product: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The mean activation: (C,)."""
        return self.total / self.count

    @property
    def fall(self) -> np.ndarray:
        """How far the logit falls, mean over images, if the channel is replaced by its mean: (C,).

        To first order that is the sum over positions of (activation - mean) times the gradient.
        """
        found: np.ndarray = (self.product - self.mean * self.slope) / self.images
        return found


def added(parts: Sequence[Slopes]) -> Slopes:
    """The sums of disjoint sets of images."""
    return Slopes(
        images=sum(part.images for part in parts), count=sum(part.count for part in parts),
        total=np.sum([part.total for part in parts], 0), slope=np.sum([part.slope for part in parts], 0),
        product=np.sum([part.product for part in parts], 0),
    )  # fmt: skip


def slopes(
    model: Model, images: Tensor, where: Mapping[str, str], targets: np.ndarray | None = None
) -> dict[str, Slopes]:
    """By layer, for the logit above the mean of all classes: of the classes given, or of the network's own answers.

    Shapes: images (n, C, H, W), normalised; targets (n,). `where` gives the layers' sites. The model stays as it is.
    Raises: CallOrderChanged.
    """
    row = logits_address(model)
    places = {layer: Address(site) for layer, site in where.items()}
    with untouched(model.module) as module, torch.enable_grad():
        listener = Catch(list(model.sites.values()), {row, *places.values()})
        # the first call may overwrite what it is given, which a leaf of the graph does not allow; hence the copy
        layout = torch.channels_last if images.device.type == "cpu" else torch.preserve_format
        given = like_parameters(images, module).detach().clone(memory_format=layout).requires_grad_()
        with Following(module, listener):
            module(given.clone())
        listener.finish()
        logits, end = listener.found[row]
        target = logits.argmax(1) if targets is None else torch.from_numpy(targets).to(logits.device)
        seed = torch.full_like(logits, -1 / logits.shape[1])
        seed[torch.arange(len(logits)), target] += 1
        edges = {layer: edge for layer, place in places.items() if (edge := listener.found[place][1]) is not None}
        found = (
            torch.autograd.grad([end], list(edges.values()), [seed], allow_unused=True)
            if end is not None and edges else ()
        )  # fmt: skip
        gradients = dict(zip(edges, found, strict=bool(found)))
    return {layer: _sums(listener.found[place][0], gradients.get(layer), layer in gradients,
                         model.sites[where[layer]].channel_axis) for layer, place in places.items()}  # fmt: skip


def _sums(activation: Tensor, gradient: Tensor | None, known: bool, axis: int) -> Slopes:
    maps = _flat(activation, axis)
    total = maps.sum((0, 2), dtype=torch.float64)
    slope = product = torch.full_like(total, 0.0 if known else float("nan"))  # without influence the gradient is 0
    if gradient is not None:
        slopes_there = _flat(gradient, axis)
        slope = slopes_there.sum((0, 2), dtype=torch.float64)
        product = (maps * slopes_there).sum((0, 2), dtype=torch.float64)
    return Slopes(images=len(maps), count=maps.shape[0] * maps.shape[2], total=total.cpu().numpy(),
                  slope=slope.cpu().numpy(), product=product.cpu().numpy())  # fmt: skip


def _flat(tensor: Tensor, axis: int) -> Tensor:
    """Shapes: -> (n, C, positions)."""
    moved = tensor.detach().movedim(axis, 1)
    return moved.reshape(*moved.shape[:2], -1)
