"""Filters that look at the picture itself, one pattern each."""

import numpy as np

from ...errors import NotApplicable
from ...formulas.labels import label_kernels
from ..model import Model
from .linear_layers import linear_layers

LARGEST = 11  # pixels of a filter's side


def filters_on_pictures(model: Model) -> dict[str, np.ndarray]:
    """The square filters of all layers with no other layer before them, by layer: (U, K, K), K from 2 to 11.

    A filter on colours is the mixture of them that holds most of its energy, with the sign that makes their sum
    positive.
    """
    try:
        layers = linear_layers(model)
    except NotApplicable:
        return {}
    found = {}
    for name, layer in layers.items():
        height, width = layer.weight.shape[2:]
        if layer.groups == 1 and small(height, width) and not layers_before(model, name):
            weight = layer.weight.double().cpu().numpy()
            found[name] = np.stack([_main_mixture(each) for each in weight])
    return found


def words_of_filters(model: Model) -> dict[str, tuple[str, ...]]:
    """The same filters in words, by layer; "" where nothing can be told from noise."""
    found = filters_on_pictures(model)
    return {layer: tuple(label.words for label in label_kernels(kernels)) for layer, kernels in found.items()}


def small(height: int, width: int) -> bool:
    """Whether filters of this size can be put into words."""
    return height == width and 2 <= height <= LARGEST


def _main_mixture(kernel: np.ndarray) -> np.ndarray:
    """Shapes: (C, K, K) -> (K, K)."""
    colours, strengths, maps = np.linalg.svd(kernel.reshape(len(kernel), -1), full_matrices=False)
    sign = np.sign(colours[:, 0].sum()) or 1.0
    return np.asarray((sign * strengths[0] * maps[0]).reshape(kernel.shape[1:]))


def layers_before(model: Model, name: str) -> bool:
    """Whether a layer feeds a site, so that it does not look at the picture itself."""
    seen, waiting = set[str](), list(model.sites[name].inputs)
    while waiting:
        each = waiting.pop()
        if each in model.sites and each not in seen:
            if model.sites[each].units:
                return True
            seen.add(each)
            waiting += model.sites[each].inputs
    return False
