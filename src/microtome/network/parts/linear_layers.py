"""What the layers of a network compute, exactly: weights, bias and geometry of every convolution and linear layer."""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from ...errors import NotApplicable
from ..model import Model
from ..recording.calls import Call, Following, Listener, first_tensor
from ..recording.inputs import like_parameters, smooth_images
from ..recording.sites import Site
from ..recording.untouched import untouched

CONV_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
LINEAR_ARGUMENTS = ("input", "weight", "bias")


@dataclass(frozen=True, kw_only=True)
class LinearLayer:
    """A layer as its channels see it: y_o = sum over j of a_oj, plus b_o, where a_oj comes from input channel j alone.

    A linear layer behind a flattened map is the convolution of that map with filters of its size, so all layers are
    convolutions here. Shapes: weight (O, J, h, w), J input channels of a group; bias (O,); stride, dilation (rows,
    columns); pads (left, right, top, bottom) as `F.pad` takes them; `shape` (C, H, W) that of one image's input map.
    `folded` names the batch norm whose scale and shift are in weight and bias.
    """

    layer: str
    weight: Tensor
    bias: Tensor
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int, int, int]
    pad_mode: str
    groups: int
    shape: tuple[int, int, int]
    folded: str = ""

    def to(self, dtype: torch.dtype) -> "LinearLayer":
        """The same in another precision."""
        return replace(self, weight=self.weight.to(dtype), bias=self.bias.to(dtype))

    def maps(self, x: Tensor) -> Tensor:
        """An input as maps. Shapes: as the layer is given it, (B, ...) -> (B, C, H, W)."""
        return x.reshape(len(x), *self.shape)

    def padded(self, x: Tensor) -> Tensor:
        """With what stands around it. Shapes: (B, C, H, W) -> (B, C, H', W')."""
        if not any(self.pads):
            return x
        return F.pad(x, self.pads) if self.pad_mode == "zeros" else F.pad(x, self.pads, self.pad_mode)

    def output(self, x: Tensor) -> Tensor:
        """What the layer makes of its input. Shapes: (B, ...) -> (B, O, H', W')."""
        padded = self.padded(self.maps(x))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def inputs_of(self, unit: int) -> range:
        """The input channels that feed a unit."""
        group, inner = unit // (len(self.weight) // self.groups), self.weight.shape[1]
        return range(group * inner, (group + 1) * inner)

    def parts(self, x: Tensor, unit: int) -> Tensor:
        """What each input channel adds to a unit, without the bias. Shapes: (B, ...) -> (B, J, H', W')."""
        channels = self.inputs_of(unit)
        padded = self.padded(self.maps(x)[:, channels.start : channels.stop])
        each = self.weight[unit][:, None]
        return F.conv2d(padded, each, None, self.stride, 0, self.dilation, groups=len(channels))

    def added(self, x: Tensor, weights: Tensor) -> Tensor:
        """Over images and positions, the weighted sum of what each input channel adds to each unit.

        What channel j adds to unit o is linear in their filter, so the sum is the filter times the gradient that the
        filter would be given: one pass for all pairs. Shapes: x (B, ...), weights (B, O, H', W') -> (O, J).
        """
        padded = self.padded(self.maps(x))
        shape, how = list(self.weight.shape), (self.stride, 0, self.dilation, self.groups)
        gradient: Tensor = conv2d_weight(padded, shape, weights, *how)  # type: ignore[no-untyped-call]
        return (gradient * self.weight).sum((2, 3))


def linear_layers(model: Model, fold: bool = False) -> dict[str, LinearLayer]:
    """Every layer that can be taken apart: convolutions of maps and linear layers on rows, called once.

    With `fold`, a batch norm that alone takes a layer's output is folded into it: the layer's output is then the batch
    norm's. Raises: NotApplicable if there is none.
    """
    listener = _Finder(model)
    with untouched(model.module) as module, Following(module, listener):
        module(like_parameters(smooth_images(model.preprocessing.shape), module))
    found = {name: each for name, each in listener.found.items() if each is not None}
    if not found:
        raise _none(model)
    return {name: _folded(model, each) if fold else each for name, each in found.items()}


def promising(model: Model) -> list[str]:
    """The layers that can be taken apart as far as that can be told without a forward pass.

    Raises: NotApplicable if there is none.
    """
    found = [site.name for site in model.sites.layers if kind(model, site) and site.channel_axis == 1 and site.batched]
    if not found:
        raise _none(model)
    return found


def kind(model: Model, site: Site) -> str:
    """Whether a layer is a "conv2d" or "linear", of whatever class (weights may be computed); "" for anything else."""
    if not site.call.leaf:
        return site.operation if site.operation in ("conv2d", "linear") else ""
    called = model.module.get_submodule(site.call.path)
    return "conv2d" if isinstance(called, nn.Conv2d) else "linear" if isinstance(called, nn.Linear) else ""


def _none(model: Model) -> NotApplicable:
    return NotApplicable(
        f"{model.name} has no layer that can be taken apart",
        "Layers are convolutions of maps and linear layers on rows", "Look at other sites",
    )  # fmt: skip


class _Finder(Listener):
    """Writes down what is called at each layer."""

    def __init__(self, model: Model) -> None:
        self.model, self.order, self.position = model, list(model.sites.values()), 0
        self.found: dict[str, LinearLayer | None] = {}

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        if first_tensor(output) is not None:
            site = self.order[self.position]
            self.position += 1
            if site.weight is not None and site.units:
                self.found[site.name] = self._layer(site, first_tensor(arguments))
        return output

    def _layer(self, site: Site, given: Tensor | None) -> LinearLayer | None:
        called, args, named = self.calling
        if given is None or site.channel_axis != 1 or not site.batched:
            return None
        if isinstance(called, nn.Conv2d):
            pads = _pads(called.padding, called.kernel_size, called.dilation)
            return _conv(site, given, called.weight, called.bias, called.stride, pads, called.padding_mode,
                         called.dilation, called.groups)  # fmt: skip
        if isinstance(called, nn.Linear):
            return self._linear(site, given, called.weight, called.bias)
        if site.operation == "conv2d":
            said = dict(zip(CONV_ARGUMENTS, args, strict=False)) | named
            weight, dilation = said["weight"], _pair(said.get("dilation", 1))
            pads = _pads(said.get("padding", 0), tuple(weight.shape[2:]), dilation)
            return _conv(site, given, weight, said.get("bias"), _pair(said.get("stride", 1)), pads, "zeros", dilation,
                         said.get("groups", 1))  # fmt: skip
        if site.operation == "linear":
            said = dict(zip(LINEAR_ARGUMENTS, args, strict=False)) | named
            return self._linear(site, given, said["weight"], said.get("bias"))
        return None

    def _linear(self, site: Site, given: Tensor, weight: Tensor, bias: Tensor | None) -> LinearLayer | None:
        if given.ndim != 2:
            return None
        shape = self._before_flattening(site, given.shape[1])
        return LinearLayer(
            layer=site.name, weight=weight.detach().reshape(len(weight), *shape), bias=_bias(weight, bias),
            stride=(1, 1), dilation=(1, 1), pads=(0, 0, 0, 0), pad_mode="zeros", groups=1, shape=shape,
        )  # fmt: skip

    def _before_flattening(self, site: Site, features: int) -> tuple[int, int, int]:
        """The map that was flattened into a row, if that is all that happened to it; else one place a feature."""
        sites = self.model.sites
        name = site.inputs[0] if site.inputs else ""
        while name in sites and len(sites[name].shape) != 3 and len(sites[name].inputs) == 1:
            if sites[name].operation not in ("flatten", "Flatten", "view", "reshape", "Dropout", "dropout"):
                break
            name = sites[name].inputs[0]
        shape = sites[name].shape if name in sites else ()
        if len(shape) == 3 and shape[0] * shape[1] * shape[2] == features and sites[name].channel_axis == 1:
            return shape[0], shape[1], shape[2]
        return features, 1, 1


def _conv(
    site: Site, given: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, pads: tuple[int, int, int, int],
    mode: str, dilation: Any, groups: int,
) -> LinearLayer | None:  # fmt: skip
    if given.ndim != 4:
        return None
    shape = given.shape[1], given.shape[2], given.shape[3]
    return LinearLayer(
        layer=site.name, weight=weight.detach(), bias=_bias(weight, bias), stride=_pair(stride), pads=pads,
        dilation=_pair(dilation), pad_mode=mode, groups=int(groups), shape=shape,
    )  # fmt: skip


def _folded(model: Model, layer: LinearLayer) -> LinearLayer:
    takers = [site for site in model.sites.values() if layer.layer in site.inputs]
    if len(takers) != 1 or takers[0].operation != "BatchNorm2d":
        return layer
    norm = model.module.get_submodule(takers[0].call.path)
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
        return layer
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale, shift = scale * norm.weight.detach().double(), norm.bias.detach().double()
    bias = shift + (layer.bias.double() - norm.running_mean.double()) * scale
    dtype = layer.weight.dtype
    weight = (layer.weight.double() * scale[:, None, None, None]).to(dtype)
    return replace(layer, weight=weight, bias=bias.to(dtype), folded=takers[0].name)


def _bias(weight: Tensor, bias: Tensor | None) -> Tensor:
    return weight.new_zeros(len(weight)).detach() if bias is None else bias.detach()


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _pads(padding: Any, size: tuple[int, ...], dilation: Any) -> tuple[int, int, int, int]:
    """Left, right, top, bottom; "same" puts what is odd on the right and below, as torch does."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        rows, columns = (step * (length - 1) for step, length in zip(_pair(dilation), size, strict=True))
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
    rows, columns = _pair(padding)
    return columns, columns, rows, rows
