"""Go back through a network on the receptive fields of a few units instead of whole images.

A unit at (y, x) concerns a window of every tensor below it, at stride * (y, x) + low of it. Walking the saved graph
from the site to the pixels, only these windows are computed, many units at once: convolutions are transposed ones,
pools give their values back to the switches, rectifiers follow the rule. What lies outside a tensor is cut off at
every step, so borders are exact. The result is that of autograd up to rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .receptive_field import Axis

Rule = Callable[[Tensor, Tensor, Any], Tensor]  # what the plain gradient is, what came from above, the node
CONVOLUTIONS = ("Convolution", "MkldnnConvolution", "CudnnConvolution")
POOLS = ("MaxPool2DWithIndices",)
CARRIERS = ("Clone", "Alias")


class Whole(Exception):  # noqa: N818 - no error: the walk on windows is given up, for the reason it says
    """A part of the network that windows cannot follow."""


@dataclass(frozen=True)
class Span:
    """Which part of a tensor a unit concerns: along both axes, and of what shape the tensor is."""

    rows: Axis
    columns: Axis
    shape: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.rows.high - self.rows.low + 1, self.columns.high - self.columns.low + 1

    @property
    def numbers(self) -> int:
        """Numbers in one unit's window."""
        return self.shape[1] * self.extent[0] * self.extent[1]

    def joined(self, other: "Span") -> "Span":
        """The smallest window that holds both."""
        if (self.rows.stride, self.columns.stride) != (other.rows.stride, other.columns.stride):
            raise Whole("branches of unequal stride meet")
        rows, columns = (
            Axis(one.stride, min(one.low, two.low), max(one.high, two.high))
            for one, two in ((self.rows, other.rows), (self.columns, other.columns))
        )
        return Span(rows, columns, self.shape)


@dataclass(frozen=True)
class Window:
    """The windows of some units in one tensor. Shapes: values (U, C, h, w); top, left (U,), may lie outside."""

    values: Tensor
    top: Tensor
    left: Tensor


@dataclass(frozen=True)
class Way:
    """The nodes from a site down to the pixels, each before those below it, and the span of each node's output."""

    nodes: tuple[Any, ...]
    spans: Mapping[Any, Span]
    pixels: Any

    @property
    def largest(self) -> int:
        """Numbers in the largest window of one unit."""
        return max(span.numbers for span in self.spans.values())

    @property
    def share(self) -> float:
        """Share of the image that a unit's window covers; above 1 where it reaches beyond the border."""
        span = self.spans[self.pixels]
        return span.extent[0] * span.extent[1] / (span.shape[2] * span.shape[3])


def kind_of(node: Any) -> str:
    """The operation behind a node of the graph, such as "Convolution" or "Relu"."""
    name: str = node.name().rpartition("::")[2]
    return name.partition("Backward")[0]


def find_way(start: Any, pixels: Tensor) -> Way:
    """How windows go down from the graph node of a site.

    Raises: Whole, if a node is in the way that needs the whole image.
    """
    nodes = _in_order(start)
    spans: dict[Any, Span] = {start: Span(Axis(), Axis(), _shape(start))}
    leaf = None
    for node in nodes:
        if node not in spans:
            continue  # it leads to weights alone
        for below, span in _below(node, spans[node]):
            spans[below] = spans[below].joined(span) if below in spans else span
        if kind_of(node) == "AccumulateGrad" and node.variable is pixels:
            leaf = node
    if leaf is None:
        raise Whole("the site does not depend on the pixels")
    return Way(tuple(node for node in nodes if node in spans), spans, leaf)


def follow(way: Way, image: Tensor, place: Tensor, seed: Tensor, rule: Callable[[str], Rule | None]) -> Window:
    """Send seeds down the way; `rule` gives the rule of a kind of rectifier, None for what is none.

    Shapes: image (U,) which image of the batch; place (U, 2) position in the site; seed (U, C).
    """
    waiting: dict[Any, Tensor] = {way.nodes[0]: seed[:, :, None, None]}
    for node in way.nodes:
        span, values = way.spans[node], waiting.pop(node)
        top = span.rows.stride * place[:, 0] + span.rows.low
        left = span.columns.stride * place[:, 1] + span.columns.low
        window = Window(_inside(values, top, left, span.shape), top, left)
        if node is way.pixels:
            return window
        for (below, piece), (_, its) in zip(_step(node, window, image, way, rule), _below(node, span), strict=True):
            _add(waiting, below, piece, its, way.spans[below])
    raise AssertionError("the way ends at the pixels")


def _add(waiting: dict[Any, Tensor], node: Any, piece: Tensor, its: Span, whole: Span) -> None:
    """Sum what several consumers of a tensor send back; their windows lie in the one that holds all."""
    if its == whole and node not in waiting:
        waiting[node] = piece
        return
    if node not in waiting:
        waiting[node] = piece.new_zeros(*piece.shape[:2], *whole.extent)
    top, left = its.rows.low - whole.rows.low, its.columns.low - whole.columns.low
    waiting[node][:, :, top : top + piece.shape[2], left : left + piece.shape[3]] += piece


def _in_order(start: Any) -> list[Any]:
    """Every node of the graph, each before those below it."""
    above: dict[Any, int] = {start: 0}
    waiting = [start]
    while waiting:
        for below, _ in waiting.pop().next_functions:
            if below is not None:
                if below not in above:
                    above[below] = 0
                    waiting.append(below)
                above[below] += 1
    ready, order = [start], []
    while ready:
        node = ready.pop()
        order.append(node)
        for below, _ in node.next_functions:
            if below is not None:
                above[below] -= 1
                if not above[below]:
                    ready.append(below)
    return order


def _shape(node: Any) -> tuple[int, ...]:
    shape = node.variable.shape if kind_of(node) == "AccumulateGrad" else node._input_metadata[0].shape
    return tuple(int(length) for length in shape)


def _below(node: Any, span: Span) -> list[tuple[Any, Span]]:
    """The nodes that take a node's result on, and the windows that come to them; weights are left out."""
    kind = kind_of(node)
    if len(span.shape) != 4:
        raise Whole(f"{kind} works on a tensor without positions")
    if kind == "AccumulateGrad":
        return []
    following = node.next_functions
    if any(nr for below, nr in following if below is not None):
        raise Whole(f"{kind} takes one of several results")
    if kind in (*CONVOLUTIONS, *POOLS, "AvgPool2D"):
        first = following[0][0]
        step, padding, dilation, kernel = _geometry(node, kind)
        rows, columns = (
            Axis(axis.stride * step[i], axis.low * step[i] - padding[i],
                 axis.high * step[i] - padding[i] + dilation[i] * (kernel[i] - 1))
            for i, axis in enumerate((span.rows, span.columns))
        )  # fmt: skip
        return [(first, Span(rows, columns, _shape(first)))] if first is not None else []
    if kind in ("NativeBatchNorm", "CudnnBatchNorm") and not node._saved_training:
        following = following[:1]
    elif kind not in (*CARRIERS, *POINTWISE, "Add", "Cat") or kind == "Cat" and int(node._saved_dim) != 1:
        raise Whole(f"{kind} needs the whole image")
    found = [below for below, _ in following if below is not None]
    if any(_shape(below)[2:] != span.shape[2:] or _shape(below)[0] != span.shape[0] for below in found):
        raise Whole(f"{kind} takes tensors of unequal shape")
    return [(below, Span(span.rows, span.columns, _shape(below))) for below in found]


def _geometry(node: Any, kind: str) -> tuple[tuple[int, int], ...]:
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


def _step(
    node: Any, window: Window, image: Tensor, way: Way, rule: Callable[[str], Rule | None]
) -> list[tuple[Any, Tensor]]:
    """What a node sends to each of those below it; Shapes: (U, C, h, w) each."""
    kind = kind_of(node)
    found = [below for below, _ in node.next_functions if below in way.spans]
    values = window.values
    if kind in CONVOLUTIONS:
        step, _, dilation, _ = _geometry(node, kind)
        return [(found[0], F.conv_transpose2d(values, node._saved_weight, None, step, 0, 0, int(node._saved_groups),
                                              dilation))] if found else []  # fmt: skip
    if kind == "AvgPool2D":
        return [(found[0], _spread(node, values))] if found else []
    if kind in POOLS:
        return [(found[0], _switched(node, window, image, way.spans[node]))] if found else []
    if kind in ("NativeBatchNorm", "CudnnBatchNorm"):
        scale = torch.rsqrt(node._saved_running_var + node._saved_eps)
        scale = scale if node._saved_weight is None else scale * node._saved_weight
        return [(found[0], values * scale[:, None, None])] if found else []
    if kind in POINTWISE:
        chosen = rule(kind)
        plain = POINTWISE[kind](node, window, image)
        return [(found[0], plain if chosen is None else chosen(plain, values, node))] if found else []
    if kind == "Cat":
        widths = [way.spans[below].shape[1] for below in found]
        if sum(widths) != values.shape[1]:
            raise Whole("a constant is concatenated")
        return list(zip(found, torch.split(values, widths, 1), strict=True))
    if kind == "Add" and len(node.next_functions) > 1 and node._saved_alpha != 1:
        raise Whole("a sum has weights")
    return [(below, values) for below in found]


def _spread(node: Any, values: Tensor) -> Tensor:
    """An average pool's values, evenly over their windows."""
    step, _, _, kernel = _geometry(node, "AvgPool2D")
    size = node._saved_divisor_override or kernel[0] * kernel[1]
    weight = values.new_full((values.shape[1], 1, *kernel), 1 / size)
    return F.conv_transpose2d(values, weight, None, step, groups=values.shape[1])


def _switched(node: Any, window: Window, image: Tensor, span: Span) -> Tensor:
    """A max pool's values at the positions where its maxima stood; windows that share one are added up."""
    below = _below(node, span)[0][1]
    (step, padding, _, _), width = _geometry(node, POOLS[0]), below.shape[3]
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
    step, _, dilation, kernel = _geometry(node, POOLS[0])
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


def _inside(values: Tensor, top: Tensor, left: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Windows with 0 wherever they reach beyond their tensor."""
    masks = []
    for start, length, end in ((top, values.shape[2], shape[2]), (left, values.shape[3], shape[3])):
        where = start[:, None] + torch.arange(length, device=values.device)
        masks.append((where >= 0) & (where < end))
    if all(bool(mask.all()) for mask in masks):
        return values
    return values * (masks[0][:, None, :, None] & masks[1][:, None, None, :])


def _passed(saved: str, open_: Callable[[Tensor, Any], Tensor]) -> Callable[[Any, Window, Tensor], Tensor]:
    """The plain gradient of a rectifier: what came from above, where it is open."""

    def gradient(node: Any, window: Window, image: Tensor) -> Tensor:
        return window.values * open_(cut(getattr(node, saved), image, window), node)

    return gradient


def _clamped(x: Tensor, node: Any) -> Tensor:
    low, high = node._saved_min, getattr(node, "_saved_max", None)
    above = torch.ones_like(x, dtype=torch.bool) if low is None else x >= low
    return above if high is None else above & (x <= high)


# The plain gradients of what acts on every number by itself.
POINTWISE: Mapping[str, Callable[[Any, Window, Tensor], Tensor]] = {
    "Relu": _passed("_saved_result", lambda x, node: x > 0),
    "Threshold": _passed("_saved_self", lambda x, node: x > node._saved_threshold),
    "Hardtanh": _passed("_saved_self", lambda x, node: (x > node._saved_min_val) & (x < node._saved_max_val)),
    "Clamp": _passed("_saved_self", _clamped),
    "ClampMin": _passed("_saved_self", _clamped),
}
