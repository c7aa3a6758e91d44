"""What happens to the answers when a unit is silenced? Measured on other images than its mean, beside random units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting, unread_layers
from ..cards import Card, Column, Finding, Table, Text, card_link, layer_link, unit_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.effects import agreement, losses, movers, recalls, share_below, telling
from ..formulas.resampling import bootstrap_means
from ..network.effects import Surgeon, gathered, halves, parts_of, slopes_of
from ..network.first_order import added
from ..network.silencing import before_the_logits
from ..network.silencing_plan import chosen_units, images_for_estimate, images_together, plan
from ..network.specimen import Specimen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVED = 3  # classes that are named on each side
TITLE = "When a unit is silenced"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class EffectsResult(Result):
    """Everything by layer, m of its U units silenced one by one on n images; `learnt` others gave means and estimates.

    Shapes: label (n,) the image's class, or without labels the network's own answer; before (n,), after (m, n) answers;
    fall (m, n) of the label's logit above the mean of all; interval (m, 2), 95%, of its mean; units (m,), drawn (m,)
    bool those at random; estimate (U,), NaN where there is none; classes, moved (m, 2 k): those whose logits fall most
    and those that rise most, by how much. `agreement` is that of estimate and fall. `last` is the layer whose units are
    the classes themselves, or "".
    """

    class_names: tuple[str, ...]
    labelled: bool
    learnt: int
    last: str
    label: np.ndarray
    before: np.ndarray
    estimate: ByLayer
    units: ByLayer
    drawn: ByLayer
    after: ByLayer
    fall: ByLayer
    interval: ByLayer
    classes: ByLayer
    moved: ByLayer
    agreement: np.ndarray

    @property
    def images(self) -> int:
        """How many images the effects are measured on."""
        return len(self.label)

    @property
    def measured(self) -> list[str]:
        """The layers of which some units were silenced."""
        return [layer for layer, units in self.units.items() if len(units)]

    def mean_fall(self, layer: str) -> np.ndarray:
        """By how much the logit of the image's class falls. Shapes: (m,)."""
        found: np.ndarray = self.fall[layer].mean(1)
        return found

    def cost(self, layer: str, among: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points of right answers that are lost net, without labels of the network's own, and their interval, wider
        if a unit is picked among several. Shapes: (m,), (m,), (m,).
        """
        cost, low, high = losses(self.before == self.label, self.after[layer] == self.label, among)
        return 100 * cost, 100 * low, 100 * high

    def certain(self, layer: str) -> np.ndarray:
        """Whether a unit alone costs answers, with intervals wider for all that were silenced. Shapes: (m,) bool."""
        found: np.ndarray = self.cost(layer, len(self.units[layer]))[1] > 0
        return found

    @property
    def _of(self) -> str:
        return "of accuracy" if self.labelled else "of the answers"

    @property
    def _logit(self) -> str:
        return f"the logit of the image's {'class' if self.labelled else 'answer'}"

    def findings(self) -> list[Finding]:
        inner = [layer for layer in self.measured if layer != self.last]
        if not inner:
            return []
        among, costs = sum(len(self.units[k]) for k in inner), {k: self.cost(k)[0] for k in inner}
        layer, place = max(((k, n) for k in inner for n in range(len(self.units[k]))),
                           key=lambda at: (costs[at[0]][at[1]], self.mean_fall(at[0])[at[1]]))  # fmt: skip
        cost, low, high = (float(each[place]) for each in self.cost(layer, among))
        unit = f"{layer}:{self.units[layer][place]}"
        says = f"costs {cost:.0f} points {self._of} [{low:.0f}, {high:.0f}] on {self.images} held-out images"
        others = self.drawn[layer] & (np.arange(len(self.drawn[layer])) != place)
        beside = (f"a random unit of its layer costs {costs[layer][others].mean():.1f} points (mean of {others.sum()})"
                  if others.any() else "no other unit of its layer was silenced")  # fmt: skip
        without = sum(not self.certain(k).any() for k in inner)
        found = [Finding(
            sentence=f"Silencing {unit} {says}" if low > 0 else
            f"No unit matters alone for certain: the costliest of {among:,} that were silenced, {unit}, {says}",
            number=cost, weight=min(0.85, 0.3 + max(0.0, low / 100)), link=layer_link(layer, "sort=effect"),
            control=f"{beside}; the interval is wider for picking it among {among:,}",
        ), Finding(
            sentence=f"In {without} of {len(inner)} layers no unit costs answers for certain if it is silenced alone",
            number=without, weight=0.25, link=card_link(TITLE),
            control=f"{among:,} units on {self.images} images; without any effect it would be about "
            f"{0.95 * len(inner):.0f} or more",
        )]  # fmt: skip
        rho, low, high, shuffled = self.agreement
        if np.isfinite(self.agreement).all():
            found.append(Finding(
                sentence=f"A first-order estimate ranks units as their measured effects do at {rho:.2f} [{low:.2f}, "
                f"{high:.2f}] (rank correlation over {self._compared():,} units, on other images)",
                number=float(rho), weight=0.2, link=card_link(TITLE),
                control=f"with estimates shuffled within each layer {shuffled:.2f}",
            ))  # fmt: skip
        return found

    def _compared(self) -> int:
        return sum(int(telling(self.estimate[k][self.units[k]], self.mean_fall(k)).sum()) for k in self.measured)

    def columns(self) -> list[Column]:
        how = f"on {self.images} held-out images, when its channel is replaced by its mean"
        return [
            Column(name="effect", values={k: self._whole(k, self.mean_fall(k)) for k in self.measured},
                   how_to_read=f"By how much {self._logit} falls {how}."),
            Column(name="effect on answers", values={k: self._whole(k, self.cost(k)[0]) for k in self.measured},
                   how_to_read=f"Points {self._of} that are lost {how}."),
            Column(name="effect, estimated", values=self.estimate,
                   how_to_read=f"The fall of the logit to first order, from {self.learnt} other images."),
        ]  # fmt: skip

    def _whole(self, layer: str, values: np.ndarray) -> np.ndarray:
        """One number a unit of the layer, NaN where it was not silenced."""
        out = np.full(len(self.estimate[layer]), np.nan)
        out[self.units[layer]] = values
        return out

    def cards(self) -> list[Card]:
        header = ("layer", "units", "silenced", "median effect", "largest effect", f"its points {self._of}",
                  "beyond noise", "cost answers")  # fmt: skip
        links = tuple(unit_link(k, int(self.units[k][self.mean_fall(k).argmax()])) if len(self.units[k]) else
                      layer_link(k) for k in self.estimate)  # fmt: skip
        table = Card(
            title=TITLE, content=Table(header=header, rows=tuple(map(self._row, self.estimate)), links=links),
            how_to_read="A unit's channel is replaced by its mean, one unit at a time. The effect is how far "
            f"{self._logit}, above the mean of all classes, falls. By layer: the median of random units, the unit with "
            "the largest, how many random units have an effect that is not 0 for certain, and how many units cost "
            f"answers for certain. {self._estimate_in_words()}",
            control=f"{self.images} held-out images; means and estimates are of {self.learnt} others. Beyond noise: by "
            "chance 5%. Cost answers: intervals are wider for the number of units, so that by chance 5% of layers have "
            "any.",
        )  # fmt: skip
        return [table, *map(self._unit_card, self.estimate)]

    def _estimate_in_words(self) -> str:
        rho, low, high, shuffled = self.agreement
        if not np.isfinite(self.agreement).all():
            return "How well estimates to first order do cannot be told."
        return (f"Estimates to first order rank {self._compared():,} units as measured at {rho:.2f} [{low:.2f}, "
                f"{high:.2f}] (rank correlation), shuffled within layers at {shuffled:.2f}.")  # fmt: skip

    def _row(self, layer: str) -> tuple[str | int, ...]:
        units, drawn = self.units[layer], self.drawn[layer]
        if not len(units):
            return layer, len(self.estimate[layer]), 0, *["–"] * 5
        falls, place = self.mean_fall(layer), int(self.mean_fall(layer).argmax())
        cost, low, high = (each[place] for each in self.cost(layer))
        beyond = ((self.interval[layer][:, 0] > 0) | (self.interval[layer][:, 1] < 0))[drawn]
        return (
            layer, len(self.estimate[layer]), len(units), f"{np.median(falls[drawn]):.3f}" if drawn.any() else "–",
            f"{falls[place]:.2f} (:{units[place]})", f"{cost:.0f} [{low:.0f}, {high:.0f}]",
            f"{beyond.sum()} of {len(beyond)}", f"{self.certain(layer).sum()} of {len(units)}",
        )  # fmt: skip

    def _unit_card(self, layer: str) -> Card:
        place, estimate = {int(unit): k for k, unit in enumerate(self.units[layer])}, self.estimate[layer]
        below = share_below(self.mean_fall(layer), self.drawn[layer]) if place else np.zeros(0)
        lines = tuple(
            self._line(layer, place[unit], float(below[place[unit]])) if unit in place else
            "Not silenced, and there is no gradient to estimate what would happen." if np.isnan(value) else
            f"Not silenced. To first order {self._logit} would fall by {value:.3f}, further than with "
            f"{(estimate < value).mean():.0%} of the layer's units."
            for unit, value in enumerate(estimate)
        )  # fmt: skip
        return Card(
            title="When it is silenced", layer=layer, per_unit=True, section="feeds", content=Text(lines=lines),
            how_to_read=f"What changes on {self.images} held-out images when its channel is replaced by its mean of "
            f"{self.learnt} other images. Logits are above the mean of all classes; intervals 95%.",
            control=f"{self.drawn[layer].sum()} random units of the layer were silenced too. "
            f"{self._estimate_in_words()}",
        )  # fmt: skip

    def _line(self, layer: str, k: int, below: float) -> str:
        """What silencing one unit does, in sentences."""
        right, after = self.before == self.label, self.after[layer][k] == self.label
        cost, low, high = (each[k] for each in self.cost(layer))
        words = [f"{'Accuracy' if self.labelled else 'Answers kept'}: {right.mean():.0%} before, {after.mean():.0%} "
                 f"after, a loss of {cost:.0f} points [{low:.0f}, {high:.0f}]."]  # fmt: skip
        (low, high), guess = self.interval[layer][k], self.estimate[layer][self.units[layer][k]]
        falls = f"{self._logit.capitalize()} falls by {self.mean_fall(layer)[k]:.3f}"
        falls += "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
        falls += "" if np.isnan(guess) else f", to first order {guess:.3f}"
        words.append(falls + ("." if np.isnan(below) else f": further than with {below:.0%} of other random units."))
        moved = [f"{self.class_names[c]} {by:+.2f}"
                 for c, by in zip(self.classes[layer][k], self.moved[layer][k], strict=True)]  # fmt: skip
        if self.fall[layer][k].any() and moved:
            half = len(moved) // 2
            words.append(f"Fall most: {', '.join(moved[:half])}. Rise most: {', '.join(moved[: half - 1 : -1])}.")
        changed = recalls(self.label, right, after) if self.labelled else []
        words += [f"Recall of {self.class_names[c]}: {old} of {count} before, {new} after."
                  for c, old, new, count in dict.fromkeys((*changed[:1], *changed[-1:]))]  # fmt: skip
        return " ".join(words)

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

    name = "effects"
    question = "What happens to the answers when a unit is silenced?"
    result = EffectsResult

    images: int = setting(0, help="held-out images; 0: half of all, or 16 to 64 as the effort allows")
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
        slopes = yield Jobs(key=f"estimates, of {list(where)}", items=parts_of(learnt, size),
                            function=lambda some: [surgeon.estimate(places) for places in some])  # fmt: skip
        sums = {k: added([slopes_of(each[k]) for each in slopes]) for k in where}
        chosen = {
            k: chosen_units(sums[k].fall, counts[k], specimen.named_units.get(k, ()), (specimen.seed, place))
            for place, k in enumerate(where)
        }
        units = {k: tuple(map(int, some)) for k, (some, _) in chosen.items()}
        means = {k: each.mean for k, each in sums.items()}
        answers = yield Jobs(
            key=f"silenced, means of {len(learnt)} images", items=tuple((p, units) for p in parts_of(judged, size)),
            function=lambda some: [surgeon.measure(places, of, means) for places, of in some],
        )  # fmt: skip
        found = gathered(answers)
        moved = {k: movers(each, MOVED) for k, each in found.pop("moved").items()}
        estimate = {k: each.fall for k, each in sums.items()}
        falls = {k: each.mean(1) for k, each in found["fall"].items()}
        ends = list(where)[-1]
        return EffectsResult(
            **found, class_names=specimen.class_names, labelled=specimen.labelled, learnt=len(learnt),
            last=ends if specimen.sites[ends].units == specimen.classes else "", estimate=estimate,
            units={k: some for k, (some, _) in chosen.items()}, drawn={k: drawn for k, (_, drawn) in chosen.items()},
            interval={k: bootstrap_means(each) for k, each in found["fall"].items()},
            classes={k: which for k, (which, _) in moved.items()}, moved={k: by for k, (_, by) in moved.items()},
            agreement=agreement([estimate[k][chosen[k][0]] for k in where], [falls[k] for k in where], specimen.seed),
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
