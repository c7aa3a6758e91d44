"""Go back from units to pixels with another rule at every rectifier, by hooks on the autograd graph.

The model is never modified: rules hang on the graph of one forward pass and die with it. So modules, functions,
in-place and shared rectifiers are all the same, and every one of them is counted.
Reference: Zeiler and Fergus 2014 (deconvnet), Springenberg et al. 2015 (guided).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ..checks import known
from ..errors import NotApplicable, UsageError
from .calls import Call, Following, Listener, first_tensor
from .census import Census
from .model import Model
from .recorder import Enough, calls_changed
from .sites import Site, Sites
from .untouched import untouched

Method = Literal["deconvnet", "guided", "gradient"]
Rule = Callable[[Tensor, Tensor], Tensor]  # what autograd makes of a gradient, and that gradient -> what goes on

RULES: Mapping[str, Rule] = {
    "deconvnet": lambda after, before: before.clamp(min=0),  # rectify the reconstruction, whatever the forward pass did
    "guided": lambda after, before: after.clamp(min=0),
    "gradient": lambda after, before: after,
}
RECTIFYING = ("ReluBackward", "ThresholdBackward", "HardtanhBackward", "ClampBackward", "ClampMinBackward")
# Activations that are no rectifiers: for them neither rule is defined.
SMOOTH = ("GeluBackward", "SiluBackward", "HardswishBackward", "EluBackward", "MishBackward", "SoftplusBackward")
OPAQUE = ("CompiledFunctionBackward", "CheckpointFunctionBackward")  # nobody sees what they go through


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
        return [node for node in self.nodes() if node.name().startswith(RECTIFYING) and _rectifies(node)]

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
    wanted = model.sites[model.sites.resolve(site)]
    with untouched(model.module) as module, torch.enable_grad():
        leaf = images.detach().clone().requires_grad_()
        given = leaf.clone()  # a network may overwrite its input, but no leaf
        listener = _Until(wanted, model.sites, Census(model.sites, given))
        with Following(module, listener), suppress(Enough):
            module(given)
        if listener.found is None:
            raise calls_changed(list(model.sites.values()), listener.position + 1, "the end")
        activation, edge = listener.found
        if edge is None:
            raise _cut_off(wanted)
        trace = Trace(site=wanted, images=leaf, activation=activation, edge=edge, census=listener.census)
        if not trace.nodes():
            raise _cut_off(wanted)
        yield trace


@contextmanager
def going_back(trace: Trace, method: Method) -> Iterator[int]:
    """While entered, `trace.back` follows this method at every rectifier; gives how many there are.

    Raises: NotApplicable if a part of the network cannot be seen through or has no such rule, or a rectifier is missed.
    """
    rule = RULES[known("Method", method, RULES, "Name one of them")]
    _refuse(trace, method)
    nodes = trace.rectifiers if method != "gradient" else []
    with ExitStack() as stack:
        for node in nodes:
            handle = node.register_hook(lambda after, before: _ruled(rule, after, before))
            stack.callback(handle.remove)
        yield len(trace.rectifiers)


def seeds(trace: Trace, units: Sequence[tuple[int, ...]]) -> Iterator[Tensor]:
    """One seed a unit: its activation at one place, 0 elsewhere. A unit is (image, channel, y, x), or fewer.

    Raises: UsageError for a place that there is not.
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
        seed = torch.zeros_like(trace.activation)
        seed[unit] = trace.activation[unit]
        yield seed


class _Until(Listener):
    """Keeps a copy of one site's tensor and its place in the graph, before anything can overwrite them, and stops."""

    def __init__(self, site: Site, sites: Sites, census: Census) -> None:
        self.order, self.last, self.position, self.census = list(sites.values()), site, -1, census
        self.found: tuple[Tensor, GradientEdge | None] | None = None

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
        if site is self.last:
            self.found = tensor.detach().clone(), get_gradient_edge(tensor) if tensor.requires_grad else None
            raise Enough
        return output


def _rectifies(node: Any) -> bool:
    """Whether a threshold or a clamp is a rectifier: its lower end is 0."""
    for name in ("_saved_threshold", "_saved_min_val", "_saved_min"):
        if hasattr(node, name):
            low = getattr(node, name)
            return low is not None and float(low) == 0
    return True


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


def _ruled(rule: Rule, after: Sequence[Tensor | None], before: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    if after[0] is None or before[0] is None:
        return tuple(after)
    return (rule(after[0], before[0]), *after[1:])
