"""Convolutions that follow each other directly: the channels of one are what the other's filters look at."""

from dataclasses import dataclass

from ...errors import NotApplicable
from ..model import Model
from ..recording.recorder import RECTIFIERS
from ..recording.sites import Sites
from .feeders import feeders
from .linear_layers import LinearLayer, kind, linear_layers

POOLS = frozenset(("MaxPool2d", "AvgPool2d", "max_pool2d", "avg_pool2d"))


@dataclass(frozen=True, kw_only=True)
class LayerPair:
    """Two convolutions, the second of which is given the channels of the first and nothing else.

    Batch norms are folded into both. `pooled` and `rectified` say what lies between; `block` counts the grids (rows and
    columns of what a layer is given) from the picture on.
    """

    before: LinearLayer
    after: LinearLayer
    pooled: bool
    rectified: bool
    block: int

    @property
    def name(self) -> str:
        """The pair as one reads it."""
        return f"{self.before.layer} to {self.after.layer}"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of what the second is given."""
        return self.after.shape[1], self.after.shape[2]


def convolutions(model: Model) -> list[LinearLayer]:
    """Every convolution of maps in the order of their calls, batch norms folded in.

    Raises: NotApplicable if there is none.
    """
    layers = linear_layers(model, fold=True)
    found = [layers[site.name] for site in model.sites.layers if site.name in layers and kind(model, site) == "conv2d"]
    if not found:
        raise NotApplicable(f"{model.name} has no convolution of maps", "Cones are those of a convolution's channels",
                            "Give a network that has some")  # fmt: skip
    return found


def layer_pairs(model: Model) -> list[LayerPair]:
    """All pairs of convolutions that follow each other, in the order of the second; none where channels are added or
    put together between them.

    Raises: NotApplicable if there is no convolution.
    """
    layers = {layer.layer: layer for layer in convolutions(model)}
    grids: list[tuple[int, int]] = []
    found = []
    for after in layers.values():
        grid = after.shape[1], after.shape[2]
        if grid not in grids:
            grids.append(grid)
        behind = feeders(model, after)
        names = {units[0][0] for units in behind if len(units) == 1}
        before = layers.get(next(iter(names))) if len(names) == 1 else None
        if before is None or list(behind) != [((before.layer, unit),) for unit in range(len(before.weight))]:
            continue
        between = _between(model.sites, before.layer, after.layer)
        found.append(LayerPair(
            before=before, after=after, pooled=any(name in POOLS for name in between),
            rectified=any(name in RECTIFIERS for name in between), block=grids.index(grid),
        ))  # fmt: skip
    return found


def _between(sites: Sites, before: str, after: str) -> list[str]:
    """The operations between two layers, from the second back."""
    name, found = sites[after].inputs[0], []
    while name != before and sites[name].inputs:
        found.append(sites[name].operation)
        name = sites[name].inputs[0]
    return found
