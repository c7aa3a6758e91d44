"""The layers whose tensors belong to channels: which axis of which tensor to those made, which to those taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from ..recording.calls import Call, first_tensor, tensors_in
from ..recording.sites import PARAMETRIC_MODULES, Site

Side = Literal["outs", "ins"]
Kind = Literal["mixing", "depthwise", "each"]
EACH = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.PReLU)
EACH_FUNCTIONS = ("batch_norm", "instance_norm", "prelu")
OF_EACH = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A layer, or a function with parameters of its own.

    A "mixing" layer takes `ins` channels and makes `outs` others of them. What is "depthwise" or of "each" channel by
    itself passes them on. axes: the name of a tensor in the network, an axis of it, and the side that it counts.
    """

    name: str
    kind: Kind
    outs: int
    ins: int
    groups: int
    axes: tuple[tuple[str, int, Side], ...]
    axis: int  # of the channels in what it is given, the batch axis being 0


def holder_of_module(path: str, module: nn.Module) -> Holder | None:
    """A leaf of the network as a holder; None if it has nothing that belongs to channels, or nobody knows what."""
    if isinstance(module, PARAMETRIC_MODULES):
        return _of_layer(path, module)
    tensors = {name: value for name in OF_EACH if (value := getattr(module, name, None)) is not None}
    width = max((len(each) for each in tensors.values()), default=1)
    if not isinstance(module, EACH) or width < 2 or any(len(each) != width for each in tensors.values()):
        return None
    axes = tuple((f"{path}.{name}", 0, "outs") for name in tensors)
    return Holder(name=path, kind="each", outs=width, ins=width, groups=1, axes=axes, axis=1)  # type: ignore[arg-type]


def _of_layer(path: str, module: Any) -> Holder:
    linear = isinstance(module, nn.Linear)
    outs, ins = (module.out_features, module.in_features) if linear else (module.out_channels, module.in_channels)
    groups = 1 if linear else module.groups
    backwards = getattr(module, "transposed", False)  # stored as (channels in, units per group, ...)
    # one group a channel: it passes channels on. With one channel in all, that is an ordinary layer of gray pictures.
    depthwise = groups > 1 and groups == ins and not backwards
    axes: list[tuple[str, int, Side]] = [(f"{path}.weight", 1 if backwards else 0, "outs")]
    if not depthwise:
        axes.append((f"{path}.weight", 0 if backwards else 1, "ins"))
    if module.bias is not None:
        axes.append((f"{path}.bias", 0, "outs"))
    return Holder(name=path, kind="depthwise" if depthwise else "mixing", outs=outs, ins=ins, groups=groups,
                  axes=tuple(axes), axis=-1 if linear else 1)  # fmt: skip


def holder_of_function(
    site: Site, calling: tuple[Any, tuple[Any, ...], dict[str, Any]], names: Mapping[int, str]
) -> Holder | None:
    """A function with weights of the network that belong to channels; None if it is of another kind."""
    _, args, kwargs = calling
    tensors = list(tensors_in((*args, *kwargs.values())))
    owned = [tensor for tensor in tensors if id(tensor) in names]
    if site.operation in EACH_FUNCTIONS and owned and len({tensor.shape for tensor in owned}) == 1:
        width = owned[0].numel()
        own: tuple[tuple[str, int, Side], ...] = tuple((names[id(tensor)], 0, "outs") for tensor in owned)
        return Holder(name=own[0][0], kind="each", outs=width, ins=width, groups=1, axes=own, axis=1)
    groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
    if site.weight is None or "transpose" in site.operation or groups != 1 or not owned:
        return None
    weight = owned[0]
    axes: list[tuple[str, int, Side]] = [(names[id(weight)], 0, "outs"), (names[id(weight)], 1, "ins")]
    axes += [(names[id(tensor)], 0, "outs") for tensor in owned[1:]]
    return Holder(name=names[id(weight)], kind="mixing", outs=weight.shape[0], ins=weight.shape[1], groups=1,
                  axes=tuple(axes), axis=-1 if weight.ndim == 2 else 1)  # fmt: skip


def parameters_taken(call: Call, arguments: tuple[Any, ...], names: Mapping[int, str]) -> list[str]:
    """Names of parameters and buffers that a function takes, as far as they have more than one number."""
    if call.leaf or first_tensor(arguments) is None:
        return []
    return [names[id(tensor)] for tensor in tensors_in(arguments) if id(tensor) in names and tensor.numel() > 1]
