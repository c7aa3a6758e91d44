"""Of two networks, which knows better how sure to be."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Analysis, Pass, Result, Steps, at, setting
from ..cards import Card, Chart, Finding, Table, card_link
from ..figures import new_figure
from ..formulas.proportions import calibrated_error, calibration_apart, expected_calibration_error, reliability
from ..network.pairing import need_same_classes, other_of
from ..network.specimen import Specimen
from ..statistics import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 15  # of confidence, as in Guo et al. (2017)
SURE = 0.9
FEWEST = 10  # images behind a point of the chart: with fewer its interval is wider than half of the axis
TITLE, ERRORS = "Calibration of both", "Confident errors of both"


@dataclass(frozen=True, kw_only=True)
class CalibrationsResult(Result):
    """Of the network that is looked at (A, row 0) and of the other one (B, row 1).

    Shapes, n labelled images: confidence (2, n) probability of the answer, correct (2, n); ece (2,) expected
    calibration errors; calibrated (2, 2) middle and 95% point of that of a calibrated network with these confidences;
    apart (3,) B's error minus A's with its interval.
    """

    confidence: np.ndarray
    correct: np.ndarray
    ece: np.ndarray
    calibrated: np.ndarray
    apart: np.ndarray
    bins: int

    def findings(self) -> list[Finding]:
        middle, low, high = self.apart
        words = "B is calibrated worse" if low > 0 else "B is calibrated better" if high < 0 else (
            "Neither is certain to be calibrated better")  # fmt: skip
        return [Finding(
            sentence=f"{words}: expected calibration error {self.ece[0]:.3f} (A) and {self.ece[1]:.3f} (B), difference "
            f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]", number=float(middle), link=card_link(TITLE),
            weight=0.3 if low <= 0 <= high else 0.55,
            control=f"calibrated networks with these confidences get {self.calibrated[0, 0]:.3f} and "
            f"{self.calibrated[1, 0]:.3f}; the interval is over draws of the same images",
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        middles = (np.arange(self.bins) + 0.5) / self.bins
        found = [reliability(*pair, self.bins) for pair in zip(self.confidence, self.correct, strict=True)]
        right = [np.where(counts >= FEWEST, share, np.nan) for counts, _, share in found]
        points = " and ".join(f"{low:.3f} (95% of the time below {high:.3f})" for low, high in self.calibrated)
        rows = []
        for name, sure, correct, ece in zip("AB", self.confidence, self.correct, self.ece, strict=True):
            bold = sure > SURE
            rows.append((name, f"{correct.mean():.1%}", f"{sure.mean():.1%}", f"{ece:.3f}", int((~correct).sum()),
                         int((~correct & bold).sum()), f"{(1 - sure[bold]).sum():.0f}"))  # fmt: skip
        header = ("", "accuracy", "mean confidence", "calibration error", "errors", f"of these above {SURE:.0%}",
                  "a calibrated network's above")  # fmt: skip
        return [
            Card(
                title=TITLE,
                how_to_read="Of the answers given with some confidence, how many were right: on the diagonal a network "
                f"knows how sure to be. Points of {FEWEST} images or more.",
                content=Chart(kind="lines", x=middles, x_label="confidence", y_label="accuracy",
                              series=(("A", right[0]), ("B", right[1]), ("calibrated", middles))),
                control=f"Calibrated networks with the confidences of A and B get errors of {points}.",
            ),
            Card(
                title=ERRORS, content=Table(header=header, rows=tuple(rows)),
                how_to_read="How often each is wrong although it is sure.",
                control="Last column: the errors above that confidence of a network that is right as often as it says.",
            ),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Both reliability diagrams in one."""
        figure = new_figure(size=(4.5, 4.2))
        axes = figure.axes[0]
        axes.plot([0, 1], [0, 1], color="grey", label="calibrated")
        for name, confidence, correct, ece in zip("AB", self.confidence, self.correct, self.ece, strict=True):
            _, sure, right = reliability(confidence, correct, self.bins)
            axes.plot(sure, right, marker="o", label=f"{name}, ECE {ece:.3f}")
        axes.set(xlabel="confidence", ylabel="accuracy")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Calibrations(Analysis):
    """Does the other network know better how sure to be?"""

    topic = "well"
    general = False
    result = CalibrationsResult

    bins: int = setting(BINS, help="bins of confidence for the calibration error")

    def steps(self, specimen: Specimen) -> Steps:
        specimen.need_labels()
        need_same_classes(specimen)
        name = other_of(specimen)
        mine = yield Pass(predictions=at(specimen.sites.output, Predictions(k=5)))
        theirs = yield Pass(predictions=at(specimen.others[name].sites.output, Predictions(k=5)), model=name)
        seen = [answers["predictions"] for answers in (mine, theirs)]
        _, *rows = np.intersect1d(seen[0].index, seen[1].index, assume_unique=True, return_indices=True)
        label = seen[0].label[rows[0]]
        kept = [row[label >= 0] for row in rows]
        confidence = np.stack([one.probability[row, 0] for one, row in zip(seen, kept, strict=True)])
        correct = np.stack([one.classes[row, 0] for one, row in zip(seen, kept, strict=True)]) == label[label >= 0]
        pairs = list(zip(confidence, correct, strict=True))
        return CalibrationsResult(
            confidence=confidence, correct=correct, bins=self.bins,
            ece=np.array([expected_calibration_error(*pair, self.bins) for pair in pairs]),
            calibrated=np.stack([calibrated_error(sure, self.bins, specimen.seed) for sure, _ in pairs]),
            apart=calibration_apart(confidence, correct, self.bins, specimen.seed),
        )  # fmt: skip
