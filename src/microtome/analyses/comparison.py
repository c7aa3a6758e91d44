"""Two networks side by side on the same images: what the second breaks and fixes, and whether it is worse."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Limit, Pass, Result, Steps, at, setting
from ..cards import Card, Crops, Finding, Table, card_link
from ..figures import new_figure
from ..formulas.comparing import (
    LEVEL,
    Change,
    Verdict,
    chance_agreement,
    changes_by_class,
    criterion,
    independent_change,
)
from ..formulas.proportions import images_per_class, percent_of
from ..network.model import Model
from ..network.pairing import need_same_classes, other_of
from ..network.specimen import Specimen
from ..statistics import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 24  # images of a kind, and kinds of changed answers
FEWEST_PER_CLASS = 5  # with fewer images a class every interval is wider than 60 points
COUNTS, BROKEN, FIXED, OTHERWISE = "Broken and fixed", "Broken images", "Fixed images", "Answered otherwise"
SIDES, CLASSES, CHANGES = "Side by side", "Class by class", "Answers that changed"


@dataclass(frozen=True, kw_only=True)
class ComparisonResult(Result):
    """Answers of the network that is looked at (A, row 0) and of the other one (B, row 1).

    Shapes, n images: index, label (n,), -1 where unknown; answers, confidence (2, n), the latter the probability of
    the answer. `changed` are the ids of images with two answers, in order; `tolerance` is in percentage points.
    """

    networks: tuple[dict[str, Any], ...]
    class_names: tuple[str, ...]
    index: np.ndarray
    label: np.ndarray
    answers: np.ndarray
    confidence: np.ndarray
    changed: tuple[str, ...]
    tolerance: float
    size: tuple[int, int]
    prepared: bool

    @property
    def known(self) -> np.ndarray:
        """Which images have a label: (n,) bool."""
        return self.label >= 0

    @property
    def right(self) -> np.ndarray:
        """Whether each network is right: (2, n) bool."""
        return self.answers == self.label

    @property
    def broken(self) -> np.ndarray:
        """Images that A answers right and B wrong: (n,) bool."""
        return self.known & self.right[0] & ~self.right[1]

    @property
    def fixed(self) -> np.ndarray:
        """Images that A answers wrong and B right: (n,) bool."""
        return self.known & ~self.right[0] & self.right[1]

    @property
    def alike(self) -> np.ndarray:
        """Images that both answer alike: (n,) bool."""
        return np.asarray(self.answers[0] == self.answers[1])

    @property
    def labelled(self) -> bool:
        """Whether any image has a label."""
        return bool(self.known.any())

    @cached_property
    def change(self) -> Change:
        """How many images were broken and fixed."""
        return Change.of(self.right[:, self.known])

    @property
    def verdict(self) -> Verdict:
        """Whether B is worse; without labels nobody can tell, unless all answers are the same."""
        return "the same answers" if self.alike.all() else self.change.verdict(self.tolerance)

    @cached_property
    def classes(self) -> dict[int, tuple[Change, float]]:
        """By class, the largest fall first: what changed, and its p; empty where classes have few images."""
        if not self.labelled or images_per_class(self.label) < FEWEST_PER_CLASS:
            return {}
        return changes_by_class(self.right[:, self.known], self.label[self.known])

    @property
    def worse_classes(self) -> list[int]:
        """Classes in which B is worse for certain."""
        return [k for k, (change, p) in self.classes.items() if p < LEVEL and change.broken > change.fixed]

    def conclusion(self) -> str:
        """The answer in one sentence."""
        if self.labelled:
            return self.change.conclusion(self.verdict, self.tolerance)
        return (f"A and B answer {self.alike.sum():,} of {len(self.index):,} images alike; without labels nobody can "
                "say who is right")  # fmt: skip

    def findings(self) -> list[Finding]:
        chance = chance_agreement(self.answers, len(self.class_names))
        shuffled = f"answers as frequent, but to any images, would agree on {chance:.1%}"
        if not self.labelled:
            return [Finding(sentence=self.conclusion(), number=float(self.alike.mean()), weight=1.0, control=shuffled,
                            link=card_link(SIDES))]  # fmt: skip
        change, right = self.change, self.right[:, self.known]
        low, high = change.if_equal
        parts = independent_change(right, self.label[self.known])
        found = [
            Finding(
                sentence=self.conclusion(), number=change.apart[0], weight=1.0, link=card_link(COUNTS),
                control=f"were B as good as A, it would break {low:,} to {high:,} of the {change.changed:,} images "
                "that one of them has right, in 95 of 100 cases",
            ),
            Finding(
                sentence=f"Accuracy: A {percent_of(right[0])}, B {percent_of(right[1])}: {change.points()} points",
                number=change.apart[0], weight=0.9, link=card_link(SIDES),
                control="95% intervals: of one network Wilson's; of the difference Tango's, on the same images",
            ),
            Finding(
                sentence=f"Both give the same answer to {self.alike.mean():.1%} of {len(self.index):,} images",
                number=float(self.alike.mean()), weight=0.5, link=card_link(CHANGES),
                control=f"{shuffled}; had errors nothing to do with each other, B would break {parts[1]:,.0f} and fix "
                f"{parts[2]:,.0f}",
            ),
        ]  # fmt: skip
        return [*found, self._class_finding()] if self.classes else found

    def _class_finding(self) -> Finding:
        worse, count = self.worse_classes, len(self.classes)
        named = ", ".join(f"{self.class_names[k]} ({self.classes[k][0].points()} points)" for k in worse[:3])
        return Finding(
            sentence=f"B is worse in {len(worse)} of {count} classes: {named}{', ...' if len(worse) > 3 else ''}"
            if worse else f"B is worse for certain in none of the {count} classes",
            number=len(worse), weight=0.95 if worse else 0.4, link=card_link(CLASSES),
            control=f"McNemar's exact p, corrected for {count} classes (Holm), is below {LEVEL}",
        )  # fmt: skip

    def cards(self) -> list[Card]:
        if not self.labelled:
            how = "A's answer → B's, with their probabilities, the surest first."
            return [self._sides(), *self._crops(OTHERWISE, ~self.alike, self.confidence.sum(0), how), self._changes()]
        how = "A's answer → B's, with their probabilities; those of which B is surest first."
        return [
            self._counts(),
            *self._crops(BROKEN, self.broken, self.confidence[1], f"Right by A, wrong by B: the true class, as {how}"),
            *self._crops(FIXED, self.fixed, self.confidence[1], f"Wrong by A, right by B: {how}"),
            self._sides(), *([self._by_class()] if self.classes else []), self._changes(),
        ]  # fmt: skip

    def _counts(self) -> Card:
        change, (low, high) = self.change, self.change.if_equal
        parts = [f"{part:,.0f}" for part in independent_change(self.right[:, self.known], self.label[self.known])]
        equal = f"{low:,} to {high:,}"
        return Card(
            title=COUNTS, how_to_read=f"Images by who is right. B is worse for certain if {criterion(self.tolerance)}.",
            content=Table(
                header=("", "images", "were B as good as A", "did they err independently"),
                rows=(("both right", change.both, "", parts[0]),
                      ("broken: A right, B wrong", change.broken, equal, parts[1]),
                      ("fixed: A wrong, B right", change.fixed, equal, parts[2]),
                      ("both wrong", change.neither, "", parts[3])),
            ),
            control=f"As good: each of the {change.changed:,} images as likely broken as fixed (95 of 100 cases). "
            "Independently: as good in every class as they are, but errors that have nothing to do with each other.",
        )  # fmt: skip

    def _crops(self, title: str, flags: np.ndarray, sureness: np.ndarray, how: str) -> list[Card]:
        some = np.flatnonzero(flags)
        order = some[np.argsort(-sureness[some], kind="stable")][:SHOWN]
        names, sure = self.class_names, self.confidence
        captions = [f"{names[self.answers[0, i]]} {sure[0, i]:.0%} → {names[self.answers[1, i]]} {sure[1, i]:.0%}"
                    for i in order]  # fmt: skip
        boxes = np.broadcast_to(np.array([0, 0, *self.size]), (len(order), 4))
        more = f" {len(order)} of {len(some):,}." if len(some) > len(order) else ""
        card = Card(title=title, how_to_read=how + more,
                    content=Crops(index=self.index[order], boxes=boxes, captions=np.array(captions)))  # fmt: skip
        return [card] if len(some) else []

    def _sides(self) -> Card:
        rows: list[tuple[str, ...]] = []
        for name, (one, two) in ((name, [about[name] for about in self.networks]) for name in self.networks[0]):
            if isinstance(one, int):
                rows.append((name, f"{one:,}", f"{two:,}", "" if one == two else f"{two / max(1, one) - 1:+.1%}"))
            elif name != "preprocessing" or one != two:
                rows.append((name, one, two, ""))
        if self.labelled:
            right = self.right[:, self.known]
            rows.append(("accuracy", percent_of(right[0]), percent_of(right[1]), f"{self.change.points()} points"))
        sure = self.confidence.mean(1)
        rows.append(("mean confidence", f"{sure[0]:.1%}", f"{sure[1]:.1%}", f"{100 * (sure[1] - sure[0]):+.1f} points"))
        how = "prepared already: both get the same numbers" if self.prepared else "each with its own preprocessing"
        return Card(
            title=SIDES, how_to_read=f"Both networks on the same {len(self.index):,} images, {how}.",
            content=Table(header=("", "A", "B", "B minus A"), rows=tuple(rows)),
            control="Intervals: 95%, Wilson; of the difference Tango's for the same images.",
        )  # fmt: skip

    def _by_class(self) -> Card:
        rows = tuple(
            (self.class_names[k], change.images, f"{(change.both + change.broken) / change.images:.1%}",
             f"{(change.both + change.fixed) / change.images:.1%}", change.points(), change.broken, change.fixed,
             float(f"{p:.2g}"))
            for k, (change, p) in self.classes.items()
        )  # fmt: skip
        return Card(
            title=CLASSES, how_to_read="The largest fall first. A, B: share answered right; difference in points.",
            content=Table(header=("class", "images", "A", "B", "B minus A", "broken", "fixed", "p"), rows=rows),
            control=f"p: McNemar's exact test, corrected for {len(rows)} classes (Holm). Intervals: 95%, Tango.",
        )  # fmt: skip

    def _changes(self) -> Card:
        names = self.class_names
        triples = Counter(zip(self.label[~self.alike].tolist(), *self.answers[:, ~self.alike].tolist(), strict=True))
        rows = [(names[label] if label >= 0 else "", names[a], names[b], count)
                for (label, a, b), count in triples.most_common(SHOWN)]  # fmt: skip
        start = 0 if self.labelled else 1
        return Card(
            title=CHANGES, how_to_read="Images that get another answer: what changed into what, most frequent first.",
            content=Table(header=("true class", "A's answer", "B's answer", "images")[start:],
                          rows=tuple(row[start:] for row in rows)),
        )  # fmt: skip

    def plot(self) -> "Figure":
        """What changed, in numbers of images; with labels, accuracy class by class."""
        change = self.change
        bars = {"both right": change.both, "broken": change.broken, "fixed": change.fixed, "both wrong": change.neither}
        if not self.labelled:
            bars = {"same answer": int(self.alike.sum()), "two answers": int((~self.alike).sum())}
        figure = new_figure(1, 2 if self.classes else 1, size=(10, 4))
        counts, *beside = figure.axes
        counts.bar_label(counts.bar(list(bars), list(bars.values()), color=["0.7", "C3", "C0", "0.85"][: len(bars)]))
        counts.set_ylabel("images")
        for axes in beside:
            middle, low, high = np.array([change.apart for change, _ in self.classes.values()]).T
            axes.errorbar(middle, np.arange(len(middle)), xerr=[middle - low, high - middle], fmt="o")
            axes.set_yticks(np.arange(len(middle)), [self.class_names[k] for k in self.classes])
            axes.axvline(0, color="grey")
            axes.set_xlabel("accuracy of B minus A, points (95%)")
        return figure


@dataclass(frozen=True, kw_only=True)
class Comparison(Analysis):
    """Does the other network answer otherwise, and is it worse?"""

    topic = "well"
    general = False
    result = ComparisonResult

    tolerance: float = setting(0.0, help="fall in accuracy that does not count as worse, in percentage points")

    def limits(self, specimen: Specimen) -> list[Limit]:
        if specimen.labelled:
            return []
        return [
            Limit("without labels it is said where both answer alike, but not who is right", "Give labelled images")
        ]

    def steps(self, specimen: Specimen) -> Steps:
        images, name = specimen.need_images(self.name), other_of(specimen)
        need_same_classes(specimen)
        other = specimen.beside(name)
        mine = yield Pass(predictions=at(specimen.sites.output, Predictions(k=5)))
        theirs = yield Pass(predictions=at(other.sites.output, Predictions(k=5)), model=name)
        seen = [answers["predictions"] for answers in (mine, theirs)]
        index, *rows = np.intersect1d(seen[0].index, seen[1].index, assume_unique=True, return_indices=True)
        answers, sure = (np.stack([values[row, 0] for values, row in zip(each, rows, strict=True)])
                         for each in ([s.classes for s in seen], [s.probability for s in seen]))  # fmt: skip
        named = specimen if specimen.model.class_names else other
        return ComparisonResult(
            networks=tuple(_about(model) for model in (specimen.model, other.model)), class_names=named.class_names,
            index=index, label=seen[0].label[rows[0]] if specimen.labelled else np.full(len(index), -1),
            answers=answers, confidence=sure, tolerance=float(self.tolerance), size=specimen.model.preprocessing.size,
            prepared=images.prepared,
            changed=tuple(images.ids[place] for place in index[answers[0] != answers[1]]),
        )  # fmt: skip


def _about(model: Model) -> dict[str, Any]:
    return {
        "network": model.name, "weights": model.weights, "parameters": model.parameters,
        "multiply-adds an image": sum(site.macs for site in model.sites.layers),
        "preprocessing": str(model.preprocessing),
    }  # fmt: skip
