"""What happens to the answers when a unit is silenced? Measured on other images than its mean, beside random units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting, unread_layers
from ..cards import Card, Column, Finding, Table, Text, card_link, layer_link, unit_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.effects import agreement, movers, ranked
from ..formulas.resampling import bootstrap_means
from ..formulas.unit_effects import UnitEffects, between
from ..network.specimen import Specimen
from ..network.trials.effects import Surgeon, gathered, halves, parts_of, slopes_of
from ..network.trials.first_order import added
from ..network.trials.silencing import before_the_logits
from ..network.trials.silencing_plan import chosen_units, images_for_estimate, images_together, plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVED = 3  # classes that are named
TITLE = "When a unit is silenced"


@dataclass(frozen=True, kw_only=True)
class EffectsResult(UnitEffects, Result):
    """What was measured, and what there is to say of it; see `UnitEffects`."""

    def findings(self) -> list[Finding]:
        inner = [layer for layer in self.measured if layer != self.last]
        found = [self._costliest(inner)] if inner else []
        guessed = {k: np.nan_to_num(self.estimate[k][self.units[k]], nan=-np.inf) for k in inner}
        if inner and max(map(np.max, guessed.values())) > 0:  # one unit, chosen by other images
            layer = max(inner, key=lambda k: float(guessed[k].max()))
            found.insert(0, self._likeliest(layer, int(guessed[layer].argmax())))
        rho = self.agreement[0, 0]
        if np.isfinite(self.agreement[0]).all():
            found.append(Finding(
                sentence=f"A first-order estimate ranks {self.compared():,} units as their measured effects do at "
                f"{between(rho, self.agreement[0, 1:3], 2)} (rank correlation, on other images)",
                number=float(rho), weight=0.2, link=card_link(TITLE),
                control=f"with estimates shuffled within each layer {self.agreement[0, 3]:.2f}",
            ))  # fmt: skip
        return found

    def _likeliest(self, layer: str, place: int) -> Finding:
        cost, low, high = (float(each[place]) for each in self.cost(layer))
        return Finding(
            sentence=f"Silencing {layer}:{self.units[layer][place]}, the unit with the largest estimate on other "
            f"images, lowers {self.logit} by {between(self.mean_fall(layer)[place], self.interval[layer][place], 2)} "
            f"and costs {cost:z.0f} points {self.points_of} [{low:z.0f}, {high:z.0f}] on {self.images} held-out images",
            number=float(self.mean_fall(layer)[place]), weight=min(0.85, 0.3 + max(0.0, low / 100)),
            link=layer_link(layer, "sort=effect"), control=self.beside(layer, place),
        )  # fmt: skip

    def _costliest(self, inner: Sequence[str]) -> Finding:
        among, costs = sum(len(self.units[k]) for k in inner), {k: self.cost(k)[0] for k in inner}
        layer = max(inner, key=lambda k: float(costs[k].max()))
        place, without = int(costs[layer].argmax()), sum(not self.certain(k).any() for k in inner)
        cost, low, high = (float(each[place]) for each in self.cost(layer, among))
        return Finding(
            sentence=f"In {without} of {len(inner)} layers no unit that was silenced alone costs answers for certain; "
            f"the costliest of {among:,}, {layer}:{self.units[layer][place]}, costs {cost:z.0f} points "
            f"{self.points_of} [{low:z.0f}, {high:z.0f}] on {self.images} held-out images",
            number=without, weight=0.25, link=card_link(TITLE),
            control=f"{self.beside(layer, place)}; intervals are wider for choosing among so many",
        )  # fmt: skip

    def columns(self) -> list[Column]:
        how = f"on {self.images} held-out images, when its channel is replaced by its mean"
        return [
            Column(name="effect", values={k: self._whole(k, self.mean_fall(k)) for k in self.measured},
                   how_to_read=f"By how much {self.logit} falls {how}."),
            Column(name="effect on answers", values={k: self._whole(k, self.cost(k)[0]) for k in self.measured},
                   how_to_read=f"Points {self.points_of} that are lost {how}."),
            Column(name="effect, estimated", values=self.estimate,
                   how_to_read=f"The fall of the logit to first order, from {self.learnt} other images."),
        ]  # fmt: skip

    def _whole(self, layer: str, values: np.ndarray) -> np.ndarray:
        """One number a unit of the layer, NaN where it was not silenced."""
        out = np.full(len(self.estimate[layer]), np.nan)
        out[self.units[layer]] = values
        return out

    def cards(self) -> list[Card]:
        header = ("layer", "units", "silenced", "median effect", "largest effect", f"its points {self.points_of}",
                  "beyond noise", "cost answers")  # fmt: skip
        links = tuple(unit_link(k, int(self.units[k][self.mean_fall(k).argmax()])) if len(self.units[k]) else
                      layer_link(k) for k in self.estimate)  # fmt: skip
        of_classes = f" The units of {self.last} are the classes themselves." if self.last else ""
        table = Card(
            title=TITLE, content=Table(header=header, rows=tuple(map(self._row, self.estimate)), links=links),
            how_to_read="A unit's channel is replaced by its mean, one unit at a time. The effect is how far "
            f"{self.logit}, above the mean of all classes, falls. By layer: the median of random units, the unit with "
            "the largest, how many random units have an effect that is not 0 for certain, and how many units cost "
            f"answers for certain.{of_classes} {self.estimate_in_words()}",
            control=f"{self.images} held-out images; means and estimates are of {self.learnt} others. Beyond noise: by "
            "chance 5%. Cost answers: intervals are wider for the number of units, so that by chance 5% of layers have "
            "any.",
        )  # fmt: skip
        return [table, *map(self._unit_card, self.estimate)]

    def _row(self, layer: str) -> tuple[str | int, ...]:
        units, drawn = self.units[layer], self.drawn[layer]
        if not len(units):
            return layer, len(self.estimate[layer]), 0, *["–"] * 5
        falls, place = self.mean_fall(layer), int(self.mean_fall(layer).argmax())
        cost, low, high = (each[place] for each in self.cost(layer))
        beyond = ((self.interval[layer][:, 0] > 0) | (self.interval[layer][:, 1] < 0))[drawn]
        return (
            layer, len(self.estimate[layer]), len(units), f"{np.median(falls[drawn]):z.3f}" if drawn.any() else "–",
            f"{falls[place]:z.2f} (:{units[place]})", f"{cost:z.0f} [{low:z.0f}, {high:z.0f}]",
            f"{beyond.sum()} of {len(beyond)}", f"{self.certain(layer).sum()} of {len(units)}",
        )  # fmt: skip

    def _unit_card(self, layer: str) -> Card:
        place, estimate = {int(unit): k for k, unit in enumerate(self.units[layer])}, self.estimate[layer]
        below, others = ranked(self.mean_fall(layer), self.drawn[layer]) if place else (np.zeros(0), np.zeros(0))
        lines = tuple(
            self.in_words(layer, place[unit], int(below[place[unit]]), int(others[place[unit]])) if unit in place else
            "Not silenced, and there is no gradient to estimate what would happen." if np.isnan(value) else
            f"Not silenced. To first order {self.logit} would fall by {value:z.3f}, further than with "
            f"{(estimate < value).mean():.0%} of the layer's units."
            for unit, value in enumerate(estimate)
        )  # fmt: skip
        return Card(
            title="When it is silenced", layer=layer, per_unit=True, section="feeds", content=Text(lines=lines),
            how_to_read=f"What changes on {self.images} held-out images when its channel is replaced by its mean of "
            f"{self.learnt} other images. Logits are above the mean of all classes; intervals 95%.",
            control=f"Random units of the layer that were silenced: {self.drawn[layer].sum()}. "
            f"{self.estimate_in_words()}",
        )  # fmt: skip

    def plot(self) -> "Figure":
        """Effects by layer, random units and the largest, beside the estimates; and estimates against effects."""
        figure = new_figure(1, 2, size=(max(9.0, 0.35 * len(self.estimate) + 4), 4.0))
        by_layer, beside = figure.axes
        names = list(self.estimate)
        for depth, layer in enumerate(names):
            known = self.estimate[layer][~np.isnan(self.estimate[layer])]
            if len(known):
                low, high = np.quantile(known, (0.1, 0.9))
                by_layer.plot([depth, depth], [low, high], color="C0", alpha=0.3, linewidth=6, solid_capstyle="butt")
            falls, drawn = self.mean_fall(layer), self.drawn[layer]
            by_layer.plot(np.full(drawn.sum(), depth), falls[drawn], ".", color="black", markersize=3)
            by_layer.plot(np.full((~drawn).sum(), depth), falls[~drawn], "x", color="C3", markersize=4)
            beside.plot(self.estimate[layer][self.units[layer]], falls, ".", markersize=4,
                        color=f"{0.75 - 0.75 * depth / max(1, len(names) - 1):.2f}")  # fmt: skip
        by_layer.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        by_layer.set(ylabel="fall of the logit", title="random (dots), chosen (crosses), estimates (bars, middle 80%)")
        ends = np.array([*beside.get_xlim(), *beside.get_ylim()])
        beside.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color="grey", linewidth=0.8)
        beside.set(xlabel="estimate", ylabel="measured", title="darker: deeper layers")
        for axes in figure.axes:
            axes.title.set_fontsize(8)
        return figure


@dataclass(frozen=True, kw_only=True)
class Effects(Analysis):
    """What happens to the answers when a unit is silenced?"""

    topic = "decisions"
    result = EffectsResult

    images: int = setting(0, help="held-out images; 0: 16 to 256 as the effort allows, at most half of all")
    units: int = setting(0, help="units of each layer; 0: as many as effort and each layer's cost allow")

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        where = before_the_logits(specimen.model, specimen.reading())
        surgeon = Surgeon(specimen=specimen, where=where)
        size = images_together(specimen.sites, where)
        number, counts = plan(specimen, where, self.images, self.units)
        learnt, judged = halves(specimen, images_for_estimate(specimen), number)
        if not (len(learnt) and len(judged)):
            raise _too_few(len(learnt) + len(judged))
        slopes = yield Jobs(key="estimates to first order", items=parts_of(learnt, size),
                            function=lambda some: [surgeon.estimate(places) for places in some])  # fmt: skip
        sums = {k: added([slopes_of(each[k]) for each in slopes]) for k in where}
        chosen = {
            k: chosen_units(sums[k].fall, counts[k], specimen.named_units.get(k, ()), (specimen.seed, place))
            for place, k in enumerate(where)
        }
        units = {k: tuple(map(int, some)) for k, (some, _) in chosen.items()}
        means = {k: each.mean for k, each in sums.items()}
        answers = yield Jobs(
            key=f"units silenced, means of {len(learnt)} images",
            items=tuple((places, units) for places in parts_of(judged, size)),
            function=lambda some: [surgeon.measure(places, of, means) for places, of in some],
        )  # fmt: skip
        found = gathered(answers)
        moved = {k: movers(each, MOVED) for k, each in found.pop("moved").items()}
        estimate = {k: each.fall for k, each in sums.items()}
        falls = {k: each.mean(1) for k, each in found["fall"].items()}
        ends = list(where)[-1]
        last = ends if specimen.sites[ends].units == specimen.classes else ""
        inner = [layer for layer in where if layer != last]
        half = len(inner) // 2
        return EffectsResult(
            **found, class_names=specimen.class_names, labelled=specimen.labelled, learnt=len(learnt),
            last=last, estimate=estimate,
            units={k: some for k, (some, _) in chosen.items()}, drawn={k: drawn for k, (_, drawn) in chosen.items()},
            interval={k: bootstrap_means(each) for k, each in found["fall"].items()},
            classes={k: which for k, (which, _) in moved.items()}, moved={k: by for k, (_, by) in moved.items()},
            agreement=np.stack([agreement([estimate[k][chosen[k][0]] for k in some], [falls[k] for k in some],
                                          specimen.seed) for some in (inner, inner[:half], inner[half:])]),
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        images = specimen.need_images(self.name)
        specimen.need_classes()
        known = int((images.labels >= 0).sum()) if specimen.labelled else len(images)
        if known < 2:
            raise _too_few(known)
        if not before_the_logits(specimen.model, specimen.reading()) or specimen.classes < 2:
            raise NotApplicable(f"{specimen.model.name} has no layer before two classes or more",
                                "A unit is silenced and its network's answers are compared",
                                "Give a network that classifies images")  # fmt: skip

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        return unread_layers(specimen)


def _too_few(images: int) -> NotApplicable:
    return NotApplicable(f"There are {images} images that can be used", "One gives a unit's mean, another its effect",
                         "Give two images or more")  # fmt: skip
