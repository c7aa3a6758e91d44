"""Hold the rectifiers that a network calls against those that its graph shows, so that none is passed over in silence.

Two independent looks: calls name what runs, the graph what gradients go through. Where they disagree, the plain
gradient would go by the name of another method, and going back is refused.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from ...errors import NotApplicable
from ..recording.calls import Call, tensors_in
from ..recording.sites import Sites
from ..remarks import listed
from .rectifiers import KIND_OF, WITH_RULE

BY_THEIR_ENDS = ("clamp", "Threshold", "Hardtanh")  # rectifiers or not by their numbers, which the graph knows
BY_HAND = frozenset(("maximum", "max", "fmax", "where", "mul", "masked_fill", "masked_fill_"))  # what may rectify too
IN_PARTS = "CopySlices"  # an operation in place on a part of a tensor: calls do not show who takes what it made


class Census:
    """What one forward pass called, and the node of the graph that each call made: None without a gradient."""

    def __init__(self, sites: Sites, images: Tensor) -> None:
        self._sites, self._images = sites, images
        self.nodes: dict[str, Any] = {}
        self._fed: set[str] = set()  # what is made from the pixels, and not from parameters alone
        self._by_hand: list[str] = []
        self._taken: list[Tensor] = []

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        """Keep what may be overwritten, as far as it is looked at."""
        looked_at = not call.leaf and call.operation in BY_HAND
        self._taken = [t.detach().clone() for t in tensors_in(arguments) if t.is_floating_point()] if looked_at else []

    def after(self, name: str, call: Call, arguments: tuple[Any, ...], tensor: Tensor) -> None:
        """Write down one call by the name of its site."""
        self.nodes[name] = tensor.grad_fn
        if any(taken is self._images for taken in tensors_in(arguments)) or self._fed.intersection(
            self._sites[name].inputs
        ):
            self._fed.add(name)
        if any(_rectified(taken, tensor.detach()) for taken in self._taken):
            self._by_hand.append(name)

    def makers(self, nodes: Collection[Any]) -> tuple[str, ...]:
        """The sites that made these nodes, in their order; dropout at rest, say, hands on what another one made."""
        first: dict[Any, str] = {}
        for name, node in self.nodes.items():
            first.setdefault(node, name)
        wanted = set(nodes)
        return tuple(name for node, name in first.items() if node in wanted)

    def upstream(self, site: str, graph: Collection[Any]) -> list[str]:
        """The sites that lead from the pixels to this one, in order; a branch that ends elsewhere is left out.

        If the graph shows that a tensor was put together in parts, any earlier site may lead here.
        """
        if any(node.name().endswith(IN_PARTS) for node in graph):
            return list(self.nodes)[: list(self.nodes).index(site) + 1]
        found, waiting = {site}, [site]
        while waiting:
            inputs = self._sites[waiting.pop()].inputs
            waiting += [name for name in inputs if name not in found]
            found.update(inputs)
        return [name for name in self.nodes if name in found and name in self._fed]

    def rectifiers(self, site: str, graph: Collection[Any]) -> list[str]:
        """The upstream sites that are called like a rectifier, whether there is a rule for them or not."""
        kinds = {name: KIND_OF.get(self._sites[name].operation) for name in self.upstream(site, graph)}
        return [name for name, kind in kinds.items() if kind is not None and kind not in BY_THEIR_ENDS]

    def refuse(self, site: str, method: str, rectifying: Collection[Any], graph: Collection[Any]) -> None:
        """Raise unless every rectifier that is called upstream of a site is among those nodes; `graph` is every node.

        Raises: NotApplicable.
        """
        seen = set(rectifying)
        called = self.rectifiers(site, graph)
        missing = [name for name in called if self.nodes[name] not in seen]
        without_rule = {KIND_OF[self._sites[name].operation] for name in missing} - WITH_RULE
        own = {type(node).__name__ for node in graph if isinstance(node, BackwardCFunction)}
        by_hand = [name for name in self._by_hand if name in self.upstream(site, graph)]
        if without_rule:
            raise NotApplicable(
                f"{site} lies behind {', '.join(sorted(without_rule))}",
                f"The {method} method is defined for rectifiers", "Use the method gradient",
            )  # fmt: skip
        if missing:
            raise NotApplicable(
                f"Only {len(called) - len(missing)} of {len(called)} rectifiers that lead to {site} can be reached "
                f"from it, without {listed(missing)}",
                "What runs under no_grad, behind detach, or in place on a part of a tensor cannot be gone back through",
                "Choose a site before them, or let the network run without",
            )
        if by_hand:
            raise NotApplicable(
                f"{site} lies behind {listed(by_hand)}, which rectify by hand",
                f"The {method} method finds relu, relu6, clamp and threshold, not maximum, where or a mask",
                "Write them as torch.relu, or use the method gradient",
            )
        if own:
            raise NotApplicable(
                f"{site} lies behind {', '.join(sorted(own))}, with a backward pass of its own",
                "Nobody can say whether it rectifies", "Write it in torch's functions, or use the method gradient",
            )  # fmt: skip


def _rectified(taken: Tensor, made: Tensor) -> bool:
    """Whether `made` is `taken` where that is above 0, and a fixed smaller multiple of it, such as 0, elsewhere."""
    if taken.shape != made.shape:
        return False
    below, above = taken < 0, taken > 0
    if not below.any() or not above.any() or not torch.equal(made[above], taken[above]):
        return False
    strongest = taken.argmin()
    slope = made.flatten()[strongest] / taken.flatten()[strongest]
    return 0 <= float(slope) < 1 and torch.allclose(made[below], slope * taken[below])
