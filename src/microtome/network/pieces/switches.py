"""Where a network bends: thresholds of its rectifiers, and the windows of its max pools.

Between two bends all of it is affine, so a pattern (which side of every threshold, which place of every window)
names a linear region; the region is convex, since with the pattern fixed every condition is a linear inequality.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import NotApplicable
from ..backward.rectifiers import KIND_OF
from ..recording.calls import Call, first_tensor, tensors_in
from ..recording.sites import Site, Sites

# Operations that are nowhere affine, or not for one image alone: what follows them has no linear pieces.
SMOOTH_KINDS = frozenset(("ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Hardswish", "Softplus"))
CURVED = frozenset((
    "Sigmoid", "sigmoid", "Tanh", "tanh", "Softmax", "softmax", "Hardsigmoid", "hardsigmoid", "LayerNorm", "layer_norm",
    "GroupNorm", "group_norm", "InstanceNorm2d", "instance_norm", "LocalResponseNorm", "local_response_norm",
    "normalize", "exp", "log", "sqrt", "pow", "scaled_dot_product_attention", "MultiheadAttention", "Softsign",
    "LogSigmoid", "LogSoftmax", "log_softmax", "GLU", "glu", "FractionalMaxPool2d", "LPPool2d",
))  # fmt: skip
POOLS = {"MaxPool1d": 1, "max_pool1d": 1, "MaxPool2d": 2, "max_pool2d": 2}  # by how many axes they pool
ADAPTIVE = {"AdaptiveMaxPool1d": 1, "adaptive_max_pool1d": 1, "AdaptiveMaxPool2d": 2, "adaptive_max_pool2d": 2}
LARGEST = frozenset(("amax", "max", "maximum"))
Told = tuple[Any, tuple[Any, ...], Mapping[str, Any]]  # what was called, its arguments by place and by name

POOL_NAMES = frozenset((*POOLS, *ADAPTIVE, *LARGEST))


def curved(call: Call) -> bool:
    """Whether what follows this call has no linear pieces."""
    return KIND_OF.get(call.operation) in SMOOTH_KINDS or call.operation in CURVED


def is_switch(site: Site) -> bool:
    """Whether a site bends what goes through it, judged by its name."""
    kind = KIND_OF.get(site.operation)
    rectifies = kind is not None and kind not in SMOOTH_KINDS
    return rectifies or site.operation in POOL_NAMES or site.operation in ("abs", "abs_")


def refuse_curved(sites: Sites, until: str) -> None:
    """Nothing, if every switch up to a site has only affine operations and other switches before it.

    Raises: NotApplicable.
    """
    order = list(sites)
    before = [sites[name] for name in order[: order.index(until) + 1]]
    fed: set[str] = set()  # sites behind a curved operation
    for site in before:
        bent = [name for name in site.inputs if name in fed]
        if is_switch(site) and bent:
            kinds = sorted({sites[name].operation for name in fed if curved(sites[name].call)})
            raise NotApplicable(
                f"{site.name} lies behind {', '.join(kinds)}",
                "Linear regions are those of networks of ReLU and its like, with max pools",
                "Choose a site before it, or give a network of rectifiers",
            )
        if bent or curved(site.call):
            fed.add(site.name)


def thresholds(call: Call, calling: Told) -> tuple[float, ...]:
    """The inputs at which an operation on single numbers bends; none for what is no rectifier.

    Raises: NotApplicable for a clamp between tensors.
    """
    kind = "abs" if call.operation in ("abs", "abs_") else KIND_OF.get(call.operation)
    if kind is None or kind in SMOOTH_KINDS:
        return ()
    names: dict[str, tuple[str, ...]] = {
        "Hardtanh": ("min_val", "max_val"), "Threshold": ("threshold",), "clamp": ("min", "max"),
    }  # fmt: skip
    if kind not in names:
        return (0.0, 6.0) if kind == "ReLU6" else (0.0,)
    usual = {"min_val": -1.0, "max_val": 1.0}
    found = [_argument(calling, place + 1, name, usual.get(name)) for place, name in enumerate(names[kind])]
    if any(isinstance(end, Tensor) and end.numel() > 1 for end in found):
        raise NotApplicable("The network clamps between two tensors", "A bend is at a fixed number",
                            "Give a network of ReLU and its like")  # fmt: skip
    return tuple(float(end) for end in found if end is not None and abs(float(end)) != float("inf"))


def windows(call: Call, calling: Told, arguments: tuple[Any, ...], output: Any) -> Tensor | None:
    """What every place of a max pool chooses from; None for what is no pool. Shapes: -> (K, N, M), -inf for nothing."""
    operation = call.operation
    if operation not in POOL_NAMES:
        return None
    given, made = first_tensor(arguments), first_tensor(output)
    assert given is not None and made is not None
    if operation in LARGEST:
        return _of_axes(calling, arguments, given)
    axes = POOLS.get(operation) or ADAPTIVE[operation]
    columns: list[Tensor] = []
    for axis in range(axes):
        have, want = given.shape[axis - axes], made.shape[axis - axes]
        if operation in ADAPTIVE:
            columns.append(_adaptive(have, want))
        else:
            kernel = _along(_argument(calling, 1, "kernel_size", None), axis)
            step = _along(_argument(calling, 2, "stride", None) or kernel, axis)
            padding, dilation = (_along(_argument(calling, place, name, usual), axis)
                                 for place, name, usual in ((3, "padding", 0), (4, "dilation", 1)))  # fmt: skip
            starts = torch.arange(want)[:, None] * step - padding
            places = starts + dilation * torch.arange(kernel)
            columns.append(torch.where((places >= 0) & (places < have), places, -1))
    return _gathered(given, columns)


def _argument(calling: Told, place: int, name: str, usual: Any) -> Any:
    """What a module or a function was told, by name or at a place (counted with the tensor)."""
    called, args, kwargs = calling
    if isinstance(called, torch.nn.Module):
        return getattr(called, name, usual)
    return kwargs.get(name, args[place] if len(args) > place else usual)


def _along(value: Any, axis: int) -> int:
    return int(value[axis if len(value) > 1 else 0]) if isinstance(value, (tuple, list)) else int(value)


def _adaptive(have: int, want: int) -> Tensor:
    """The places of each of `want` windows over `have`. Shapes: -> (want, taps), -1 for none."""
    starts = torch.arange(want) * have // want
    ends = -(-(torch.arange(want) + 1) * have // want)
    places = starts[:, None] + torch.arange(int((ends - starts).max()))
    return torch.where(places < ends[:, None], places, -1)


def _gathered(given: Tensor, columns: list[Tensor]) -> Tensor:
    """The places that windows see, tap by tap. Shapes: given (N, C, ...) and columns (windows, taps) an axis."""
    taps: list[Tensor] = [given]
    for axis, places in enumerate(columns):
        dimension = given.ndim - len(columns) + axis
        grown = []
        for tensor in taps:
            for tap in range(places.shape[1]):
                at = places[:, tap].to(given.device)
                chosen = tensor.index_select(dimension, at.clamp(min=0))
                shape = [1] * given.ndim
                shape[dimension] = len(at)
                grown.append(chosen.masked_fill((at < 0).view(shape), -torch.inf))
        taps = grown
    return torch.stack([tap.flatten(1) for tap in taps])


def _of_axes(calling: Told, arguments: tuple[Any, ...], given: Tensor) -> Tensor:
    """What `amax`, `max` over axes or `maximum` of two tensors chooses from."""
    both = list(tensors_in(arguments))
    if len(both) == 2:
        return torch.stack([each.flatten(1) for each in torch.broadcast_tensors(*both)])  # type: ignore[no-untyped-call]
    wanted = _argument(calling, 1, "dim", None)
    axes = [axis % given.ndim for axis in ([wanted] if isinstance(wanted, int) else list(wanted or ()))]
    if not axes or 0 in axes:
        raise NotApplicable("The network takes a maximum over several images", "A region is one image's",
                            "Give a network that answers image by image")  # fmt: skip
    kept = [axis for axis in range(1, given.ndim) if axis not in axes]
    return given.permute(*axes, 0, *kept).reshape(-1, len(given), math.prod(given.shape[axis] for axis in kept))
