"""The convolution that looks at the picture itself, and its filters on three scales."""

from typing import Literal, get_args

import numpy as np
from torch import Tensor

from ...errors import NotApplicable
from ..model import Model
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
