"""Who feeds whom? What every channel adds to every unit, and each unit taken apart on the image it answers most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting
from ..cards import Card, Column, Finding, Pictures, Rows, Table, card_link, layer_link
from ..figures import levels_to_colour, new_figure
from ..network.parts.filters_on_pictures import words_of_filters
from ..network.parts.linear_layers import linear_layers, promising
from ..network.parts.rows import rows_on
from ..network.parts.wiring import affordable_images, by_strongest, gathered, in_groups, in_words, summed
from ..network.specimen import Effort, Specimen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET: dict[Effort, float] = {"quick": 1e10, "normal": 1e11, "full": 2e12}  # multiply-adds of all passes
SELECTIVE = 0.8  # of the channels that carry a unit with shuffled weights: fewer are called selective wiring
TOGETHER = 6  # groups of layers that are kept together
TITLE = "Who feeds whom"
PLAINLY = {"": "passed on", "neg()": "turned around"}  # what a row does with its channel, beside the channel's name

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class DissectionResult(Result):
    """By layer, of U units fed by J channels each; k rows are those with the largest shares in magnitude.

    Shapes: channel (U, k), in the layer's input; share, on (U, k), see `contributions`; source, unit (U, k), place in
    `layers` and number of the unit behind the channel, -1 for unknown; names, words (U, k) texts; rest (U,), the share
    of all other rows; carrying, shuffled (U,), how many channels carry a unit, here and with shuffled weights (NaN
    without a copy); inner J; table (h, w) int8 steps of colour, all shares; x, a (U, k, s, t), y (U, s, t) steps of
    colour on the image `strongest` (U,) of the set.
    """

    images: int
    layers: tuple[str, ...]
    inner: dict[str, int]
    channel: ByLayer
    share: ByLayer
    on: ByLayer
    source: ByLayer
    unit: ByLayer
    names: dict[str, tuple[tuple[str, ...], ...]]
    words: dict[str, tuple[tuple[str, ...], ...]]
    rest: ByLayer
    carrying: ByLayer
    shuffled: ByLayer
    table: ByLayer
    x: ByLayer
    a: ByLayer
    y: ByLayer
    strongest: ByLayer

    def findings(self) -> list[Finding]:
        ratio = {k: _median(v) / _median(self.shuffled[k]) for k, v in self.carrying.items() if self.inner[k] > 1}
        known = {k: value for k, value in ratio.items() if not np.isnan(value)}
        if not known:
            return []
        least = min(known, key=lambda layer: known[layer])
        said = f"{_median(self.carrying[least]):.0f} of {self.inner[least]} channels carry the median unit of {least}"
        return [Finding(
            sentence=f"{said}, the most selective wiring of any layer" if known[least] < SELECTIVE
            else f"In no layer are units fed more selectively than with shuffled weights: {said}",
            number=_median(self.carrying[least]), weight=float(np.clip(0.6 * (1 - known[least]), 0.05, 0.6)),
            link=card_link(TITLE), control=f"with shuffled weights {_median(self.shuffled[least]):.0f} carry it",
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        known = {k: v for k, v in self.carrying.items() if self.inner[k] > 1}
        return [Column(
            name="channels that carry it", values=known, good="neither",
            how_to_read="1 over the sum of the squared shares (in magnitude) of its input channels: 1 if one channel "
            "alone drives it, their number if all do alike.",
        )] if known else []  # fmt: skip

    def cards(self) -> list[Card]:
        return [self._overview(), *(card for layer in self.layers if layer in self.share for card in self._of(layer))]

    def _overview(self) -> Card:
        rows = tuple(
            (k, len(v), self.inner[k], f"{_median(self.carrying[k]):.1f}", f"{_median(self.shuffled[k]):.1f}",
             f"{_median(np.abs(v[:, 0])):.0%}", f"{_median((v < 0).mean(1)):.0%}")
            for k, v in self.share.items()
        )  # fmt: skip
        header = ("layer", "units", "channels each", "carry it", "shuffled weights", "largest share", "against it")
        return Card(
            title=TITLE,
            how_to_read=f"A channel's share is the covariance of what it adds with the whole unit, over the unit's "
            f"variance, on {self.images} images; all shares sum to 1. Of the median unit: how many channels carry "
            "it (1 over the sum of squared shares), the largest share, and how many of its strongest rows are against "
            "it.",
            content=Table(header=header, rows=rows, links=tuple(layer_link(row[0]) for row in rows)),
            control="Shuffled weights: the same network with the numbers of each tensor in another order.",
        )

    def _of(self, layer: str) -> list[Card]:
        share, rest = self.share[layer], self.rest[layer]
        picture = levels_to_colour(self.table[layer])
        heat = Card(
            title="What its units are fed by", layer=layer,
            how_to_read="One line a unit, one column a channel of the layer's input (of its group). Orange: the "
            "channel drives the unit; blue: it works against it. Each line in a scale of its own; channels of large "
            "layers are joined, the strongest of each few shown.",
            content=Pictures(pixels=picture[None],
                             captions=(f"{len(share)} units, {self.inner[layer]} channels each",)),
            control=f"With shuffled weights {_median(self.shuffled[layer]):.0f} channels carry the median unit; here "
            f"{_median(self.carrying[layer]):.0f}.",
        )  # fmt: skip
        there = np.where(self.channel[layer] >= 0)
        names = [["" for _ in row] for row in share]
        for unit, row in zip(*there, strict=True):
            name, words = self.names[layer][unit][row], self.words[layer][unit][row]
            names[unit][row] = f"{name}: {PLAINLY.get(words.replace(name, ''), words)}"
        last = [(*row, f"{self.inner[layer] - np.count_nonzero(self.channel[layer][unit] >= 0)} other rows; y, all "
                 "together") for unit, row in enumerate(names)]  # fmt: skip
        values = np.stack([share, self.on[layer]], -1)
        ends = np.stack([rest, 1 - np.nansum(self.on[layer], 1)], -1)[:, None]
        more = np.full((len(share), 1), -1)
        fed = Card(
            title="What feeds it", layer=layer, per_unit=True, section="feeds",
            how_to_read="The channels that add most to it, over the images; click a row to go on to its unit. x: what "
            "the channel gives on the image on which the unit is strongest; a: what its filter makes of it, which is "
            "added; the last row is the sum of all, before the rectifier. Orange above 0, blue below, each column in "
            "one scale. In words: a channel passed on, turned around (neg), searched for a pattern, or none of "
            "these (unclear). Share: of the unit's variance; when on: of what is added where the unit fires.",
            content=Rows(
                layers=self.layers, layer=np.hstack([self.source[layer], more]), words=tuple(last),
                unit=np.hstack([self.unit[layer], more]), headings=("share", "when on"), pictures=("x", "a"),
                values=np.concatenate([values, ends], 1), pixels=self._tiles(layer), index=self.strongest[layer],
            ),
            control="The shares of all rows sum to 1; an even one is "
            f"{1 / self.inner[layer]:.0%}.",
        )  # fmt: skip
        return [heat, fed]

    def _tiles(self, layer: str) -> np.ndarray:
        """Shapes: -> (U, k + 1, 2, s, t, 3); x is brought to the size of a, and the last row has y alone."""
        x, a, y = (levels_to_colour(part) for part in (self.x[layer], self.a[layer], self.y[layer]))
        height, width = a.shape[2:4]
        rows, columns = (np.arange(n) * m // n for n, m in ((height, x.shape[2]), (width, x.shape[3])))
        given = x[:, :, rows][:, :, :, columns]
        last = np.stack([np.full_like(y, 255), y], 1)[:, None]
        return np.concatenate([np.stack([given, a], 2), last], 1)

    def plot(self) -> "Figure":
        """How many channels carry the median unit, as a share of all it has, by layer; beside shuffled weights."""
        names = [layer for layer in self.share if self.inner[layer] > 1]
        figure = new_figure(size=(max(5.0, 0.4 * len(names)), 3.6))
        axes = figure.axes[0]
        for found, label, mark in ((self.carrying, "this network", "o-"), (self.shuffled, "shuffled weights", "x--")):
            axes.plot([_median(found[k]) / self.inner[k] for k in names], mark, label=label)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
        axes.set(ylim=(0, 1), ylabel="share of channels that carry the median unit")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Dissection(Analysis):
    """Which channels drive each unit, and by how much?"""

    topic = "decisions"
    result = DissectionResult

    sample: int = setting(0, help="images to measure on; 0: as many as effort and the network's cost allow")

    def steps(self, specimen: Specimen) -> Steps:
        images = specimen.need_images(self.name)
        layers = linear_layers(specimen.model, fold=True)
        order = np.argsort(images.hashes, kind="stable")[::2]  # the other half is left for what is tested on it
        places = images.readable(order, self.sample or affordable_images(specimen, BUDGET[specimen.effort]))
        items = tuple((group, copied) for group in in_groups(layers) for copied in (False, True))
        found = yield Jobs(key=f"sums over {len(places)} images", items=items, batch=TOGETHER,
                           function=lambda some: summed(specimen, places, layers, some))  # fmt: skip
        mine, shuffled = ({k: table for (_, copied), answer in zip(items, found, strict=True) if copied == which
                           for k, table in answer.items()} for which in (False, True))  # fmt: skip
        wanted = by_strongest(mine)
        seen = yield Jobs(
            key="rows on the strongest image", items=tuple(wanted),
            function=lambda some: [rows_on(specimen.model, images.pixels(place), layers, wanted[place])
                                   for place in some],
        )  # fmt: skip
        pictures = gathered(mine, wanted, seen)
        labels = words_of_filters(specimen.model)
        words = {k: in_words(specimen.model, layers[k], table["channel"], pictures[k]["rho"], labels)
                 for k, table in mine.items()}  # fmt: skip
        return DissectionResult(
            images=len(places), layers=tuple(layer.name for layer in specimen.layers),
            inner={k: layer.weight.shape[1] for k, layer in layers.items() if k in mine},
            shuffled={k: shuffled[k]["carrying"] if k in shuffled else np.full(len(table["rest"]), np.nan)
                      for k, table in mine.items()},
            **{name: {k: table[name] for k, table in mine.items()}
               for name in ("channel", "share", "on", "rest", "carrying", "table", "strongest")},
            **{name: {k: each[name] for k, each in pictures.items()} for name in ("x", "a", "y")},
            **{name: {k: each[name] for k, each in words.items()} for name in ("source", "unit")},
            names={k: each["names"] for k, each in words.items()},
            words={k: each["words"] for k, each in words.items()},
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        promising(specimen.model)

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        known = promising(specimen.model)
        left_out = [layer.name for layer in specimen.layers if layer.name not in known]
        return [Limit(
            f"{len(left_out)} of {len(specimen.layers)} layers cannot be taken apart and are left out: "
            f"{', '.join(left_out[:3])}" + (", ..." if len(left_out) > 3 else ""),
            "Convolutions of maps and linear layers on rows, called once, can be",
        )] if left_out else []  # fmt: skip


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
