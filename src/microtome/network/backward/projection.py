"""Project units back to pixels: one unit at one position at a time, on its receptive field where that is exact.

The rules are positively homogeneous but not additive, so every unit is projected by itself; many of them share one
forward pass, whose graph is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ...errors import UsageError
from .rules import RULES, Method, is_rectifier
from .tracing import Handled, Trace, check_units, going_back, seeds
from .unpooling import Pools, overlaps
from .window import Rule, Way, find_way, follow
from .window_steps import Whole, Window

Windows = Literal["auto", "always", "never"]
MOST = 0.7  # of the image: beyond, a window saves nothing
AT_ONCE = 1 << 20  # numbers of the largest tensor of a batch of windows: 4 MB, about what a cache holds


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What some units become at the pixels.

    Shapes: maps (U, C, h, w), of the tensors' own type; boxes (U, 4) top, left, bottom, right in the image, bottom and
    right excluded: they may reach beyond its border, where maps are 0. units (U, 4) image, channel, row, column;
    activation (U,). `whole_image` says why windows were not used, "" where they were.
    """

    maps: Tensor
    boxes: np.ndarray
    units: np.ndarray
    activation: np.ndarray
    method: Method
    handled: Handled
    size: tuple[int, int]
    whole_image: str

    def in_place(self) -> Tensor:
        """The maps where they belong. Shapes: -> (U, C, H, W)."""
        count, channels = self.maps.shape[:2]
        out = self.maps.new_zeros(count, channels, *self.size)
        for unit, (top, left, bottom, right) in enumerate(self.boxes.tolist()):
            rows, columns = slice(max(top, 0), bottom), slice(max(left, 0), right)
            inside = self.maps[unit, :, max(-top, 0) :, max(-left, 0) :]
            high, wide = min(bottom, self.size[0]) - rows.start, min(right, self.size[1]) - columns.start
            out[unit, :, rows, columns][:, :high, :wide] = inside[:, :high, :wide]
        return out


def strongest(trace: Trace, images: Sequence[int], channels: Sequence[int]) -> list[tuple[int, ...]]:
    """The strongest position of each channel on its image, the first of equal ones: (image, channel, row, column).

    A site without positions gives (image, channel).
    """
    flat = trace.activation.flatten(2)[list(images), list(channels)] if trace.activation.ndim > 2 else None
    found: list[tuple[int, ...]] = []
    for number, (image, channel) in enumerate(zip(images, channels, strict=True)):
        if flat is None:
            found.append((image, channel))
            continue
        place = int(flat[number].argmax())
        width = trace.activation.shape[3] if trace.activation.ndim == 4 else 1
        found.append((image, channel, *divmod(place, width)))
    return found


class Projector:
    """Projects units of one trace by one method; what needs to be known of the graph is found once."""

    def __init__(self, trace: Trace, method: Method, windows: Windows = "auto", pools: Pools = "gradient") -> None:
        self.trace, self.method, self.windows, self.pools = trace, method, windows, pools

    @cached_property
    def _way(self) -> Way | str:
        """The way down on windows, or why there is none."""
        if self.windows == "never":
            return "whole images were asked for"
        try:
            way = find_way(self.trace.edge.node, self.trace.images)
            if self.pools == "switch" and any(overlaps(node) for node in self.trace.pools):
                raise Whole("unpooling by switches where pools overlap needs the whole image")
            if self.trace.edge.output_nr:
                raise Whole("the site is one of several results")
        except Whole as reason:
            if self.windows == "always":
                raise UsageError(f"{self.trace.site.name} cannot be projected on windows: {reason}",
                                 "Windows need convolutions, pools and what acts point by point",
                                 "Leave windows to auto") from reason  # fmt: skip
            return str(reason)
        if way.share > MOST and self.windows == "auto":
            return f"its receptive field covers {min(way.share, 1.0):.0%} of the image"
        return way

    @cached_property
    def handled(self) -> Handled:
        """What is in force on the way back."""
        with going_back(self.trace, self.method, self.pools) as handled:
            return handled

    def project(self, units: Sequence[tuple[int, ...]], values: Sequence[float] | None = None) -> Projection:
        """One map a unit, seeded with its activation, or with `values`. A unit is (image, channel, row, column), or
        fewer.

        Raises: NotApplicable if a part of the network cannot be seen through; UsageError for a unit there is not.
        """
        check_units(self.trace, units)
        activation = [float(self.trace.activation[unit]) for unit in units]
        given = activation if values is None else values
        with going_back(self.trace, self.method, self.pools) as handled:
            way = self._way
            size = (int(self.trace.images.shape[2]), int(self.trace.images.shape[3]))
            if isinstance(way, Way):
                maps, boxes = self._on_windows(way, units, given)
            else:
                maps, boxes = self._on_images(units, given), np.tile([0, 0, *size], (len(units), 1))
        where = np.array([(*unit, 0, 0)[:4] for unit in units]).reshape(-1, 4)
        return Projection(maps=maps, boxes=boxes, units=where, activation=np.array(activation), method=self.method,
                          handled=handled, size=size, whole_image=way if isinstance(way, str) else "")  # fmt: skip

    def together(self, units: Sequence[tuple[int, ...]]) -> Tensor:
        """One map an image for units that are seeds together. Shapes: -> (N, C, H, W)."""
        check_units(self.trace, units)
        seed = torch.zeros_like(self.trace.activation)
        for unit in units:
            seed[unit] = self.trace.activation[unit]
        with going_back(self.trace, self.method, self.pools):
            return self.trace.back(seed)

    def _on_images(self, units: Sequence[tuple[int, ...]], values: Sequence[float]) -> Tensor:
        """One backward pass a unit over the kept graph: on a CPU faster than many at once, and of constant memory."""
        maps = self.trace.images.new_empty(len(units), *self.trace.images.shape[1:])
        for number, (unit, seed) in enumerate(zip(units, seeds(self.trace, units, values), strict=True)):
            maps[number] = self.trace.back(seed)[unit[0]]
        return maps

    def _on_windows(
        self, way: Way, units: Sequence[tuple[int, ...]], values: Sequence[float]
    ) -> tuple[Tensor, np.ndarray]:
        at_once = max(1, AT_ONCE // way.largest)
        extent = way.spans[way.pixels].extent
        maps = self.trace.images.new_empty(len(units), self.trace.images.shape[1], *extent)
        boxes = np.zeros((len(units), 4), np.int64)
        for start in range(0, len(units), at_once):
            some = slice(start, start + at_once)
            window = self._window(way, units[some], values[some])
            maps[some] = window.values
            ends = [window.top, window.left, window.top + extent[0], window.left + extent[1]]
            boxes[some] = torch.stack(ends, 1).cpu().numpy()
        return maps, boxes

    def _window(self, way: Way, units: Sequence[tuple[int, ...]], values: Sequence[float]) -> Window:
        where = torch.tensor(units, device=self.trace.activation.device)
        seed = self.trace.activation.new_zeros(len(units), self.trace.activation.shape[1])
        seed[torch.arange(len(units)), where[:, 1]] = torch.tensor(values, dtype=seed.dtype, device=seed.device)
        with torch.no_grad():
            return follow(way, where[:, 0], where[:, 2:], seed, self._rule)

    def _rule(self, kind: str) -> Rule:
        rule = RULES[self.method]

        def ruled(plain: Callable[[], Tensor], before: Tensor, node: Any) -> Tensor:
            if not is_rectifier(node):
                return plain()
            # a deconvnet does not ask for the plain gradient
            return rule(before if self.method == "deconvnet" else plain(), before, node)

        return ruled
