"""What could stand in for a convolution: a copy of one of its inputs each, a 1x1 map, its input itself, or its mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...formulas.omission import Kind
from ..parts.linear_layers import LinearLayer

REACH = 2  # positions: a copy may be shifted by no more


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What takes a layer's place: its batch norm and rectifier act on it; a mean takes the place of these too.

    Shapes, O units and J input channels: copy: index (O,) which input channel, shift (O, 2) rows and columns, weight
    (O,) its gain; 1x1: weight (O, J); bias (O,), for mean all there is.
    """

    kind: Kind
    bias: np.ndarray
    weight: np.ndarray
    index: np.ndarray
    shift: np.ndarray

    def output(self, layer: LinearLayer, x: Tensor, extent: tuple[int, int]) -> Tensor:
        """What stands in for the layer's output. Shapes: (B, C, H, W) -> (B, O, H', W')."""
        if self.kind == "identity":
            return x.clone()
        bias, weight = (torch.from_numpy(each).to(x.device, x.dtype) for each in (self.bias, self.weight))
        if self.kind == "mean":
            return bias[:, None, None].expand(len(x), -1, *extent).clone()
        if self.kind == "1x1":
            return torch.einsum("oj,bjhw->bohw", weight, aligned(layer, x, extent, 0, 0)) + bias[:, None, None]
        found = x.new_zeros(len(x), len(bias), *extent)
        for down, right in np.unique(self.shift, axis=0).tolist():
            units = np.flatnonzero((self.shift == (down, right)).all(1))
            found[:, units] = aligned(layer, x[:, self.index[units]], extent, down, right)
        return found * weight[:, None, None] + bias[:, None, None]


def mean_stand_in(mean: np.ndarray) -> StandIn:
    """The mean activation of every unit, at every place. Shapes: (O,)."""
    return _stand_in("mean", mean)


def identity() -> StandIn:
    """The layer's input."""
    return _stand_in("identity", np.zeros(0))


def linear_map(weight: np.ndarray, bias: np.ndarray) -> StandIn:
    """A 1x1 map. Shapes: (O, J), (O,)."""
    return _stand_in("1x1", bias, weight)


def _stand_in(kind: Kind, bias: np.ndarray, weight: np.ndarray | None = None) -> StandIn:
    return StandIn(kind=kind, bias=bias, weight=np.zeros(0) if weight is None else weight,
                   index=np.zeros(0, np.int64), shift=np.zeros((0, 2), np.int64))  # fmt: skip


def origins(layer: LinearLayer, extent: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The input's rows and columns in the middle of what each of the output's positions sees. Shapes: (H',), (W',)."""
    left, _, top, _ = layer.pads
    size = layer.weight.shape[2:]
    rows, columns = (
        torch.arange(length) * stride - pad + dilation * (side - 1) // 2
        for length, stride, pad, dilation, side in
        zip(extent, layer.stride, (top, left), layer.dilation, size, strict=True)
    )  # fmt: skip
    return rows, columns


def aligned(layer: LinearLayer, x: Tensor, extent: tuple[int, int], down: int, right: int) -> Tensor:
    """The input at the output's positions, shifted by so much; 0 beyond its border. Shapes: -> (B, C, H', W')."""
    rows, columns = (each + by for each, by in zip(origins(layer, extent), (down, right), strict=True))
    height, width = x.shape[2:]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    taken = x[:, :, rows.clamp(0, height - 1)][..., columns.clamp(0, width - 1)]
    return taken * inside.to(x.device, x.dtype)


def shifts(layer: LinearLayer) -> np.ndarray:
    """Shifts of a copy that the kernel reaches, up to `REACH`: (D, 2) rows and columns, none first."""
    reach = [min(REACH, dilation * (side - 1) // 2)
             for dilation, side in zip(layer.dilation, layer.weight.shape[2:], strict=True)]  # fmt: skip
    every = [(down, right) for down in range(-reach[0], reach[0] + 1) for right in range(-reach[1], reach[1] + 1)]
    return np.array(sorted(every, key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift)))


def kinds(layer: LinearLayer, extent: Sequence[int]) -> tuple[Kind, ...]:
    """What can stand in for a layer: a 1x1 map not for one that is a 1x1 map, its input only if it has its shape."""
    units = len(layer.weight)
    pointwise = tuple(layer.weight.shape[2:]) == (1, 1)
    same = layer.shape == (units, *extent)
    found: list[Kind] = ["copy", *(() if pointwise else ("1x1",)), *(("identity",) if same else ()), "mean"]
    return tuple(found)
