"""Which channels can only go together, and why some have to stay."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...checks import known
from ...errors import CannotRemove
from ..cutting.holders import Holder
from ..model import Model
from .probing import IMAGES, OUTPUT, Probed, probe

PICTURES = "the pictures' own channels"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cells alike: each holds channels of the same layers, and goes or stays as a whole.

    Shapes: cells (n,) numbers of cells; channels by layer n tuples of the channels of that layer in a cell. strata
    (n,): grouped convolutions must lose equally many of each stratum. reason says why none can go, "" if they can.
    """

    cells: np.ndarray
    channels: dict[str, tuple[tuple[int, ...], ...]]
    strata: np.ndarray
    reason: str = ""

    @property
    def name(self) -> str:
        """The layers that the channels are of."""
        layers = list(self.channels)
        return layers[0] if len(layers) == 1 else f"{layers[0]} and {len(layers) - 1} more"

    @property
    def width(self) -> int:
        """Number of cells."""
        return len(self.cells)


@dataclass(frozen=True, kw_only=True)
class Couplings:
    """Of every channel that a layer makes or takes, the cell that it belongs to, -1 for none.

    Shapes: outs, ins by holder's name (channels,). stays: by cell that must stay, why.
    """

    holders: dict[str, Holder]
    outs: dict[str, np.ndarray]
    ins: dict[str, np.ndarray]
    stays: dict[int, str]
    groups: tuple[Group, ...]

    def layer(self, name: str) -> str:
        """A layer that makes channels, by its name.

        Raises: UnknownName.
        """
        return known("Layer", name, self.outs, "Name one that makes channels of others: a convolution, a linear layer")

    def cells(self, channels: Mapping[str, tuple[int, ...] | list[int]]) -> np.ndarray:
        """The cells that some channels belong to, ascending.

        Raises: UnknownName, CannotRemove if one of them has to stay.
        """
        found: set[int] = set()
        for layer, which in channels.items():
            of = self.outs[self.layer(layer)]
            beyond = [channel for channel in which if not 0 <= channel < len(of)]
            if beyond:
                raise CannotRemove(f"{layer} has no channel {beyond[0]}", f"Its channels are 0 to {len(of) - 1}",
                                   "Name one of them")  # fmt: skip
            found.update(int(of[channel]) for channel in which)
        return np.array(sorted(found), np.int64)

    def gone(self, cells: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """By holder, which channels that it makes and takes go with these cells, as far as there are any."""
        outs = {name: np.flatnonzero(np.isin(of, cells)) for name, of in self.outs.items()}
        ins = {name: np.flatnonzero(np.isin(of, cells)) for name, of in self.ins.items()}
        return {k: v for k, v in outs.items() if len(v)}, {k: v for k, v in ins.items() if len(v)}


def couplings(model: Model) -> Couplings:
    """Find out by probing which channels hang together; the model stays as it is.

    Raises: CallOrderChanged, ModelFailed.
    """
    return coupled(probe(model))


def coupled(probed: Probed) -> Couplings:
    """Connected components of channels and the inputs that they reach."""
    makers, end = _starts(probed.widths)
    takers, total = _starts({name: holder.ins for name, holder in probed.holders.items()}, end)
    edges, stay = _edges(probed, makers, takers)
    graph = coo_matrix((np.ones(edges.shape[1], bool), edges), shape=(total, total))
    component = connected_components(graph, directed=False)[1]
    used = np.zeros(total, bool)
    used[:end] = True
    used[edges.ravel()] = True
    numbers, cell = np.unique(np.where(used, component, -1), return_inverse=True)
    cell = cell - (1 if len(numbers) and numbers[0] < 0 else 0)  # inputs that hang on nothing are in no cell
    outs = {name: cell[start : start + probed.widths[name]] for name, start in makers.items()}
    ins = {name: cell[start : start + probed.holders[name].ins] for name, start in takers.items()}
    stays: dict[int, str] = {}
    for node, reason in stay:
        stays.setdefault(int(cell[node]), reason)
    for each in outs.pop(IMAGES):
        stays.setdefault(int(each), f"added to or mixed with {PICTURES}")
    for holder in (each for each in probed.holders.values() if each.kind == "depthwise"):
        outs[holder.name] = np.repeat(ins[holder.name], holder.outs // holder.ins)
    groups = _groups(probed.holders, outs, ins, stays)
    return Couplings(holders=probed.holders, outs=outs, ins=ins, stays=stays, groups=groups)


def _starts(widths: Mapping[str, int], first: int = 0) -> tuple[dict[str, int], int]:
    """Where each one's nodes begin, and where those of all end."""
    ends = first + np.cumsum([0, *widths.values()])
    return dict(zip(widths, map(int, ends), strict=False)), int(ends[-1])


def _edges(
    probed: Probed, makers: Mapping[str, int], takers: Mapping[str, int]
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Pairs of nodes that hang together, and nodes that must stay with the reason. Shapes: (2, n)."""
    pairs, stay = [np.zeros((2, 0), np.int64)], []
    for place in probed.places:
        for layer, reached in place.reached.items():
            channel, slot = np.nonzero(reached)
            if place.reason:
                words = "it is an output of the network" if place.name == OUTPUT else place.reason
                stay += [(makers[layer] + int(each), words) for each in np.unique(channel)]
            else:
                pairs.append(np.stack([makers[layer] + channel, takers[place.name] + slot]))
    return np.concatenate(pairs, 1), stay


def _groups(
    holders: Mapping[str, Holder], outs: Mapping[str, np.ndarray], ins: Mapping[str, np.ndarray],
    stays: Mapping[int, str],
) -> tuple[Group, ...]:  # fmt: skip
    touched: dict[int, dict[str, list[int]]] = {}
    for name, of in outs.items():
        for channel, cell in enumerate(of):
            if cell < 0:  # made of constants alone
                continue
            touched.setdefault(int(cell), {}).setdefault(name, []).append(channel)
    strata = _strata(holders, outs, ins)
    alike: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for cell, layers in touched.items():
        alike.setdefault((tuple(layers), stays.get(cell, "")), []).append(cell)
    found = []
    for (names, reason), cells in alike.items():
        whole = [name for name in names if any(len(touched[cell][name]) == len(outs[name]) for cell in cells)]
        why = reason or (f"all channels of {whole[0]} hang together" if whole else "")
        found.append(Group(
            cells=np.array(cells), channels={k: tuple(tuple(touched[cell][k]) for cell in cells) for k in names},
            strata=np.unique([str(sorted(strata.get(cell, ()))) for cell in cells], return_inverse=True)[1], reason=why,
        ))  # fmt: skip
    return tuple(found)


def _strata(
    holders: Mapping[str, Holder], outs: Mapping[str, np.ndarray], ins: Mapping[str, np.ndarray]
) -> dict[int, set[tuple[str, int]]]:
    """By cell, which group of which grouped convolution its channels are in."""
    found: dict[int, set[tuple[str, int]]] = {}
    for holder in holders.values():
        if holder.groups == 1 or holder.kind != "mixing":
            continue
        for side, of in (("outs", outs[holder.name]), ("ins", ins[holder.name])):
            size = len(of) // holder.groups
            for place, cell in enumerate(of):
                found.setdefault(int(cell), set()).add((f"{holder.name} {side}", place // size))
    return found
