"""What a pruning is asked for, and how far each group of channels goes down, round by round."""

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...analyses.pruning import IMPORTANCE
from ...checks import at_least, known
from ...errors import UsageError
from ...network.model import Model
from ...network.surgery.couplings import Couplings, Group

Arm = Literal["criteria", "magnitude", "random", "unpruned"]
BASELINES: tuple[Arm, ...] = ("magnitude", "random", "unpruned")
BISECTIONS = 24  # of a share of width: finer than one channel of the widest layer
ALLOWED = ("A target is parameters=NUMBER or parameters=40%, macs=NUMBER or macs=70% (what is left of them), or layers "
           "and their last widths: conv1=8,conv2=16")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what a pruning finds. epochs are of retraining, after every round, and last ones more at the
    end; 0 retrains nothing. images are those that criteria are measured on, importance how (see analysis pruning);
    command retrains instead of our trainer.
    """

    rounds: int = 7
    target: str = "parameters=25%"
    epochs: int = 1
    last: int = 0
    command: str = ""
    baselines: tuple[Arm, ...] = BASELINES
    images: int = 1000
    importance: str = IMPORTANCE[0]
    climb: int = 32
    rate: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("rounds", self.rounds, 1)
        for name in ("epochs", "last"):
            at_least(name, getattr(self, name), 0)
        at_least("images", self.images, 2)
        known("Importance", self.importance, IMPORTANCE, "Name one of them")
        strange = [name for name in self.baselines if name not in BASELINES]
        if strange:
            raise UsageError(f"There is no baseline {strange[0]!r}", f"There are: {', '.join(BASELINES)}",
                             "Name some of them, or none")  # fmt: skip
        if self.command and self.last:
            raise UsageError("Last epochs were asked for with a command that retrains",
                             "Epochs are of our own trainer", "Leave one of them out")  # fmt: skip

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The pruning by criteria, and what runs beside it."""
        return ("criteria", *self.baselines)

    def to_state(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


Widths = dict[tuple[str, ...], int]  # by the layers of a group, how many of its cells are left


def final_widths(model: Model, of: Couplings, free: Sequence[Group], target: str) -> Widths:
    """How many cells of every group that can be cut are left in the end.

    Raises: UsageError if the target cannot be read or reached.
    """
    named = _pairs(target)
    if set(named) <= {"parameters", "macs"} and len(named) == 1:
        ((what, value),) = named.items()
        return _by_count(model, of, free, what, value)
    found: Widths = {}
    for pattern, value in named.items():
        hits = [group for group in free if any(fnmatch.fnmatchcase(layer, pattern) for layer in group.channels)]
        if not hits:
            raise UsageError(f"Target {target!r} names {pattern!r}, of which no channel can go",
                             f"Channels can go of: {', '.join(layer for g in free for layer in g.channels)}",
                             "Name one of them, or a number of parameters or macs")  # fmt: skip
        for group in hits:
            found[tuple(group.channels)] = _width(value, group.width, target)
    return found


def _pairs(target: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in target.split(",")]
    if not all(name.strip() and equals and value.strip() for name, equals, value in pairs):
        raise UsageError(f"Target {target!r} cannot be read", ALLOWED, "Write for instance parameters=25%")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _number(value: str, whole: float, target: str) -> float:
    try:
        number = float(value.removesuffix("%").replace("_", ""))
    except ValueError:
        number = -1.0
    number = number / 100 * whole if value.endswith("%") else number
    if not 0 < number <= whole:
        raise UsageError(f"Target {target!r} asks for {value} of {whole:,.0f}", ALLOWED,
                         "Give a number above 0 and at most what there is")  # fmt: skip
    return number


def _width(value: str, whole: int, target: str) -> int:
    return max(1, round(_number(value, whole, target)))


def _by_count(model: Model, of: Couplings, free: Sequence[Group], what: str, value: str) -> Widths:
    """The same share of every group, the largest that does not go beyond the number."""
    whole = count_left(model, of, {}, free)[what]
    wanted, low, high = _number(value, whole, f"{what}={value}"), 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = count_left(model, of, _shared(free, middle), free)[what] <= wanted
        low, high = (middle, high) if fits else (low, middle)
    found = _shared(free, low)
    if count_left(model, of, found, free)[what] > wanted:
        least = count_left(model, of, _shared(free, 0.0), free)[what]
        raise UsageError(f"Target {what}={value} cannot be reached",
                         f"With one channel left of every group there are {least:,}",
                         "Give a larger target")  # fmt: skip
    return _filled_up(model, of, free, found, what, wanted)


def _filled_up(
    model: Model, of: Couplings, free: Sequence[Group], widths: Widths, what: str, wanted: float
) -> Widths:  # fmt: skip
    """One cell more of groups, those that lost the largest share first, as long as that fits: widths are whole."""
    whole = {tuple(group.channels): group.width for group in free}
    found = dict(widths)
    for key in sorted(found, key=lambda key: found[key] / whole[key]):
        more = found | {key: found[key] + 1}
        if found[key] < whole[key] and count_left(model, of, more, free)[what] <= wanted:
            found = more
    return found


def _shared(free: Sequence[Group], share: float) -> Widths:
    return {tuple(group.channels): max(1, round(share * group.width)) for group in free}


def count_left(
    model: Model, of: Couplings, widths: Mapping[tuple[str, ...], int], free: Sequence[Group]
) -> dict[str, int]:
    """Parameters and multiply-adds when so many cells of the groups are left, whichever they are.

    Cells of a group are taken to be alike.
    """
    cells = [group.cells[widths[tuple(group.channels)] :] for group in free if tuple(group.channels) in widths]
    outs, ins = of.gone(np.concatenate([np.zeros(0, np.int64), *cells]))
    known = dict(model.module.named_parameters())
    parameters = model.parameters
    shares: dict[str, float] = {}
    for holder in of.holders.values():
        gone = {"ins": len(ins.get(holder.name, ())), "outs": len(outs.get(holder.name, ()))}
        if holder.kind == "each":
            gone["outs"] = gone["ins"]
        left = {"ins": 1 - gone["ins"] / holder.ins, "outs": 1 - gone["outs"] / holder.outs}
        for name in dict.fromkeys(name for name, _, _ in holder.axes):
            share = float(np.prod([left[side] for other, _, side in holder.axes if other == name]))
            if name in known:
                parameters -= round(known[name].numel() * (1 - share))
            shares.setdefault(name, share)
    macs = sum(site.macs * shares.get(site.weight or "", 1.0) for site in model.sites.values())
    return {"parameters": parameters, "macs": round(macs)}


def width_at(whole: int, final: int, round_: int, rounds: int) -> int:
    """How many of `whole` are left after a round: the same share goes in each.

    Reference: Explainable MNIST classification (2020) gives the first and the last widths; between them geometric.
    """
    return round(whole * (final / whole) ** (round_ / rounds))
