"""What makes each unit fire, and how often."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Limit, Pass, Result, Steps, each, setting, unread_layers
from ..cards import Card, Chart, Column, Crops, Finding, Table, Text, card_link, layer_link, ranked
from ..figures import short, through_layers
from ..network.recording.recorder import RECTIFIERS
from ..network.specimen import Specimen
from ..statistics import Extremes, Firing, Histogram, Moments, Quantiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-2  # a standard deviation below this share of the mean may be rounding of sums in float32
CERTAIN = 3  # of n images, an event of probability above 3 / n is missed with at most 5% ("rule of three")

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ActivityResult(Result):
    """Everything by layer.

    Shapes, C the layer's units: mean, std, active (share of positions above zero), largest, dead (C,); top_* and
    lower_* (C, k), boxes (C, k, 4), index -1 for units that never fire; counts (C, bins) between low and high (C,).
    `levels` (k,) are the quantiles of the lower images.
    """

    images: int
    levels: np.ndarray
    mean: ByLayer
    std: ByLayer
    active: ByLayer
    largest: ByLayer
    dead: ByLayer
    top_index: ByLayer
    top_value: ByLayer
    top_box: ByLayer
    lower_index: ByLayer
    lower_value: ByLayer
    lower_box: ByLayer
    low: ByLayer
    high: ByLayer
    counts: ByLayer

    def findings(self) -> list[Finding]:
        units = sum(len(values) for values in self.mean.values())
        dead = {layer: int(values.sum()) for layer, values in self.dead.items()}
        total, worst = sum(dead.values()), max(dead, key=lambda layer: dead[layer])
        seen = f"a unit that fires on more than {CERTAIN / self.images:.2%} of images is seen with 95% probability"
        if not total:
            return [Finding(sentence=f"Every one of the {units:,} units fires on these images", number=0, weight=0.15,
                            link=card_link("Activity by layer"), control=seen)]  # fmt: skip
        return [Finding(
            sentence=f"{total:,} of {units:,} units never fire on these images; {dead[worst]:,} of them in {worst}",
            number=total, weight=min(0.95, 0.45 + 2 * total / units), control=seen,
            link=layer_link(worst, "filter=dead"),
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        return [
            Column(name="active", values=self.active, kind="share", how_to_read="Share of positions above zero."),
            Column(name="dead", values=self.dead, kind="flag", good="low",
                   how_to_read=f"Constant on {self.images:,} images; behind a rectifier: never above zero."),
            Column(name="mean", values=self.mean, how_to_read="Mean activation where the unit is read."),
            Column(name="std", values=self.std, good="high",
                   how_to_read="Standard deviation over images and positions: how much the unit varies."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (k, len(v), f"{np.median(v):.1%}", f"{v.min():.1%} to {v.max():.1%}", int(self.dead[k].sum()))
            for k, v in self.active.items()
        )
        table = Card(
            title="Activity by layer", control=f"A unit that fires on more than {CERTAIN / self.images:.2%} of "
                 "images is not called dead, with 95% probability.",
            how_to_read=f"One row a layer, in order, over {self.images:,} images. Active: share of positions above "
                        "zero where the unit is read.",
            content=Table(header=("layer", "units", "active (median unit)", "least to most active", "dead"), rows=rows,
                          links=tuple(layer_link(k) for k in self.active)),
        )  # fmt: skip
        return [table, *(card for layer in self.mean for card in (self._layer_card(layer), *self._unit_cards(layer)))]

    def _layer_card(self, layer: str) -> Card:
        return Card(
            title="Share of active positions", layer=layer,
            how_to_read="Units in order of activity: a fast fall means few units do most of the firing.",
            content=ranked(self.active[layer], "active", "share of positions above zero"),
        )  # fmt: skip

    def _unit_cards(self, layer: str) -> list[Card]:
        edges = np.linspace(self.low[layer], self.high[layer], self.counts[layer].shape[1] + 1, axis=1)
        shares = self.counts[layer] / self.counts[layer].sum(1, keepdims=True)
        fires = (f"fires at {active:.1%} of positions" for active in self.active[layer])
        silent = ("never fires on these images" if a <= 0 else "constant on these images" for a in self.active[layer])
        headline = (s if d else f for d, s, f in zip(self.dead[layer], silent, fires, strict=True))
        strongest = np.array([[short(v) for v in row] for row in self.top_value[layer]])
        lower = np.array([[f"{short(v)} · {q:.0%}" for v, q in zip(row, self.levels, strict=True)]
                          for row in self.lower_value[layer]])  # fmt: skip
        return [
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=tuple(headline))),
            Card(title="Strongest images", layer=layer, per_unit=True, section="sees", telling=2,
                 how_to_read="The images with the largest activation, cut to what the unit can see (its receptive "
                             "field); the number is the activation.",
                 content=Crops(index=self.top_index[layer], boxes=self.top_box[layer], captions=strongest)),
            Card(title="What also fires it", layer=layer, per_unit=True, section="sees",
                 how_to_read="Images at evenly spaced quantiles of the largest activation per image, from strong to "
                             "weak, so that the strongest do not mislead: the activation, and its quantile.",
                 content=Crops(index=self.lower_index[layer], boxes=self.lower_box[layer], captions=lower)),
            Card(title="Distribution of its values", layer=layer, per_unit=True,
                 how_to_read="Share of sampled positions, a few an image, by activation.",
                 content=Chart(kind="bars", x=(edges[:, 1:] + edges[:, :-1]) / 2, series=(("share", shares),),
                               x_label="activation", y_label="share of positions")),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Share of active positions through the layers: median, and the middle 80% of units."""
        return through_layers(self.active, "share of positions above zero")


@dataclass(frozen=True, kw_only=True)
class Activity(Analysis):
    """What makes each unit fire, and how often?"""

    topic = "well"
    result = ActivityResult

    k: int = setting(9, help="images shown a unit: so many strongest, so many at lower quantiles")
    positions: int = setting(8, help="positions sampled an image for the histogram")

    def limits(self, specimen: Specimen) -> list[Limit]:
        found = unread_layers(specimen)
        read = {specimen.sites[site].operation for site in specimen.reading().values()}
        if not read & RECTIFIERS:
            found.append(Limit(
                "no unit is read behind a ReLU: a share of positions above zero says little there, and only constant "
                "units are called dead", "Compare units by mean and standard deviation",
            ))  # fmt: skip
        return found

    def steps(self, specimen: Specimen) -> Steps:
        images = specimen.need_images(self.name)
        reading = specimen.reading()
        answers = yield Pass(
            moments=each(reading, Moments()),
            firing=each(reading, Firing()),
            top=each(reading, Extremes(k=self.k)),
            lower=each(reading, Quantiles(k=self.k)),
            histogram=each(reading, Histogram(positions=self.positions)),
        )
        layers = {layer: _summarise(specimen, layer, answers) for layer in reading}
        by_name = {name: {layer: got[name] for layer, got in layers.items()} for name in next(iter(layers.values()))}
        levels = next(iter(answers["lower"].values())).levels
        return ActivityResult(images=len(images) - len(images.broken), levels=levels, **by_name)


def _summarise(specimen: Specimen, layer: str, answers: dict[str, Any]) -> dict[str, Any]:
    """All numbers of one layer, by the names of the result's fields."""
    read = specimen.sites[layer].read or layer
    got = {name: by_layer[layer] for name, by_layer in answers.items()}
    share, std, largest = got["firing"].share, got["moments"].std, got["firing"].largest
    low, high = got["histogram"].low, got["histogram"].high
    # rounded sums leave a constant unit some deviation, so its values are compared too
    constant = (low == high) & (high == largest) & (std <= ROUNDING * np.abs(got["moments"].mean))
    # behind a rectifier a dead unit is never above zero; before a sum, negative values count too
    rectified = bool((low >= 0).all())
    dead = constant | (rectified & (share == 0))
    out: dict[str, Any] = {
        "mean": got["moments"].mean, "std": std, "active": share, "largest": largest, "dead": dead,
        "low": low, "high": high, "counts": got["histogram"].counts,
    }  # fmt: skip
    for kind in ("top", "lower"):
        # of a dead unit no image is the strongest: showing one would be showing nothing
        out[f"{kind}_index"] = np.where(dead[:, None], -1, got[kind].index)
        out[f"{kind}_value"] = got[kind].values
        out[f"{kind}_box"] = specimen.boxes(read, got[kind].place)
    return out
