"""How the polyhedral cones of successive layers' channels lie to each other, beside chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Result, Steps, setting
from ..cards import Card, Chart, Finding, Pictures, Series, Table, Text, card_link, layer_link
from ..checks import known
from ..errors import NotApplicable
from ..figures import as_pixels, new_figure
from ..formulas.cones.layers import BiasRule
from ..formulas.cones.permutation_null import Null, rank_chance
from ..formulas.cones.states import State
from ..network.parts.cones_of_pairs import RULES, cone_pairs, measured
from ..network.specimen import Specimen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE, BARS = "How cones of successive layers lie", "States beside shuffled filters"
FOUR = (State.OUT_PARTIAL_IN, State.OUT_FULL_IN, State.IN_PARTIAL_OUT, State.IN_FULL_OUT)
COLOURS = ("#f4a261", "#2a6f97", "#e9c46a", "#7b2d26", "#bbbbbb", "#dddddd", "#ffffff", "#000000")  # of all states
Row = tuple[str | int | float, ...]
FULL = [State.OUT_FULL_IN, State.IN_FULL_OUT]


@dataclass(frozen=True, kw_only=True)
class ChannelConesResult(Result):
    """Everything by pair of layers (m of them), by the layer behind.

    Shapes: before, names of the layers in front; grid (m, 2); block (m,); widths (m, 3) outputs, channels between,
    inputs; states by layer (O, C) int8 of the document's rule; drawn by layer (R, 8) counts with the filters of the
    layer in front shuffled; summary, exact by layer (8,) counts over triples of the same slices, by angles and apices
    and by exact inclusion; rotation, rotation_null (m,) mean angle in degrees, the latter of random kernels.
    """

    before: tuple[str, ...]
    grid: np.ndarray
    block: np.ndarray
    widths: np.ndarray
    states: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    summary: dict[str, np.ndarray]
    exact: dict[str, np.ndarray]
    rotation: np.ndarray
    rotation_null: np.ndarray
    rule: str
    left_out: tuple[str, ...]

    def null(self, layer: str) -> Null:
        """The states of a layer beside those with filters shuffled."""
        counted = np.bincount(self.states[layer].ravel(), minlength=len(State))
        return Null(observed=counted, drawn=self.drawn[layer])

    @property
    def whole(self) -> Null:
        """Over all pairs together."""
        return Null.pooled([self.null(layer) for layer in self.states])

    @property
    def by_chance(self) -> np.ndarray:
        """What openings in random order would give over all pairs. Shapes: (8,)."""
        items = np.array([each.size for each in self.states.values()])
        return np.asarray(items @ np.stack([rank_chance(int(inputs)) for inputs in self.widths[:, 2]]) / items.sum())

    def findings(self) -> list[Finding]:
        whole, most = self.whole, int(self.whole.frequency[:4].argmax())
        odd = [layer for layer in self.states if np.abs(self.null(layer).z[:4]).max() > 3]
        full, of = (
            sum(each[FULL].sum() for each in self.exact.values()),
            sum(each.sum() for each in self.exact.values()),
        )
        said = sum(each[FULL].sum() for each in self.summary.values())
        found = [Finding(
            sentence=f"By the summaries of its cones, {whole.frequency[most]:.0%} of {whole.items:,} channel cones are "
            f"{_words(State(most))}; with the filters in front shuffled {whole.mean[most]:.0%} are "
            f"(z {whole.z[most]:+.1f})", number=float(whole.z[most]),
            weight=0.2 + 0.2 * bool(odd), link=card_link(TITLE),
            control=f"openings in random order would give {self.by_chance[most]:.0%}; beyond 3 standard deviations "
            f"from shuffled filters in {len(odd)} of {len(self.states)} pairs of layers",
        )]  # fmt: skip
        if of:
            found.append(Finding(
                sentence=f"Of {of:,} pairs of cones {said / of:.1%} lie in each other by angles and apices, and "
                f"{full / of:.1%} do", number=float(full / of), weight=0.25, link=card_link("Summaries and inclusion"),
                control="inclusion is exact (Fourier transforms, held against linear programs)",
            ))  # fmt: skip
        return found

    def series(self) -> list[Series]:
        whole = self.whole
        shares = {_words(state): float(whole.frequency[state]) for state in FOUR}
        return [
            Series(name="states", values=dict(shares), how_to_read="Share of channel cones in each state, all pairs."),
            Series(name="OUT_FULL_IN beside shuffled filters", values={
                "as it is": float(whole.frequency[State.OUT_FULL_IN]), "shuffled": float(whole.mean[State.OUT_FULL_IN]),
            }, how_to_read="Share of cones that lie in the layer in front, beside the mean over shuffles."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        return [self._table(), *self._bars(), self._blocks(), self._inclusion(),
                *(card for layer in self.states for card in self._layer(layer))]  # fmt: skip

    def _table(self) -> Card:
        rows: list[Row] = []
        for place, layer in enumerate(self.states):
            null, chance = self.null(layer), rank_chance(int(self.widths[place, 2]))
            rows.append((
                f"{self.before[place]} to {layer}", self.states[layer].size,
                *(f"{null.frequency[k]:.1%} ({_z(null.z[k])})" for k in FOUR), f"{chance[State.OUT_FULL_IN]:.1%}",
                f"{self.rotation[place]:.0f}° ({self.rotation_null[place]:.0f}°)",
                f"{_truncated(self.grid[place]):.0%}",
            ))  # fmt: skip
        skipped = f" Not compared: {'; '.join(self.left_out)}." if self.left_out else ""
        return Card(
            title=TITLE,
            how_to_read="Every channel of a filter is a cone of its input, on which it is on everywhere. OUT is one of "
            "the layer behind, IN all of a filter in front together (lowest apex, widest opening), as Gamba, Carlsson "
            "et al. (2019) compare them; in brackets how many standard deviations from the mean over shuffles. A bias "
            f"is dealt out to channels by the rule {self.rule}. Rotation: mean angle between the cones, of random "
            "kernels in brackets. Edge: the share of places at which zero padding cuts kernels, which cones do not "
            f"know.{skipped}",
            content=Table(header=("layers", "cones", *map(_words, FOUR), "OUT full, by rank", "rotation", "edge"),
                          rows=tuple(rows), links=tuple(layer_link(layer) for layer in self.states)),
            control="Shuffled: which filter in front feeds which channel is drawn at random. By rank: openings in "
            "random order and biases of 0.",
        )  # fmt: skip

    def _bars(self) -> list[Card]:
        places = np.arange(len(self.states))
        nulls = [self.null(layer) for layer in self.states]
        found = []
        for state in (State.OUT_FULL_IN, State.OUT_PARTIAL_IN):
            drawn = [null.drawn[:, state] / max(1, null.items) for null in nulls]
            band = np.array([np.quantile(each, (0.025, 0.975)) for each in drawn]).T
            found.append(Card(
                title=f"{BARS}, {_words(state)}", how_to_read=f"Share of cones that are {_words(state)}, by pair of "
                "layers from the picture on.",
                content=Chart(kind="lines", x=places, x_label="pair of layers", y_label="share", band=band,
                              from_zero=False, series=(
                                  ("as it is", np.array([null.frequency[state] for null in nulls])),
                                  ("by rank", np.array([rank_chance(int(n))[state] for n in self.widths[:, 2]])))),
                control="Band: 95% of shuffles of the filters in front.",
            ))  # fmt: skip
        return found if len(places) > 1 else []

    def _blocks(self) -> Card:
        rows: list[Row] = []
        layers = list(self.states)
        for block in np.unique(self.block):
            null = Null.pooled([self.null(layers[place]) for place in np.flatnonzero(self.block == block)])
            spread = np.sqrt(null.mean * (1 - null.mean) / max(1, null.items))
            rows.append(
                (
                    f"{self.grid[self.block == block][0][0]} x {self.grid[self.block == block][0][1]}",
                    null.items,
                    *(f"{null.frequency[k]:.1%} ({_z(null.z[k])}, ± {spread[k]:.1%})" for k in FOUR),
                )
            )
        whole = self.whole
        rows.append(("all", whole.items, *(f"{whole.frequency[k]:.1%} ({_z(whole.z[k])})" for k in FOUR)))
        return Card(
            title="By block", content=Table(header=("grid", "cones", *map(_words, FOUR)), rows=tuple(rows)),
            how_to_read="The same over all pairs on one grid. ±: what the number of cones alone lets a share vary by, "
            "which is why higher blocks vary less.",
            control="In brackets: standard deviations from shuffled filters.",
        )  # fmt: skip

    def _inclusion(self) -> Card:
        rows: list[Row] = []
        for layer, exact in self.exact.items():
            summary, total = self.summary[layer], max(1, int(exact.sum()))
            both = (f"{summary[state] / total:.1%}, {exact[state] / total:.1%}" for state in FULL)
            rows.append((layer, total, *both, *(f"{exact[s] / total:.1%}" for s in (State.FACING, State.DISJOINT))))
        return Card(
            title="Summaries and inclusion",
            how_to_read="Cone by cone (a channel behind, a channel of the filter in front): how many lie in each other "
            "by apex and opening, which is necessary, and how many do. Facing: they open against each other and meet.",
            content=Table(header=("layer", "pairs", "OUT in IN: by summaries, exactly",
                                  "IN in OUT: by summaries, exactly", "facing", "disjoint"), rows=tuple(rows)),
            control="Of cones of random kernels fewer than 1% lie in each other.",
        )  # fmt: skip

    def _layer(self, layer: str) -> list[Card]:
        states = self.states[layer]
        lines = tuple(
            f"Of its {len(row)} channel cones {', '.join(f'{(row == k).sum()} are {_words(k)}' for k in FOUR)}."
            for row in states
        )
        return [
            Card(title="States of channel cones", layer=layer,
                 content=Pictures(pixels=_heat(states)[None], crisp=False),
                 how_to_read="Every filter (row) and channel that it looks at (column)."),
            Card(title="Its cones beside those in front", layer=layer, per_unit=True, section="numbers",
                 content=Text(lines=lines), how_to_read="OUT is the filter's channel, IN the filter in front of it: "
                 "whose apex lies further along the line of constant images, and which opens wider.",
                 control=f"Shuffled filters give {self.null(layer).mean[State.OUT_FULL_IN]:.0%} OUT in full."),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Shares of states by pair of layers, with the null's 95% behind."""
        figure = new_figure(size=(max(6.0, 0.7 * len(self.states)), 3.8))
        axes, places = figure.axes[0], np.arange(len(self.states))
        nulls = [self.null(layer) for layer in self.states]
        for k, state in enumerate(FOUR):
            shares = [null.frequency[state] for null in nulls]
            low, high = np.array([np.quantile(null.drawn[:, state] / max(1, null.items), (0.025, 0.975))
                                  for null in nulls]).T  # fmt: skip
            axes.bar(places + 0.2 * k - 0.3, shares, width=0.18, color=COLOURS[state], label=_words(state))
            axes.vlines(places + 0.2 * k - 0.3, low, high, color="black", lw=2)
        axes.set_xticks(places, list(self.states), rotation=90, fontsize=7)
        axes.set(ylabel="share of cones", ylim=(0, 1), title="black: 95% of shuffles")
        axes.legend(fontsize=7)
        return figure


def _words(state: State) -> str:
    return {State.OUT_PARTIAL_IN: "OUT in part", State.OUT_FULL_IN: "OUT in full", State.IN_PARTIAL_OUT: "IN in part",
            State.IN_FULL_OUT: "IN in full"}[state]  # fmt: skip


def _z(value: float) -> str:
    return f"z {value:+.1f}" if np.isfinite(value) else "never when shuffled"


def _truncated(grid: np.ndarray) -> float:
    """Of 3 x 3 kernels."""
    return float(1 - max(0, grid[0] - 2) * max(0, grid[1] - 2) / (grid[0] * grid[1]))


def _heat(states: np.ndarray) -> np.ndarray:
    from matplotlib.colors import ListedColormap

    figure = new_figure(size=(6.4, 4.2))
    axes = figure.axes[0]
    drawn = axes.imshow(
        states, cmap=ListedColormap(COLOURS), vmin=-0.5, vmax=7.5, aspect="auto", interpolation="nearest"
    )
    axes.set(xlabel="channel", ylabel="filter")
    bar = figure.colorbar(drawn, ax=axes, ticks=range(4))
    bar.ax.set_yticklabels([_words(state) for state in FOUR], fontsize=7)
    bar.ax.set_ylim(-0.5, 3.5)
    return as_pixels(figure)


@dataclass(frozen=True, kw_only=True)
class ChannelCones(Analysis):
    """How do the cones of successive layers' channels lie to each other?"""

    topic = "further"
    general = False  # of networks in which convolutions follow each other directly
    result = ChannelConesResult

    biases: str = setting("minnorm", help="how a filter's bias is dealt out to its channels: minnorm, shared or zero")
    shuffles: int = setting(100, help="of the filters in front, for what chance gives")

    def check(self, specimen: Specimen) -> None:
        known("rule for biases", self.biases, RULES, "Set channel_cones.biases to one of them")
        if not cone_pairs(specimen.model)[0]:
            raise NotApplicable(f"{specimen.model.name} has no two convolutions of several pixels, of which one looks "
                                "at the other's channels alone and through a rectifier on one grid",
                                "Cones are compared between such layers",
                                "Read cone_depth, which is of single layers")  # fmt: skip

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        rule: BiasRule = self.biases  # type: ignore[assignment]
        pairs, left_out = cone_pairs(specimen.model)
        found: Sequence[dict[str, Any]] = yield Jobs(
            key=f"cones of {len(pairs)} pairs of layers, {rule}, {self.shuffles} shuffles", words="cones of layers",
            items=tuple(range(len(pairs))), function=lambda some: [
                measured(pairs[place], rule, self.shuffles, (specimen.seed, place), specimen.effort) for place in some
            ],
        )  # fmt: skip
        by = {pair.after.layer: each for pair, each in zip(pairs, found, strict=True)}
        return ChannelConesResult(
            before=tuple(pair.before.layer for pair in pairs), grid=np.array([pair.grid for pair in pairs]),
            block=np.array([pair.block for pair in pairs]),
            widths=np.array([[*pair.after.weight.shape[:2], pair.before.weight.shape[1]] for pair in pairs]),
            **{name: {layer: each[name] for layer, each in by.items()}
               for name in ("states", "drawn", "summary", "exact")},
            rotation=np.array([each["rotation"] for each in found]),
            rotation_null=np.array([each["rotation_null"] for each in found]), rule=rule, left_out=left_out,
        )  # fmt: skip
