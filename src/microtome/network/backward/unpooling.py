"""Go back through max pools: what autograd does where windows share a maximum, and what Zeiler and Fergus do.

Autograd adds up what windows that share a maximum send to it; unpooling by switches places values, and one stands.
Where no two windows share a maximum, both are the same.
"""

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any, Literal

import torch
from torch import Tensor

from ...errors import NotApplicable
from .rules import Rule

Pools = Literal["gradient", "switch"]
POOLING = ("MaxPool", "AdaptiveMaxPool", "FractionalMaxPool", "MkldnnMaxPool")
SWITCHED = ("MaxPool2DWith", "MaxPool3DWith", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D")  # those with known switches


def is_pool(node: Any) -> bool:
    """Whether a node of the graph is a max pool; `amax` and `max` over a whole axis are none."""
    return bool(node.name().startswith(POOLING))


def placed(values: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor:
    """Every window's value where its maximum stood, 0 elsewhere.

    Where windows share a maximum, the value of the last of them in reading order stands, however the work is divided.
    Shapes: values and switches (..., h, w), switches counted along the lines of a plane -> (..., *size).
    """
    flat = switches.flatten(-len(size))
    windows = torch.arange(flat.shape[-1], device=flat.device).expand_as(flat)
    none = flat.new_full((*flat.shape[:-1], torch.Size(size).numel()), -1)
    last = none.scatter_reduce_(-1, flat, windows, "amax")  # the last window with its maximum here, -1 for none
    found = values.flatten(-len(size)).gather(-1, last.clamp(min=0))
    return torch.where(last >= 0, found, 0).reshape(*flat.shape[:-1], *size)


def added(values: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor:
    """Every window's value where its maximum stood, added up where windows share one. Shapes: as of `placed`."""
    flat = switches.flatten(-len(size))
    out = values.new_zeros(*flat.shape[:-1], torch.Size(size).numel())
    return out.scatter_add_(-1, flat, values.flatten(-len(size))).reshape(*flat.shape[:-1], *size)


def gradient(after: Tensor, before: Tensor, node: Any) -> Tensor:
    """What autograd does: added up."""
    return after


def switch(after: Tensor, before: Tensor, node: Any) -> Tensor:
    """Placed at the switches of the forward pass, as by `placed`."""
    return placed(before, node._saved_result1, after.shape[-_axes(node) :])


UNPOOLING: Mapping[str, Rule] = {"gradient": gradient, "switch": switch}


def overlaps(node: Any) -> bool:
    """Whether two windows of a max pool have a place in common; where that cannot be told, they may."""
    name = node.name()
    if not name.startswith(SWITCHED):
        return True
    axes = _axes(node)
    windows = node._saved_result1.shape[-axes:]
    if name.startswith("Adaptive"):
        places = node._saved_self.shape[-axes:]
        return any(there % count for there, count in zip(places, windows, strict=True))
    kernel, dilation = _along(node._saved_kernel_size, axes), _along(node._saved_dilation, axes)
    step = _along(node._saved_stride or node._saved_kernel_size, axes)
    for i in range(axes):
        every = gcd(step[i], dilation[i])  # window w + dilation / every begins step / every taps further on
        if step[i] // every < kernel[i] and dilation[i] // every < windows[i]:
            return True
    return False


def refuse_without_switches(nodes: Sequence[Any]) -> None:
    """Raise for a max pool whose switches are not known.

    Raises: NotApplicable.
    """
    names = sorted({node.name().partition("Backward")[0] for node in nodes if not node.name().startswith(SWITCHED)})
    if names:
        raise NotApplicable(
            f"The network pools by {', '.join(names)}", "Switches are known of max_pool and adaptive_max_pool",
            "Go back through the pools by their gradient",
        )  # fmt: skip


def _axes(node: Any) -> int:
    return 3 if "3D" in node.name() else 2


def _along(numbers: Sequence[int], axes: int) -> tuple[int, ...]:
    return tuple(numbers) if len(numbers) == axes else tuple(numbers) * axes
