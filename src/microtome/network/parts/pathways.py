"""Connections from channel to channel by what they do for the answer, and the network with only some of them left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import NotApplicable
from ...images.collection import Images
from ..classes import logits_site
from ..model import Model
from ..recording.addresses import Address
from ..recording.calls import Call, Following, first_tensor
from ..recording.catching import Catch
from ..recording.inputs import prepare
from ..recording.measure import automatic_batch
from ..recording.untouched import untouched
from .linear_layers import LinearLayer, linear_layers

ByLayer = dict[str, np.ndarray]
BATCH = 4  # images at a time where the whole graph is kept


def attributed(model: Model, images: Images, places: Sequence[int], mean: Mapping[str, np.ndarray]) -> ByLayer:
    """What every connection does for the answer: over images the mean magnitude of the change of the answer's logit,
    above the mean of all classes, if what the connection adds were its mean, to first order.

    Shapes: mean (O, J), what a connection adds on average -> (O, J). The model stays as it is.
    """
    layers = {name: layer for name, layer in linear_layers(model).items() if name in mean}
    wanted = {Address(name, inputs=inputs) for name in layers for inputs in (False, True)}
    logits = Address(logits_site(model))
    found = {name: np.zeros(layer.weight.shape[:2]) for name, layer in layers.items()}
    with untouched(model.module) as module, torch.enable_grad():
        for first in range(0, len(places), BATCH):
            pixels = torch.from_numpy(np.stack([images.pixels(int(place)) for place in places[first : first + BATCH]]))
            listener = Catch(list(model.sites.values()), {*wanted, logits})
            with Following(module, listener):
                module(prepare(pixels, model.preprocessing, module).requires_grad_())
            values, edge = listener.found[logits]
            if edge is None:
                raise NotApplicable(f"{model.name} gives no gradient", "Paths are found with gradients",
                                    "Give a network that can be trained")  # fmt: skip
            own = values.argmax(1)
            above = -torch.ones_like(values) / values.shape[1]
            above[torch.arange(len(values)), own] += 1
            edges = {name: listener.found[Address(name)][1] for name in layers}
            ends = [edge_of for edge_of in edges.values() if edge_of is not None]
            gradients = iter(torch.autograd.grad([edge], ends, [above], allow_unused=True))
            for name, edge_of in edges.items():
                gradient = next(gradients) if edge_of is not None else None
                if gradient is not None:
                    given = listener.found[Address(name, inputs=True)][0]
                    found[name] += _changes(layers[name], given, gradient, mean[name])
    return {name: total / max(1, len(places)) for name, total in found.items()}


def _changes(layer: LinearLayer, given: Tensor, gradient: Tensor, mean: np.ndarray) -> np.ndarray:
    """The sum over images of the magnitude of every connection's change. Shapes: -> (O, J)."""
    weights = gradient.float().reshape(len(gradient), len(layer.weight), *_extent(gradient))
    total = np.zeros(layer.weight.shape[:2])
    plain = layer.to(torch.float32)
    for x, one in zip(given.float(), weights, strict=True):
        added = plain.added(x[None], one[None]).double().cpu().numpy()
        total += np.abs(added - mean * one.double().sum((1, 2)).cpu().numpy()[:, None])
    return total


def _extent(gradient: Tensor) -> tuple[int, int]:
    return (gradient.shape[2], gradient.shape[3]) if gradient.ndim == 4 else (1, 1)


class Thinned:
    """A network of which only some connections are left; each other one always adds its mean. Layers are worked out
    again with what is left of their filters while the network runs, which stays as it is.

    Shapes: mean (O, J) by layer, over images other than those it is judged on.
    """

    def __init__(self, model: Model, mean: Mapping[str, np.ndarray]) -> None:
        self.model, self.mean = model, dict(mean)
        self.whole = {name: layer for name, layer in linear_layers(model).items() if name in mean}

    def answers(self, kept: Mapping[str, np.ndarray], pixels: np.ndarray) -> np.ndarray:
        """The logits with only these connections. Shapes: kept (O, J) bool by layer; pixels (n, C, H, W) -> (n, K)."""
        left = {}
        for name, layer in self.whole.items():
            weight = layer.weight * torch.from_numpy(kept[name]).to(layer.weight.device)[:, :, None, None]
            lost = torch.from_numpy((self.mean[name] * ~kept[name]).sum(1)).to(layer.bias.device, layer.bias.dtype)
            left[name] = replace(layer, weight=weight, bias=layer.bias + lost)
        found, size = [], automatic_batch(self.model.sites)
        logits = Address(logits_site(self.model))
        with untouched(self.model.module) as module, torch.no_grad():
            for some in np.split(pixels, range(size, len(pixels), size)):
                listener = _Instead(self.model, left, logits)
                with Following(module, listener):
                    module(prepare(torch.from_numpy(some), self.model.preprocessing, module))
                found.append(listener.found[logits][0].double().cpu().numpy())
        return np.concatenate(found)


class _Instead(Catch):
    """Puts other layers' outputs in the place of those of the network, and keeps the logits."""

    def __init__(self, model: Model, layers: Mapping[str, LinearLayer], logits: Address) -> None:
        super().__init__(list(model.sites.values()), {logits})
        self.layers = layers

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor, given = first_tensor(output), first_tensor(arguments)
        layer = self.layers.get(self.sites[self.position].name) if tensor is not None else None
        if layer is not None and tensor is not None and given is not None:
            output = layer.output(given).reshape(tensor.shape)
        return super().after(call, arguments, output)


def ranked(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The place of every connection among all of the network, 0 for the largest score. Shapes: (O, J) int64."""
    order = np.argsort(-np.concatenate([values.ravel() for values in scores.values()]), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    parts = np.split(place, np.cumsum([values.size for values in scores.values()])[:-1])
    return {name: part.reshape(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
