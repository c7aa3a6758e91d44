"""How often a classifier is right, in which classes, and whether it knows when it is not."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Limit, Pass, Result, Steps, at, setting
from ..cards import Card, Chart, Crops, Finding, Heat, Series, Table, card_link
from ..figures import new_figure
from ..formulas.proportions import (
    calibrated_error,
    expected_calibration_error,
    images_per_class,
    reliability,
    wilson_interval,
)  # fmt: skip
from ..network.specimen import Specimen
from ..statistics import Confusion, Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 15  # of confidence, as in Guo et al. (2017)
SURE = 0.9
LARGEST_MATRIX = 40  # classes; above that the confusion matrix is a list of its largest cells
SHOWN = 24
FEWEST_PER_CLASS = 5  # with fewer images a class every interval is wider than 60 points


@dataclass(frozen=True, kw_only=True)
class DecisionsResult(Result):
    """Shapes, n labelled images, K classes: index, label, predicted (n,), confidence (n,) probability of the answer;
    confusion (K true, K predicted); calibrated (2,) middle and 95% point of the ECE of a calibrated network.
    """

    class_names: tuple[str, ...]
    index: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    in_top5: np.ndarray
    confidence: np.ndarray
    confusion: np.ndarray
    ece: float
    calibrated: np.ndarray
    size: tuple[int, int]
    bins: int = BINS

    @property
    def correct(self) -> np.ndarray:
        """Whether each image is classified correctly: (n,) bool."""
        return self.predicted == self.label

    @property
    def by_class(self) -> bool:
        """Whether there are enough images a class to speak of single classes."""
        return images_per_class(self.label) >= FEWEST_PER_CLASS

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly."""
        return float(self.correct.mean())

    def findings(self) -> list[Finding]:
        low, high = wilson_interval(self.correct.sum(), np.array(len(self.label)))
        chance = float(np.bincount(self.label).max() / len(self.label))
        found = [Finding(
            sentence=f"{self.accuracy:.1%} of {len(self.label):,} images are classified correctly "
            f"[{float(low):.1%}, {float(high):.1%}]",
            number=self.accuracy, weight=1.0, link=card_link("Accuracy"),
            control=f"always answering the commonest class gives {chance:.1%}",
        )]  # fmt: skip
        errors = ~self.correct
        if errors.any():
            share = float((self.confidence[errors] > SURE).mean())
            expected = float((1 - self.confidence[self.confidence > SURE]).sum())
            found.append(Finding(
                sentence=f"{share:.0%} of the {int(errors.sum()):,} errors came with more than {SURE:.0%} confidence",
                number=share, weight=min(0.9, 0.3 + share), link=card_link("Most confident errors"),
                control=f"a calibrated network would make {expected:.0f} such errors, this one made "
                f"{int((self.confidence[errors] > SURE).sum())}",
            ))  # fmt: skip
        worse = self.ece > self.calibrated[1]
        direction = "sure" if self.confidence.mean() > self.accuracy else "cautious"
        sentence = f"It is too {direction}" if worse else "Its confidence cannot be told from a calibrated network's"
        found.append(Finding(
            sentence=f"{sentence}: mean confidence {self.confidence.mean():.1%}, accuracy {self.accuracy:.1%}, "
            f"expected calibration error {self.ece:.3f}",
            number=self.ece, weight=min(0.8, 0.2 + 4 * max(0.0, self.ece - float(self.calibrated[1]))),
            link=card_link("Calibration"),
            control=f"a calibrated network with these confidences gets {self.calibrated[0]:.3f}, "
            f"95% of the time below {self.calibrated[1]:.3f}",
        ))  # fmt: skip
        return found

    def series(self) -> list[Series]:
        return [
            Series(name="accuracy",
                   values={"accuracy": self.accuracy, "mean confidence": float(self.confidence.mean())},
                   how_to_read="Share of the images that are classified correctly, and how sure the network is of its "
                   "answers; calibrated, both are the same."),
            Series(name="expected calibration error", values={"error": self.ece},
                   how_to_read="How far confidence and accuracy are apart, on average over bins of confidence."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        cards = [self._by_class(), self._calibration(), self._confusion()]
        return [*cards, self._confident_errors()] if not self.correct.all() else cards

    def _by_class(self) -> Card:
        rows: list[tuple[str | int | float, ...]] = []
        for label in np.unique(self.label) if self.by_class else ():
            member = self.label == label
            hits, count = int(self.correct[member].sum()), int(member.sum())
            low, high = wilson_interval(np.array(hits), np.array(count))
            wrong = self.predicted[member & ~self.correct]
            taken_for = self.class_names[np.bincount(wrong).argmax()] if len(wrong) else ""
            rows.append((self.class_names[label], count, f"{hits / count:.1%}", f"{low:.0%} to {high:.0%}", taken_for))
        rows.sort(key=lambda row: float(str(row[2])[:-1]))
        overall = [self._overall("all, right answer first", self.correct)]
        if len(self.class_names) > 5:
            overall.append(self._overall("all, right answer among the first five", self.in_top5))
        how = "Weakest class first." if rows else "Too few images a class to say anything about single classes."
        return Card(
            title="Accuracy", control="Intervals: 95%, Wilson.", how_to_read=f"Share of images answered right. {how}",
            content=Table(header=("class", "images", "accuracy", "95% interval", "most often taken for"),
                          rows=(*overall, *rows)),
        )  # fmt: skip

    @staticmethod
    def _overall(name: str, right: np.ndarray) -> tuple[str | int | float, ...]:
        low, high = wilson_interval(right.sum(), np.array(len(right)))
        return name, len(right), f"{right.mean():.1%}", f"{float(low):.1%} to {float(high):.1%}", ""

    def _calibration(self) -> Card:
        counts, sure, right = reliability(self.confidence, self.correct, self.bins)
        filled = counts > 0
        hits = np.round(right[filled] * counts[filled])
        band = np.stack(wilson_interval(hits, counts[filled]))
        return Card(
            title="Calibration",
            how_to_read="Of the answers given with some confidence, how many were right: on the diagonal the network "
                        f"knows how sure to be. Expected calibration error {self.ece:.3f}.",
            content=Chart(kind="lines", x=sure[filled], x_label="confidence", y_label="accuracy", band=band,
                          series=(("this network", right[filled]), ("calibrated", sure[filled]))),
            control=f"A calibrated network with these confidences gets an error of {self.calibrated[0]:.3f}, 95% of "
                    f"the time below {self.calibrated[1]:.3f}. The band is the 95% interval of each point.",
        )  # fmt: skip

    def _confusion(self) -> Card:
        if len(self.class_names) <= LARGEST_MATRIX:
            rows = self.confusion / np.maximum(self.confusion.sum(1, keepdims=True), 1)
            return Card(
                title="Confusion", how_to_read="Rows are true classes, columns answers; each row adds up to 1.",
                content=Heat(values=rows, rows=self.class_names, columns=self.class_names, row_label="true class",
                             column_label="answer"),
            )  # fmt: skip
        off = self.confusion - np.diag(np.diag(self.confusion))
        cells = [c for c in np.argsort(-off, axis=None, kind="stable")[:SHOWN] if off.flat[c] > 1]
        pairs = [divmod(int(cell), len(self.class_names)) for cell in cells]
        return Card(
            title="Confusion", how_to_read="Mistakes made more than once, most frequent first.",
            content=Table(header=("true class", "answer", "images"),
                          rows=tuple((self.class_names[t], self.class_names[p], int(off[t, p])) for t, p in pairs)),
        )  # fmt: skip

    def _confident_errors(self) -> Card:
        wrong = np.flatnonzero(~self.correct)
        order = wrong[np.argsort(-self.confidence[wrong], kind="stable")][:SHOWN]
        names = self.class_names
        captions = [f"{names[self.label[i]]} → {names[self.predicted[i]]}, {self.confidence[i]:.0%}" for i in order]
        whole = np.broadcast_to(np.array([0, 0, *self.size]), (len(order), 4))
        return Card(
            title="Most confident errors",
            how_to_read="Wrong answers, the surest first: true class → answer, and its probability.",
            content=Crops(index=self.index[order], boxes=whole, captions=np.array(captions)),
        )

    def plot(self) -> "Figure":
        """The reliability diagram."""
        figure = new_figure(size=(4.5, 4.2))
        axes = figure.axes[0]
        counts, sure, right = reliability(self.confidence, self.correct, self.bins)
        filled = counts > 0
        low, high = wilson_interval(np.round(right[filled] * counts[filled]), counts[filled])
        axes.plot([0, 1], [0, 1], color="grey", label="calibrated")
        axes.fill_between(sure[filled], low, high, alpha=0.25, label="95% interval")
        axes.plot(sure[filled], right[filled], marker="o", label=f"ECE {self.ece:.3f}")
        axes.set(xlabel="confidence", ylabel="accuracy")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Decisions(Analysis):
    """How often is it right, in which classes, and does it know when it is not?"""

    topic = "well"
    result = DecisionsResult

    bins: int = setting(BINS, help="bins of confidence for the calibration error")

    def limits(self, specimen: Specimen) -> list[Limit]:
        labels = specimen.need_images(self.name).labels
        known = labels[labels >= 0]
        found = []
        if len(known) < len(labels):
            found.append(Limit(f"{len(labels) - len(known):,} of {len(labels):,} images have no label and are left out",
                               "Give a class map"))  # fmt: skip
        if images_per_class(known) < FEWEST_PER_CLASS:
            found.append(Limit(f"{images_per_class(known):g} image(s) a class are too few to speak of single classes",
                               f"Give {FEWEST_PER_CLASS} images a class or more"))  # fmt: skip
        return found

    def steps(self, specimen: Specimen) -> Steps:
        specimen.need_labels()
        output = specimen.sites.output
        answers = yield Pass(
            predictions=at(output, Predictions(k=5)), confusion=at(output, Confusion(classes=specimen.classes))
        )
        seen = answers["predictions"]
        known = seen.label >= 0
        label, classes = seen.label[known], seen.classes[known]
        confidence, correct = seen.probability[known, 0], classes[:, 0] == label
        return DecisionsResult(
            class_names=specimen.class_names,
            index=seen.index[known], label=label, predicted=classes[:, 0], confidence=confidence,
            in_top5=(classes == label[:, None]).any(1), confusion=answers["confusion"],
            ece=expected_calibration_error(confidence, correct, self.bins),
            calibrated=calibrated_error(confidence, self.bins, specimen.seed), bins=self.bins,
            size=specimen.model.preprocessing.size,
        )  # fmt: skip
