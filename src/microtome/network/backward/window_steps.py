"""What the single operations do to windows of a tensor on the way back: the steps of `window.follow`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CONVOLUTIONS = ("Convolution", "MkldnnConvolution", "CudnnConvolution")
POOLS = ("MaxPool2DWithIndices",)
FEW = 4  # channels below a convolution, such as colours: a product of matrices is faster


class Whole(Exception):  # noqa: N818 - no error: the walk on windows is given up, for the reason it says
    """A part of the network that windows cannot follow."""


@dataclass(frozen=True)
class Window:
    """The windows of some units in one tensor. Shapes: values (U, C, h, w); top, left (U,), may lie outside."""

    values: Tensor
    top: Tensor
    left: Tensor


def kind_of(node: Any) -> str:
    """The operation behind a node of the graph, such as "Convolution" or "Relu"."""
    name: str = node.name().rpartition("::")[2]
    return name.partition("Backward")[0]


def geometry(node: Any, kind: str) -> tuple[tuple[int, int], ...]:
    """Stride, padding, dilation and kernel of a convolution or pool, rows and columns apart."""
    if kind in CONVOLUTIONS:
        kernel = tuple(node._saved_weight.shape[2:])
        if node._saved_transposed or len(kernel) != 2:
            raise Whole("a convolution that is transposed or not two-dimensional needs the whole image")
        parts = (node._saved_stride, node._saved_padding, node._saved_dilation, kernel)
    elif kind == "AvgPool2D":
        if any(node._saved_padding) and not node._saved_count_include_pad or node._saved_ceil_mode:
            raise Whole("an average pool whose windows are of unequal size needs the whole image")
        kernel = tuple(node._saved_kernel_size)
        parts = (node._saved_stride or kernel, node._saved_padding, (1, 1), kernel)
    else:
        kernel = tuple(node._saved_kernel_size)
        parts = (node._saved_stride or kernel, node._saved_padding, node._saved_dilation, kernel)
    return tuple((int(part[0]), int(part[-1])) for part in parts)


def transposed(node: Any, values: Tensor) -> Tensor:
    """A convolution's values, through its transpose: the fastest of three ways to the same sums."""
    step, _, dilation, kernel = geometry(node, "Convolution")
    weight, groups = node._saved_weight, int(node._saved_groups)
    if groups == 1 and kernel == step == (1, 1):
        return F.conv2d(values, weight.transpose(0, 1))
    if groups == 1 and weight.shape[1] <= FEW:
        high, wide = (step[i] * (values.shape[2 + i] - 1) + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1))
        columns = weight.flatten(1).T @ values.flatten(2)
        return F.fold(columns, (high, wide), kernel, dilation, 0, step)
    return F.conv_transpose2d(values, weight, None, step, 0, 0, groups, dilation)


def spread(node: Any, values: Tensor) -> Tensor:
    """An average pool's values, evenly over their windows."""
    step, _, _, kernel = geometry(node, "AvgPool2D")
    size = node._saved_divisor_override or kernel[0] * kernel[1]
    weight = values.new_full((values.shape[1], 1, *kernel), 1 / size)
    return F.conv_transpose2d(values, weight, None, step, groups=values.shape[1])


def switched(node: Any, window: Window, image: Tensor, width: int) -> Tensor:
    """A max pool's values at the positions where its maxima stood; windows that share one are added up.

    `width` is that of the tensor that was pooled.
    """
    step, padding, _, _ = geometry(node, POOLS[0])
    switches = cut(node._saved_result1, image, window)
    rows = switches // width - (window.top * step[0] - padding[0])[:, None, None, None]
    columns = switches % width - (window.left * step[1] - padding[1])[:, None, None, None]
    height, across = _grown(node, window.values.shape[2:])
    flat = (rows * across + columns).clamp_(0, height * across - 1)  # outside a tensor values are 0 anyway
    out = window.values.new_zeros(*window.values.shape[:2], height * across)
    out.scatter_add_(2, flat.flatten(2), window.values.flatten(2))
    return out.view(*out.shape[:2], height, across)


def _grown(node: Any, extent: Sequence[int]) -> tuple[int, int]:
    """Extent of the window below a pool."""
    step, _, dilation, kernel = geometry(node, POOLS[0])
    high, wide = (step[i] * (extent[i] - 1) + dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1))
    return high, wide


def cut(whole: Tensor, image: Tensor, window: Window) -> Tensor:
    """The windows of a saved tensor, 0 outside it. Shapes: whole (N, C, H, W) -> (U, C, h, w)."""
    height, width = window.values.shape[2:]
    out = whole.new_zeros(len(image), whole.shape[1], height, width)
    for unit, (place, top, left) in enumerate(zip(image.tolist(), window.top.tolist(), window.left.tolist(),
                                                  strict=True)):  # fmt: skip
        first, last = max(top, 0), min(top + height, whole.shape[2])
        start, end = max(left, 0), min(left + width, whole.shape[3])
        if first < last and start < end:
            out[unit, :, first - top : last - top, start - left : end - left] = whole[place, :, first:last, start:end]
    return out


def inside(values: Tensor, top: Tensor, left: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Windows with 0 wherever they reach beyond their tensor; they are overwritten.

    A tensor that several nodes hold is the same window of equal tensors to all of them.
    """
    for axis, starts, end in ((2, top, shape[2]), (3, left, shape[3])):
        length = values.shape[axis]
        for unit, start in enumerate(starts.tolist()):
            if start < 0:
                values[unit].narrow(axis - 1, 0, min(-start, length)).zero_()
            if start + length > end:
                missing = min(start + length - end, length)
                values[unit].narrow(axis - 1, length - missing, missing).zero_()
    return values


def _passed(saved: str, open_: Callable[[Tensor, Any], Tensor]) -> Callable[[Any, Window, Tensor], Tensor]:
    """The plain gradient of a rectifier: what came from above, where it is open."""

    def gradient(node: Any, window: Window, image: Tensor) -> Tensor:
        kept = getattr(node, saved) if hasattr(node, saved) else node._saved_result  # of what works in place
        return window.values * open_(cut(kept, image, window), node)

    return gradient


def _clamped(x: Tensor, node: Any) -> Tensor:
    low, high = node._saved_min, getattr(node, "_saved_max", None)
    above = torch.ones_like(x, dtype=torch.bool) if low is None else x >= low
    return above if high is None else above & (x <= high)


def _sloped(x: Tensor, node: Any) -> Tensor:
    return torch.where(x > 0, 1.0, float(node._saved_negative_slope)).to(x.dtype)


# The plain gradients of what acts on every number by itself.
POINTWISE: Mapping[str, Callable[[Any, Window, Tensor], Tensor]] = {
    "Relu": _passed("_saved_result", lambda x, node: x > 0),
    "LeakyRelu": _passed(
        "_saved_self", lambda x, node: torch.where(x > 0, 1.0, node._saved_negative_slope).to(x.dtype)
    ),
    "Threshold": _passed("_saved_self", lambda x, node: x > node._saved_threshold),
    "Hardtanh": _passed("_saved_self", lambda x, node: (x > node._saved_min_val) & (x < node._saved_max_val)),
    "Clamp": _passed("_saved_self", _clamped),
    "ClampMin": _passed("_saved_self", _clamped),
}
