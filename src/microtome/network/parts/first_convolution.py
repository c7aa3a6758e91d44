"""The convolution that looks at the picture itself, and its filters on three scales."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from ...errors import BadModel, NotApplicable
from ..model import Model
from ..responses import responses
from ..sources.weights import read_state
from .linear_layers import LinearLayer, linear_layers

Scale = Literal["raw", "unit", "batch norm"]
SCALES: tuple[Scale, ...] = get_args(Scale)


def first_convolution(model: Model) -> LinearLayer:
    """The first layer that is called, if it is a convolution over all channels of the picture with a kernel of several
    pixels.

    Raises: NotApplicable if it is none.
    """
    name = next((site.name for site in model.sites.layers), "")
    layer = linear_layers(model).get(name) if name else None
    channels = model.preprocessing.shape[0]
    allowed = "Profiles are of a convolution of the picture, over all of its channels, with a kernel of several pixels"
    if layer is None or layer.shape[1:] == (1, 1):
        raise _other(model, f"The first layer of {model.name}, {name or 'of which there is none'},", allowed)
    if layer.groups != 1 or layer.weight.shape[1] != channels or layer.weight[0, 0].numel() < 2:
        raise _other(model, f"The first layer of {model.name}, {name}, with filters of {_shape(layer.weight)}", allowed)
    return layer


def _other(model: Model, what: str, allowed: str) -> NotApplicable:
    return NotApplicable(f"{what} is none of these, for pictures of {_shape_of(model)}", allowed,
                         "Look at a network that begins with one")  # fmt: skip


def _shape(weight: Tensor) -> str:
    return " x ".join(map(str, weight.shape[1:]))


def _shape_of(model: Model) -> str:
    return " x ".join(map(str, model.preprocessing.shape))


def filter_bank(model: Model, scale: Scale = "raw") -> np.ndarray:
    """The first layer's filters as rows, flattened channel by channel. Shapes: -> (K, D) float64, D = C h w.

    Behind a batch norm a filter's scale is free, so three are as good as each other: raw, as the weights are; unit,
    each filter of norm 1 (of zeros stays 0); batch norm, as large as the batch norm makes its answers.
    Raises: NotApplicable as `first_convolution`.
    """
    layer = first_convolution(model)
    if scale == "batch norm":
        layer = linear_layers(model, fold=True)[layer.layer]
    bank: np.ndarray = layer.weight.detach().double().flatten(1).cpu().numpy()
    if scale == "unit":
        norms = np.linalg.norm(bank, axis=1, keepdims=True)
        bank = bank / np.where(norms > 0, norms, 1.0)
    return bank


def normalised_behind(model: Model) -> bool:
    """Whether a batch norm takes the first layer's output."""
    return bool(linear_layers(model, fold=True)[first_convolution(model).layer].folded)


def filters_before(model: Model, path: Path) -> np.ndarray:
    """The first layer's filters in a file of weights of the same network, such as those that its training began with.

    Shapes: -> (K, D) float64. Raises: NotApplicable as `first_convolution`; BadModel if the file does not hold them.
    """
    layer = first_convolution(model)
    name = model.sites[layer.layer].weight or ""
    state = read_state(path)
    if name not in state or state[name].shape != layer.weight.shape:
        held = _shape(state[name][None]) if name in state else "nothing of this name"
        raise BadModel(f"{path.name} holds {held} for {name}", f"{name} has the shape {_shape(layer.weight[None])}",
                       "Give weights of the same network")  # fmt: skip
    found: np.ndarray = state[name].double().flatten(1).cpu().numpy()
    return found


def seen_by_first(model: Model, images: Tensor) -> np.ndarray:
    """What the first layer is given of images that are normalised already. Shapes: (n, C, H, W) -> (n, C, H, W)."""
    site = model.sites[first_convolution(model).layer]
    if not site.inputs or site.inputs[0] not in model.sites:
        return images.double().cpu().numpy()
    return responses(model, images, site.inputs[0], lambda tensor: tensor)
