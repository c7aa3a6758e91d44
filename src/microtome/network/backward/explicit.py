"""The deconvnet as it is drawn: a second network that hangs on the first and leads down again, layer by layer.

On the way up every layer remembers what the way down needs: the extent of its input and, in a max pool, where the
maxima stood (the switches). On the way down a reconstruction is

    unpooled        values go back to their switches, everything else is 0,
    rectified       by ReLU itself, whatever the forward pass let through,
    filtered        by the transposed convolution: the same filters, and no bias.

At the pixels nothing is rectified: what the first convolution gives back may be negative. This works for sequential
networks only, and exists to be read and to be compared with: `backward.going_back` does the same on any network.
Reference: Zeiler and Fergus 2014.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...checks import known
from ...errors import NotApplicable, UsageError
from .unpooling import added, placed

Unpool = Literal["place", "add"]
UNPOOL = {"place": placed, "add": added}  # what happens where windows share a maximum


@dataclass(frozen=True, kw_only=True)
class Past:
    """One layer of a forward pass, and what it remembers. Shapes: size (N, C, H, W) or (N, D) of its input."""

    name: str
    layer: Any
    size: torch.Size
    switches: Tensor | None
    unpool: Unpool


class Deconvnet:
    """A sequential network and its deconvnet: `forward` goes up and remembers what it `passed`, `back` comes down."""

    def __init__(self, layers: dict[str, nn.Module], unpool: Unpool) -> None:
        self.layers, self.unpool = layers, unpool
        self.passed: list[Past] = []
        self._reached: torch.Size | None = None

    @torch.no_grad()
    def forward(self, images: Tensor, last: str = "") -> Tensor:
        """The activation of a layer, of the last one if none is named. Shapes: (N, C, H, W) -> (N, ...).

        Raises: UnknownName.
        """
        last = known("Layer", last, self.layers, "Name one of them") if last else next(reversed(self.layers))
        self.passed, x = [], images
        for name, layer in self.layers.items():
            up, _ = LAYERS[type(layer)]
            size = x.shape
            x, switches = up(layer, x)
            self.passed.append(Past(name=name, layer=layer, size=size, switches=switches, unpool=self.unpool))
            if name == last:
                break
        self._reached = x.shape
        return x

    @torch.no_grad()
    def back(self, seed: Tensor) -> Tensor:
        """What a seed at the layer that `forward` went to becomes at the pixels. Shapes: (N, ...) -> (N, C, H, W).

        Raises: UsageError before the first `forward`, or for a seed of another shape.
        """
        if seed.shape != self._reached:
            reached = "Nothing went forward" if self._reached is None else f"The layer's shape is {(*self._reached,)}"
            raise UsageError(f"The seed has shape {(*seed.shape,)}", reached, "Seed the layer that forward went to")
        for past in reversed(self.passed):
            _, down = LAYERS[type(past.layer)]
            seed = down(past, seed)
        return seed


def deconvolution(module: nn.Sequential, unpool: Unpool = "place") -> Deconvnet:
    """The deconvnet of a sequential network; "place" or "add" says what happens where windows share a maximum.

    Raises: NotApplicable for a layer that has no place here; UnknownName.
    """
    known("Unpooling", unpool, UNPOOL, "Name one of them")
    layers = dict(_flat(module, ""))
    if not layers:
        raise NotApplicable(
            "The network has no layers", "A deconvnet needs one at least", "Give a network that has some"
        )
    return Deconvnet(layers, unpool)


def _flat(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested sequences, in order, by their names."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for child, part in module._modules.items():  # named_children leaves out what comes again
            assert part is not None, "a sequence has no gaps"
            yield from _flat(part, f"{name}.{child}".strip("."))
        return
    what = f"{name or 'The network'} is a {type(module).__name__}"
    if type(module) not in LAYERS:
        allowed = f"The explicit route knows Sequential, {', '.join(kind.__name__ for kind in LAYERS)}"
        raise NotApplicable(what, allowed, "Go back through the graph, which knows any network")
    if isinstance(module, nn.BatchNorm2d | nn.Dropout) and module.training:
        raise NotApplicable(f"{what} in training mode", "It has to stay the same", "Call eval() on the network")
    if isinstance(module, nn.BatchNorm2d) and module.running_var is None:
        raise NotApplicable(f"{what} without running statistics", "It has to be the same for all images",
                            "Go back through the graph, which knows any network")  # fmt: skip
    if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
        raise NotApplicable(f"{what} with {module.padding_mode} padding", "The explicit route knows zeros",
                            "Go back through the graph, which knows any network")  # fmt: skip
    yield name, module


# Up: what a layer makes of its input, and its switches.


def _plainly(layer: nn.Module, x: Tensor) -> tuple[Tensor, None]:
    return layer(x), None


def _rectify(layer: nn.Module, x: Tensor) -> tuple[Tensor, None]:
    return x.relu(), None  # never in place: what the layer was given is the caller's


def _pool(layer: nn.MaxPool2d, x: Tensor) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = F.max_pool2d(
        x, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode, return_indices=True
    )
    return found


# Down: what a layer makes of the reconstruction of its output.


def _filter(past: Past, seed: Tensor) -> Tensor:
    """The transposed convolution: every value stamps its filter, multiplied by it, on the places it saw."""
    layer: nn.Conv2d = past.layer
    before = [0, 0] if layer.padding == "valid" else layer.padding
    if layer.padding == "same":
        before = [step * (length - 1) // 2 for step, length in zip(layer.dilation, layer.kernel_size, strict=True)]
    stamped = F.conv_transpose2d(seed, layer.weight, None, layer.stride, groups=layer.groups, dilation=layer.dilation)
    return _cut(stamped, before, past.size)


def _unpool(past: Past, seed: Tensor) -> Tensor:
    assert past.switches is not None, "a pool remembers its switches"
    return UNPOOL[past.unpool](seed, past.switches, past.size[2:])


def _unrectify(past: Past, seed: Tensor) -> Tensor:
    return seed.relu()


def _spread(past: Past, seed: Tensor) -> Tensor:
    """Average pools spread every value evenly over its window."""
    layer: nn.AvgPool2d = past.layer
    kernel, step, before = (_pair(part) for part in (layer.kernel_size, layer.stride, layer.padding))
    lengths = []
    for i in (0, 1):
        start = torch.arange(seed.shape[2 + i], device=seed.device) * step[i] - before[i]
        end = (start + kernel[i]).clamp(max=past.size[2 + i] + before[i])
        if not layer.count_include_pad:
            start, end = start.clamp(min=0), end.clamp(max=past.size[2 + i])
        lengths.append(end - start)
    numbers = layer.divisor_override or lengths[0][:, None] * lengths[1]  # in each window
    ones = seed.new_ones(seed.shape[1], 1, *kernel)
    return _cut(F.conv_transpose2d(seed / numbers, ones, None, step, groups=seed.shape[1]), before, past.size)


def _scale(past: Past, seed: Tensor) -> Tensor:
    """A BatchNorm in eval mode is a scale by channel, and a shift that plays no part on the way down."""
    layer: nn.BatchNorm2d = past.layer
    assert layer.running_var is not None, "checked when the deconvnet was made"
    scale = (layer.running_var + layer.eps).rsqrt()
    return seed * (scale if layer.weight is None else scale * layer.weight)[:, None, None]


def _mix(past: Past, seed: Tensor) -> Tensor:
    layer: nn.Linear = past.layer
    return seed @ layer.weight


def _unfold(past: Past, seed: Tensor) -> Tensor:
    return seed.reshape(past.size)


def _same(past: Past, seed: Tensor) -> Tensor:
    return seed


def _cut(stamped: Tensor, before: Any, size: torch.Size) -> Tensor:
    """Without the padding, and with zeros for the last lines where the stride came to no more windows."""
    (top, left), (height, width) = before, size[2:]
    return F.pad(stamped, (-left, width + left - stamped.shape[3], -top, height + top - stamped.shape[2]))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


# Every kind of layer: its way up, its way down.
LAYERS: Mapping[type[nn.Module], tuple[Callable[..., Any], Callable[[Past, Tensor], Tensor]]] = {
    nn.Conv2d: (_plainly, _filter),
    nn.ReLU: (_rectify, _unrectify),
    nn.MaxPool2d: (_pool, _unpool),
    nn.AvgPool2d: (_plainly, _spread),
    nn.BatchNorm2d: (_plainly, _scale),
    nn.Dropout: (_plainly, _same),
    nn.Flatten: (_plainly, _unfold),
    nn.Linear: (_plainly, _mix),
}
