"""The one place where a forward pass meets a hook: run images through a network and measure at its sites."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import allow_mutation_on_saved_tensors

from ...errors import MicrotomeError, ModelFailed, RunFailed, UsageError
from ...images.collection import Images
from ...images.preprocessing import Preprocessing
from ...statistics import Accumulator, Batch
from ...statistics.statistic import Arrays
from .calls import Following, first_tensor
from .edits import Edit
from .inputs import prepare
from .recorder import Enough, Pending, Probe, Recorder
from .sites import Site, Sites

BATCH_BYTES = 1 << 26  # of the largest activation: about where larger batches stop being faster on a CPU
LARGEST_BATCH = 128
FEWEST_ROWS = (
    4  # below, CPU libraries choose other kernels, which round otherwise: small batches are filled with copies
)
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # what torch's errors say

After = Callable[[int, Sequence[Accumulator]], None]  # images so far, accumulators
Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (N, K), labels (N,) -> one number an image (N,)


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
    amp: bool = False,
    places: np.ndarray | None = None,
    known: Sequence[Arrays] | None = None,
    after: After = lambda count, accumulators: None,
) -> list[Accumulator]:
    """Run images (all, or those at `places`) through the network once and return one accumulator a probe.

    Under a loss the statistics get each site's activations and then, in the same order, the gradients of the loss.
    The model must be in eval mode (see `untouched`). Accumulators begin with the states in `known`; `after` is told
    of every batch. Out of memory, the pass starts again with half the batch.
    Raises: ModelFailed; CallOrderChanged; RunFailed if one image alone does not fit; UsageError for a site without
    image axis.
    """
    for address in {address for probe in probes for address in probe.addresses}:
        _check_rows(subject.sites[address.site])
    edits = [edit.on(subject.sites) for edit in edits]
    size = batch_size or automatic_batch(subject.sites)
    fewest = FEWEST_ROWS
    while True:
        try:
            pending = [Pending(probe, probe.statistic.start()) for probe in probes]
            for item, state in zip(pending, known or (), strict=False):
                item.accumulator.load(state)
            recorder = Recorder(subject.sites, pending, edits, gradients=loss is not None)
            walk = _Walk(subject, images, recorder, loss, fewest, device or torch.device("cpu"), amp)
            wanted = np.arange(len(images)) if places is None else places
            walk.go(wanted, images.batches(size, wanted), after)
            return [item.accumulator for item in pending]
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


@dataclass(frozen=True)
class _Walk:
    """One attempt at a pass."""

    subject: Subject
    images: Images
    recorder: Recorder
    loss: Loss | None
    fewest: int
    device: torch.device
    amp: bool

    def go(self, wanted: np.ndarray, batches: Iterable[tuple[np.ndarray, np.ndarray]], after: After) -> None:
        """Batch after batch; images that cannot be read are missing in them."""
        scratch: dict[Any, Tensor] = {}
        following = Following(self.subject.module, self.recorder)
        # an edit may overwrite what an in-place ReLU has saved for its gradient
        overwritten = self.recorder.edits and self.loss is not None
        saving = allow_mutation_on_saved_tensors() if overwritten else nullcontext()
        mixed = torch.autocast(self.device.type, enabled=self.amp)
        count = 0
        with following, torch.set_grad_enabled(self.loss is not None), saving, mixed:
            for places, pixels in batches:
                self.recorder.start(
                    Batch(places, self.images.labels[places], self.images.hashes[places], scratch, self.images)
                )
                following.restart()
                self._step(pixels)
                while wanted[count] != places[-1]:
                    count += 1
                count += 1
                after(count, [item.accumulator for item in self.recorder.pending])

    def _step(self, pixels: np.ndarray) -> None:
        batch, rows = self.recorder.batch, len(pixels)
        assert batch is not None
        prepared = prepare(torch.from_numpy(pixels).to(self.device), self.subject.preprocessing, self.subject.module)
        if rows < self.fewest:
            prepared = prepared[torch.arange(self.fewest, device=self.device) % rows]
        if self.loss is None:
            self._forward(prepared, rows)
            return
        logits = first_tensor(self._forward(prepared.requires_grad_().clone(), rows))
        assert logits is not None
        losses = self.loss(logits[:rows], torch.from_numpy(batch.labels).to(self.device))
        self.recorder.differentiate(losses)

    def _forward(self, prepared: Tensor, rows: int) -> Any:
        output = None
        try:
            with suppress(Enough):
                output = self.subject.module(prepared)
                self.recorder.finish()
        except MicrotomeError:
            raise
        except Exception as error:
            if self.recorder.at_work or is_out_of_memory(error):
                raise
            batch = self.recorder.batch
            first, last = (self.images.ids[batch.index[place]] for place in (0, -1)) if batch else ("", "")
            raise ModelFailed(
                f"The network raised {type(error).__name__} {self.recorder.whereabouts}, on the {rows} images from "
                f"{first!r} to {last!r}: {error}",
                "A network must take every batch of its images",
                "Look at these images, or call the network yourself with them to see the error in place",
            ) from error
        return output


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
