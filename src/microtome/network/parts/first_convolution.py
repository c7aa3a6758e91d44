"""The convolution that looks at the picture itself, and its filters on three scales."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from ...errors import BadModel, NotApplicable
from ...formulas.profile_fit import FEWEST
from ...formulas.spectrum import Basis, principal_axes
from ...statistics.patches import Patches
from ..model import Model
from ..responses import responses
from ..sources.weights import read_state
from .linear_layers import LinearLayer, kind, linear_layers

Scale = Literal["raw", "unit", "batch norm"]
SCALES: tuple[Scale, ...] = get_args(Scale)


def begins_with_convolution(model: Model) -> tuple[str, tuple[int, ...]]:
    """The first layer and the shape (C, kh, kw) of its filters, if it is a convolution over all channels of the picture
    with a kernel of several pixels; told without running it.

    Raises: NotApplicable if it is none.
    """
    allowed = "Profiles are of a convolution of the picture, over all of its channels, with a kernel of several pixels"
    site = next(iter(model.sites.layers), None)
    if site is None or kind(model, site) != "conv2d" or site.channel_axis != 1 or not site.batched:
        raise _other(model, site.name if site else "of which there is none", allowed)
    shape = tuple(model.weight(site.name).shape[1:])
    if len(shape) != 3 or shape[0] != model.preprocessing.shape[0] or shape[1] * shape[2] < 2:
        raise _other(model, f"{site.name}, with filters of {in_words(shape)}", allowed)
    return site.name, shape


def first_convolution(model: Model) -> LinearLayer:
    """That layer, with all of its numbers.

    Raises: NotApplicable as `begins_with_convolution`.
    """
    name, _ = begins_with_convolution(model)
    return linear_layers(model)[name]


def _other(model: Model, what: str, allowed: str) -> NotApplicable:
    return NotApplicable(f"The first layer of {model.name} is {what}, for pictures of "
                         f"{in_words(model.preprocessing.shape)}", allowed,
                         "Look at a network that begins with one")  # fmt: skip


def in_words(shape: Sequence[int]) -> str:
    """A shape as one says it: "3 x 5 x 5"."""
    return " x ".join(map(str, shape))


def filter_bank(model: Model, scale: Scale = "raw") -> np.ndarray:
    """The first layer's filters as rows, flattened channel by channel. Shapes: -> (K, D) float64, D = C h w.

    Behind a batch norm a filter's scale is free, so three are as good as each other: raw, as the weights are; unit,
    each filter of norm 1 (of zeros stays 0); batch norm, as large as the batch norm makes its answers.
    Raises: NotApplicable as `begins_with_convolution`.
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


def axes_of(patches: Patches) -> Basis:
    """The principal axes of what the first layer sees; along those that vary by rounding alone, the variance is 0.

    Raises: NotApplicable if patches vary along too few axes for a profile.
    """
    basis = principal_axes(patches.covariance, patches.shape, patches.rounding)
    if basis.rank < FEWEST:
        raise NotApplicable(f"What the first layer sees varies along {basis.rank} of {len(basis.variance)} axes",
                            f"A profile is along {FEWEST} axes or more",
                            "Give images that are not all of one colour")  # fmt: skip
    return basis


def filters_before(model: Model, path: Path) -> np.ndarray:
    """The first layer's filters in a file of weights of the same network, such as those that its training began with.

    Shapes: -> (K, D) float64. Raises: BadModel if the file does not hold them; NotApplicable.
    """
    layer = first_convolution(model)
    name = model.sites[layer.layer].weight or ""
    state = read_state(path)
    if name not in state or state[name].shape != layer.weight.shape:
        held = in_words(state[name].shape) if name in state else "nothing of this name"
        raise BadModel(f"{path.name} holds {held} for {name}", f"{name} has the shape {in_words(layer.weight.shape)}",
                       "Give weights of the same network")  # fmt: skip
    found: np.ndarray = state[name].double().flatten(1).cpu().numpy()
    return found


def seen_by_first(model: Model, images: Tensor) -> np.ndarray:
    """What the first layer is given of images that are normalised already. Shapes: (n, C, H, W) -> (n, C, H, W)."""
    site = model.sites[first_convolution(model).layer]
    if not site.inputs or site.inputs[0] not in model.sites:
        return images.double().cpu().numpy()
    return responses(model, images, site.inputs[0], lambda tensor: tensor)
