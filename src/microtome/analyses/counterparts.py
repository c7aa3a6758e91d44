"""Which unit of another network does what each unit does: matched by activations, layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Limit, Pass, Result, Steps, each, setting
from ..cards import Card, Chart, Column, Crops, Finding, Table, Text, layer_link
from ..figures import short, through_layers
from ..formulas.correlation import best_matches, cross_correlation
from ..network.pairing import other_of, shared_layers
from ..network.specimen import Specimen
from ..statistics import Extremes, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALIKE = 0.9  # correlation from which two units share four fifths of their variance
FEWEST_SAMPLES = 30  # with so many, units that have nothing in common correlate below 0.36 in 95 of 100
TITLE = "Counterparts by layer"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class CounterpartsResult(Result):
    """Everything by layer, of the network that is looked at (A) beside the other one (B).

    Shapes, C the layer's units in A, D in B: match (C,) the unit of B that is most alike, -1 for constant units; r
    (C,) their correlation, NaN for constant units; shuffled (C,) the same after shuffling the images of B; back (D,)
    the largest correlation of every unit of B; samples, how many values a unit were compared; positions, whether these
    are at single positions, otherwise means of whole images. top_*, other_* (C, k) strongest images of the unit and of
    its match, with boxes (C, k, 4); none where the networks see other pictures.
    """

    images: int
    match: ByLayer
    r: ByLayer
    shuffled: ByLayer
    back: ByLayer
    samples: dict[str, int]
    positions: dict[str, bool]
    top_index: ByLayer
    top_value: ByLayer
    top_box: ByLayer
    other_index: ByLayer
    other_value: ByLayer
    other_box: ByLayer
    left_out: tuple[str, ...]

    def _alike(self, layer: str) -> int:
        return int((self.r[layer] > ALIKE).sum())

    @property
    def own(self) -> dict[str, int]:
        """By layer, to how many units the one of their own number is most similar; layers as wide in both networks."""
        wide = {layer: match for layer, match in self.match.items() if len(match) == len(self.back[layer])}
        return {layer: int((match == np.arange(len(match))).sum()) for layer, match in wide.items()}

    def findings(self) -> list[Finding]:
        units, alike = sum(len(r) for r in self.r.values()), sum(map(self._alike, self.r))
        least = min(self.r, key=lambda layer: self._alike(layer) / len(self.r[layer]))
        own, among = sum(self.own.values()), sum(len(self.r[layer]) for layer in self.own)
        sentence = (
            f"{alike:,} of {units:,} units of A have a counterpart in B (activation correlation > {ALIKE})"
            + (f", fewest in {least} ({self._alike(least):,} of {len(self.r[least]):,})" if len(self.r) > 1 else "")
            + (
                f"; of {among:,} in layers as wide in both, {own:,} are most like the one of their own number"
                if own
                else ""
            )
        )
        largest = max(float(values.max()) for values in self.shuffled.values())
        return [Finding(
            sentence=sentence, number=alike, weight=0.55, link=layer_link(least, "sort=counterpart"),
            control=f"with B's images shuffled, the largest correlation of any two units is {largest:.2f}"
            + (f"; by chance {len(self.own)} would have their own number most similar" if own else ""),
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        return [Column(name="counterpart", values=self.r, how_to_read="Activation correlation with the unit of B that "
                       "is most alike, in the layer of the same name.")]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (k, len(r), len(self.back[k]), _median(r), self._alike(k), self.own.get(k, ""),
             int((self.back[k] <= ALIKE).sum()), f"{self.shuffled[k].max():.2f}", self.samples[k])
            for k, r in self.r.items()
        )  # fmt: skip
        header = ("layer", "units of A", "units of B", "r (median)", f"r > {ALIKE}", "own number", "only in B",
                  "shuffled", "samples")  # fmt: skip
        table = Card(
            title=TITLE, content=Table(header=header, rows=rows, links=tuple(layer_link(k) for k in self.r)),
            how_to_read="Every unit of A and the unit of B, in the layer of the same name, whose activations on the "
            "same images correlate most with its own. Own number: units of A to which the one of their number is most "
            f"similar. Only in B: units of B like none of A (r ≤ {ALIKE}).{self._notes()}",
            control="Shuffled: the largest correlation of any two units once the images of B are shuffled.",
        )  # fmt: skip
        return [table, *(card for layer in self.r for card in (*self._layer_cards(layer), *self._pictures(layer)))]

    def _notes(self) -> str:
        """Which layers are compared in another way, or not at all."""
        means = tuple(layer for layer, exact in self.positions.items() if not exact)
        notes = (("Means of images, because positions do not correspond", means),
                 ("Not in both networks, or not read", self.left_out))  # fmt: skip
        return "".join(
            f" {why}: {', '.join(some[:6])}{', ...' if len(some) > 6 else ''}." for why, some in notes if some
        )

    def _layer_cards(self, layer: str) -> list[Card]:
        edges = np.linspace(0, 1, 21)
        known = self.r[layer][~np.isnan(self.r[layer])]
        null = f"With the images of B shuffled, the largest is {self.shuffled[layer].max():.2f}."
        headline = tuple(
            f"in B: unit {unit} (r {r:.2f}, shuffled at most {self.shuffled[layer].max():.2f})"
            if unit >= 0
            else "in B: unknown, it is constant"
            for unit, r in zip(self.match[layer], self.r[layer], strict=True)
        )
        return [
            Card(title="Counterparts in B", layer=layer, control=null,
                 how_to_read="How many units of A have a most similar unit in B of each correlation.",
                 content=Chart(kind="bars", x=(edges[1:] + edges[:-1]) / 2, x_label="correlation with a unit of B",
                               y_label="units", series=(("units", np.histogram(np.maximum(known, 0), edges)[0]),))),
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=headline)),
        ]  # fmt: skip

    def _pictures(self, layer: str) -> list[Card]:
        if layer not in self.other_index:
            return []
        mine, theirs = (
            Crops(index=index, boxes=boxes, captions=np.array([[short(v) for v in row] for row in values]))
            for index, boxes, values in ((self.top_index[layer], self.top_box[layer], self.top_value[layer]),
                                         (self.other_index[layer], self.other_box[layer], self.other_value[layer]))
        )  # fmt: skip
        return [
            Card(title="Strongest in A", layer=layer, per_unit=True, section="sees", telling=1, content=mine,
                 how_to_read="The images with the largest activation, cut to what the unit can see; the activation."),
            Card(title="Strongest for its counterpart in B", layer=layer, per_unit=True, section="sees", content=theirs,
                 how_to_read="The same of the unit of B that is most alike."),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Correlation of every unit with its counterpart through the layers, beside what shuffling gives."""
        figure = through_layers(self.r, "correlation with the counterpart in B")
        axes = figure.axes[0]
        axes.plot([values.max() for values in self.shuffled.values()], color="grey", ls="--", label="largest, shuffled")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Counterparts(Analysis):
    """Which unit of the other network does what each unit does?"""

    topic = "units"
    general = False
    result = CounterpartsResult

    positions: int = setting(8, help="positions sampled an image, where maps are as large in both networks")
    k: int = setting(6, help="strongest images shown of a unit and of its counterpart")

    def limits(self, specimen: Specimen) -> list[Limit]:
        if len(specimen.need_images(self.name)) >= FEWEST_SAMPLES:
            return []
        return [Limit(f"with {len(specimen.need_images(self.name))} images, units that have nothing in common may look "
                      "alike", f"Give {FEWEST_SAMPLES} images or more")]  # fmt: skip

    def steps(self, specimen: Specimen) -> Steps:
        images, name = specimen.need_images(self.name), other_of(specimen)
        other, exact = specimen.beside(name), shared_layers(specimen)
        positions = Rows(what="positions", positions=self.positions)
        answers = []
        for one, model in ((specimen, ""), (other, name)):
            reading = {layer: site for layer, site in one.reading().items() if layer in exact}
            answers.append((yield Pass(
                exact=each({layer: site for layer, site in reading.items() if exact[layer]}, positions),
                mean=each({layer: site for layer, site in reading.items() if not exact[layer]}, Rows(what="mean")),
                top=each(reading, Extremes(k=self.k)), model=model,
            )))  # fmt: skip
        random = np.random.default_rng(specimen.seed)
        layers = {layer: _matched([a["exact" if at else "mean"][layer] for a in answers], random)
                  for layer, at in exact.items()}  # fmt: skip
        found: dict[str, Any] = {key: {k: got[key] for k, got in layers.items()} for key in next(iter(layers.values()))}
        if other.images is images:
            found |= _strongest(
                "top", specimen, answers[0]["top"], {k: np.arange(len(r)) for k, r in found["r"].items()}
            )
            found |= _strongest("other", other, answers[1]["top"], found["match"])
        else:
            found |= {f"{of}_{what}": {} for of in ("top", "other") for what in ("index", "value", "box")}
        there = dict.fromkeys(layer.name for layer in (*specimen.layers, *other.layers))
        return CounterpartsResult(images=len(images) - len(images.broken), positions=exact, **found,
                                  left_out=tuple(layer for layer in there if layer not in exact))  # fmt: skip


def _median(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    return f"{np.median(known):.2f}" if len(known) else ""


def _matched(rows: list[Any], random: np.random.Generator) -> dict[str, Any]:
    """The best match of every unit, from rows of the same images in both networks."""
    _, *there = np.intersect1d(rows[0].index, rows[1].index, assume_unique=True, return_indices=True)
    values = [one.values[place].reshape(len(place), one.values.shape[1], -1)  # (n, C, positions)
              for one, place in zip(rows, there, strict=True)]  # fmt: skip
    mixed = values[1][random.permutation(len(values[1]))]  # whole images: what units of B share stays
    mine, theirs, other = (one.transpose(0, 2, 1).reshape(-1, one.shape[1]) for one in (*values, mixed))
    similarity = cross_correlation(mine, theirs)
    match, r = best_matches(similarity)
    constant = mine.max(0) == mine.min(0)
    return {
        "match": np.where(constant, -1, match), "r": np.where(constant, np.nan, r), "back": similarity.max(0),
        "shuffled": cross_correlation(mine, other).max(1), "samples": len(mine),
    }  # fmt: skip


def _strongest(of: str, specimen: Specimen, top: Mapping[str, Any], units: ByLayer) -> dict[str, ByLayer]:
    """The strongest images of some units of a network, -1 for none; of a unit that is -1 there are none."""
    found: dict[str, ByLayer] = {f"{of}_{what}": {} for what in ("index", "value", "box")}
    for layer, chosen in units.items():
        seen = top[layer]
        shown = (chosen[:, None] >= 0) & (seen.values[chosen] > 0)
        found[f"{of}_index"][layer] = np.where(shown, seen.index[chosen], -1)
        found[f"{of}_value"][layer] = seen.values[chosen]
        found[f"{of}_box"][layer] = specimen.boxes(specimen.reading()[layer], seen.place[chosen])
    return found
