"""Tensors taken out of one forward pass, by address."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ...errors import CallOrderChanged
from .addresses import Address
from .calls import Call, Listener, first_tensor
from .sites import Site


class Catch(Listener):
    """Keeps tensors and their places in the graph, before anything can overwrite them.

    What is found: by address a copy (or the tensor's own beginning, an empty one) and the edge, None outside the graph.
    """

    def __init__(self, sites: list[Site], wanted: Collection[Address], copy: bool = True) -> None:
        self.sites, self.wanted, self.copy, self.position = sites, frozenset(wanted), copy, 0
        self.found: dict[Address, tuple[Tensor, GradientEdge | None]] = {}

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        if self.position < len(self.sites) and self.sites[self.position].call == call:
            self._keep(Address(self.sites[self.position].name, inputs=True), first_tensor(arguments))

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        if self.position >= len(self.sites) or self.sites[self.position].call != call:
            raise self._changed(repr(call.base))
        self._keep(Address(self.sites[self.position].name), tensor)
        self.position += 1
        return output

    def finish(self) -> None:
        """The forward pass has ended by itself; it must have come by every site."""
        if self.position < len(self.sites):
            raise self._changed("the end")

    def _changed(self, what: str) -> CallOrderChanged:
        expected = repr(self.sites[self.position].name) if self.position < len(self.sites) else "the end"
        return CallOrderChanged(
            f"Call {self.position} of the network was {what}", f"When its sites were found it was {expected}",
            "Look at control flow that depends on the values of a picture",
        )  # fmt: skip

    def _keep(self, address: Address, tensor: Tensor | None) -> None:
        if address in self.wanted and tensor is not None:
            edge = get_gradient_edge(tensor) if tensor.requires_grad else None
            self.found[address] = (tensor.detach().clone() if self.copy else torch.empty(0)), edge
