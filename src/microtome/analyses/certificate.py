"""What pruning a network cost and brought, round by round, beside its baselines: what `microtome prune` writes."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Result, Steps
from ..cards import Card, Chart, Finding, Pictures, Table, Text, card_link
from ..errors import NotApplicable
from ..figures import as_pixels, new_figure
from ..formulas.pruning import REASONS, TOGETHER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE, ROUNDS = "What was cut", "Accuracy by round"
NAMES = {"criteria": "by criteria", "magnitude": "smallest weights", "random": "at random",
         "unpruned": "not pruned, trained as long"}  # fmt: skip
WHY = (*REASONS, TOGETHER)
SHOWN = 64  # removed channels of a round that are drawn


@dataclass(frozen=True, kw_only=True)
class CertificateResult(Result):
    """Everything by arm (`arms`, the first by criteria) and round; round 0 is the network as it came.

    Shapes, R rounds: parameters, macs, milliseconds, time (a, R + 1), time as a share of the whole network's; before,
    after (a, R + 1, 3) accuracy with its interval; apart (a, 3) how much higher the first arm's last accuracy is on the
    same images, in points, NaN for itself; widths by layer (a, R + 1). channels, why, pictures by round of the first
    arm: texts "layer:channel", numbered as in the whole network, sentences, and (k, h, w, 3) uint8. stays: groups that
    could not be cut, with the reason.
    """

    images: int
    arms: tuple[str, ...]
    parameters: np.ndarray
    macs: np.ndarray
    milliseconds: np.ndarray
    time: np.ndarray
    before: np.ndarray
    after: np.ndarray
    apart: np.ndarray
    widths: dict[str, np.ndarray]
    shapes: dict[str, tuple[str, str]]
    channels: tuple[tuple[str, ...], ...]
    why: tuple[tuple[str, ...], ...]
    pictures: tuple[np.ndarray, ...]
    stays: dict[str, str]
    difference: float
    how: str

    def findings(self) -> list[Finding]:
        first, last = self.after[0, 0], self.after[0, -1]
        cost = f"{100 * first[0]:.2f}% to {_percent(last)}"
        beside = "; ".join(f"{NAMES[arm]} {_percent(self.after[k, -1])}, difference {_points(self.apart[k])} points"
                           for k, arm in enumerate(self.arms) if k)  # fmt: skip
        return [Finding(
            sentence=f"From {self.parameters[0, 0]:,} to {self.parameters[0, -1]:,} parameters and from "
            f"{self.macs[0, 0] / 1e6:,.1f} to {self.macs[0, -1] / 1e6:,.1f} million multiply-adds, accuracy goes from "
            f"{cost} of {self.images:,} test images",
            number=float(100 * (last[0] - first[0])), weight=1.0, link=card_link(TITLE),
            control=(beside or "no baseline was run") + " (differences: by criteria minus this one, same images)",
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        whole = [self._table(), *self._charts(), self._reasons(), self._shapes(), self._architecture()]
        return [*whole, *self._drawn(), *self._refused()]

    def _table(self) -> Card:
        header = ("network", "round", "parameters", "million multiply-adds", "time of an image", "accuracy, only cut",
                  "accuracy, retrained", "by criteria, minus this one")  # fmt: skip
        rows: list[tuple[str | int | float, ...]] = []
        for k, arm in enumerate(self.arms):
            for number in range(self.parameters.shape[1]):
                if number == 0 and k:
                    continue
                last = number == self.parameters.shape[1] - 1
                rows.append((
                    NAMES[arm] if number else "as it came", number, int(self.parameters[k, number]),
                    f"{self.macs[k, number] / 1e6:,.2f}",
                    f"{self.milliseconds[k, number]:.3f} ms ({self.time[k, number]:.0%})",
                    _percent(self.before[k, number]), _percent(self.after[k, number]),
                    f"{_points(self.apart[k])} points" if last and k else "",
                ))  # fmt: skip
        return Card(
            title=TITLE, content=Table(header=header, rows=tuple(rows)),
            how_to_read="Every round takes channels out for real, then trains what is left. Accuracy on "
            f"{self.images:,} test images that played no part in choosing or training, with its 95% interval "
            "(Wilson); differences are of the same images (interval by Tango). Time: the least of a few "
            f"batches of 32, and beside the whole network's, taken in turns. {self.how}",
            control="Baselines go through the same widths, the same images and the same epochs. One seed each: what "
            "differs by less than a point may differ the other way with another. Every removal was compared with the "
            f"masked network before it was taken: largest difference {self.difference:.1e} of the largest answer.",
        )  # fmt: skip

    def _charts(self) -> list[Card]:
        rounds = np.arange(self.after.shape[1])
        cut = [(NAMES[arm], 100 * self.before[k, :, 0]) for k, arm in enumerate(self.arms) if arm != "unpruned"]
        trained = [(NAMES[arm], 100 * self.after[k, :, 0]) for k, arm in enumerate(self.arms)]
        return [
            Card(title=title, how_to_read=how, content=Chart(kind="lines", x=rounds, series=tuple(series),
                                                             x_label="round", y_label="accuracy (%)", from_zero=False))
            for title, how, series in (
                (ROUNDS, "Accuracy on the test images after every round: channels out, the rest retrained; the axis "
                 "does not begin at 0.", trained),
                ("Before retraining", "Accuracy on the test images right after channels were removed; the axis does "
                 "not begin at 0.", cut),
            )
        ]  # fmt: skip

    def _reasons(self) -> Card:
        rows = []
        for number, why in enumerate(self.why, 1):
            counts = Counter(name for text in why for name in WHY if text.startswith(name))
            rows.append((number, len(why), *(counts[name] for name in WHY)))
        return Card(
            title="Why channels went", content=Table(header=("round", "channels", *WHY), rows=tuple(rows)),
            how_to_read="By criteria: what spoke most against each channel that was removed. The important half of "
            "each layer was spared, unless another channel does the same. Low ranks together: no criterion condemned "
            "it alone.",
        )  # fmt: skip

    def _architecture(self) -> Card:
        return Card(
            title="The architecture drawn", how_to_read="Channels of every layer and the shape of its weight, as it "
            "came (grey) and after the last round (blue); accuracy by round, with intervals.",
            content=Pictures(pixels=as_pixels(self.plot())[None], crisp=False),
        )  # fmt: skip

    def _shapes(self) -> Card:
        rows = tuple((layer, before, after, f"{self.widths[layer][0, 0]} → {self.widths[layer][0, -1]}")
                     for layer, (before, after) in self.shapes.items())  # fmt: skip
        return Card(
            title="The architecture before and after",
            how_to_read="The shape of every layer's weight, as it came and after the last round (by criteria).",
            content=Table(header=("layer", "weight before", "weight after", "channels"), rows=rows),
        )  # fmt: skip

    def _drawn(self) -> list[Card]:
        """The channels of every round that have pictures, and all others in words."""
        found = []
        for number, (channels, why, pictures) in enumerate(zip(self.channels, self.why, self.pictures, strict=True), 1):
            shown = min(len(pictures), SHOWN)
            if shown:
                captions = tuple(f"{name}: {text}" for name, text in zip(channels, why, strict=True))[:shown]
                found.append(Card(
                    title=f"Removed in round {number}", content=Pictures(pixels=pictures[:shown], captions=captions),
                    how_to_read="Left the filter, right the superstimulus of every channel that was removed, and what "
                    "spoke most against it; numbered as in the whole network."
                    + (f" {shown} of {len(channels)}." if shown < len(channels) else ""),
                ))  # fmt: skip
        return found

    def _refused(self) -> list[Card]:
        if not self.stays:
            return []
        lines = tuple(f"{name}: {why}" for name, why in self.stays.items())
        return [Card(title="What could not be cut", how_to_read="Groups of channels that stayed whole, and why.",
                     content=Text(lines=lines))]  # fmt: skip

    def plot(self) -> "Figure":
        """The network drawn layer by layer, before and after; and accuracy by round."""
        figure = new_figure(1, 2, size=(11, 0.34 * len(self.widths) + 2.4))
        drawn, lines = figure.axes
        for place, (layer, widths) in enumerate(self.widths.items()):
            drawn.barh(place, widths[0, 0], color="0.85", height=0.8)
            drawn.barh(place, widths[0, -1], color="C0", height=0.5)
            drawn.text(
                widths[0, 0], place, f"  {self.shapes[layer][0]} → {self.shapes[layer][1]}", va="center", fontsize=6
            )
        drawn.set_yticks(range(len(self.widths)), list(self.widths), fontsize=7)
        drawn.invert_yaxis()
        drawn.set(xlabel="channels before (grey) and after", xlim=(0, 1.6 * max(w[0, 0] for w in self.widths.values())))
        for k, arm in enumerate(self.arms):
            lines.errorbar(range(self.after.shape[1]), 100 * self.after[k, :, 0], label=NAMES[arm], marker=".",
                           yerr=100 * np.abs(self.after[k, :, 1:] - self.after[k, :, :1]).T)  # fmt: skip
        lines.set(xlabel="round", ylabel="accuracy after retraining (%)")
        lines.legend(fontsize=7)
        return figure


@dataclass(frozen=True, kw_only=True)
class Certificate(Analysis):
    """What did pruning cost, and what would have cost as much?"""

    topic = "well"
    general = False
    result = CertificateResult

    def steps(self, specimen: Any) -> Steps:
        raise NotApplicable(f"{specimen.model.name} is looked at, not pruned", "A certificate is of a pruning",
                            "Make one with `microtome prune MODEL IMAGES`")  # fmt: skip


def _percent(accuracy: np.ndarray) -> str:
    return f"{100 * accuracy[0]:.2f}% [{100 * accuracy[1]:.2f}, {100 * accuracy[2]:.2f}]"


def _points(apart: np.ndarray) -> str:
    return f"{apart[0]:+.2f} [{apart[1]:+.2f}, {apart[2]:+.2f}]"
