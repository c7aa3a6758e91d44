"""How a network changed while it learnt: what `mt.Tracker` writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Result, Steps
from ..cards import Card, Chart, Finding, Table, card_link
from ..errors import NotApplicable
from ..figures import new_figure, short
from ..formulas.curves import FEWEST, LATE, NEAR, late_change, settled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVED = "What moved while it learnt"
LINES = 4  # of a chart, as many as can be told apart; of more layers some, evenly through the network
CHARTS = 4  # of an analysis on the first page; all curves are in the table, and those of a layer on its page
NO_CURVE = ("epoch",)  # what a training loop says that only counts

Curves = dict[str, dict[str, dict[str, np.ndarray]]]
Key = tuple[str, str, str]  # analysis, quantity, line


@dataclass(frozen=True, kw_only=True)
class HistoryResult(Result):
    """Everything by snapshot.

    Shapes, T snapshots: step (T,) of the optimiser, elapsed (T,) seconds; facts (T,) what the training loop said;
    curves by analysis, quantity and line (T,), or quartiles of units (T, 3); NaN where a snapshot has none. how: what
    each quantity is; said: an analysis's first finding at its first and its last snapshot. Units: total and spent are
    seconds of training, snapshots included, and of snapshots; share is what these were allowed of it.
    """

    step: np.ndarray
    elapsed: np.ndarray
    total: float
    spent: float
    share: float
    images: int
    facts: dict[str, np.ndarray]
    curves: Curves
    how: dict[str, dict[str, str]]
    said: dict[str, tuple[str, str]]
    skipped: dict[str, str]

    def middle(self) -> dict[Key, np.ndarray]:
        """Every curve by analysis, quantity and line, of quartiles the median: (T,)."""
        return {
            (analysis, quantity, line): values if values.ndim == 1 else values[:, 1]
            for analysis, found in self.curves.items() for quantity, lines in found.items()
            for line, values in lines.items()
        }  # fmt: skip

    def moved(self) -> dict[Key, tuple[float, float, float]]:
        """By curve: how far it went, its largest change late in the training, and the step from which on it was there.

        NaN for what cannot be told.
        """
        return {key: (float(values[-1] - values[0]), late_change(self.step, values), settled(self.step, values))
                for key, values in self.middle().items()}  # fmt: skip

    def findings(self) -> list[Finding]:
        used = self.spent / self.total if self.total else 0.0
        found = [Finding(
            sentence=f"The network was followed through {self.step[-1]:,} steps in {len(self.step)} snapshots, which "
            f"took {used:.1%} of the {self.total:,.1f} s of training",
            number=used, weight=0.1, link=card_link(MOVED), control=f"allowed were {self.share:.1%}, and the first and "
            "the last snapshot, which are taken whatever they cost",
        )]  # fmt: skip
        return found + [one for analysis in self.curves for one in self._moved_most(analysis)]

    def _moved_most(self, analysis: str) -> Iterator[Finding]:
        moved = {key: told for key, told in self.moved().items() if key[0] == analysis and not np.isnan(told[0])}
        if not moved or len(self.step) < 2:
            return
        clear = {key for key, (went, late, _) in moved.items() if abs(went) > late}  # none where late is NaN
        sizes = {key: float(np.nanmax(np.abs(self.middle()[key]))) or 1.0 for key in moved}
        best = max(moved, key=lambda key: (key in clear, abs(moved[key][0]) / sizes[key]))
        went, late, there = moved[best]
        values, name = self.middle()[best], _named(best)
        drawn = best[1] in list(self.curves[analysis])[:CHARTS]
        yield Finding(
            sentence=f"{analysis}: {name} went from {short(values[0])} to {short(values[-1])} while the network "
            f"learnt, and stayed within {NEAR:.0%} of that from step {there:,.0f} on; it moved most for its size "
            f"of {len(moved)} curves" + ("" if np.isnan(late) else f", {len(clear)} of which moved further than they "
                                         "still changed late"),
            number=went, weight=0.45 if clear else 0.2, link=card_link(_title(*best[:2]) if drawn else MOVED),
            control=f"its largest change between two successive snapshots from step {LATE * self.step[-1]:,.0f} on: "
            f"{short(late)}" if not np.isnan(late) else f"underpowered: fewer than {FEWEST} changes between snapshots "
            f"from step {LATE * self.step[-1]:,.0f} on",
        )  # fmt: skip

    def cards(self) -> list[Card]:
        charts = [card for analysis in self.curves for card in self._charts(analysis)]
        return [*self._facts(), *charts, self._table(), *self._sentences(), *self._layers()]

    def _chart(self, lines: list[tuple[str, np.ndarray]], label: str) -> Chart:
        return Chart(kind="lines", x=self.step, series=tuple(lines), x_label="steps of the optimiser", y_label=label,
                     log="1+x")  # fmt: skip

    def _facts(self) -> list[Card]:
        return [
            Card(title=f"The training's {name}", content=self._chart([(name, values)], name),
                 how_to_read=f"What the training said of its {name} at each snapshot.")
            for name, values in self.facts.items() if name not in NO_CURVE
        ]  # fmt: skip

    def _charts(self, analysis: str) -> list[Card]:
        found = []
        for quantity in list(self.curves[analysis])[:CHARTS]:
            lines = [(line, self.middle()[analysis, quantity, line]) for line in self.curves[analysis][quantity]]
            chosen = np.unique(np.linspace(0, len(lines) - 1, LINES).round().astype(int))
            shown = [lines[place] for place in chosen]
            late = max((told for key, (_, told, _) in self.moved().items() if key[:2] == (analysis, quantity)
                        and not np.isnan(told)), default=np.nan)  # fmt: skip
            found.append(Card(
                title=_title(analysis, quantity), content=self._chart(shown, quantity),
                how_to_read=f"{self.how[analysis][quantity]} At {len(self.step)} snapshots of the training, on "
                f"{self.images:,} probe images; steps on a scale on which each power of ten is as long."
                + (f" {len(shown)} of {len(lines)} lines, evenly through the network; all are in the table."
                   if len(shown) < len(lines) else ""),
                control=f"Largest change of a line between successive snapshots late in the training: {short(late)}."
                if not np.isnan(late) else "Too few snapshots late in the training to say how unsteady they are.",
            ))  # fmt: skip
        return found

    def _table(self) -> Card:
        rows = []
        for (analysis, quantity, line), (went, late, there) in self.moved().items():
            values = self.middle()[analysis, quantity, line]
            rows.append((analysis, quantity, line, short(values[0]), short(values[-1]), f"{went:+.3g}", short(late),
                         f"{there:,.0f}"))  # fmt: skip
        header = ("analysis", "quantity", "of", "first", "last", "moved", "late change", f"within {NEAR:.0%} from step")
        return Card(
            title=MOVED, content=Table(header=header, rows=tuple(rows)),
            how_to_read="Every curve (of units the median) at the first and at the last snapshot, and from which step "
            f"on it stays within {NEAR:.0%} of its last value.",
            control=f"Late change: the largest between successive snapshots from step {LATE * self.step[-1]:,.0f} on "
            f"(nan: fewer than {FEWEST}). What moved by no more than that did not move for certain.",
        )  # fmt: skip

    def _sentences(self) -> list[Card]:
        rows = [(name, first, last) for name, (first, last) in self.said.items()]
        rows += [(name, "skipped", why) for name, why in self.skipped.items()]
        if not rows:
            return []
        return [Card(title="What was found first and last", how_to_read="The first finding of every analysis at the "
                     "first and at the last snapshot.",
                     content=Table(header=("analysis", "first", "last"), rows=tuple(rows)))]  # fmt: skip

    def _layers(self) -> list[Card]:
        """The spread of a layer's units, for its page."""
        names = ("lower quartile", "median", "upper quartile")
        return [
            Card(title=_title(analysis, quantity), layer=line, how_to_read="Quartiles of the layer's units at every "
                 f"snapshot of the training. {self.how[analysis][quantity]}",
                 content=self._chart([(names[place], values[:, place]) for place in (1, 0, 2)], quantity))
            for analysis, found in self.curves.items() for quantity, lines in found.items()
            for line, values in lines.items() if values.ndim == 2
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """The first quantity of every analysis over the steps, at most a few lines each."""
        drawn = [card.content for analysis in self.curves for card in self._charts(analysis)[:1]]
        figure = new_figure(1, max(1, len(drawn)), size=(4.2 * max(1, len(drawn)), 3.4))
        for axes, chart in zip(figure.axes, drawn, strict=False):
            assert isinstance(chart, Chart)
            for name, values in chart.series:
                axes.plot(self.step, values, marker=".", label=name)
            axes.set_xscale("symlog", linthresh=1)
            axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
            axes.legend(fontsize=7)
        return figure


@dataclass(frozen=True, kw_only=True)
class History(Analysis):
    """How did it change while it learnt?"""

    topic = "well"
    general = False
    result = HistoryResult

    def steps(self, specimen: Any) -> Steps:
        raise NotApplicable(f"{specimen.model.name} is looked at once, not followed", "A history is of a training",
                            "Make one with mt.Tracker, or `microtome train ... --track`")  # fmt: skip


def _title(analysis: str, quantity: str) -> str:
    return f"{quantity} while it learnt ({analysis})"


def _named(key: Key) -> str:
    return f"{key[1]} ({key[2]})" if key[1] != key[2] else key[1]
