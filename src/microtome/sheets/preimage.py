"""What a layer cannot tell apart: how many directions of a picture it does not see, and a picture moved along them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..errors import UnknownName
from ..figures import new_figure, short, show_picture, signed_to_colour, signed_to_rgb
from ..formulas.matrix_rank import Rank
from ..images.collection import Images
from ..images.picture import Given, Picture, open_picture
from ..network.open import Model, open_model
from ..network.preimage.blindness import Blindness, blindness
from ..network.preimage.local_map import Part, Reading
from ..network.preimage.moving import UNCHANGED, Moved, Straight, straight, walked
from ..network.recording.addresses import parse_unit
from ..network.recording.inputs import prepare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISE = "noise"  # the target where no picture is named
WAVES = 6  # the shortest wave of smooth noise, as a share of the picture's side


@dataclass(frozen=True, kw_only=True)
class PreimageSheet:
    """The inputs that a site, or one of its units, reads as one picture.

    `before` is the same at the layer itself, before its rectifier; None where that is the same place. `straight` is one
    direction up to the network's next bend, `moved` the picture that Newton's method found; None where there is no
    blind direction, or no way back was found. Shapes: pixels, towards (C, H, W) uint8.
    """

    model: str
    picture: str
    target: str
    where: str
    site: str
    pixels: np.ndarray
    towards: np.ndarray
    blind: Blindness
    before: Blindness | None
    straight: Straight | None
    moved: Moved | None

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        return {
            "model": self.model, "picture": self.picture, "method": "preimage", "where": self.where, "site": self.site,
            "inputs": self.blind.inputs, "outputs": self.blind.outputs, "on": self.blind.on,
            "rank": _numbers(self.blind.rank), "dimension": list(self.blind.dimension),
            "rank_before_rectifier": _numbers(self.before.rank) if self.before else None, "towards": self.target,
            "straight": None if self.straight is None else {
                "kept": self.straight.kept, "to_bend": self.straight.to_bend, "change": self.straight.change},
            "moved": None if self.moved is None else {
                "share": self.moved.share, "distance": self.moved.distance, "change": self.moved.change,
                "rounded_change": self.moved.rounded_change, "random_change": self.moved.random_change},
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What was found, with its control."""
        blind = self.blind
        lines = [
            f"{self.model}, {self.where} on {self.picture} (read at {self.site}): {blind.outputs:,} numbers of "
            f"{blind.inputs:,}, {blind.on:,} of them on",
            f"Rank of the local linear map: {_range(blind.rank.lowest, blind.rank.highest)}, by {blind.rank.method}"
            f"{_clear(blind.rank)}",
            f"Inputs with the same activation form a set of {_range(*blind.dimension)} dimensions: units that are off "
            "may move as long as they stay off",
        ]  # fmt: skip
        if self.before is not None:
            lines.append(
                f"Before the rectifier the rank is {_range(self.before.rank.lowest, self.before.rank.highest)}"
            )
        if blind.dimension[1] == 0:
            return [*lines, "No direction is lost: nothing can be moved"]
        if self.straight is not None:
            lines.append(
                f"Towards {self.target}, {self.straight.kept:.0%} of the way is invisible to it; straight on, the "
                f"network bends after {short(self.straight.to_bend)} grey levels (root mean square), where the "
                f"activation has changed by {self.straight.change:.1g} of its size{self._tied()}"
            )
        return [*lines, *self._of_moved()]

    def _tied(self) -> str:
        tied = self.straight is not None and self.straight.change > UNCHANGED
        return " (the picture lies on a bend itself: equal neighbours under a max pool, say)" if tied else ""

    def _of_moved(self) -> list[str]:
        if self.moved is None:
            return [f"No picture on the way to {self.target} led back to the same activation within 0 to 255"]
        moved = self.moved
        return [
            f"A picture {short(moved.distance)} grey levels away (root mean square) is read the same: the activation "
            f"changes by {moved.change:.1g} of its size (limit {UNCHANGED:g}; {moved.rounded_change:.1g} when rounded "
            "to 256 levels)",
            f"Control: the same changes at shuffled pixels change it by {moved.random_change:.1g}",
        ]

    def plot(self) -> "Figure":
        """The picture, where it was to go, the picture moved, what is different, and the singular values."""
        figure = new_figure(1, 5, size=(17.0, 4.0))
        first, second, third, fourth, values = figure.axes
        show_picture(first, self.pixels)
        first.set_title(self.picture, fontsize=9)
        show_picture(second, self.towards)
        second.set_title(f"towards {self.target}", fontsize=9)
        self._draw_moved(third, fourth)
        rank, found = self.blind.rank, self.blind.rank.values
        shown = found[found > 0]
        if len(shown):
            values.semilogy(np.arange(1, len(shown) + 1), shown, color="tab:blue")
            values.axhline(rank.tolerance, color="grey", linestyle=":", label="rounding")
        values.axvline(rank.lowest, color="tab:orange", label=f"rank {_range(rank.lowest, rank.highest)}")
        values.axvline(self.blind.inputs, color="grey", linestyle="--", label=f"pixels {self.blind.inputs:,}")
        values.set_xlabel("direction")
        values.set_title("singular values of the local linear map" if rank.method == "singular values" else
                         "singular values of random projections", fontsize=9)  # fmt: skip
        values.legend(fontsize=7)
        figure.suptitle(f"{self.model} · {self.where}: inputs with the same activation have "
                        f"{_range(*self.blind.dimension)} of {self.blind.inputs:,} dimensions")  # fmt: skip
        return figure

    def _draw_moved(self, picture: Any, difference: Any) -> None:
        for axes in (picture, difference):
            axes.set_axis_off()
        if self.moved is None:
            words = "nothing can be moved" if self.blind.dimension[1] == 0 else "no way back was found"
            picture.text(0.5, 0.5, words, ha="center", transform=picture.transAxes)
            return
        show_picture(picture, np.clip(np.round(self.moved.pixels), 0, 255).astype(np.uint8))
        change, shuffled = self.moved.change, self.moved.random_change
        picture.set_title(f"read the same: it changes by {change:.0e}\n(shuffled: {shuffled:.1g})", fontsize=9)
        step = self.moved.pixels - self.pixels
        enlarged = signed_to_rgb(step[None])[0] if len(step) == 3 else signed_to_colour(step)[0]
        difference.imshow(enlarged, interpolation="nearest")
        largest = float(np.abs(step).max()) or 1.0
        difference.set_title(f"difference, enlarged {127 / largest:.2g} times", fontsize=9)


def preimage(
    model: Model | nn.Module | str,
    image: Given,
    where: str,
    *,
    towards: Given | None = None,
    images: Images | None = None,
    seed: int = 0,
) -> PreimageSheet:
    """Which inputs a layer, or a unit LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN, reads as it reads this picture.

    A layer is read where its units are, behind its rectifier. The picture is moved `towards` another, or smooth noise.
    `image` is as for `maps`.
    Raises: UnknownName, UsageError, BadImages; NotApplicable for a network that is not made of linear pieces.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    layer, part = _place(opened, where)
    site = opened.sites[opened.sites[layer].read or layer]
    picture = open_picture(image, opened.preprocessing, images)
    goal = _goal(opened, towards, images, seed)
    x, y = prepare(torch.from_numpy(np.stack([picture.pixels, goal.pixels])), opened.preprocessing, opened.module)
    x, y = x.double().cpu(), y.double().cpu()
    reading = Reading(model=opened, site=site, part=part)
    blind = blindness(reading, x)
    before = None if site.name == layer else blindness(Reading(model=opened, site=opened.sites[layer], part=part), x)
    free = blind.dimension[1] > 0
    return PreimageSheet(
        model=opened.name, picture=picture.name, target=goal.name, where=where, site=site.name, pixels=picture.pixels,
        towards=goal.pixels, blind=blind, before=before,
        straight=straight(reading, x, y, blind.directions) if free else None,
        moved=walked(reading, x, y, seed) if free else None,
    )  # fmt: skip


def _place(model: Model, where: str) -> tuple[str, Part]:
    """The layer that is meant, and the part of its tensor."""
    if where in model.sites or where in model.sites.containers:
        return model.sites.resolve(where), ()
    if ":" not in where:
        model.sites.resolve(where)  # which says what there is
    name, channel, position = parse_unit(where)
    layer = model.sites.resolve(name)
    site = model.sites[layer]
    part = (channel, *(position or ()))
    shape = (site.channels, *site.extent)
    if len(part) > len(shape) or any(at >= length for at, length in zip(part, shape, strict=False)):
        raise UnknownName(f"{where} does not exist", f"{layer} has the shape {' x '.join(map(str, shape))}",
                          "Channels, rows and columns count from 0: give one of them")  # fmt: skip
    return layer, part


def _goal(model: Model, towards: Given | None, images: Images | None, seed: int) -> Picture:
    """Where the picture is to go: another, or smooth noise."""
    if towards is not None:
        return open_picture(towards, model.preprocessing, images)
    numbers, (channels, height, width) = np.random.default_rng(seed), model.preprocessing.shape
    rows, columns = min(WAVES, height), min(WAVES, width)
    waves = np.zeros((channels, height, width), complex)
    waves[:, :rows, :columns] = numbers.standard_normal((channels, rows, columns, 2)) @ [1, 1j]
    field = np.fft.ifft2(waves).real
    field = 127.5 + 127.5 * field / (np.abs(field).max() or 1.0)
    return Picture(name=NOISE, pixels=np.round(field).astype(np.uint8))


def _numbers(rank: Rank) -> dict[str, Any]:
    return {"lowest": rank.lowest, "highest": rank.highest, "method": rank.method, "tolerance": rank.tolerance,
            "gap": None if np.isinf(rank.gap) else rank.gap, "values": rank.values.tolist()}  # fmt: skip


def _range(lowest: int, highest: int) -> str:
    return f"{lowest:,}" if lowest == highest else f"{lowest:,} to {highest:,}"


def _clear(rank: Rank) -> str:
    return "" if np.isinf(rank.gap) else f" (the next singular value is {rank.gap:.1g} times smaller)"
