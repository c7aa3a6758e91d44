"""Which units of a layer do the same."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Limit, Pass, Result, Steps, each, setting, unread_layers
from ..cards import Card, Chart, Column, Finding, Table, Text, Units, card_link, layer_link
from ..figures import through_layers
from ..formulas.correlation import correlation_matrix, nearest
from ..network.specimen import Specimen
from ..statistics import Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TWIN = 0.95  # correlation from which two units are called near-twins
FEWEST_SAMPLES = 30  # with so many, the correlation of units that have nothing in common stays below 0.36 in 95 of 100

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class TwinsResult(Result):
    """Everything by layer.

    Shapes, C the layer's units: twin, correlation (C, k), the nearest units, nearest first; null one number a layer,
    the largest correlation after shuffling the samples of every unit.
    """

    samples: int
    twin: ByLayer
    correlation: ByLayer
    null: dict[str, float]

    def findings(self) -> list[Finding]:
        units = sum(len(values) for values in self.twin.values())
        twins = {layer: self._count(layer) for layer in self.twin}
        total, most = sum(twins.values()), max(twins, key=lambda layer: twins[layer])
        control = f"largest correlation after shuffling the samples of every unit: {max(self.null.values()):.2f}"
        if not total:
            return [Finding(sentence=f"No two units of a layer are near-twins (activation correlation > {TWIN})",
                            number=0, weight=0.1, link=card_link("Twins by layer"), control=control)]  # fmt: skip
        return [Finding(
            sentence=f"{total:,} of {units:,} units have a near-twin in their layer (activation correlation > {TWIN}), "
            f"{twins[most]:,} of them in {most}", number=total, weight=min(0.9, 0.35 + total / units),
            link=layer_link(most, "sort=twin"), control=control,
        )]  # fmt: skip

    def _count(self, layer: str) -> int:
        return int((self.correlation[layer][:, 0] > TWIN).sum())

    def columns(self) -> list[Column]:
        return [Column(name="twin", values={k: v[:, 0] for k, v in self.correlation.items()}, good="low",
                       how_to_read="Largest activation correlation with another unit of the layer.")]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (k, len(v), self._count(k), f"{np.median(v[:, 0]):.2f}", f"{v[:, 0].max():.2f}", f"{self.null[k]:.2f}")
            for k, v in self.correlation.items()
        )
        header = ("layer", "units", f"near-twins (r > {TWIN})", "nearest r (median)", "nearest r (largest)", "shuffled")
        table = Card(
            title="Twins by layer", control="Last column: the largest correlation after shuffling each unit's samples.",
            how_to_read=f"Correlation of each unit's activations with its nearest other unit's, over {self.samples:,} "
                        "sampled positions. Many near-twins mean that the layer could be smaller.",
            content=Table(header=header, rows=rows, links=tuple(layer_link(k) for k in self.correlation)),
        )  # fmt: skip
        return [table, *(card for layer in self.twin for card in self._layer_cards(layer))]

    def _layer_cards(self, layer: str) -> list[Card]:
        nearest_r = self.correlation[layer][:, 0]
        counts, edges = np.histogram(nearest_r, bins=20, range=(min(0.0, float(nearest_r.min())), 1.0))
        headline = tuple(
            f"twin: {unit} (r {r:.2f})" if r > TWIN else ""
            for unit, r in zip(self.twin[layer][:, 0], nearest_r, strict=True)
        )
        null = f"After shuffling the samples of every unit the largest is {self.null[layer]:.2f}."
        return [
            Card(title="Nearest twin", layer=layer, control=null,
                 how_to_read=f"How many units have a nearest twin of each correlation; above {TWIN} they do the same.",
                 content=Chart(kind="bars", x=(edges[1:] + edges[:-1]) / 2, series=(("units", counts),),
                               x_label="largest correlation with another unit", y_label="units")),
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=headline)),
            Card(title="Nearest units", layer=layer, per_unit=True, control=null,
                 how_to_read="The units of this layer whose activations correlate most with this one's.",
                 content=Units(layer=layer, unit=self.twin[layer], value=self.correlation[layer], value_label="r")),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """The nearest twin's correlation through the layers, beside what shuffling gives."""
        nearest_r = {layer: values[:, 0] for layer, values in self.correlation.items()}
        figure = through_layers(nearest_r, "correlation with the nearest unit")
        axes = figure.axes[0]
        axes.plot(list(self.null.values()), color="grey", linestyle="--", label="largest after shuffling")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Twins(Analysis):
    """Which units of a layer do the same?"""

    topic = "well"
    result = TwinsResult

    positions: int = setting(8, help="positions sampled an image")
    k: int = setting(4, help="nearest units shown")

    def limits(self, specimen: Specimen) -> list[Limit]:
        found = unread_layers(specimen)
        count = len(specimen.need_images(self.name))
        if count < FEWEST_SAMPLES:
            found.append(Limit(
                f"with {count} images, layers without positions have as few samples, and "
                "units that have nothing in common may look alike", f"Give {FEWEST_SAMPLES} images or more",
            ))  # fmt: skip
        return found

    def steps(self, specimen: Specimen) -> Steps:
        specimen.need_images(self.name)
        answers = yield Pass(samples=each(specimen.reading(), Rows(what="positions", positions=self.positions)))
        random = np.random.default_rng(specimen.seed)
        twin, correlation, null = {}, {}, {}
        samples = 0
        for layer, rows in answers["samples"].items():
            flat = rows.values.transpose(0, 2, 1).reshape(-1, rows.values.shape[1])  # (n * positions, C)
            samples = len(flat)
            twin[layer], correlation[layer] = nearest(correlation_matrix(flat), self.k)
            shuffled = correlation_matrix(random.permuted(flat, axis=0))
            null[layer] = float(nearest(shuffled)[1].max())
        return TwinsResult(samples=samples, twin=twin, correlation=correlation, null=null)
