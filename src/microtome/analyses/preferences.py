"""Which classes each unit responds to, and whether more than by chance."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Limit, Pass, Result, Steps, each, setting, unread_layers
from ..cards import Card, Chart, Column, Finding, Table, Text, card_link, layer_link
from ..figures import new_figure
from ..formulas.proportions import images_per_class
from ..formulas.selectivity import class_selectivity
from ..network.specimen import Specimen
from ..statistics import ClassMeans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_PER_CLASS = 5  # with fewer images a class, class means say more about single images than about classes
NAMED = 3  # classes in a unit's headline

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class PreferencesResult(Result):
    """Everything by layer.

    Shapes, C the layer's units: best_class, best_mean (C, B) the classes with the largest mean response, class -1 for
    none; selectivity (C,) in 0..1; null one number a layer, the 95% point of selectivity when labels are shuffled (NaN
    where that cannot be said). `per_class` is the median number of images a class.
    """

    class_names: tuple[str, ...]
    per_class: float
    best_class: ByLayer
    best_mean: ByLayer
    selectivity: ByLayer
    null: dict[str, float]

    @property
    def underpowered(self) -> bool:
        """Whether there are too few images a class to speak of classes."""
        return self.per_class < FEWEST_PER_CLASS

    @property
    def _names(self) -> np.ndarray:
        return np.array([*self.class_names, ""])  # class -1 is the empty name

    def findings(self) -> list[Finding]:
        if self.underpowered:
            return [Finding(
                sentence=f"Underpowered: {self.per_class:g} image(s) a class cannot show which classes units prefer",
                number=self.per_class, weight=0.08, link=card_link("Preferences by layer"),
                control=f"{FEWEST_PER_CLASS} images a class or more are needed",
            )]  # fmt: skip
        units = sum(len(values) for values in self.selectivity.values())
        beyond = {k: int((v > self.null[k]).sum()) for k, v in self.selectivity.items()}
        last = list(beyond)[-1]
        return [Finding(
            sentence=f"{sum(beyond.values()):,} of {units:,} units prefer a class more than with shuffled labels; "
            f"in {last} {beyond[last]} of {len(self.selectivity[last])} do",
            number=sum(beyond.values()), weight=0.3, link=layer_link(last, "sort=selectivity"),
            control=f"about {0.05 * units:.0f} would, if labels meant nothing to them",
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        if self.underpowered:
            return []
        return [
            Column(name="selectivity", values=self.selectivity, how_to_read="Class selectivity index (Morcos et al. "
                   "2018): 0 all classes alike, 1 one class only."),
            Column(name="class", kind="text", how_to_read="The class with the largest mean response.",
                   values={k: self._names[v[:, 0]] for k, v in self.best_class.items()}),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (k, len(v), f"{np.median(v):.2f}", f"{self.null[k]:.2f}", f"{(v > self.null[k]).mean():.0%}")
            for k, v in self.selectivity.items()
        )
        header = ("layer", "units", "selectivity (median)", "95% point, labels shuffled", "units above it")
        table = Card(
            title="Preferences by layer", control="If labels meant nothing, 5% of the units would lie above.",
            how_to_read="How much units prefer one class (class selectivity index, Morcos et al. 2018)."
                        + (f" Underpowered: {self.per_class:g} image(s) a class." if self.underpowered else ""),
            content=Table(header=header, rows=() if self.underpowered else rows,
                          links=() if self.underpowered else tuple(layer_link(k) for k in self.selectivity)),
        )  # fmt: skip
        return [table, *(card for layer in self.best_class for card in self._unit_cards(layer))]

    def _unit_cards(self, layer: str) -> list[Card]:
        few = f" Underpowered: {self.per_class:g} image(s) a class." if self.underpowered else ""
        control = f"With shuffled labels 95% of this layer's units stay below {self.null[layer]:.2f}."
        names = self._names[self.best_class[layer]]
        headline = [", ".join(name for name in row[:NAMED] if name) for row in names]
        return [
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=tuple(f"strongest classes: {row}" if row else "" for row in headline))),
            Card(title="Strongest classes", layer=layer, per_unit=True, control="" if few else control,
                 how_to_read=f"Mean response to the images of each class, the strongest {names.shape[1]}.{few}",
                 content=Chart(kind="bars", x=names, series=(("mean", self.best_mean[layer]),), x_label="class",
                               y_label="mean response")),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Selectivity through the layers, beside the 95% point of shuffled labels."""
        figure = new_figure(size=(max(5.0, 0.3 * len(self.selectivity)), 3.6))
        axes = figure.axes[0]
        depth = np.arange(len(self.selectivity))
        axes.plot(depth, [np.median(v) for v in self.selectivity.values()], marker="o", label="median unit")
        axes.plot(depth, list(self.null.values()), color="grey", linestyle="--", label="95% point, labels shuffled")
        axes.set_xticks(depth, list(self.selectivity), rotation=90, fontsize=7)
        axes.set_ylabel("class selectivity index")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Preferences(Analysis):
    """Which classes does each unit respond to, and more than by chance?"""

    topic = "units"
    result = PreferencesResult

    shown: int = setting(8, help="classes shown a unit")
    shuffles: int = setting(2, help="shuffles of the labels, for what selectivity comes out by chance")

    def limits(self, specimen: Specimen) -> list[Limit]:
        found = unread_layers(specimen)
        per_class = images_per_class(specimen.need_images(self.name).labels)
        if per_class < FEWEST_PER_CLASS:
            found.append(Limit(f"underpowered: {per_class:g} image(s) a class cannot show which classes units prefer",
                               f"Give {FEWEST_PER_CLASS} images a class or more"))  # fmt: skip
        return found

    def steps(self, specimen: Specimen) -> Steps:
        images = specimen.need_images(self.name)
        specimen.need_labels()
        reading = specimen.reading()
        seeds = range(specimen.seed, specimen.seed + self.shuffles)
        nulls = {f"null{s}": each(reading, ClassMeans(classes=specimen.classes, shuffle=s)) for s in seeds}
        answers = yield Pass({"means": each(reading, ClassMeans(classes=specimen.classes))} | nulls)
        per_class = images_per_class(images.labels)
        best_class, best_mean, selectivity, null = {}, {}, {}, {}
        for layer, means in answers["means"].items():
            best_class[layer], best_mean[layer] = strongest(means.mean, self.shown)
            selectivity[layer] = class_selectivity(means.mean)
            shuffled = [class_selectivity(answers[name][layer].mean) for name in nulls]
            few = per_class < FEWEST_PER_CLASS or not shuffled
            null[layer] = float("nan") if few else float(np.quantile(np.concatenate(shuffled), 0.95))
        return PreferencesResult(
            class_names=specimen.class_names, per_class=per_class, best_class=best_class, best_mean=best_mean,
            selectivity=selectivity, null=null,
        )  # fmt: skip


def strongest(means: np.ndarray, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes with the largest means, largest first, and those means; class -1 where there is no response.

    Shapes: means (K, C), NaN for classes without images -> (C, B) and (C, B), B = min(shown, K).
    """
    known = np.where(np.isnan(means), 0.0, means)
    order = np.argsort(-known, axis=0, kind="stable")[:shown].T
    best = np.take_along_axis(known.T, order, 1)
    return np.where(best > 0, order, -1), best
