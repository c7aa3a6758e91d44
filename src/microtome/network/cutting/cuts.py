"""Tensors made narrower: the entries of channels that are gone are cut out of a network, in place."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CannotRemove
from .holders import Holder

WITHOUT = ", without "
REFUSE = "Channels are taken out where every tensor can follow"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What is gone of one layer: channels that it made and took, numbered as in the layer `holder` was whole."""

    holder: Holder
    outs: tuple[int, ...]
    ins: tuple[int, ...]

    def then(self, later: "Cut") -> "Cut":
        """Both cuts as one of the whole layer; the later one counts what the earlier one left."""
        sides = {}
        for side, size in (("outs", self.holder.outs), ("ins", self.holder.ins)):
            left = np.setdiff1d(np.arange(size), getattr(self, side))
            sides[side] = tuple(sorted({*getattr(self, side), *map(int, left[list(getattr(later, side))])}))
        return Cut(holder=self.holder, **sides)

    def after(self, earlier: "Cut") -> "Cut":
        """What is left to cut after an earlier part of it, numbered in what that left."""
        made, taken = (np.setdiff1d(np.arange(size), gone) for size, gone in
                       ((self.holder.outs, earlier.outs), (self.holder.ins, earlier.ins)))  # fmt: skip
        groups = len(taken) if self.holder.kind == "depthwise" else self.holder.groups
        return Cut(
            holder=dataclasses.replace(self.holder, outs=len(made), ins=len(taken), groups=groups),
            outs=tuple(map(int, np.flatnonzero(np.isin(made, self.outs)))),
            ins=tuple(map(int, np.flatnonzero(np.isin(taken, self.ins)))),
        )

    def to_state(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Cut":
        """What `to_state` gave. Raises: KeyError, TypeError, ValueError if it is nothing of the kind."""
        of = dict(state["holder"])
        of["axes"] = tuple((str(name), int(axis), side) for name, axis, side in of["axes"])
        return cls(holder=Holder(**of), outs=tuple(map(int, state["outs"])), ins=tuple(map(int, state["ins"])))


def cuts_of(
    holders: Mapping[str, Holder], outs: Mapping[str, np.ndarray], ins: Mapping[str, np.ndarray]
) -> tuple[Cut, ...]:
    """The cuts that take these channels out of the layers."""
    found = []
    for name, holder in holders.items():
        taken = ins.get(name, ())
        made = taken if holder.kind == "each" else outs.get(name, ())  # it makes of each channel one
        if len(made) or len(taken):
            found.append(Cut(holder=holder, outs=tuple(map(int, made)), ins=tuple(map(int, taken))))
    return tuple(found)


def joined(earlier: Iterable[Cut], later: Iterable[Cut]) -> tuple[Cut, ...]:
    """The cuts of two rounds as those of the whole network."""
    found = {cut.holder.name: cut for cut in earlier}
    for cut in later:
        name = cut.holder.name
        found[name] = found[name].then(cut) if name in found else cut
    return tuple(found.values())


def since(earlier: Iterable[Cut], now: Iterable[Cut]) -> tuple[Cut, ...]:
    """What went after `earlier`, numbered in what that left: together with `earlier` it makes `now`."""
    before = {cut.holder.name: cut for cut in earlier}
    return tuple(each if each.holder.name not in before else each.after(before[each.holder.name]) for each in now)


def in_words(weights: str, cuts: Iterable[Cut]) -> str:
    """What the weights are called, and how many channels they are without."""
    number = sum(len(each.outs) for each in cuts if each.holder.kind != "each")
    return f"{weights.partition(WITHOUT)[0]}{WITHOUT}{number:,} channels" if number else weights


def cut(module: nn.Module, cuts: Iterable[Cut]) -> None:
    """Narrow the tensors of `module`, in place.

    Raises: CannotRemove if a tensor cannot follow; the module is then in pieces, so work on a copy.
    """
    for each in cuts:
        _refuse(module, each)
        for name in dict.fromkeys(name for name, _, _ in each.holder.axes):
            owner, _, attribute = name.rpartition(".")
            part = module.get_submodule(owner)
            tensor = getattr(part, attribute)
            narrow = _narrowed(tensor.detach(), name, each)
            if isinstance(tensor, nn.Parameter):
                setattr(part, attribute, nn.Parameter(narrow, requires_grad=tensor.requires_grad))
            else:
                part.register_buffer(attribute, narrow, persistent=attribute not in part._non_persistent_buffers_set)
        _refit(module, each)


def silence_inputs(module: nn.Module, cuts: Iterable[Cut]) -> None:
    """Put zeros where `cut` would take inputs out, in place: what the cut network has to be equal to."""
    with torch.no_grad():
        for each in (each for each in cuts if each.ins):
            for name, axis, _ in (item for item in each.holder.axes if item[2] == "ins"):
                owner, _, attribute = name.rpartition(".")
                tensor = getattr(module.get_submodule(owner), attribute)
                groups = each.holder.groups
                size, per_group = each.holder.ins // groups, each.holder.outs // groups
                for place in each.ins:
                    if axis == 0:
                        tensor[place] = 0
                    else:
                        group = place // size
                        tensor[group * per_group : (group + 1) * per_group, place % size] = 0


def _left(size: int, gone: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.setdiff1d(np.arange(size), gone))


def _refuse(module: nn.Module, each: Cut) -> None:
    holder = each.holder
    for side, size in (("outs", holder.outs), ("ins", holder.ins)):
        gone = getattr(each, side)
        if len(gone) >= size:
            raise CannotRemove(f"{holder.name} would lose all of its {size} {_words(side)}",
                               "A layer keeps one channel or more", "Remove fewer")  # fmt: skip
        if holder.kind == "mixing" and holder.groups > 1:
            counts = np.bincount(np.array(gone, np.int64) // (size // holder.groups), minlength=holder.groups)
            if counts.min() != counts.max():
                raise CannotRemove(
                    f"{holder.name} is a convolution in {holder.groups} groups, which would lose {counts.min()} to "
                    f"{counts.max()} {_words(side)} each", "All groups must lose equally many",
                    "Remove equally many of each group",
                )  # fmt: skip
    known = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    for name, _, _ in holder.axes:
        if name not in known:
            raise CannotRemove(f"{name} is worked out from other tensors (a parametrization)", REFUSE,
                               "Remove the parametrization first")  # fmt: skip
        twins = {id(module.get_submodule(other.rpartition(".")[0])) for other, tensor in known.items()
                 if tensor is known[name]}  # fmt: skip
        if len(twins) > 1:
            raise CannotRemove(f"{name} is shared by {len(twins)} layers", REFUSE, "Give each a weight of its own")


def _words(side: str) -> str:
    return "channels" if side == "outs" else "inputs"


def _narrowed(tensor: Tensor, name: str, each: Cut) -> Tensor:
    holder = each.holder
    for tensor_name, axis, side in holder.axes:
        if tensor_name != name:
            continue
        if holder.kind == "mixing" and holder.groups > 1 and tensor.ndim > 1:
            if (axis, side) in ((1, "ins"), (0, "ins")):
                tensor = _in_groups(tensor, each, backwards=axis == 0)
            continue
        tensor = tensor.index_select(axis, _left(tensor.shape[axis], getattr(each, side)).to(tensor.device))
    return tensor.clone()


def _in_groups(tensor: Tensor, each: Cut, *, backwards: bool) -> Tensor:
    """Rows and columns of a grouped convolution's weight, group by group. Shapes: (first, second, ...), by layout."""
    groups, sides = each.holder.groups, ("ins", "outs") if backwards else ("outs", "ins")
    sizes = [getattr(each.holder, side) // groups for side in sides]
    parts = []
    for group in range(groups):
        rows, columns = (_left(size, [place - group * size for place in getattr(each, side)])
                         for side, size in zip(sides, sizes, strict=True))  # fmt: skip
        parts.append(tensor[group * sizes[0] :][: sizes[0]][rows][:, columns])
    return torch.cat(parts)


def _refit(module: nn.Module, each: Cut) -> None:
    """Tell the layer how wide it is now."""
    owner = each.holder.axes[0][0].rpartition(".")[0]
    part: Any = module.get_submodule(owner)
    outs, ins = each.holder.outs - len(each.outs), each.holder.ins - len(each.ins)
    if isinstance(part, nn.modules.conv._ConvNd):
        part.out_channels, part.in_channels = outs, ins
        if each.holder.kind == "depthwise":
            part.groups = ins
    elif isinstance(part, nn.Linear):
        part.out_features, part.in_features = outs, ins
    elif isinstance(part, nn.PReLU):
        part.num_parameters = outs
    elif each.holder.kind == "each":
        part.num_features = outs


__all__ = ("Cut", "cut", "cuts_of", "in_words", "joined", "since", "silence_inputs")
