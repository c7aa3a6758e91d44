"""What takes the place of the plain gradient at a rectifier on the way back.

A rule is a function of what autograd makes of a gradient at a node of the graph, of that gradient, and of the node.
Reference: Zeiler and Fergus 2014 (deconvnet), Springenberg et al. 2015 (guided).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

Method = Literal["deconvnet", "guided", "gradient"]
Rule = Callable[[Tensor, Tensor, Any], Tensor]  # after, before, node -> what goes on

RECTIFYING = (
    "ReluBackward", "LeakyReluBackward", "ThresholdBackward", "HardtanhBackward", "ClampBackward", "ClampMinBackward",
)  # fmt: skip


def is_rectifier(node: Any) -> bool:
    """Whether a node cuts off or shrinks what is negative; a threshold or a clamp does if its lower end is 0."""
    if not node.name().startswith(RECTIFYING):
        return False
    for name in ("_saved_threshold", "_saved_min_val", "_saved_min"):
        if hasattr(node, name):
            low = getattr(node, name)
            return low is not None and float(low) == 0
    return True


def rectified(values: Tensor, node: Any) -> Tensor:
    """A reconstruction through the node's own rectifier: a LeakyReLU shrinks what is negative, all others cut it off.

    The upper end of a ReLU6 is one of activations, not of reconstructions.
    """
    slope = getattr(node, "_saved_negative_slope", None)
    return values.clamp(min=0) if slope is None else torch.where(values > 0, values, values * float(slope))


def deconvnet(after: Tensor, before: Tensor, node: Any) -> Tensor:
    """The reconstruction is rectified, whatever the forward pass did."""
    return rectified(before, node)


def guided(after: Tensor, before: Tensor, node: Any) -> Tensor:
    """The plain gradient is rectified: what was negative in the forward pass, and what is now, is cut off or shrunk."""
    return rectified(after, node)


def gradient(after: Tensor, before: Tensor, node: Any) -> Tensor:
    """What autograd does."""
    return after


RULES: Mapping[str, Rule] = {"deconvnet": deconvnet, "guided": guided, "gradient": gradient}
