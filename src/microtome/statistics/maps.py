"""Whole activation maps of a few chosen images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from .statistic import Accumulator, Arrays, Batch, Statistic, appended


@dataclass(frozen=True, kw_only=True)
class Maps(Statistic):
    """The maps of every channel on the images at `places` of the set.

    A map whose longer side exceeds `side` is averaged over areas down to it; a `side` of 0 keeps it as it is.
    """

    places: tuple[int, ...]
    side: int = 0

    def start(self) -> "MapsAccumulator":
        return MapsAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class MapsAnswer:
    """Shapes: index (n,) ascending places of the images; values (n, C, h, w) float32; energy (n, C), the sum of
    squares of the whole map. Sequences come as maps of one row, single numbers as maps of one position.
    """

    index: np.ndarray
    values: np.ndarray
    energy: np.ndarray


class MapsAccumulator(Accumulator):
    """The maps of the chosen images seen so far; never more than there are places."""

    def __init__(self, request: Maps) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        keep = np.flatnonzero(np.isin(batch.index, self.request.places))
        if len(keep) == 0:
            return {}
        maps = as_maps(tensors[0].detach()[torch.from_numpy(keep).to(tensors[0].device)]).float()
        energy = maps.double().square().sum((2, 3)).cpu().numpy()
        values = smaller(maps, self.request.side).cpu().numpy()
        return {"index": batch.index[keep], "values": values, "energy": energy}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return appended(parts)

    def compute(self) -> MapsAnswer:
        order = np.argsort(self.seen["index"])
        return MapsAnswer(**{name: array[order] for name, array in self.seen.items()})


def as_maps(tensor: Tensor) -> Tensor:
    """Shapes: (N, C), (N, C, T), (N, C, H, W), (N, C, ..., H, W) -> (N, C, H, W), further axes put below each other."""
    width = tensor.shape[-1] if tensor.ndim > 2 else 1
    return tensor.reshape(*tensor.shape[:2], -1, width)


def smaller(maps: Tensor, side: int) -> Tensor:
    """Maps averaged over areas until neither side exceeds `side`, in their proportions; 0 or small enough: unchanged.

    Shapes: (N, C, H, W) -> (N, C, h, w).
    """
    longer = max(maps.shape[-2:])
    if not side or longer <= side:
        return maps
    height, width = (max(1, round(length * side / longer)) for length in maps.shape[-2:])
    return adaptive_avg_pool2d(maps, (height, width))
