"""Go back from units to pixels with another rule at every rectifier, by hooks on the autograd graph.

The model is never modified: rules hang on the graph of one forward pass and die with it. So modules, functions,
in-place and shared rectifiers are all the same, and every one of them is counted.
Reference: Zeiler and Fergus 2014 (deconvnet), Springenberg et al. 2015 (guided).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ...checks import known
from ...errors import NotApplicable, UsageError
from ..model import Model
from ..recording.calls import Call, Following, Listener, first_tensor
from ..recording.recorder import Enough, calls_changed
from ..recording.sites import Site, Sites
from ..recording.untouched import untouched
from .census import Census
from .rules import RULES, Method, Rule, is_rectifier
from .unpooling import UNPOOLING, Pools, is_pool, overlaps, refuse_without_switches

# Activations that are no rectifiers: for them neither rule is defined.
SMOOTH = ("GeluBackward", "SiluBackward", "HardswishBackward", "EluBackward", "MishBackward", "SoftplusBackward")
OPAQUE = ("CompiledFunctionBackward", "CheckpointFunctionBackward")  # nobody sees what they go through


@dataclass(frozen=True, kw_only=True)
class Handled:
    """What is in force on the way back.

    How many rectifiers and max pools there are, how many of the pools have windows that overlap, and the unpooling:
    "gradient" (added up where windows share a maximum) or "switch" (placed: the last window's value stands).
    """

    rectifiers: int
    pools: int
    overlapping: int
    unpooling: Pools


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One forward pass up to a site, kept for going back.

    Shapes: images (N, C, H, W), a leaf of the graph; activation (N, ...), as the site gave it.
    """

    site: Site
    images: Tensor
    activation: Tensor
    edge: GradientEdge
    census: Census

    @property
    def rectifiers(self) -> list[Any]:
        """The rectifiers between the pixels and the site, as nodes of the graph: a module called twice is two."""
        return [node for node in self.nodes() if is_rectifier(node)]

    @property
    def pools(self) -> list[Any]:
        """The max pools between the pixels and the site, as nodes of the graph."""
        return [node for node in self.nodes() if is_pool(node)]

    def nodes(self) -> list[Any]:
        """Every node of the graph between the site and the pixels."""
        takers: dict[Any, list[Any]] = {self.edge.node: []}
        waiting: list[Any] = [self.edge.node]
        while waiting:
            node = waiting.pop()
            for following, _ in node.next_functions:
                if following is not None and following not in takers:
                    takers[following] = []
                    waiting.append(following)
                if following is not None:
                    takers[following].append(node)
        leading = dict.fromkeys(node for node in takers if getattr(node, "variable", None) is self.images)
        waiting = list(leading)  # what leads to parameters alone is left out
        while waiting:
            new = [node for node in takers[waiting.pop()] if node not in leading]
            leading.update(dict.fromkeys(new))
            waiting += new
        return [node for node in takers if node in leading]

    def back(self, seed: Tensor) -> Tensor:
        """What `seed` becomes at the pixels under the rule in force. Shapes: like activation -> like images."""
        outputs: Any = [self.edge]
        (found,) = torch.autograd.grad(outputs, [self.images], [seed], retain_graph=True, allow_unused=True)
        return torch.zeros_like(self.images) if found is None else found


@contextmanager
def tracing(model: Model, images: Tensor, site: str) -> Iterator[Trace]:
    """Run the model on prepared images up to a site; the graph lives as long as the context.

    Shapes: images (N, C, H, W).
    Raises: UnknownName; NotApplicable for a site without a way back to the pixels; CallOrderChanged.
    """
    with tracing_all(model, images, [site]) as traces:
        yield traces[site]


@contextmanager
def tracing_all(model: Model, images: Tensor, sites: Iterable[str]) -> Iterator[dict[str, Trace]]:
    """The traces of several sites, by the names given, from one forward pass up to the last of them."""
    wanted = {name: model.sites[model.sites.resolve(name)] for name in sites}
    with untouched(model.module) as module, torch.enable_grad():
        leaf = images.detach().clone().requires_grad_()
        given = leaf.clone()  # a network may overwrite its input, but no leaf
        listener = _Until({site.name for site in wanted.values()}, model.sites, Census(model.sites, given))
        with Following(module, listener), suppress(Enough):
            module(given)
        if len(listener.found) < len(listener.wanted):
            raise calls_changed(listener.order, listener.position + 1, "the end")
        yield {name: _traced(site, leaf, listener) for name, site in wanted.items()}


@contextmanager
def going_back(trace: Trace, method: Method, pools: Pools = "gradient") -> Iterator[Handled]:
    """While entered, `trace.back` follows the method at every rectifier and the unpooling at every max pool.

    Raises: NotApplicable if a part of the network cannot be seen through or has no such rule, or a rectifier is missed.
    """
    rule = RULES[known("Method", method, RULES, "Name one of them")]
    unpooling = UNPOOLING[known("Unpooling", pools, UNPOOLING, "Name one of them")]
    _refuse(trace, method)
    rectifiers, pooling = trace.rectifiers, trace.pools
    if pools != "gradient":
        refuse_without_switches(pooling)
    with ExitStack() as stack:
        for node in rectifiers if method != "gradient" else []:
            stack.callback(_hooked(node, rule).remove)
        for node in pooling if pools != "gradient" else []:
            stack.callback(_hooked(node, unpooling).remove)
        yield Handled(rectifiers=len(rectifiers), pools=len(pooling), unpooling=pools,
                      overlapping=sum(overlaps(node) for node in pooling))  # fmt: skip


def seeds(trace: Trace, units: Sequence[tuple[int, ...]], values: Sequence[float] | None = None) -> Iterator[Tensor]:
    """One seed a unit: its activation, or a given value, at one place, 0 elsewhere.

    A unit is (image, channel, y, x), or fewer. Raises: UsageError for a unit that there is not.
    """
    check_units(trace, units)
    for number, unit in enumerate(units):
        seed = torch.zeros_like(trace.activation)
        seed[unit] = trace.activation[unit] if values is None else values[number]
        yield seed


def check_units(trace: Trace, units: Iterable[tuple[int, ...]]) -> None:
    """Nothing, if all units are in the site's tensor.

    Raises: UsageError for one that is not.
    """
    for unit in units:
        wrong = len(unit) != trace.activation.ndim or any(
            not 0 <= at < size for at, size in zip(unit, trace.activation.shape, strict=False)
        )
        if wrong:
            raise UsageError(
                f"Unit {unit} is not in {trace.site.name}", f"Its tensor has shape {tuple(trace.activation.shape)}",
                "Give one number an axis, counted from 0",
            )  # fmt: skip


class _Until(Listener):
    """Keeps copies of some sites' tensors and their places in the graph, before anything can overwrite them."""

    def __init__(self, wanted: set[str], sites: Sites, census: Census) -> None:
        self.wanted, self.order, self.position, self.census = wanted, list(sites.values()), -1, census
        self.found: dict[str, tuple[Tensor, GradientEdge | None]] = {}

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        self.census.before(call, arguments)

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        self.position += 1
        site = self.order[self.position]
        if site.call != call:
            raise calls_changed(self.order, self.position, repr(call.base))
        self.census.after(site.name, call, arguments, tensor)
        if site.name in self.wanted:
            edge = get_gradient_edge(tensor) if tensor.requires_grad else None
            self.found[site.name] = tensor.detach().clone(), edge
            if len(self.found) == len(self.wanted):
                raise Enough
        return output


def _traced(site: Site, leaf: Tensor, listener: _Until) -> Trace:
    activation, edge = listener.found[site.name]
    if edge is None:
        raise _cut_off(site)
    trace = Trace(site=site, images=leaf, activation=activation, edge=edge, census=listener.census)
    if not trace.nodes():
        raise _cut_off(site)
    return trace


def _cut_off(site: Site) -> NotApplicable:
    return NotApplicable(
        f"No gradient leads from {site.name} to the pixels",
        "What runs under no_grad, behind detach, or on parameters alone cannot be gone back through",
        "Choose a site before it",
    )


def _refuse(trace: Trace, method: str) -> None:
    names = [node.name() for node in trace.nodes()]
    hidden = sorted({name for name in names if name.startswith(OPAQUE)})
    smooth = sorted({name.partition("Backward")[0] for name in names if name.startswith(SMOOTH)})
    if hidden:
        raise NotApplicable(f"{trace.site.name} lies behind {hidden[0]}", "What is compiled or checkpointed is closed",
                            "Give the network as it is written, neither compiled nor checkpointed")  # fmt: skip
    if smooth and method != "gradient":
        raise NotApplicable(
            f"{trace.site.name} lies behind {', '.join(smooth)}", f"The {method} method is defined for rectifiers",
            "Use the method gradient",
        )  # fmt: skip
    if method != "gradient":
        trace.census.refuse(trace.site.name, method, trace.rectifiers, trace.nodes())


def _hooked(node: Any, rule: Rule) -> Any:
    def hook(after: Sequence[Tensor | None], before: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        if after[0] is None or before[0] is None:
            return tuple(after)
        return (rule(after[0], before[0], node), *after[1:])

    return node.register_hook(hook)
