"""What happens at the sites while a network runs: its calls are checked, edited, and fed to accumulators."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from ...errors import CallOrderChanged
from ...statistics import Accumulator, Batch, Statistic
from .addresses import Address
from .calls import Call, Listener, first_tensor, replaced
from .edits import Edit
from .sites import Site, Sites

RECTIFIERS = frozenset(("relu", "relu_", "relu6", "ReLU", "ReLU6"))  # their outputs are never below zero


@dataclass(frozen=True, eq=False)
class Probe:
    """One statistic at one site, or at a few sites together; probes that have the same measured are equal."""

    addresses: tuple[Address, ...]
    statistic: Statistic

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Probe) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def key(self) -> str:
        """What is measured, the same in every process; statistics that read the same state share it."""
        source = self.statistic.source
        return f"{' + '.join(map(str, self.addresses))} {type(source).__module__}.{source.key()}"


@dataclass(frozen=True)
class Pending:
    """A probe at work: its accumulator, and the tensors that wait for the others of the same batch."""

    probe: Probe
    accumulator: Accumulator
    held: dict[Address, Tensor] = field(default_factory=dict)
    edges: dict[Address, tuple[Any, int]] = field(default_factory=dict)  # gradient edge, channel axis


class Enough(BaseException):
    """Nothing further down is wanted: the rest of the forward pass is skipped. No model's `except` may swallow it."""


class Recorder(Listener):
    """Checks the order of calls, edits, and feeds the accumulators."""

    def __init__(self, sites: Sites, pending: list[Pending], edits: Sequence[Edit], gradients: bool) -> None:
        self.sites = list(sites.values())
        self.edits = {edit.site: [e for e in edits if e.site == edit.site] for edit in edits}
        self.pending, self.gradients = pending, gradients
        self.wanted: dict[Address, list[Pending]] = {}
        for item in pending:
            for address in item.probe.addresses:
                self.wanted.setdefault(address, []).append(item)
        touched = {address.site for address in self.wanted}
        # most sites are of no interest: what to do at each is looked up once, not at every call
        self.looks_before = [site.name in self.edits or Address(site.name, True) in self.wanted for site in self.sites]
        self.looks_after = [site.name in self.edits or Address(site.name) in self.wanted for site in self.sites]
        self.last = max((i for i, site in enumerate(self.sites) if site.name in touched), default=-1)
        self.position = 0
        self.version = 0
        self.at_work = False  # whether an error that comes now is our own, and not the network's
        self.batch: Batch | None = None

    def start(self, batch: Batch) -> None:
        """A new forward pass begins."""
        self.batch, self.position, self.at_work = batch, 0, False
        for item in self.pending:
            item.held.clear()
            item.edges.clear()

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        if self.position >= len(self.sites) or not self.looks_before[self.position]:
            return
        tensor = first_tensor(arguments)
        if tensor is None:
            return
        self.version = tensor._version
        site = self.sites[self.position]
        if site.call == call:
            self.at_work = True
            self._record(Address(site.name, inputs=True), tensor, 1 if site.channel_axis == 1 else tensor.ndim - 1)
            self.at_work = False

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        site = self._expect(call)
        if self.looks_after[self.position]:
            self.at_work = True
            for edit in self.edits.get(site.name, ()):
                in_place = tensor is first_tensor(arguments) and tensor._version != self.version
                edited = edit.apply(tensor, site.channel_axis, overwrite=in_place)
                output = replaced(output, tensor, edited)
                tensor = edited
            self._record(Address(site.name), tensor, site.channel_axis)
            self.at_work = False
        self.position += 1
        if self.position > self.last and not self.gradients:
            raise Enough
        return output

    @property
    def whereabouts(self) -> str:
        """The last site that the forward pass has come by, in words."""
        return f"after {self.sites[self.position - 1].name}" if self.position else "before its first site"

    def _expect(self, call: Call) -> Site:
        if self.position >= len(self.sites) or self.sites[self.position].call != call:
            raise self._changed(repr(call.base))
        return self.sites[self.position]

    def finish(self) -> None:
        """The forward pass has ended by itself; it must have come by everything that was asked for."""
        if self.position <= self.last or self.gradients and self.position < len(self.sites):
            raise self._changed("the end")

    def _changed(self, what: str) -> CallOrderChanged:
        return calls_changed(self.sites, self.position, what)

    def _record(self, address: Address, tensor: Tensor, channel_axis: int) -> None:
        assert self.batch is not None
        if address not in self.wanted:
            return
        seen = tensor if channel_axis == 1 else tensor.movedim(channel_axis, 1)
        plain = not address.inputs and address.site not in self.edits
        self.batch.rectified = plain and self.sites[self.position].operation in RECTIFIERS
        if len(seen) != len(self.batch.index):
            seen = seen[: len(self.batch.index)]  # without the copies that fill small batches
        for item in self.wanted[address]:
            alone = len(item.probe.addresses) == 1
            if alone and not self.gradients:
                item.accumulator.update(self.batch, seen)
                continue
            item.held[address] = seen.detach().clone()  # the next in-place operation would overwrite it
            if self.gradients and tensor.requires_grad:
                item.edges[address] = get_gradient_edge(tensor), channel_axis
            elif not self.gradients and len(item.held) == len(item.probe.addresses):
                item.accumulator.update(self.batch, *(item.held[a] for a in item.probe.addresses))
                item.held.clear()
        self.batch.forget()

    def differentiate(self, losses: Tensor) -> None:
        """Feed activations and gradients of the summed losses; parameters' own gradients are never computed."""
        assert self.batch is not None
        edges = [edge for item in self.pending for edge, _ in item.edges.values()]
        gradients = iter(torch.autograd.grad(losses.sum(), edges, allow_unused=True) if edges else ())
        for item in self.pending:
            found = {address: torch.zeros_like(held) for address, held in item.held.items()}
            for address, (_, channel_axis) in item.edges.items():
                gradient = next(gradients)
                if gradient is not None:
                    found[address] = gradient.movedim(channel_axis, 1)[: len(self.batch.index)]
            order = item.probe.addresses
            item.accumulator.update(self.batch, *(item.held[a] for a in order), *(found[a] for a in order))
            self.batch.forget()


def calls_changed(sites: Sequence[Site], position: int, what: str) -> CallOrderChanged:
    """The error for a network that does not call what it called when its sites were found."""
    expected = repr(sites[position].name) if position < len(sites) else "the end"
    return CallOrderChanged(
        f"Call {position} of the network was {what}",
        f"When its sites were found it was {expected}; sites need the same calls in the same order every time",
        "Look at control flow that depends on the values of a batch, and measure the parts one by one",
    )
