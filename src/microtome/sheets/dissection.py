"""One unit's activation on one picture, taken apart row by row: who feeds it, with what, and what that adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ..figures import new_figure, short, show_picture, signed_to_colour
from ..formulas.labels import label_kernels
from ..images.collection import Images
from ..images.picture import Given, open_picture
from ..network.open import Model, open_model
from ..network.parts.dissecting import Dissection, layer_of, row_words
from ..network.parts.dissecting import dissect as taken_apart
from ..network.parts.feeders import feeders
from ..network.parts.filters_on_pictures import small, words_of_filters
from .explanation import aim_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12  # rows of the figure; those that tell less are one row together

HOW_TO_READ = ("x is what a channel gives, w the filter on it, a what that adds, c the sum so far; orange above 0, "
               "blue below, each column in one scale. Percent: covariance of a with the sum of all, over its "
               "variance.")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DissectionSheet:
    """A unit taken apart on one picture.

    `feeding` names the units behind each input channel, `labels` what they show ("" for unknown), `words` what each
    row does. Shapes: pixels (C, H, W) uint8.
    """

    model: str
    picture: str
    pixels: np.ndarray
    dissection: Dissection
    feeding: tuple[str, ...]
    labels: tuple[str, ...]
    words: tuple[str, ...]

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines, rows in order of their share."""
        found, shares = self.dissection, self.dissection.shares
        rows = [
            {"channel": int(found.index[row]), "units": self.feeding[row], "label": self.labels[row],
             "words": self.words[row], "covariance_share": _known(shares.covariance[row]),
             "on_share": _known(shares.on[row]), "energy_share": _known(shares.energy[row])}
            for row in found.order
        ]  # fmt: skip
        return {"model": self.model, "picture": self.picture, "layer": found.layer, "unit": found.unit,
                "folded": found.folded, "bias": found.bias, "largest": float(found.y.max()), "error": found.error,
                "rows": rows}  # fmt: skip

    def sentences(self) -> list[str]:
        """What feeds the unit most, and that the sum is right."""
        found, shares = self.dissection, self.dissection.shares
        behind = f", behind {found.folded}" if found.folded else ""
        lines = [
            f"{self.model}, {found.layer}:{found.unit} on {self.picture}{behind}: largest "
            f"{short(float(found.y.max()))}, {len(found.index)} channels and a bias of {short(found.bias)} add up to "
            f"it (error {found.error:.1e} of it)"
        ]  # fmt: skip
        for row in found.order[:SHOWN]:
            lines.append(f"{shares.covariance[row]:>7.0%}  {self.feeding[row] or f'channel {found.index[row]}'}: "
                         f"{self.words[row]}")  # fmt: skip
        if len(found.order) > SHOWN:
            rest = float(np.nansum(shares.covariance[found.order[SHOWN:]]))
            lines.append(f"{rest:>7.0%}  the other {len(found.order) - SHOWN} channels together")
        return [*lines, f"(share of the covariance with the sum; an even one is {1 / len(found.index):.0%})"]

    def plot(self) -> "Figure":
        """The rows that tell most, in order of the channels, and all others in one; the bias last."""
        found = self.dissection
        chosen = np.sort(found.order[:SHOWN])
        rest = [row for row in range(len(found.index)) if row not in chosen]
        a = [found.a[0, row] for row in chosen] + ([found.a[0, rest].sum(0)] if rest else [])
        sums = np.cumsum(a, 0)
        c = [*sums, sums[-1] + found.bias]
        columns = {"x": [found.x[0, row] for row in chosen], "w": [found.w[row] for row in chosen], "a": a, "c": c}
        figure = new_figure(len(c), 6, size=(11.0, 0.95 * len(c) + 1.2))
        grid = np.array(figure.axes).reshape(len(c), 6)
        for axes in figure.axes:
            axes.set_axis_off()
        for place, (name, maps) in zip((0, 2, 3, 4), columns.items(), strict=True):
            coloured = signed_to_colour(np.stack(maps), per=0)
            for row, picture in enumerate(coloured):
                grid[row, place].imshow(picture, interpolation="nearest")
            grid[0, place].set_title(name, fontsize=10)
        for row, number in enumerate(chosen):
            share = found.shares.covariance[number]
            said = f"{self.feeding[number] or found.index[number]}\n{self.words[number]}\n{share:.0%}"
            grid[row, 1].text(0, 0.5, said, fontsize=7, va="center", wrap=True)
        if rest:
            grid[len(chosen), 1].text(0, 0.5, f"the other {len(rest)} channels", fontsize=7, va="center")
        grid[-1, 1].text(0, 0.5, f"bias {short(found.bias)}", fontsize=7, va="center")
        grid[0, 5].imshow(signed_to_colour(found.y[:1])[0], interpolation="nearest")
        grid[0, 5].set_title("y", fontsize=10)
        show_picture(grid[min(1, len(c) - 1), 5], self.pixels)
        figure.suptitle(f"{self.model} · {found.layer}:{found.unit} on {self.picture}", fontsize=11)
        figure.supxlabel(HOW_TO_READ, fontsize=8, wrap=True)
        return figure


def dissect(
    model: Model | nn.Module | str, image: Given, unit: str, *, labels: Mapping[str, Sequence[str]] | None = None,
    fold: bool = True, images: Images | None = None,
) -> DissectionSheet:  # fmt: skip
    """Take one unit, LAYER:NUMBER, apart on one picture: what each channel below adds to it.

    `labels` are words by layer and unit; filters on the picture itself are labelled by themselves. With `fold` the
    batch norm that takes the layer's output is part of it. `image` is as for `maps`.
    Raises: UnknownName, BadImages; NotApplicable for a layer that cannot be taken apart.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    picture = open_picture(image, opened.preprocessing, images)
    aim = aim_at(opened, unit, picture.pixels)
    found = taken_apart(opened, picture.pixels[None], aim.site, aim.channel, fold)
    behind = feeders(opened, layer_of(opened, aim.site, fold))
    mine = [behind[channel] for channel in found.index]
    known = words_of_filters(opened) | dict(labels or {})
    said = tuple(" + ".join(filter(None, (_label(known, each) for each in units))) for units in mine)
    names = tuple(" + ".join(f"{name}:{number}" for name, number in units) for units in mine)
    kernels = (
        [label.words for label in label_kernels(found.w)] if small(*found.w.shape[1:]) else [""] * len(found.index)
    )
    words = row_words(found, [label or name for label, name in zip(said, names, strict=True)], kernels)
    return DissectionSheet(
        model=opened.name, picture=picture.name, pixels=picture.pixels, dissection=found, feeding=names, labels=said,
        words=tuple(words),
    )  # fmt: skip


def _label(known: Mapping[str, Sequence[str]], unit: tuple[str, int]) -> str:
    words = known.get(unit[0], ())
    return words[unit[1]] if unit[1] < len(words) else ""


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
