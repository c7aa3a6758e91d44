"""The layers of which every unit sees every input once: linear layers, and a 1x1 convolution that classifies."""

import numpy as np

from ..formulas.cone_report import ConeReport, cone_report
from .model import Model
from .specimen import Effort, Specimen

MOST: dict[Effort, int] = {"quick": 128, "normal": 256, "full": 2048}  # rows or columns drawn: time grows as the cube
WHOLE: dict[Effort, int] = {"quick": 256, "normal": 1024, "full": 4096}  # of the classifier, a network's one
SIDES = ("rows", "columns")  # units, and inputs


def weight_table(model: Model, layer: str) -> np.ndarray:
    """A layer's weights, one row a unit. Shapes: -> (units, inputs), float32. Raises: UnknownName."""
    weight = model.weight(layer).float().cpu().numpy()
    return np.asarray(weight.reshape(len(weight), -1))


def fully_connected(model: Model) -> list[str]:
    """The fully connected layers in the order in which they run, those with the same weights once."""
    found: dict[str | None, str] = {}
    for site in model.sites.layers:
        if model.weight(site.name).ndim == 2 or site.name == classifier(model):
            found.setdefault(site.weight, site.name)
    return list(found.values())


def classifier(model: Model) -> str:
    """The layer that gives the outputs of a network with one row an image; "" if its last layer is none.

    A linear layer, or a convolution of one pixel whose maps are pooled behind it, as SqueezeNet's.
    """
    output = model.sites[model.sites.output]
    layers = model.sites.layers
    if not layers or not output.batched or len(output.shape) != 1:
        return ""
    last = layers[-1]
    weight = model.weight(last.name)
    seen = model.sites[last.inputs[0]].channels if last.inputs else 0
    whole = weight.ndim == 2 or (weight[0, 0].numel() == 1 and weight.shape[1] == seen)  # not one in groups
    return last.name if whole and last.units == output.shape[0] else ""


def side_report(specimen: Specimen, layer: str, side: str, draws: int) -> ConeReport:
    """The cones of a layer's rows or columns; of many, some are drawn."""
    table = weight_table(specimen.model, layer)
    points = table if side == "rows" else table.T
    seed = (specimen.seed, list(specimen.sites).index(layer), SIDES.index(side))
    most = (WHOLE if layer == classifier(specimen.model) else MOST)[specimen.effort]
    some = np.random.default_rng(seed).permutation(len(points))[:most]
    return cone_report(points[np.sort(some)], len(points), draws, seed)
