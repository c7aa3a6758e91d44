"""Go back through a network on the receptive fields of a few units instead of whole images.

A unit at (y, x) concerns a window of every tensor below it, at stride * (y, x) + low of it. Walking the saved graph
from the site to the pixels, only these windows are computed, many units at once: convolutions are transposed ones,
pools give their values back to the switches, rectifiers follow the rule. What lies outside a tensor is cut off at
every step, so borders are exact. The result is that of autograd up to rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..recording.receptive_field import Axis
from .window_steps import (
    CONVOLUTIONS,
    POINTWISE,
    POOLS,
    Whole,
    Window,
    geometry,
    inside,
    kind_of,
    spread,
    switched,
    transposed,
)

Rule = Callable[[Callable[[], Tensor], Tensor, Any], Tensor]  # the plain gradient, what came from above, the node
CARRIERS = ("Clone", "Alias")


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
    own: set[Any] = set()
    for node in way.nodes:
        span, values = way.spans[node], waiting.pop(node)
        top = span.rows.stride * place[:, 0] + span.rows.low
        left = span.columns.stride * place[:, 1] + span.columns.low
        window = Window(inside(values, top, left, span.shape), top, left)
        if node is way.pixels:
            return window
        for (below, piece), (_, its) in zip(_step(node, window, image, way, rule), _below(node, span), strict=True):
            _add(waiting, own, below, piece, its, way.spans[below])
    raise AssertionError("the way ends at the pixels")


def _add(waiting: dict[Any, Tensor], own: set[Any], node: Any, piece: Tensor, its: Span, whole: Span) -> None:
    """Sum what several consumers of a tensor send back; their windows lie in the one that holds all.

    A piece may have gone to several nodes: only in memory of a node's `own` anything is added.
    """
    if its == whole and node not in waiting:
        waiting[node] = piece
        return
    if node not in own:
        waiting[node] = waiting[node].clone() if node in waiting else piece.new_zeros(*piece.shape[:2], *whole.extent)
        own.add(node)
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
        step, padding, dilation, kernel = geometry(node, kind)
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


def _step(
    node: Any, window: Window, image: Tensor, way: Way, rule: Callable[[str], Rule | None]
) -> list[tuple[Any, Tensor]]:
    """What a node sends to each of those below it; Shapes: (U, C, h, w) each."""
    kind = kind_of(node)
    found = [below for below, _ in node.next_functions if below in way.spans]
    values = window.values
    if kind in CONVOLUTIONS:
        return [(found[0], transposed(node, values))] if found else []
    if kind == "AvgPool2D":
        return [(found[0], spread(node, values))] if found else []
    if kind in POOLS:
        return [(found[0], switched(node, window, image, way.spans[found[0]].shape[3]))] if found else []
    if kind in ("NativeBatchNorm", "CudnnBatchNorm"):
        scale = torch.rsqrt(node._saved_running_var + node._saved_eps)
        scale = scale if node._saved_weight is None else scale * node._saved_weight
        return [(found[0], values * scale[:, None, None])] if found else []
    if kind in POINTWISE:
        chosen = rule(kind)
        if not found:
            return []
        plain = partial(POINTWISE[kind], node, window, image)
        return [(found[0], plain() if chosen is None else chosen(plain, values, node))]
    if kind == "Cat":
        widths = [way.spans[below].shape[1] for below in found]
        if sum(widths) != values.shape[1]:
            raise Whole("a constant is concatenated")
        return list(zip(found, torch.split(values, widths, 1), strict=True))
    if kind == "Add" and len(node.next_functions) > 1 and node._saved_alpha != 1:
        raise Whole("a sum has weights")
    return [(below, values) for below in found]
