"""Which channels reach which: found by running the network on marks instead of numbers.

Every layer's work is replaced by its shape, filled with numbers that mean nothing, and NaN in the channels that a trial
marks. NaN goes through whatever is done to single channels (sums, concatenations, pads, pools, gates, reshapes), so it
shows at the next layer which of its inputs hang on which channels, without a table of operations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cutting.holders import Holder, holder_of_function, holder_of_module, parameters_taken
from ..model import Model
from ..recording.calls import Call, Following, first_tensor, tensors_in
from ..recording.in_order import InOrder
from ..recording.inputs import like_parameters
from ..recording.sites import Site, Sites
from ..recording.untouched import untouched
from .codes import one_by_one, read_one, read_together, together

IMAGES = "the pictures"  # the name under which their own channels stand
OUTPUT = "the network's output"
ROWS = 16  # trials run together


@dataclass(frozen=True, kw_only=True)
class Places:
    """Something that takes channels: the inputs of a layer, or a place that none may be taken from.

    reason says why they may not, "" if they may. reached: by layer of `Probed.widths` which of its channels (width,)
    reach which places, a boolean array (width, places).
    """

    name: str
    reason: str
    reached: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What was found: the layers with parameters, how many channels those that mix make, and who reaches what."""

    holders: dict[str, Holder]
    widths: dict[str, int]
    places: list[Places]


def probe(model: Model) -> Probed:
    """Find out which channels of which layers reach which inputs of others; the model stays as it is.

    Raises: CallOrderChanged, ModelFailed.
    """
    holders, callers = _holders(model)
    widths = {IMAGES: model.preprocessing.shape[0]}
    widths |= {holder.name: holder.outs for holder in holders.values() if holder.kind == "mixing"}
    names, sizes = list(widths), list(widths.values())
    first = _run(model, callers, widths, together(sizes))
    read = {key: read_together(seen, sizes) for key, seen in first.seen.items()}
    unclear = sorted({int(layer) for there, number in read.values()
                      for layer in np.flatnonzero(there[:, number < 0].any(1))})  # fmt: skip
    marks = one_by_one(sizes, unclear)
    second = _run(model, callers, widths, marks) if len(marks) else first
    rows = _rows_of(sizes, unclear)
    places = []
    for key, (there, number) in read.items():
        reached = {}
        for layer in map(int, np.flatnonzero(there.any(1))):
            fits = (np.arange(sizes[layer])[:, None] == number[None]) & there[layer]
            if layer in rows:
                fits |= read_one(second.seen[key][rows[layer]], sizes[layer]) & there[layer] & (number < 0)
            reached[names[layer]] = fits
        places.append(Places(name=key[0], reason=first.reasons.get(key, ""), reached=reached))
    return Probed(holders=holders, widths=widths, places=places)


def _rows_of(sizes: list[int], layers: list[int]) -> dict[int, slice]:
    found, start = {}, 0
    for layer in layers:
        rows = 2 * max(1, int(sizes[layer] - 1).bit_length())
        found[layer], start = slice(start, start + rows), start + rows
    return found


Key = tuple[str, int]  # name of what takes channels, and the place of the call among all calls


@dataclass(kw_only=True)
class _Seen:
    """By call, in which trials NaN came to which channel: (trials, channels); and why a place keeps its channels."""

    seen: dict[Key, np.ndarray] = field(default_factory=dict)
    reasons: dict[Key, str] = field(default_factory=dict)


def _run(model: Model, callers: dict[int, Holder], widths: dict[str, int], marks: np.ndarray) -> _Seen:
    """Forward passes with these marks. Shapes: marks (trials, channels of all layers)."""
    found, parts = _Seen(), []
    shape = model.preprocessing.shape
    with untouched(model.module) as module:
        _silence(module, model.sites)
        generator = torch.Generator().manual_seed(0)
        for rows in torch.from_numpy(marks).split(ROWS):  # type: ignore[no-untyped-call]
            part = _Seen()
            listener = _Marking(model, callers, dict(zip(widths, rows.split(list(widths.values()), 1), strict=True)),
                                part, generator)  # fmt: skip
            pictures = like_parameters(torch.rand(len(rows), *shape, generator=generator) + 0.5, module)
            with Following(module, listener):
                output = module(_marked(pictures, listener.marks[IMAGES].to(pictures.device), 1))
            for place, tensor in enumerate(tensors_in(output)):
                listener.write((OUTPUT, -1 - place), tensor, 1 if tensor.ndim > 1 else 0, OUTPUT)
            parts.append(part)
    for key in parts[0].seen:
        found.seen[key] = np.concatenate([part.seen[key] for part in parts])
    found.reasons = parts[0].reasons
    return found


def _silence(module: nn.Module, sites: Sites) -> None:
    """Let layers answer with their shape alone: what they would compute of NaN is not needed, and costs the most."""
    calls: dict[str, list[Site]] = {}
    for site in sites.values():
        if site.call.leaf and site.units and site.batched:
            calls.setdefault(site.call.path, []).append(site)
    for path, there in calls.items():
        leaf, shapes = module.get_submodule(path), {site.shape for site in there}
        holder = holder_of_module(path, leaf)
        if holder is not None and holder.kind == "mixing" and len(shapes) == 1:
            leaf.forward = _answering(there[0].shape)


def _answering(shape: tuple[int, ...]) -> Callable[..., Tensor]:
    def forward(given: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
        return given.new_zeros(len(given), *shape)

    return forward


class _Marking(InOrder):
    """Puts marks behind every layer, and writes down which come to the next."""

    def __init__(self, model: Model, callers: dict[int, Holder], marks: dict[str, Tensor], found: _Seen,
                 generator: torch.Generator) -> None:  # fmt: skip
        super().__init__(model.sites)
        self.callers, self.marks, self.found, self.generator = callers, marks, found, generator
        self.rows = len(marks[IMAGES])
        self.names = _names(model.module)
        self.module = model.module

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        key = self.position - 1
        holder = self.callers.get(key)
        if given is None:
            return None
        if holder is not None:
            self.write((holder.name, key), given, holder.axis % given.ndim, "")
            if holder.kind == "mixing":
                fresh = torch.rand(tensor.shape, generator=self.generator).to(tensor) + 0.5
                return _marked(fresh, self.marks[holder.name].to(tensor.device), site.channel_axis)
            return None
        reason = self._unknown(site)
        if reason:
            axis = min(site.channel_axis, given.ndim - 1)
            self.write((site.name, key), given, axis, reason)
            return torch.rand(tensor.shape, generator=self.generator).to(tensor) + 0.5  # nothing behind it can change
        return None

    def _unknown(self, site: Site) -> str:
        """Why channels that come to this call must stay; "" if it has no parameters that would have to be cut."""
        if site.call.leaf:
            leaf = self.module.get_submodule(site.call.path)
            held = [*leaf.parameters(), *leaf.buffers()]
            if any(each.numel() > 1 for each in held):
                return f"{type(leaf).__name__} {site.call.path} takes all channels together"
            return ""
        _, args, kwargs = self.calling
        taken = parameters_taken(site.call, (*args, *kwargs.values()), self.names)
        return f"{site.name} takes {', '.join(taken)} of the network's own" if taken else ""

    def write(self, key: Key, tensor: Tensor, axis: int, reason: str) -> None:
        """Write down in which trials NaN is anywhere in a channel."""
        there = tensor.isnan() if tensor.is_floating_point() else torch.zeros(tensor.shape, dtype=torch.bool)
        if tensor.ndim == 0 or len(tensor) % self.rows:  # trials are mixed: nothing can be told apart
            width = tensor.shape[axis] if tensor.ndim else 1
            seen = there.any().expand(self.rows, width)
        else:
            moved = there.movedim(axis, -1) if axis else there[:, None]
            seen = moved.reshape(self.rows, -1, moved.shape[-1]).any(1)
        self.found.seen[key] = seen.cpu().numpy().copy()
        if reason:
            self.found.reasons[key] = reason


def _marked(tensor: Tensor, marks: Tensor, axis: int) -> Tensor:
    """NaN in the marked channels. Shapes: tensor (rows, ...), marks (rows, channels); rows may be put together."""
    shape = [1] * tensor.ndim
    shape[0], shape[axis] = len(tensor), tensor.shape[axis]
    spread = marks.repeat_interleave(len(tensor) // len(marks), 0)
    return tensor.masked_fill(spread.reshape(shape), float("nan"))


def _names(module: nn.Module) -> dict[int, str]:
    return {id(tensor): name for name, tensor in (*module.named_parameters(), *module.named_buffers())}


def _holders(model: Model) -> tuple[dict[str, Holder], dict[int, Holder]]:
    """All layers with parameters that belong to channels by name, and which of them makes which call."""
    holders: dict[str, Holder] = {}
    callers: dict[int, Holder] = {}
    for place, site, calling in _calls(model):
        if site.call.leaf:
            found = holder_of_module(site.call.path, model.module.get_submodule(site.call.path))
        else:
            found = holder_of_function(site, calling, _names(model.module))
        if found is not None:
            callers[place] = holders.setdefault(found.name, found)
    return holders, callers


def _calls(model: Model) -> Iterator[tuple[int, Site, Any]]:
    """Every call of one pass, with what was called and its arguments."""
    listener = _Listing(model.sites)
    with untouched(model.module) as module, Following(module, listener):
        module(like_parameters(torch.rand(2, *model.preprocessing.shape, generator=torch.Generator().manual_seed(0)),
                               module))  # fmt: skip
    yield from listener.found


class _Listing(InOrder):
    """Writes down every call with its arguments."""

    def __init__(self, sites: Sites) -> None:
        super().__init__(sites)
        self.found: list[tuple[int, Site, Any]] = []

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        if first_tensor(output) is not None and self.position < len(self.order):
            self.found.append((self.position, self.order[self.position], self.calling))
        return super().after(call, arguments, output)

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        return None
