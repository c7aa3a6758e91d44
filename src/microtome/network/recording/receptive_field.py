"""Which pixels a unit can see, read exactly from the autograd graph.

Walking from the input to a site, every position p of a tensor sees the pixels stride * p + [low, high] along each
axis. Convolutions and pools change that interval, element-wise operations keep it, sums and concatenations unite it.
Anything the walk does not know sees the whole image: never less than the truth.
Reference: Araujo, Norris, Sim, Computing Receptive Fields of Convolutional Neural Networks (Distill, 2019).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .calls import Call, Following, Listener, first_tensor
from .inputs import like_parameters
from .sites import Sites

ELEMENT_WISE = frozenset([
    "Relu", "Threshold", "Hardtanh", "Clamp", "ClampMin", "ClampMax", "LeakyRelu", "Elu", "Gelu", "Silu", "Mish",
    "Sigmoid", "Tanh", "Softplus", "Hardswish", "Hardsigmoid", "Mul", "Add", "Sub", "Div", "Neg", "Pow", "Exp",
    "Log", "Sqrt", "Abs", "NativeBatchNorm", "CudnnBatchNorm", "BatchNorm", "NativeDropout", "Clone", "Cat",
    "Alias", "ToCopy", "Contiguous", "PreluKernel", "Maximum", "Minimum", "Where", "Identity", "View_as",
    "LogSigmoidForward",
])  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """Along one axis, position p sees pixels stride * p + low to stride * p + high, both included."""

    stride: int = 1
    low: int = 0
    high: int = 0

    def through(self, step: int, padding: int, dilation: int, kernel: int) -> "Axis":
        """Behind a convolution or pool: its window covers positions step * p - padding + dilation * (0..kernel-1)."""
        start = self.stride * -padding
        return Axis(self.stride * step, self.low + start, self.high + start + self.stride * dilation * (kernel - 1))


@dataclass(frozen=True)
class ReceptiveField:
    """What the positions of a site see of the image; rows and columns apart."""

    rows: Axis
    columns: Axis

    def boxes(self, place: np.ndarray, width: int, size: tuple[int, int]) -> np.ndarray:
        """The pixels that flat positions see, cut at the image's border.

        Shapes: place (...), flat positions in a map of `width` columns -> (..., 4) top, left, bottom, right,
        bottom and right excluded; a place of -1 gives the whole image.
        """
        ends = []
        for axis, where, length in ((self.rows, place // width, size[0]), (self.columns, place % width, size[1])):
            ends.append(np.clip(axis.stride * where + axis.low, 0, length - 1))
            ends.append(np.clip(axis.stride * where + axis.high + 1, 1, length))
        boxes = np.stack([ends[0], ends[2], ends[1], ends[3]], axis=-1)
        return np.where(place[..., None] < 0, np.array([0, 0, *size]), boxes).astype(np.int64)


Field = ReceptiveField | None  # None: the whole image


class _EdgeFinder(Listener):
    """Keeps the graph node behind every site's output, taken before a later in-place operation can change it."""

    def __init__(self, sites: Sites) -> None:
        self.names = list(sites)
        self.nodes: dict[str, Any] = {}

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is not None and len(self.nodes) < len(self.names):
            self.nodes[self.names[len(self.nodes)]] = tensor.grad_fn
        return output


def receptive_fields(module: nn.Module, sites: Sites, shape: tuple[int, int, int]) -> Mapping[str, Field]:
    """The receptive field of every site whose units see less than the whole image; the others give None.

    Shapes: shape (C, H, W) of one image. The module must be in eval mode.
    """
    finder = _EdgeFinder(sites)
    with torch.enable_grad(), Following(module, finder):
        image = like_parameters(torch.zeros(1, *shape), module).requires_grad_()
        module(image.clone())
    known: dict[Any, Field | str] = {}
    fields: dict[str, Field] = {}
    for name in sites:
        found = _field(finder.nodes.get(name), known)
        fields[name] = found if isinstance(found, ReceptiveField) and len(sites[name].extent) == 2 else None
    return fields


def _field(node: Any, known: dict[Any, Field | str]) -> Field | str:
    """The field behind `node`; None for the whole image, "constant" for what does not depend on it."""
    waiting = [node]
    while waiting:  # depth first without recursion: deep networks have long graphs
        here = waiting[-1]
        if here is None or here in known:
            waiting.pop()
            continue
        below = [n for n, _ in here.next_functions if n is not None and n not in known]
        if below:
            waiting += below
            continue
        known[here] = _step(here, known)
        waiting.pop()
    return known.get(node, "constant")


def _step(node: Any, known: dict[Any, Field | str]) -> Field | str:
    kind = node.name().rpartition("::")[2].removesuffix("Backward0").removesuffix("Backward1")
    if kind == "AccumulateGrad":
        is_image = isinstance(node.variable, Tensor) and not isinstance(node.variable, nn.Parameter)
        return ReceptiveField(Axis(), Axis()) if is_image and node.variable.ndim == 4 else "constant"
    inputs = [known[n] for n, _ in node.next_functions if n is not None]
    seeing = [field for field in inputs if field != "constant"]
    if not seeing:
        return "constant"
    if any(not isinstance(field, ReceptiveField) for field in seeing) or getattr(node, "_saved_training", False):
        return None  # a batch norm that takes the statistics of its input sees all of it
    if kind.rstrip("_") in ELEMENT_WISE and not _keeps_extent(node, known):
        return None
    fields = [field for field in seeing if isinstance(field, ReceptiveField)]
    return _through(kind, node, fields)


def _keeps_extent(node: Any, known: Mapping[Any, Field | str]) -> bool:
    """Whether every input has the extent of the output: no broadcast, nothing put side by side."""
    below = [(n, i) for n, i in node.next_functions if n is not None and known[n] != "constant"]
    extents = {tuple(n._input_metadata[i].shape[-2:]) for n, i in [(node, 0), *below]}
    return len(extents) == 1


def _through(kind: str, node: Any, fields: list[ReceptiveField]) -> Field:
    first = fields[0]
    if kind.rstrip("_") in ELEMENT_WISE or kind == "ConstantPadNd" and not any(_padding(node, 4)):
        return _union(fields)
    if kind in ("Convolution", "MkldnnConvolution", "CudnnConvolution") and not node._saved_transposed:
        kernel = node._saved_weight.shape[2:]
        steps = (node._saved_stride, node._saved_padding, node._saved_dilation)
    elif kind in ("MaxPool2DWithIndices", "MaxPool2D"):
        kernel = node._saved_kernel_size
        steps = (node._saved_stride or kernel, node._saved_padding, node._saved_dilation)
    elif kind == "AvgPool2D":
        kernel = node._saved_kernel_size
        steps = (node._saved_stride or kernel, node._saved_padding, (1, 1))
    elif kind == "ConstantPadNd":
        left, _, top, _ = _padding(node, 4)
        return ReceptiveField(first.rows.through(1, top, 1, 1), first.columns.through(1, left, 1, 1))
    elif kind == "Slice":
        return _sliced(node, first)
    else:
        return None
    if len(kernel) != 2:
        return None
    step, padding, dilation = ([int(value) for value in part] for part in steps)
    moved = [a.through(step[i], padding[i], dilation[i], int(kernel[i])) for i, a in enumerate(_axes(first))]
    return ReceptiveField(*moved)


def _axes(field: ReceptiveField) -> tuple[Axis, Axis]:
    return field.rows, field.columns


def _padding(node: Any, count: int) -> tuple[int, ...]:
    """The padding of the last two axes (left, right, top, bottom)."""
    pad = tuple(_signed(value) for value in node._saved_pad)
    return (*pad, *[0] * count)[:count]


def _signed(value: int) -> int:
    """Autograd shows negative numbers that it has saved as unsigned ones."""
    return value - 2**64 if value >= 2**63 else value


def _sliced(node: Any, field: ReceptiveField) -> Field:
    axis, start = _signed(node._saved_dim), _signed(node._saved_start or 0)
    if axis in (0, 1) or (start == 0 and node._saved_step == 1):
        return field
    if start < 0 or axis not in (2, 3):
        return None
    moved = [_axes(field)[axis - 2].through(node._saved_step, -start, 1, 1)]
    return ReceptiveField(moved[0], field.columns) if axis == 2 else ReceptiveField(field.rows, moved[0])


def _union(fields: list[ReceptiveField]) -> Field:
    united = []
    for axes in zip(*(_axes(field) for field in fields), strict=True):
        if len({axis.stride for axis in axes}) != 1:
            return None
        united.append(Axis(axes[0].stride, min(axis.low for axis in axes), max(axis.high for axis in axes)))
    return ReceptiveField(*united)
