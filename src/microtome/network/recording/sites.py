"""The sites of a network: every place one can look at, found by running it once on two images."""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...checks import known
from ...errors import ModelFailed, UnknownName
from .addresses import Address, Namer
from .calls import Call, Following, Listener, first_tensor, tensors_in

# Operations that change each channel by itself: a unit is read behind the last of them.
PER_CHANNEL_MODULES = (nn.modules.batchnorm._BatchNorm, nn.PReLU)
MIXING_ACTIVATIONS = (nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax, nn.GLU, nn.MultiheadAttention)
PER_CHANNEL_FUNCTIONS = frozenset([
    "relu", "relu_", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "sigmoid", "tanh",
    "hardswish", "hardsigmoid", "mish", "softplus", "prelu", "rrelu", "threshold", "clamp", "clamp_", "sigmoid_",
    "tanh_", "batch_norm", "softsign", "logsigmoid", "_threshold", "threshold_", "clamp_min", "clamp_min_", "relu6_",
    "hardtanh_", "leaky_relu_", "elu_", "celu_", "selu_", "rrelu_", "silu_", "mish_", "hardswish_",
])  # fmt: skip
PARAMETRIC_MODULES = (nn.modules.conv._ConvNd, nn.Linear)
PARAMETRIC_FUNCTIONS = frozenset(
    ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear"]
)
CHANNELS_LAST_MODULES = (nn.Linear, nn.MultiheadAttention)


@dataclass(frozen=True, kw_only=True)
class Site:
    """The address of one tensor.

    Shapes: shape is that of one image's tensor, without the batch axis; channel_axis counts the batch axis as 0.
    Units: macs are multiply-accumulates of one image.
    """

    name: str
    call: Call
    shape: tuple[int, ...]
    channel_axis: int
    batched: bool
    inputs: tuple[str, ...]
    parameters: int = 0
    macs: int = 0
    units: int = 0
    weight: str | None = None
    read: str | None = None

    @property
    def operation(self) -> str:
        """Module class or function name, such as "Conv2d" or "relu"."""
        return self.call.operation

    @property
    def channels(self) -> int:
        """Size of the channel axis."""
        full = (0, *self.shape)
        return full[self.channel_axis] if len(full) > 1 else 0

    @property
    def extent(self) -> tuple[int, ...]:
        """The spatial extent: what is left of the shape without the channel axis."""
        full = [0, *self.shape]
        del full[self.channel_axis]
        return tuple(full[1:])


class Sites(Mapping[str, Site]):
    """All sites of a network in the order in which they run."""

    def __init__(self, sites: list[Site], output: str, containers: dict[str, str]) -> None:
        self._sites = {site.name: site for site in sites}
        self.output = output
        self.containers = containers

    def __getitem__(self, name: str) -> Site:
        if name not in self._sites:
            known("Site", name, self._sites, "`microtome sites MODEL` lists them all")
        return self._sites[name]

    def __contains__(self, name: object) -> bool:
        return name in self._sites

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    @property
    def layers(self) -> list[Site]:
        """The sites that hold units: convolutions and linear layers, in order."""
        return [site for site in self.values() if site.units]

    def match(self, pattern: str) -> list[Site]:
        """Sites whose names match a glob such as `layer1.*.conv?`, in order.

        Raises: UnknownName if there is none.
        """
        found = [site for site in self.values() if fnmatch.fnmatchcase(site.name, pattern)]
        return found or [self[self.resolve(pattern)]]

    def resolve(self, name: str) -> str:
        """The site that `name` means: itself, or for a container the site that makes its output."""
        if name not in self._sites and name in self.containers:
            return self.containers[name]
        named = (container for container in self.containers if container)  # the network itself has no name
        return known("Site", name, (*self._sites, *named), "`microtome sites MODEL` lists them all")

    def address(self, text: str) -> Address:
        """Parse `SITE` or `SITE:in`."""
        name, colon, suffix = text.partition(":")
        if colon and suffix != "in":
            raise UnknownName(
                f"Address {text!r} ends in {suffix!r}", "A site's address is SITE or SITE:in", f"Did you mean {name!r}?"
            )
        return Address(self.resolve(name), bool(colon))


class _Finder(Listener):
    """Writes down every call, and which call made the tensors that it takes."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.sites: list[Site] = []
        self.containers: dict[str, str] = {}
        self.consumers: dict[str, list[str]] = {}
        self._namer = Namer(name for name, _ in module.named_modules())
        self._maker: dict[int, str] = {}
        self._alive: list[Any] = []  # tensors are told apart by id, so none may be freed
        self._parameters = {id(p): name for name, p in module.named_parameters()}

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        name = self._namer.name(call.base)
        taken = [self._maker[id(t)] for t in tensors_in(arguments) if id(t) in self._maker]
        for made_by in dict.fromkeys(taken):
            self.consumers.setdefault(made_by, []).append(name)
        for made in tensors_in(output):
            self._maker[id(made)] = name
        self._alive += [arguments, output]
        self.sites.append(self._describe(call, name, arguments, tensor, tuple(dict.fromkeys(taken))))
        return output

    def leave(self, path: str, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None and id(tensor) in self._maker:
            self.containers[path] = self._maker[id(tensor)]

    def _describe(
        self, call: Call, name: str, arguments: tuple[Any, ...], out: Tensor, inputs: tuple[str, ...]
    ) -> Site:
        site = Site(
            name=name, call=call, shape=tuple(out.shape[1:]), channel_axis=self._channel_axis(call, out, inputs),
            batched=out.ndim > 0 and out.shape[0] == 2, inputs=inputs,
        )  # fmt: skip
        if call.leaf:
            leaf = self.module.get_submodule(call.path)
            site = replace(site, parameters=sum(p.numel() for p in leaf.parameters()))
            if isinstance(leaf, PARAMETRIC_MODULES):
                return _with_units(site, leaf.weight, f"{call.path}.weight", arguments, out)
        elif call.operation in PARAMETRIC_FUNCTIONS:
            weight = next(tensors_in(arguments[1:]), None)
            owned = self._parameters.get(id(weight))
            if weight is not None and owned is not None:
                return _with_units(replace(site, parameters=weight.numel()), weight, owned, arguments, out)
        return site

    def _channel_axis(self, call: Call, output: Tensor, inputs: tuple[str, ...]) -> int:
        last = output.ndim - 1
        leaf = self.module.get_submodule(call.path) if call.leaf else None
        if last < 2 or call.operation == "linear" or isinstance(leaf, CHANNELS_LAST_MODULES):
            return last
        if isinstance(leaf, nn.LayerNorm) and len(leaf.normalized_shape) == 1:
            return last
        if isinstance(leaf, PARAMETRIC_MODULES) or call.operation in PARAMETRIC_FUNCTIONS:
            return 1  # whatever the layout that the input came in
        same = [site for site in self.sites if site.name in inputs and site.shape == tuple(output.shape[1:])]
        return same[0].channel_axis if same else 1


def _with_units(site: Site, weight: Tensor, owned: str, arguments: tuple[Any, ...], output: Tensor) -> Site:
    transposed = "ranspose" in site.operation
    source = first_tensor(arguments) if transposed else output
    assert source is not None
    channels_there = source.shape[1] if weight.ndim > 2 else source.shape[-1]
    macs = source[0].numel() // channels_there * weight.numel()
    return replace(site, units=output.shape[site.channel_axis], weight=owned, macs=macs)


def find_sites(module: nn.Module, images: Tensor) -> Sites:
    """Run `module` on two images and write down every site.

    Shapes: images (2, C, H, W), prepared for the model; the module must be in eval mode.
    Raises: ModelFailed if the network itself raises.
    """
    finder = _Finder(module)
    following = Following(module, finder)
    with torch.no_grad(), following:
        try:
            output = module(images)
        except Exception as error:
            last = finder.sites[-1].name if finder.sites else "the input"
            raise ModelFailed(
                f"The network raised {type(error).__name__} after {last}: {error}",
                f"It was given images of shape {tuple(images.shape)}",
                "Give the input size it was made for, or call it yourself with such a tensor to see the error in place",
            ) from error
    made = first_tensor(output)
    last = finder._maker.get(id(made), finder.sites[-1].name if finder.sites else "")
    return Sites(_with_reading_sites(module, finder), last, finder.containers)


def _with_reading_sites(module: nn.Module, finder: _Finder) -> list[Site]:
    by_name = {site.name: site for site in finder.sites}

    def per_channel(site: Site) -> bool:
        if not site.call.leaf:
            return site.operation in PER_CHANNEL_FUNCTIONS
        leaf = module.get_submodule(site.call.path)
        activation = type(leaf).__module__ == nn.ReLU.__module__ and not isinstance(leaf, MIXING_ACTIVATIONS)
        return activation or isinstance(leaf, PER_CHANNEL_MODULES)

    def read(site: Site) -> str:
        here = site
        while True:
            takers = finder.consumers.get(here.name, [])
            if len(takers) != 1 or not per_channel(by_name[takers[0]]):
                return here.name
            here = by_name[takers[0]]

    return [replace(site, read=read(site)) if site.units else site for site in finder.sites]
