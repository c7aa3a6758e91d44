"""Energies of what an activation keeps and loses, per image and channel: every angle by which it turns follows.

An energy is a sum of squares, so those of several channels add up to that of the map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .per_image import BUFFER
from .rows import KEPT_IMAGES, lowest_rows
from .statistic import Accumulator, Arrays, Batch, Statistic


@dataclass(frozen=True, kw_only=True)
class Energies(Statistic):
    """Energies of what is above and of what is below 0, of some images: at a rectifier's input, what a ReLU keeps and
    loses. With `positions` also the mean angle over single positions, where all channels of one make a vector.
    """

    images: int = KEPT_IMAGES
    positions: bool = False

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "EnergiesAccumulator":
        return EnergiesAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class EnergiesAnswer:
    """Shapes: index (n,) ascending places of the images; kept, lost (n, C) float64; angle (n,) the mean over positions;
    empty (n,) share of positions that hold nothing but 0, and so have none. Both NaN where they were not asked for.

    Units: angle in radians.
    """

    index: np.ndarray
    kept: np.ndarray
    lost: np.ndarray
    angle: np.ndarray
    empty: np.ndarray


class EnergiesAccumulator(Accumulator):
    """A row of norms an image: grows up to the request's number of images."""

    patience = 32  # joining copies all rows

    def __init__(self, request: Energies) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        keep = batch.lowest(self.request.images)
        if len(keep) == 0:
            return {}
        flat = _some(batch.per_image(tensors[0]).flat, keep)
        norms = flat.new_empty((2, *flat.shape[:2]))
        angles = flat.new_empty((2, len(flat)), dtype=torch.float64)
        at_once = _at_once(flat)
        parts = (torch.split(values, at_once) for values in (flat, *norms, *angles))
        for some, kept, lost, angle, empty in zip(*parts, strict=True):
            if self.request.positions:
                angle[:], empty[:] = _by_position(some, kept, lost)
            else:
                part = torch.clamp(some, min=0)
                torch.linalg.vector_norm(part, dim=2, out=kept)
                torch.linalg.vector_norm(torch.clamp(some, max=0, out=part), dim=2, out=lost)
        found = {"kept": norms[0], "lost": norms[1]}
        if self.request.positions:
            found |= {"angle": angles[0], "empty": angles[1]}
        return _known(batch, keep) | {name: values.cpu().numpy() for name, values in found.items()}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return lowest_rows(parts, self.request.images)

    def move(self, places: np.ndarray) -> None:
        if seen := self.state():
            self.load(seen | {"index": places[seen["index"]]})

    def compute(self) -> EnergiesAnswer:
        rows = _in_order(self.join([self.seen]))
        unknown = np.full(len(rows["index"]), np.nan)
        return EnergiesAnswer(
            index=rows["index"], kept=_squared(rows["kept"]), lost=_squared(rows["lost"]),
            angle=rows.get("angle", unknown), empty=rows.get("empty", unknown),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PairEnergies(Statistic):
    """Energies of what goes into any activation, of what comes out, and of their difference, of some images.

    For pairs of addresses, (`SITE:in`, `SITE`).
    """

    images: int = KEPT_IMAGES

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "PairEnergiesAccumulator":
        return PairEnergiesAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class PairEnergiesAnswer:
    """Shapes: index (n,) ascending places of the images; before, after, apart (n, C) float64."""

    index: np.ndarray
    before: np.ndarray
    after: np.ndarray
    apart: np.ndarray


class PairEnergiesAccumulator(Accumulator):
    """A row of norms an image: grows up to the request's number of images."""

    patience = 32  # joining copies all rows

    def __init__(self, request: PairEnergies) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        keep = batch.lowest(self.request.images)
        if len(keep) == 0:
            return {}
        before, after = (_some(tensor.detach().double(), keep) for tensor in tensors)
        before, after = (each.flatten(2) if each.ndim > 2 else each.unsqueeze(-1) for each in (before, after))
        found = {"before": before, "after": after, "apart": before - after}
        norms = {name: torch.linalg.vector_norm(values, dim=2).cpu().numpy() for name, values in found.items()}
        return _known(batch, keep) | norms

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return lowest_rows(parts, self.request.images)

    def move(self, places: np.ndarray) -> None:
        if seen := self.state():
            self.load(seen | {"index": places[seen["index"]]})

    def compute(self) -> PairEnergiesAnswer:
        rows = _in_order(self.join([self.seen]))
        squares = {name: _squared(rows[name]) for name in ("before", "after", "apart")}
        return PairEnergiesAnswer(index=rows["index"], **squares)


def _by_position(some: Tensor, kept: Tensor, lost: Tensor) -> tuple[Tensor, Tensor]:
    """Fills in the norms (n, C) by channel -> mean angle over positions (n,), and share of those that hold only 0."""
    part = torch.clamp(some, min=0).square_()
    kept_there = part.sum(1)  # (n, P)
    torch.sum(part, 2, out=kept)
    torch.clamp(some, max=0, out=part).square_()
    lost_there = part.sum(1)
    torch.sum(part, 2, out=lost)
    kept.sqrt_(), lost.sqrt_()
    count = (kept_there + lost_there > 0).sum(1)
    # in float64, or the last digit would depend on the batch: where torch's vectors end, and how it splits a sum
    angles = torch.atan2(lost_there.double().sqrt_(), kept_there.double().sqrt_())  # 0 where all is 0
    return angles.sum(1) / count, 1 - count / some.shape[2]


def _at_once(flat: Tensor) -> int:
    """As many images as a cache holds; on a GPU all."""
    return max(1, BUFFER // max(1, flat[0].numel())) if flat.is_cpu else len(flat)


def _some(tensor: Tensor, keep: np.ndarray) -> Tensor:
    return tensor if len(keep) == len(tensor) else tensor[torch.from_numpy(keep).to(tensor.device)]


def _known(batch: Batch, keep: np.ndarray) -> Arrays:
    return {"hashes": batch.hashes[keep], "index": batch.index[keep]}


def _in_order(rows: Arrays) -> Arrays:
    order = np.argsort(rows["index"])
    return {name: array[order] for name, array in rows.items()}


def _squared(norms: np.ndarray) -> np.ndarray:
    return np.square(norms.astype(np.float64))
