"""Which cells of a group go: by the criteria, by magnitude, or at random."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...analyses.pruning import PruningResult
from ...formulas.pruning import TWIN, Measured, lowest_first, percentile
from ...network.model import Model
from ...network.surgery.couplings import Group
from .settings import Arm


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The cells of a group that go, and by layer why each of their channels does."""

    cells: tuple[int, ...]
    why: dict[str, dict[int, str]]


def choose(arm: Arm, group: Group, count: int, model: Model, found: PruningResult | None, random: np.random.Generator
           ) -> Choice:  # fmt: skip
    """`count` cells of a group, equally many of each stratum where there are several."""
    strata = np.unique(group.strata)
    cells: list[int] = []
    for stratum in strata:
        members = np.flatnonzero(group.strata == stratum)
        order = _order(arm, group, members, model, found, random, len(members))
        cells += [int(members[k]) for k in order[: round(count / len(strata))]]
    gone = {layer: [channel for cell in cells for channel in which[cell]] for layer, which in group.channels.items()}
    why = {layer: {channel: _why(arm, layer, channel, found) for channel in some} for layer, some in gone.items()}
    return Choice(cells=tuple(sorted(cells)), why=why)


def _order(arm: Arm, group: Group, members: np.ndarray, model: Model, found: PruningResult | None,
           random: np.random.Generator, count: int) -> list[int]:  # fmt: skip
    """Places among `members` in the order in which they go."""
    if arm == "random":
        return [int(k) for k in random.permutation(len(members))]
    if arm == "magnitude":
        norms = {layer: np.asarray(model.weight(layer).flatten(1).norm(dim=1).cpu()) for layer in group.channels}
        ranks = np.stack([percentile(_of_cells(norms[layer], group, layer, members)) for layer in group.channels])
        return [int(k) for k in np.argsort(ranks.mean(0), kind="stable")]
    assert found is not None, "criteria are measured first"
    return _by_criteria(group, members, {k: found.of(k) for k in group.channels if k in found.std}, count)


def _of_cells(values: np.ndarray, group: Group, layer: str, members: np.ndarray) -> np.ndarray:
    """The mean over the channels that a cell has in a layer. Shapes: values (U,) -> (members,)."""
    return np.array([np.mean(values[list(group.channels[layer][cell])]) for cell in members])


def _by_criteria(group: Group, members: np.ndarray, of: Mapping[str, Measured], count: int) -> list[int]:
    """Cells by the mean rank of their channels; the more important half, over all layers together, stays."""
    keep = np.mean([_of_cells(each.keep, group, k, members) for k, each in of.items()], 0)
    ranks = [percentile(_of_cells(each.importance, group, k, members)) for k, each in of.items()]
    importance = np.mean(ranks, 0)
    alike = np.min([_of_cells(np.nan_to_num(each.redundancy), group, k, members) for k, each in of.items()], 0)
    spared = (percentile(importance) >= 0.5) & ~(alike > TWIN)
    twins: dict[int, int] = {}
    first, measured = next(iter(of.items()))
    place = {channel: k for k, cell in enumerate(members) for channel in group.channels[first][cell]}
    for k, cell in enumerate(members):
        if alike[k] > TWIN:
            twins[k] = place.get(int(measured.twin[group.channels[first][cell][0]]), -1)
    return lowest_first(keep, spared, importance, twins, count)


def _why(arm: Arm, layer: str, channel: int, found: PruningResult | None) -> str:
    if arm != "criteria" or found is None or layer not in found.std:
        return {"random": "drawn at random", "magnitude": "small weights"}.get(
            arm, "goes with channels of other layers"
        )
    of = found.of(layer)
    among = percentile(of.importance)[channel]
    return f"{of.reason(channel)}; importance above {among:.0%} of the layer"
