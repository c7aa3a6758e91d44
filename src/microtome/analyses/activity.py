"""What makes each unit fire, how often, for which classes, and which units do the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Pass, Result, Steps, each, setting
from ..cards import Card, Chart, Column, Crops, Finding, Table, Text, Units, card_link, layer_link
from ..figures import new_figure
from ..formulas.correlation import correlation_matrix, nearest
from ..formulas.selectivity import class_selectivity
from ..network.sites import Site
from ..network.specimen import Specimen
from ..statistics import ClassMeans, Extremes, Firing, Histogram, Moments, Quantiles, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TWIN = 0.95  # correlation from which two units are called near-twins
FEWEST_PER_CLASS = 5  # with fewer images a class, class means say more about single images than about classes
SHUFFLES = 4  # of labels, for what selectivity comes out by chance
SHOWN_CLASSES = 8
CONSTANT = 1e-6  # a standard deviation below this share of the layer's median counts as none

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ActivityResult(Result):
    """Everything by layer.

    Shapes, C the layer's units: mean, std, active (share of positions above zero), largest, dead, selectivity, twin,
    twin_r (C,); top_* and lower_* (C, k), boxes (C, k, 4); counts (C, bins) between low and high (C,); best_class and
    best_mean (C, B). twin_null and selectivity_null are one number a layer: the largest correlation, and the 95%
    point of selectivity, after shuffling. `images_per_class` is the median.
    """

    images: int
    images_per_class: float
    class_names: tuple[str, ...]
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
    twin: ByLayer
    twin_r: ByLayer
    twin_null: dict[str, float]
    best_class: ByLayer
    best_mean: ByLayer
    selectivity: ByLayer
    selectivity_null: dict[str, float]

    @property
    def by_class(self) -> bool:
        """Whether there are enough labelled images a class to speak of classes."""
        return bool(self.best_class) and self.images_per_class >= FEWEST_PER_CLASS

    def findings(self) -> list[Finding]:
        units = sum(len(values) for values in self.mean.values())
        found = [self._dead_finding(units), self._twin_finding(units)]
        if self.by_class:
            found.append(self._selectivity_finding(units))
        return found

    def _dead_finding(self, units: int) -> Finding:
        dead = {layer: int(values.sum()) for layer, values in self.dead.items()}
        total, worst = sum(dead.values()), max(dead, key=lambda layer: dead[layer])
        seen = f"a unit that fires on more than {3 / self.images:.2%} of images would be seen with 95% probability"
        if not total:
            return Finding(sentence=f"Every one of the {units:,} units fires on these images", number=0, weight=0.15,
                           link=card_link("Activity by layer"), control=seen)  # fmt: skip
        return Finding(
            sentence=f"{total:,} of {units:,} units never fire on these images; {dead[worst]:,} of them in {worst}",
            number=total, weight=min(1.0, 0.45 + 2 * total / units), link=layer_link(worst, "filter=dead"), control=seen,
        )  # fmt: skip

    def _twin_finding(self, units: int) -> Finding:
        twins = {layer: int((values > TWIN).sum()) for layer, values in self.twin_r.items()}
        total, most = sum(twins.values()), max(twins, key=lambda layer: twins[layer])
        null = max(self.twin_null.values(), default=0.0)
        control = f"largest correlation after shuffling the images of every unit: {null:.2f}"
        if not total:
            return Finding(sentence=f"No two units of a layer are near-twins (activation correlation > {TWIN})", number=0,
                           weight=0.1, link=card_link("Activity by layer"), control=control)  # fmt: skip
        return Finding(
            sentence=f"{total:,} units have a near-twin in their layer (activation correlation > {TWIN}), "
            f"{twins[most]:,} of them in {most}",
            number=total, weight=min(0.95, 0.35 + total / units), link=layer_link(most, "sort=twin"), control=control,
        )  # fmt: skip

    def _selectivity_finding(self, units: int) -> Finding:
        beyond = {k: float((v > self.selectivity_null[k]).mean()) for k, v in self.selectivity.items() if len(v)}
        count = sum(int((v > self.selectivity_null[k]).sum()) for k, v in self.selectivity.items())
        last = list(beyond)[-1]
        return Finding(
            sentence=f"{count:,} of {units:,} units prefer a class more than with shuffled labels; in {last} "
            f"{beyond[last]:.0%} do",
            number=count, weight=0.3, link=layer_link(last, "sort=selectivity"),
            control="5% would, if labels meant nothing to them",
        )  # fmt: skip

    def columns(self) -> list[Column]:
        found = [
            Column(name="active", values=self.active, kind="share", how_to_read="Share of positions above zero."),
            Column(name="dead", values=self.dead, kind="flag", good="low",
                   how_to_read=f"Never above zero, or constant, on {self.images:,} images."),
            Column(name="twin", values=self.twin_r, good="low",
                   how_to_read="Largest activation correlation with another unit of the layer."),
            Column(name="mean", values=self.mean, how_to_read="Mean activation where the unit is read."),
            Column(name="std", values=self.std, good="high",
                   how_to_read="Standard deviation over images and positions: how much the unit varies."),
        ]  # fmt: skip
        if self.by_class:
            found.append(
                Column(
                    name="selectivity",
                    values=self.selectivity,
                    how_to_read=(
                        "Class selectivity index (Morcos et al. 2018): 0 all classes alike, 1 one class only."
                    ),
                )
            )
            names = np.array([*self.class_names, ""])
            found.append(Column(name="class", kind="text", how_to_read="The class with the largest mean response.",
                                values={k: names[v[:, 0]] for k, v in self.best_class.items()}))  # fmt: skip
        return found

    def cards(self) -> list[Card]:
        cards = [self._table()]
        for layer in self.mean:
            cards += [*self._layer_cards(layer), *self._unit_cards(layer)]
        return cards

    def _table(self) -> Card:
        header = ["layer", "units", "active (median)", "dead", f"twins > {TWIN}", "largest r if shuffled"]
        if self.by_class:
            header += ["selectivity (median)", "95% point if labels are shuffled"]
        rows: list[tuple[str | int | float, ...]] = []
        for layer, active in self.active.items():
            row: list[str | int | float] = [layer, len(active), f"{np.median(active):.1%}", int(self.dead[layer].sum()),
                   int((self.twin_r[layer] > TWIN).sum()), f"{self.twin_null[layer]:.2f}"]  # fmt: skip
            if self.by_class:
                row += [f"{np.median(self.selectivity[layer]):.2f}", f"{self.selectivity_null[layer]:.2f}"]
            rows.append(tuple(row))
        return Card(
            title="Activity by layer",
            how_to_read=f"One row a layer, in order, over {self.images:,} images. Active: share of positions above zero.",
            content=Table(header=tuple(header), rows=tuple(rows), links=tuple(layer_link(k) for k in self.active)),
            control="The last column of each pair is what chance gives: images, or labels, shuffled.",
        )

    def _layer_cards(self, layer: str) -> list[Card]:
        order = np.sort(self.active[layer])[::-1]
        ranks = np.arange(1, len(order) + 1)
        return [
            Card(title="Share of active positions", layer=layer,
                 how_to_read="Units in order of activity: a fast fall means few units do most of the firing.",
                 content=Chart(kind="bars", x=ranks, series=(("active", order),), x_label="rank of the unit",
                               y_label="share of positions above zero")),
            Card(title="Nearest twin", layer=layer,
                 how_to_read="How many units have a nearest twin of each correlation; right of .95 they are near-twins.",
                 content=_histogram_chart(self.twin_r[layer], "largest correlation with another unit", "units"),
                 control=f"Largest correlation after shuffling the images of every unit: {self.twin_null[layer]:.2f}."),
        ]  # fmt: skip

    def _unit_cards(self, layer: str) -> list[Card]:
        edges = np.linspace(self.low[layer], self.high[layer], self.counts[layer].shape[1] + 1, axis=1)
        shares = self.counts[layer] / self.counts[layer].sum(1, keepdims=True)
        cards = [
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=self._headlines(layer))),
            Card(title="Strongest images", layer=layer, per_unit=True, section="sees", telling=2,
                 how_to_read="The images with the largest activation, cut to what the unit can see (its receptive "
                             "field); the number is the activation.",
                 content=Crops(index=self.top_index[layer], boxes=self.top_box[layer],
                               captions=_numbers(self.top_value[layer]))),
            Card(title="What also fires it", layer=layer, per_unit=True, section="sees",
                 how_to_read="Images at evenly spaced quantiles of the largest activation per image, from strong to "
                             "weak: so that the strongest do not mislead.",
                 content=Crops(index=self.lower_index[layer], boxes=self.lower_box[layer],
                               captions=_quantiles(self.lower_value[layer], self.levels))),
            Card(title="Distribution of its values", layer=layer, per_unit=True,
                 how_to_read="Share of sampled positions (8 an image) by activation.",
                 content=Chart(kind="bars", x=(edges[:, 1:] + edges[:, :-1]) / 2, series=(("share", shares),),
                               x_label="activation", y_label="share of positions")),
            Card(title="Nearest units", layer=layer, per_unit=True,
                 how_to_read="The unit of this layer whose activations correlate most with this one's.",
                 content=Units(layer=layer, unit=self.twin[layer][:, None], value=self.twin_r[layer][:, None],
                               value_label="r"),
                 control=f"After shuffling the images of every unit the largest is {self.twin_null[layer]:.2f}."),
        ]  # fmt: skip
        if self.best_class:
            names = np.array([*self.class_names, ""])
            few = "" if self.by_class else f" Underpowered: {self.images_per_class:.0f} image(s) a class."
            control = f"With shuffled labels 95% of this layer's units stay below {self.selectivity_null[layer]:.2f}."
            cards.append(Card(
                title="Strongest classes", layer=layer, per_unit=True, control="" if few else control,
                how_to_read=f"Mean response to the images of each class, the strongest {SHOWN_CLASSES}.{few}",
                content=Chart(kind="bars", x=names[self.best_class[layer]], series=(("mean", self.best_mean[layer]),),
                              x_label="class", y_label="mean response")))  # fmt: skip
        return cards

    def _headlines(self, layer: str) -> tuple[str, ...]:
        lines = []
        for unit, active in enumerate(self.active[layer]):
            parts = ["never fires on these images" if self.dead[layer][unit] else f"fires at {active:.1%} of positions"]
            if self.best_class and not self.dead[layer][unit]:
                strongest = [self.class_names[k] for k in self.best_class[layer][unit][:3] if k >= 0]
                parts.append("strongest classes: " + ", ".join(strongest))
            if self.twin_r[layer][unit] > TWIN:
                parts.append(f"twin: {self.twin[layer][unit]} (r {self.twin_r[layer][unit]:.2f})")
            lines.append(" · ".join(parts))
        return tuple(lines)

    def plot(self) -> "Figure":
        """Share of active positions through the layers: median, and the middle 80% of units."""
        figure = new_figure(size=(max(5.0, 0.3 * len(self.active)), 3.6))
        axes = figure.axes[0]
        depth = np.arange(len(self.active))
        quantiles = np.array([np.quantile(values, (0.1, 0.5, 0.9)) for values in self.active.values()])
        axes.fill_between(depth, quantiles[:, 0], quantiles[:, 2], alpha=0.25, label="middle 80% of units")
        axes.plot(depth, quantiles[:, 1], marker="o", label="median unit")
        axes.set_xticks(depth, list(self.active), rotation=90, fontsize=7)
        axes.set_ylabel("share of positions above zero")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Activity(Analysis):
    """What makes each unit fire, how often, for which classes, and which units do the same?"""

    name = "activity"
    question = "What makes each unit fire, how often, for which classes, and which units do the same?"
    result = ActivityResult

    k: int = setting(9, help="images shown a unit, strongest and at lower quantiles each")
    positions: int = setting(8, help="positions sampled an image, for histogram and twins")

    def steps(self, specimen: Specimen) -> Steps:
        images = specimen.need_images(self.name)
        reading = specimen.reading()
        measures: dict[str, Any] = {
            "moments": each(reading, Moments()), "firing": each(reading, Firing()),
            "top": each(reading, Extremes(k=self.k)), "lower": each(reading, Quantiles(k=self.k)),
            "histogram": each(reading, Histogram(positions=self.positions)),
            "samples": each(reading, Rows(what="positions", positions=self.positions)),
        }  # fmt: skip
        if specimen.labelled:
            measures["classes"] = each(reading, ClassMeans(classes=specimen.classes))
            measures["responses"] = each(reading, Rows(what="response"))
        answers = yield Pass(**measures)
        per_class = np.bincount(images.labels[images.labels >= 0]) if specimen.labelled else np.zeros(1)
        layers = [_summarise(specimen, layer, answers) for layer in specimen.layers]
        return ActivityResult(
            images=len(images),
            images_per_class=float(np.median(per_class[per_class > 0])) if per_class.any() else 0.0,
            class_names=_class_names(specimen),
            levels=answers["lower"][specimen.layers[0].name].levels,
            **{name: {layer["layer"]: layer[name] for layer in layers if name in layer} for name in _BY_LAYER},
        )


_BY_LAYER = ["mean", "std", "active", "largest", "dead", "top_index", "top_value", "top_box", "lower_index", "lower_value", "lower_box", "low", "high", "counts", "twin", "twin_r", "twin_null", "best_class", "best_mean", "selectivity", "selectivity_null"]


def _summarise(specimen: Specimen, site: Site, answers: dict[str, Any]) -> dict[str, Any]:
    """All numbers of one layer."""
    read = specimen.sites[site.read or site.name]
    got = {name: by_layer[site.name] for name, by_layer in answers.items()}
    twin, twin_r, twin_null = _twins(got["samples"].values, specimen.seed)
    out: dict[str, Any] = {
        "layer": site.name, "mean": got["moments"].mean, "std": got["moments"].std, "active": got["firing"].share,
        "largest": got["firing"].largest, "dead": _dead(got["firing"].share, got["moments"].std),
        "low": got["histogram"].low, "high": got["histogram"].high, "counts": got["histogram"].counts,
        "twin": twin, "twin_r": twin_r, "twin_null": twin_null,
    }  # fmt: skip
    for kind in ("top", "lower"):
        out[f"{kind}_index"], out[f"{kind}_value"] = got[kind].index, got[kind].values
        out[f"{kind}_box"] = _boxes(specimen, read, got[kind].place)
    if "classes" in got:
        out |= _preferences(got["classes"].mean)
        out["selectivity_null"] = _shuffled_selectivity(specimen, got["responses"].index, got["responses"].values)
    return out


def _dead(share: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Units that never rise above zero, or that do not vary at all."""
    return (share == 0) | (std <= CONSTANT * np.median(std))


def _boxes(specimen: Specimen, read: Site, place: np.ndarray) -> np.ndarray:
    size = specimen.model.preprocessing.size
    field = specimen.receptive_fields[read.name]
    if field is None:
        return np.broadcast_to(np.array([0, 0, *size]), (*place.shape, 4)).copy()
    return field.boxes(place, read.extent[1], size)


def _twins(samples: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Every unit's nearest twin, the correlation, and the largest correlation after shuffling each unit's samples."""
    flat = samples.transpose(0, 2, 1).reshape(-1, samples.shape[1])  # (n * positions, C)
    twin, twin_r = nearest(correlation_matrix(flat))
    shuffled = np.random.default_rng(seed).permuted(flat, axis=0)
    return twin, twin_r, float(nearest(correlation_matrix(shuffled))[1].max(initial=0.0))


def _preferences(means: np.ndarray) -> dict[str, np.ndarray]:
    known = np.where(np.isnan(means), -1.0, means)
    order = np.argsort(-known, axis=0, kind="stable")[:SHOWN_CLASSES].T  # (C, B)
    best = np.take_along_axis(known.T, order, 1)
    return {"best_class": np.where(best < 0, -1, order), "best_mean": np.maximum(best, 0),
            "selectivity": class_selectivity(means)}  # fmt: skip


def _shuffled_selectivity(specimen: Specimen, index: np.ndarray, responses: np.ndarray) -> float:
    """The 95% point of the selectivity of this layer's units when labels are shuffled among the images."""
    labels = specimen.need_images("activity").labels[index]
    responses, labels = responses[labels >= 0], labels[labels >= 0]
    counts = np.bincount(labels)
    if len(labels) == 0 or np.median(counts[counts > 0]) < FEWEST_PER_CLASS:
        return float("nan")
    random = np.random.default_rng(specimen.seed)
    drawn = []
    for _ in range(SHUFFLES):
        member = (random.permutation(labels)[None, :] == np.flatnonzero(counts)[:, None]).astype(np.float64)
        drawn.append(class_selectivity(member @ responses / member.sum(1, keepdims=True)))
    return float(np.quantile(np.concatenate(drawn), 0.95))


def _class_names(specimen: Specimen) -> tuple[str, ...]:
    names = specimen.model.class_names
    return names if len(names) == specimen.classes else tuple(str(place) for place in range(specimen.classes))


def _numbers(values: np.ndarray) -> np.ndarray:
    return np.array([[f"{value:.3g}" for value in row] for row in values])


def _quantiles(values: np.ndarray, levels: Sequence[float] | np.ndarray) -> np.ndarray:
    return np.array([[f"{v:.3g} · {q:.0%}" for v, q in zip(row, levels, strict=True)] for row in values])


def _histogram_chart(values: np.ndarray, x_label: str, y_label: str) -> Chart:
    counts, edges = np.histogram(values, bins=20)
    return Chart(kind="bars", x=(edges[1:] + edges[:-1]) / 2, series=((y_label, counts),), x_label=x_label,
                 y_label=y_label)  # fmt: skip
