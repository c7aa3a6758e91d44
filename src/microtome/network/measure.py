"""The one place where a forward pass meets a hook: run images through a network and measure at its sites."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import allow_mutation_on_saved_tensors, get_gradient_edge

from ..errors import CallOrderChanged, RunFailed, UsageError
from ..images import Images
from ..preprocessing import Preprocessing
from ..statistics import Accumulator, Batch, Statistic
from .addresses import Address
from .calls import Call, Following, Listener, first_tensor, replaced
from .edits import Edit
from .inputs import prepare
from .sites import Site, Sites

BATCH_BYTES = 1 << 26  # of the largest activation: about where larger batches stop being faster on a CPU
LARGEST_BATCH = 128
FEWEST_ROWS = (
    4  # below, CPU libraries choose other kernels, which round otherwise: small batches are filled with copies
)
RECTIFIERS = frozenset(("relu", "relu_", "relu6", "ReLU", "ReLU6"))  # their outputs are never below zero
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # what torch's errors say

Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (N, K), labels (N,) -> one number an image (N,)


@dataclass(frozen=True, eq=False)
class Probe:
    """One statistic at one site, or at a few sites together; probes that ask for the same are equal."""

    addresses: tuple[Address, ...]
    statistic: Statistic

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Probe) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _identity(self) -> tuple[tuple[Address, ...], str]:
        return self.addresses, self.statistic.key()


class Subject(Protocol):
    """What `measure` needs to know of a model."""

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """What turns images into its input."""
        ...

    @property
    def sites(self) -> Sites:
        """Where one can measure."""
        ...


@dataclass
class _Pending:
    """A probe at work: its accumulator, and the tensors that wait for the others of the same batch."""

    probe: Probe
    accumulator: Accumulator
    held: dict[Address, Tensor] = field(default_factory=dict)
    edges: dict[Address, tuple[Any, int]] = field(default_factory=dict)  # gradient edge, channel axis


class _Enough(BaseException):
    """Nothing further down is wanted: the rest of the forward pass is skipped. No model's `except` may swallow it."""


class _Recorder(Listener):
    """Checks the order of calls, edits, and feeds the accumulators."""

    def __init__(self, sites: Sites, pending: list[_Pending], edits: Sequence[Edit], gradients: bool) -> None:
        self.sites = list(sites.values())
        self.edits = {edit.site: [e for e in edits if e.site == edit.site] for edit in edits}
        self.pending, self.gradients = pending, gradients
        self.wanted: dict[Address, list[_Pending]] = {}
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
        self.batch: Batch | None = None

    def start(self, batch: Batch) -> None:
        """A new forward pass begins."""
        self.batch, self.position = batch, 0
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
            self._record(Address(site.name, inputs=True), tensor, 1 if site.channel_axis == 1 else tensor.ndim - 1)

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        site = self._expect(call)
        if self.looks_after[self.position]:
            for edit in self.edits.get(site.name, ()):
                in_place = tensor is first_tensor(arguments) and tensor._version != self.version
                edited = edit.apply(tensor, site.channel_axis, overwrite=in_place)
                output = replaced(output, tensor, edited)
                tensor = edited
            self._record(Address(site.name), tensor, site.channel_axis)
        self.position += 1
        if self.position > self.last and not self.gradients:
            raise _Enough
        return output

    def _expect(self, call: Call) -> Site:
        if self.position >= len(self.sites) or self.sites[self.position].call != call:
            raise self._changed(repr(call.base))
        return self.sites[self.position]

    def finish(self) -> None:
        """The forward pass has ended by itself; it must have come by everything that was asked for."""
        if self.position <= self.last or self.gradients and self.position < len(self.sites):
            raise self._changed("the end")

    def _changed(self, what: str) -> CallOrderChanged:
        expected = repr(self.sites[self.position].name) if self.position < len(self.sites) else "the end"
        return CallOrderChanged(
            f"Call {self.position} of the network was {what}",
            f"When its sites were found it was {expected}; sites need the same calls in the same order every time",
            "Look at control flow that depends on the values of a batch, and measure the parts one by one",
        )

    def _record(self, address: Address, tensor: Tensor, channel_axis: int) -> None:
        assert self.batch is not None
        if address not in self.wanted:
            return
        seen = tensor if channel_axis == 1 else tensor.movedim(channel_axis, 1)
        plain = not address.inputs and address.site not in self.edits
        self.batch.rectified = plain and self.sites[self.position].operation in RECTIFIERS
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
        gradients = iter(torch.autograd.grad(losses.sum(), edges, allow_unused=True))
        for item in self.pending:
            found = {address: torch.zeros_like(held) for address, held in item.held.items()}
            for address, (_, channel_axis) in item.edges.items():
                gradient = next(gradients)
                if gradient is not None:
                    found[address] = gradient.movedim(channel_axis, 1)[: len(self.batch.index)]
            order = item.probe.addresses
            item.accumulator.update(self.batch, *(item.held[a] for a in order), *(found[a] for a in order))
            self.batch.forget()


def automatic_batch(sites: Sites) -> int:
    """A batch size at which the largest activation stays around 64 MB."""
    largest = max(4 * int(np.prod(site.shape)) for site in sites.values())
    return max(1, min(LARGEST_BATCH, BATCH_BYTES // max(1, largest)))


def measure(
    subject: Subject,
    images: Images,
    probes: Sequence[Probe],
    *,
    edits: Sequence[Edit] = (),
    loss: Loss | None = None,
    batch_size: int | None = None,
    device: torch.device | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Accumulator]:
    """Run all images through the network once and return one accumulator a probe.

    Under a loss the statistics get each site's activations and then, in the same order, the gradients of the loss.
    The model must be in eval mode (see `untouched`). Out of memory, the pass starts again with half the batch.
    Raises: CallOrderChanged; RunFailed if one image alone does not fit; UsageError for a site without image axis.
    """
    for address in {address for probe in probes for address in probe.addresses}:
        _check_rows(subject.sites[address.site])
    edits = [edit.on(subject.sites) for edit in edits]
    size = batch_size or automatic_batch(subject.sites)
    fewest = FEWEST_ROWS
    while True:
        try:
            place = device or torch.device("cpu")
            return _one_pass(subject, images, probes, edits, loss, size, fewest, place, advance)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if size == fewest == 1:
                raise RunFailed(
                    "One image alone needs more memory than there is", "A batch holds one image or more",
                    "Measure fewer sites at once or use a machine with more memory",
                ) from error  # fmt: skip
            size = (size + 1) // 2
            fewest = min(size, fewest)


def _one_pass(
    subject: Subject, images: Images, probes: Sequence[Probe], edits: Sequence[Edit], loss: Loss | None, size: int,
    fewest: int, device: torch.device, advance: Callable[[int], None],
) -> list[Accumulator]:  # fmt: skip
    pending = [_Pending(probe, probe.statistic.start()) for probe in probes]
    recorder = _Recorder(subject.sites, pending, edits, gradients=loss is not None)
    scratch: dict[Any, Tensor] = {}
    following = Following(subject.module, recorder)
    # an edit may overwrite what an in-place ReLU has saved for its gradient
    saving = allow_mutation_on_saved_tensors() if edits and loss is not None else nullcontext()
    with following, torch.set_grad_enabled(loss is not None), saving:
        for places, pixels in images.batches(size):
            batch = Batch(places, images.labels[places], images.hashes[places], scratch, images)
            recorder.start(batch)
            following.restart()
            prepared = prepare(torch.from_numpy(pixels).to(device), subject.preprocessing, subject.module)
            if len(places) < fewest:
                prepared = prepared[torch.arange(fewest, device=device) % len(places)]
            if loss is not None:
                prepared = prepared.requires_grad_().clone()
            output = None
            with suppress(_Enough):
                output = subject.module(prepared)
                recorder.finish()
            if loss is not None:
                logits = first_tensor(output)
                assert logits is not None
                recorder.differentiate(loss(logits[: len(places)], torch.from_numpy(batch.labels).to(device)))
            advance(len(places))
    return [item.accumulator for item in pending]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        text in str(error).lower() for text in OUT_OF_MEMORY
    )


def _check_rows(site: Site) -> None:
    if not site.batched:
        raise UsageError(
            f"Site {site.name} gives no tensor with one row an image (shape without its first axis: {site.shape})",
            "Statistics need tensors whose first axis is the batch",
            "Choose a site before the images are mixed or reshaped; `microtome sites MODEL` shows the shapes",
        )
