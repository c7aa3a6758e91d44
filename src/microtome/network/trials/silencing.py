"""What a network answers when a unit is silenced: its channel is replaced by its mean, where the unit is read.

Only what comes behind the unit is worked out again. Up to there the network runs on one image alone, and every tensor
that is still needed later is put in its place from the pass in which nothing was silenced. Whether that gives the
network's own answers is checked for every layer before it is relied on; where it does not, the whole network runs.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import MicrotomeError
from ..classes import logits_address
from ..model import Model
from ..recording.addresses import Address
from ..recording.calls import Call, Following, Listener, first_tensor, replaced
from ..recording.inputs import like_parameters
from ..recording.measure import is_out_of_memory
from ..recording.recorder import Enough, calls_changed
from ..recording.sites import Site, Sites
from ..recording.untouched import untouched

STACK_BYTES = 1 << 21  # of the largest tensor behind a unit: more units at once are no faster, as caches are small
STACKED = 32  # units at once
CHECKED = 2  # images on which it is checked that a part of the network gives what the whole one does
TOLERANCE = 256  # units in the last place of the largest logit, by which kernels for other batch sizes may differ

Change = Callable[[Tensor, bool], Tensor]  # a site's tensor, and whether it has to be overwritten -> the changed one


@dataclass(frozen=True, kw_only=True)
class Silenced:
    """The logits above the mean of all classes, as nothing is silenced and as each unit of each layer is.

    Shapes, n images, K classes, m units of a layer: before (n, K), after by layer (m, n, K).
    """

    before: np.ndarray
    after: dict[str, np.ndarray]


def needed_behind(sites: Sites, site: str) -> tuple[str, ...]:
    """The sites up to this one that something behind it takes, and itself: with them the rest can be worked out."""
    order = list(sites)
    last = order.index(site)
    taken = {name for later in order[last + 1 :] for name in sites[later].inputs}
    return tuple(name for name in order[: last + 1] if name in taken or name == site)


def before_the_logits(model: Model, where: Mapping[str, str]) -> dict[str, str]:
    """The layers that are read where the network comes by before it has its logits, and these sites."""
    row, order = logits_address(model), list(model.sites)
    return {layer: site for layer, site in where.items()
            if order.index(site) <= order.index(row.site) - row.inputs}  # fmt: skip


def silenced(
    model: Model, images: Tensor, where: Mapping[str, str], units: Mapping[str, Sequence[int]],
    means: Mapping[str, np.ndarray], whole: Collection[str] = (),
) -> Silenced:  # fmt: skip
    """Silence units one by one; a unit that is nothing but its mean on these images changes nothing.

    Of layers in `whole` the network runs from its beginning. Shapes: images (n, C, H, W), normalised; `where` gives the
    layers' sites, means the mean of each of their channels. The model stays as it is. Raises: CallOrderChanged.
    """
    kept = {name for layer in units if layer not in whole for name in needed_behind(model.sites, where[layer])}
    kept |= {where[layer] for layer in units}
    after = {}
    with _resting(model) as network:
        before = network.run(images, keep=kept)
        found = dict(network.listener.kept)
        for layer, chosen in units.items():
            site = model.sites[where[layer]]
            given = {} if layer in whole else {k: found[k] for k in needed_behind(model.sites, site.name)}
            after[layer] = _one_by_one(network, images, site, given, found[site.name], chosen, means[layer], before)
    return Silenced(before=_centred(before).numpy(), after={k: _centred(each).numpy() for k, each in after.items()})


def not_in_parts(model: Model, images: Tensor, where: Mapping[str, str]) -> tuple[str, ...]:
    """The layers behind which the network has to run from its beginning: of which a part gives other answers.

    Shapes: images (n, C, H, W), normalised, n at least 2; the first two are looked at.
    """
    images = images[:CHECKED]
    needed = {layer: needed_behind(model.sites, site) for layer, site in where.items()}
    found = []
    with _resting(model) as network:
        right = network.run(images, keep={name for names in needed.values() for name in names})
        tensors = dict(network.listener.kept)
        for layer, names in needed.items():
            part = None
            if len(images) == CHECKED and all(model.sites[name].batched for name in names):
                part = network.attempt(images[:1], {name: tensors[name].clone() for name in names})
            if part is None or not _agree(part, right):
                found.append(layer)
    return tuple(found)


def _agree(part: Tensor, right: Tensor) -> bool:
    allowed = TOLERANCE * torch.finfo(right.dtype).eps * float(right.abs().max())
    return part.shape == right.shape and float((part - right).abs().max()) <= allowed


def _one_by_one(
    network: "_Network", images: Tensor, site: Site, given: Mapping[str, Tensor], seen: Tensor,
    chosen: Sequence[int], means: np.ndarray, before: Tensor,
) -> Tensor:  # fmt: skip
    """The logits with each unit of a site silenced, several at once: (m, n, K)."""
    count = len(images)
    after = before[None].repeat(len(chosen), 1, 1)
    value = torch.from_numpy(means).to(seen.device, seen.dtype)
    maps = seen.movedim(site.channel_axis, 1)
    moving = [k for k, unit in enumerate(chosen) if bool((maps[:, unit] != value[unit]).any())]
    together = stacked(network.model.sites, site.name, count)
    for at in range(0, len(moving), together):
        some = moving[at : at + together]

        def change(tensor: Tensor, overwrite: bool, some: Sequence[int] = some) -> Tensor:
            changed = tensor if overwrite else tensor.clone()
            rows = changed.movedim(site.channel_axis, 1)
            for part, k in enumerate(some):
                rows[part * count : (part + 1) * count, chosen[k]] = value[chosen[k]]
            return changed

        copies = {name: torch.cat([tensor] * len(some)) for name, tensor in given.items()}
        start = images[:1] if given else torch.cat([images] * len(some))
        after[some] = network.run(start, copies, site.name, change).reshape(len(some), count, -1)
    return after


def stacked(sites: Sites, site: str, images: int) -> int:
    """How many units are silenced at once on so many images."""
    order = list(sites)
    largest = max(4 * int(np.prod(sites[name].shape)) for name in order[order.index(site) :])
    return max(1, min(STACKED, STACK_BYTES // max(1, largest * images)))


def _centred(logits: Tensor) -> Tensor:
    """Logits are free up to a common constant, which is taken out."""
    numbers = logits.double().cpu()
    return numbers - numbers.mean(-1, keepdim=True)


@contextmanager
def _resting(model: Model) -> Iterator["_Network"]:
    listener = _Putting(list(model.sites.values()), logits_address(model))
    with untouched(model.module) as module, Following(module, listener) as following:
        yield _Network(model, module, listener, following)


class _Network:
    """A network at rest that is run again and again."""

    def __init__(self, model: Model, module: nn.Module, listener: "_Putting", following: Following) -> None:
        self.model, self.listener = model, listener
        self._module, self._following = module, following

    def run(
        self, images: Tensor, given: Mapping[str, Tensor] | None = None, site: str = "", change: Change | None = None,
        keep: Collection[str] = (),
    ) -> Tensor:  # fmt: skip
        """The logits, as the network gives them. Shapes: images (n, C, H, W), normalised -> (n, K)."""
        self.listener.start(given or {}, site, change, keep)
        try:
            with suppress(Enough):
                # a copy, which the network's first call may overwrite; on a CPU with channels last, which is faster
                layout = torch.channels_last if images.device.type == "cpu" else torch.preserve_format
                self._module(like_parameters(images.clone(memory_format=layout), self._module))
        finally:
            self._following.restart()
        return self.listener.taken()

    def attempt(self, images: Tensor, given: Mapping[str, Tensor]) -> Tensor | None:
        """The same, or None if the network cannot do with what it is given."""
        try:
            return self.run(images, given)
        except MicrotomeError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return None


class _Putting(Listener):
    """Puts tensors in their places, changes one, keeps some, and stops when it has the logits."""

    def __init__(self, sites: list[Site], row: Address) -> None:
        self.sites, self.row = sites, row
        self.start({}, "", None, ())

    def start(self, given: Mapping[str, Tensor], site: str, change: Change | None, keep: Collection[str]) -> None:
        self.given, self.site, self.change, self.keep = given, site, change, frozenset(keep)
        self.kept: dict[str, Tensor] = {}
        self.position, self.version = 0, 0
        self.logits: Tensor | None = None

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        tensor = first_tensor(arguments)
        if tensor is None or self.position >= len(self.sites):
            return
        self.version = tensor._version
        here = self.sites[self.position]
        if self.row.inputs and here.name == self.row.site and here.call == call:
            self.logits = tensor.detach().clone()
            raise Enough

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        if self.position >= len(self.sites) or self.sites[self.position].call != call:
            raise calls_changed(self.sites, self.position, repr(call.base))
        name = self.sites[self.position].name
        now = self.given.get(name, tensor)
        if name == self.site and self.change is not None:
            in_place = now is first_tensor(arguments) and now._version != self.version
            now = self.change(now, in_place)
        if name in self.keep:
            self.kept[name] = now.detach().clone()
        self.position += 1
        if name == self.row.site and not self.row.inputs:
            self.logits = now.detach().clone()
            raise Enough
        return output if now is tensor else replaced(output, tensor, now)

    def taken(self) -> Tensor:
        """The logits of the pass."""
        if self.logits is None:
            raise calls_changed(self.sites, self.position, "the end")
        return self.logits
