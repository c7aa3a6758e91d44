"""Occlusion sensitivity: what a unit or a class loses when a square of the picture is covered, square by square.

Reference: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (ECCV 2014), section 4.2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ...checks import at_least, known
from ...errors import UnknownName, UsageError
from ...formulas.squares import over_pixels, overlapping, squares
from ...images.collection import Images
from ...progress import Progress, Silent
from ...statistics import Accumulator, Arrays, Batch, Statistic
from ...statistics.statistic import appended
from ..activations import activations
from ..classes import logits_address
from ..model import Model
from ..recording.addresses import Address
from ..recording.measure import automatic_batch, measure
from ..recording.recorder import Probe
from ..recording.sites import Site
from ..recording.untouched import untouched

SIZE, STRIDE = 7, 14  # the picture's longer side in squares, and in steps
BLUR = 0.5  # standard deviation of the blur, in sides of the square: no detail of its size is left
Fill = Literal["mean", "blur"]
At = tuple[int, int] | Literal["strongest", "anywhere"]


@dataclass(frozen=True, kw_only=True)
class Squares:
    """Which squares cover a picture: filled with the data set's mean (0 after normalisation) or the blurred picture.

    Units: size and stride in pixels, by default a seventh and a fourteenth of the picture's longer side.
    """

    size: int | None = None
    stride: int | None = None
    fill: Fill = "mean"

    def of(self, extent: tuple[int, int]) -> tuple[int, int]:
        """Size and stride for pictures of this extent.

        Raises: UsageError for a square that does not fit; UnknownName for a fill that there is not.
        """
        longer, shorter = max(extent), min(extent)
        size = min(shorter, max(1, round(longer / SIZE))) if self.size is None else at_least("size", self.size, 1)
        stride = max(1, round(longer / STRIDE)) if self.stride is None else at_least("stride", self.stride, 1)
        if size > shorter:
            raise UsageError(f"A square of {size} pixels does not fit into a picture of {extent[0]} x {extent[1]}",
                             f"Its size is 1 to {shorter}", "Give a smaller size")  # fmt: skip
        known("Fill", self.fill, ("mean", "blur"), "Name one of them")
        return size, stride

    def filling(self, prepared: np.ndarray, size: int) -> np.ndarray:
        """What squares show instead of the picture. Shapes: (C, H, W) -> the same."""
        if self.fill == "mean":
            return np.zeros_like(prepared)
        return gaussian_filter(prepared, (0, BLUR * size, BLUR * size))


DEFAULT = Squares()


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """What one number of the network becomes while one square after the other is covered.

    `at` is the position of the unit that was followed, None for its largest value anywhere and for what has no
    positions. Squares outside of `seen` lie where that position cannot see: they were not run, and change nothing.
    Shapes, R x S squares: boxes (R, S, 4) top, left, bottom, right in pixels, the last two excluded; value (R, S) under
    each square; seen (R, S) bool. Of a class also the probability (R, S) and the network's answer (R, S), else None.
    """

    site: str
    channel: int
    at: tuple[int, ...] | None
    size: int
    stride: int
    fill: str
    boxes: np.ndarray
    seen: np.ndarray
    before: float
    value: np.ndarray
    probability_before: float | None = None
    probability: np.ndarray | None = None
    answer_before: int | None = None
    answer: np.ndarray | None = None

    @property
    def drop(self) -> np.ndarray:
        """How far the value falls under each square; below 0 where it rises. Shapes: (R, S)."""
        return self.before - self.value

    @property
    def probability_drop(self) -> np.ndarray | None:
        """The same of the class's probability."""
        return None if self.probability is None else self.probability_before - self.probability

    @property
    def largest(self) -> tuple[int, int]:
        """Row and column of the square with the largest fall, the first among equals."""
        row, column = np.unravel_index(np.where(self.seen, self.drop, -np.inf).argmax(), self.drop.shape)
        return int(row), int(column)

    @property
    def control(self) -> tuple[float, float]:
        """Mean and standard deviation of the fall under a random square, of those that the unit can see."""
        falls = self.drop[self.seen]
        return float(falls.mean()), float(falls.std())

    def over_pixels(self, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Every pixel's mean over the squares that cover it. Shapes: values (R, S) -> size (H, W)."""
        return over_pixels(values, self.boxes, size)


def occlude(
    model: Model,
    picture: np.ndarray,
    site: str,
    channel: int,
    how: Squares = DEFAULT,
    at: At = "strongest",
    progress: Progress | None = None,
) -> Occlusion:
    """Cover one square after the other and follow a unit, read where its layer's units are read.

    `at` is a position, the strongest one of the whole picture, or "anywhere": the largest value of each covered
    picture.
    Shapes: picture (C, H, W), uint8 in the network's geometry, or prepared for it.
    Raises: UnknownName for a site, channel, position or fill that there is not; UsageError.
    """
    found = model.sites[model.sites.resolve(site)]
    where = model.sites[found.read or found.name]
    _check_channel(where, channel)
    place = _place(model, picture, where, channel, at)
    unit = _Unit(channel=channel, place=place)
    followed = None if place is None or not where.extent else tuple(map(int, np.unravel_index(place, where.extent)))
    return _occlude(model, picture, Address(where.name), unit, followed, how, progress)


def occlude_class(
    model: Model, picture: np.ndarray, number: int, how: Squares = DEFAULT, progress: Progress | None = None
) -> Occlusion:
    """The same for the logit of a class, before a softmax, with its probability and the network's answer.

    Raises: NotApplicable for a network without classes; UnknownName; UsageError.
    """
    address = logits_address(model)
    _check_channel(model.sites[address.site], number)
    return _occlude(model, picture, address, _Unit(channel=number, row=True), None, how, progress)


@dataclass(frozen=True, kw_only=True)
class _Unit(Statistic):
    """One channel of every image: at a flat place or, without, its largest value; with its probability in a `row`."""

    channel: int
    place: int | None = None
    row: bool = False

    def start(self) -> "_UnitAccumulator":
        return _UnitAccumulator(self)


class _UnitAccumulator(Accumulator):
    def __init__(self, request: _Unit) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        seen = tensors[0].detach()
        maps = seen[:, self.request.channel].reshape(len(seen), -1).double()  # (N, positions)
        value = maps.amax(1) if self.request.place is None else maps[:, self.request.place]
        found = {"index": batch.index, "value": value.cpu().numpy()}
        if self.request.row:
            probability = torch.softmax(seen.double(), 1)  # (N, K)
            found["probability"] = probability[:, self.request.channel].cpu().numpy()
            found["answer"] = probability.argmax(1).cpu().numpy()
        return found

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return appended(parts)

    def compute(self) -> Arrays:
        order = np.argsort(self.seen["index"])
        return {name: array[order] for name, array in self.seen.items()}


def _occlude(
    model: Model, picture: np.ndarray, address: Address, unit: _Unit, at: tuple[int, ...] | None,
    how: Squares, progress: Progress | None,
) -> Occlusion:  # fmt: skip
    size, stride = how.of(model.preprocessing.size)
    prepared = model.preprocessing.normalise(torch.from_numpy(picture)).numpy()
    filling = how.filling(prepared, size)
    boxes = squares(model.preprocessing.size, size, stride)
    seen = _seen(model, address, at, boxes)
    covers = boxes[seen]  # (n, 4)
    batch = min(automatic_batch(model.sites), len(covers) + 1)
    order = np.concatenate([[-1], np.arange(len(covers))])  # -1: nothing is covered

    def read(place: int) -> np.ndarray:
        if place < 0:
            return prepared
        top, left, bottom, right = covers[place]
        covered = prepared.copy()
        covered[:, top:bottom, left:right] = filling[:, top:bottom, left:right]
        return covered

    parts = []
    with untouched(model.module), (progress or Silent()).bar("occlusion", len(covers), "squares") as advance:
        for start in range(0, len(order), batch):
            mine = order[start : start + batch]
            # batches of one length: others may round otherwise
            parts.append(_run(model, [*mine, *[-1] * (batch - len(mine))], read, Probe((address,), unit)))
            advance(int((mine >= 0).sum()))
    values = {name: array[: len(order)] for name, array in appended(parts).items()}
    before = {name: array[0] for name, array in values.items()}
    spread = {name: np.full(seen.shape, before[name]) for name in values}
    for name, array in values.items():
        spread[name][seen] = array[1:]
    return Occlusion(
        site=str(address), channel=unit.channel, at=at, size=size, stride=stride, fill=how.fill, boxes=boxes, seen=seen,
        before=float(before["value"]), value=spread["value"],
        probability_before=float(before["probability"]) if unit.row else None, probability=spread.get("probability"),
        answer_before=int(before["answer"]) if unit.row else None, answer=spread.get("answer"),
    )  # fmt: skip


def _run(model: Model, places: Sequence[int], read: Callable[[int], np.ndarray], probe: Probe) -> Arrays:
    """The covered pictures at some places, run as far as the unit."""
    pictures = Images(
        source="occlusions", ids=tuple(map(str, range(len(places)))), class_names=(),
        labels=np.full(len(places), -1), shape=model.preprocessing.shape, read=lambda index: read(places[index]),
        display=model.preprocessing.display,
    )  # fmt: skip
    home = next((parameter.device for parameter in model.module.parameters()), torch.device("cpu"))
    (found,) = measure(model, pictures, [probe], batch_size=len(places), device=home)
    answer: Arrays = found.compute()
    return answer


def _seen(model: Model, address: Address, at: tuple[int, ...] | None, boxes: np.ndarray) -> np.ndarray:
    """Which squares share a pixel with what the position sees; all where that is not known. Shapes: -> (R, S) bool."""
    field = None if at is None or len(at) != 2 else model.receptive_fields[address.site]
    if field is None or at is None:
        return np.ones(boxes.shape[:2], bool)
    columns = model.sites[address.site].extent[1]
    (box,) = field.boxes(np.array([at[0] * columns + at[1]]), columns, model.preprocessing.size)
    return overlapping(boxes, box)


def _check_channel(site: Site, channel: int) -> None:
    if not 0 <= channel < site.channels:
        raise UnknownName(f"Unit {channel} of {site.name} does not exist", f"Its units are 0 to {site.channels - 1}",
                          "Units count from 0: give one of them")  # fmt: skip


def _place(model: Model, picture: np.ndarray, site: Site, channel: int, at: At) -> int | None:
    """The flat position that is followed, None for the largest value anywhere."""
    if at == "anywhere":
        return None
    if at == "strongest":
        maps = activations(model, picture[None], [site.name])[site.name].values[0]
        return int(maps[channel].argmax())
    if len(site.extent) != 2 or not all(0 <= one < length for one, length in zip(at, site.extent, strict=True)):
        extent = " x ".join(map(str, site.extent)) or "none"
        raise UnknownName(f"Position {at[0]},{at[1]} of {site.name} does not exist", f"Its positions are {extent}",
                          "Rows and columns count from 0: give one of them")  # fmt: skip
    return at[0] * site.extent[1] + at[1]
