"""What units look for: filters on the picture in words, and of every unit of a map what it answers to lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Result, Steps, setting
from ..cards import Card, Chart, Column, Finding, Table, Text, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.labels import ALPHA, INHIBITED, label_kernels, orientation_selectivity, significant
from ..formulas.templates import ANGLES
from ..network.filters_on_pictures import filters_on_pictures
from ..network.model import Model
from ..network.randomised import randomised
from ..network.specimen import Specimen
from ..network.stages import stages
from ..network.tuning import LineTuning, line_tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Units in words"
ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class LabelsResult(Result):
    """Everything by layer, U its units.

    words, second: U texts, "" where nothing can be told. Shapes: p, confidence (U,), NaN where there is no filter on
    the picture itself; tuning (U, A), the largest answer to a line by angle, as a share of the unit's largest;
    selectivity (U,). how: "filter" (in words) or "lines" (answers alone). control: share of filters that are put into
    words with shuffled weights, NaN if there are none.
    """

    words: dict[str, tuple[str, ...]]
    second: dict[str, tuple[str, ...]]
    p: ByLayer
    confidence: ByLayer
    tuning: ByLayer
    selectivity: ByLayer
    how: dict[str, str]
    control: dict[str, float]

    def labelled(self, layer: str) -> int:
        """How many units of a layer have words."""
        return sum(map(bool, self.words[layer]))

    def findings(self) -> list[Finding]:
        found = []
        for layer in (layer for layer, how in self.how.items() if how == "filter"):
            units, share = len(self.words[layer]), self.control[layer]
            beside = "it cannot be copied: none" if np.isnan(share) else f"with shuffled weights {share:.0%}"
            found.append(Finding(
                sentence=f"{self.labelled(layer)} of {units} filters of {layer} can be put into words as lines, "
                f"edges or blobs: {', '.join(_commonest(self.words[layer])) or 'none'}",
                number=self.labelled(layer), weight=0.3, control=beside, link=layer_link(layer),
            ))  # fmt: skip
        return found

    def columns(self) -> list[Column]:
        return [
            Column(name="label", kind="text", values={k: np.array(v, dtype=str) for k, v in self.words.items()},
                    how_to_read="What the unit looks for; empty: nothing "
                   "that could be told from noise."),
            Column(name="orientation", values=self.selectivity, how_to_read="How much its answer to a line depends on "
                   "the angle: 0 not at all, 1 one angle alone."),
        ]  # fmt: skip

    def cards(self) -> list[Card]:
        rows = tuple(
            (layer, f"{self.labelled(layer)} of {len(words)}" if self.how[layer] == "filter" else "–",
             _share(self.control[layer]), f"{np.median(self.selectivity[layer]):.2f}", ", ".join(_commonest(words)))
            for layer, words in self.words.items()
        )  # fmt: skip
        cards = [Card(
            title=TITLE,
            how_to_read="Filters that look at the picture itself are put into words by the most similar pattern. "
            "Angles count from horizontal, 45 is /. Orientation: how much answers to a bright line depend on its "
            "angle, 0 not at all, 1 one angle alone (median unit).",
            content=Table(header=("layer", "in words", "shuffled weights", "orientation", "commonest"), rows=rows,
                          links=tuple(layer_link(layer) for layer in self.words)),
            control=f"Beside 4,000 random filters: at most {ALPHA:.0%} of a layer's words should be noise (Benjamini "
            "and Hochberg).",
        )]  # fmt: skip
        for layer in self.words:
            cards += self._unit_cards(layer)
        return cards

    def _unit_cards(self, layer: str) -> list[Card]:
        cards = [Card(
            title="Answer to lines", layer=layer, per_unit=True, section="numbers",
            how_to_read="Its largest answer to a bright line on black, by angle, as a share of the largest; below 0: "
            "lines inhibit it.",
            content=Chart(kind="lines", x=np.array(ANGLES), series=(("answer", self.tuning[layer]),),
                          x_label="angle (degrees)", y_label="share of its largest"),
        )]  # fmt: skip
        if self.how[layer] != "filter":
            return cards
        lines = [f"{words}{f' (also {second})' if second else ''}" if words else ""
                 for words, second in zip(self.words[layer], self.second[layer], strict=True)]  # fmt: skip
        sure = (f"p {p:.3f}, confidence {confidence:.2f}"
                for p, confidence in zip(self.p[layer], self.confidence[layer], strict=True))  # fmt: skip
        text = tuple(f"{line or 'no words for it'}: {how}" for line, how in zip(lines, sure, strict=True))
        return [
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=tuple(lines))),
            Card(title="In words", layer=layer, per_unit=True, section="made of", content=Text(lines=text),
                 how_to_read="What its filter looks for, and how sure that is; p is the share of random filters that "
                 "are as similar to any pattern."),
            *cards,
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """How much answers to lines depend on their angle, by layer: median and the middle 80% of units."""
        figure = new_figure(size=(max(5.0, 0.4 * len(self.words)), 3.6))
        axes, depth = figure.axes[0], np.arange(len(self.words))
        low, middle, high = np.array([np.quantile(each, (0.1, 0.5, 0.9)) for each in self.selectivity.values()]).T
        axes.fill_between(depth, low, high, alpha=0.25, label="middle 80% of units")
        axes.plot(depth, middle, "o-", label="median unit")
        axes.set_xticks(depth, list(self.words), rotation=45, ha="right", fontsize=7)
        axes.set(ylim=(0, 1), ylabel="orientation selectivity")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Labels(Analysis):
    """What does each unit look for, in words?"""

    name = "labels"
    question = "What does each unit look for, in words?"
    result = LabelsResult

    alpha: float = setting(ALPHA, help="share of a layer's words that may be noise")

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        where = _places(specimen)
        answers = yield Jobs(
            key="answers to lines", items=(0, 1),  # the network itself, and a copy with shuffled weights
            function=lambda some: [_asked(specimen, copy, where) for copy in some],
        )  # fmt: skip
        trained, shuffled = answers
        found = {layer: _judged(trained[layer], shuffled.get(layer), self.alpha) for layer in where}
        return LabelsResult(
            how={layer: trained[layer]["how"] for layer in where},
            **{name: {layer: each[name] for layer, each in found.items()} for name in
               ("words", "second", "p", "confidence", "tuning", "selectivity", "control")},
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        if not _places(specimen):
            raise NotApplicable(f"{specimen.model.name} has no layer with maps", "Lines are shown to units of maps",
                                "Look at convolutions")  # fmt: skip


def _places(specimen: Specimen) -> dict[str, str]:
    """Where each layer with maps is read: before its rectifier."""
    found = {}
    for layer in specimen.layers:
        stage = stages(specimen.sites, layer.name)
        site = specimen.sites[stage.after]
        if site.batched and site.channel_axis == 1 and len(site.extent) == 2 and min(site.extent) > 1:
            found[layer.name] = stage.before or stage.after
    return found


def _asked(specimen: Specimen, copy: int, where: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What each layer answers, as plain arrays; of the copy with shuffled weights, if there is one, the filters."""
    try:
        model: Model = randomised(specimen.model, specimen.seed + copy) if copy else specimen.model
    except NotApplicable:
        return {}
    kernels, tunings = filters_on_pictures(model), {} if copy else line_tuning(model, where)
    if copy:
        return {layer: _by_filter(kernels[layer], specimen.seed) for layer in where if layer in kernels}
    return {layer: _by_lines(tunings[layer]) | (_by_filter(kernels[layer], specimen.seed) if layer in kernels else {})
            for layer in where}  # fmt: skip


def _by_filter(kernels: np.ndarray, seed: int) -> dict[str, Any]:
    labels = label_kernels(kernels, corrected=False, alpha=1.0, seed=seed)
    return {
        "how": "filter", "nearest": [label.nearest for label in labels], "second": [label.second for label in labels],
        "p": np.array([label.p for label in labels]), "confidence": np.array([label.confidence for label in labels]),
    }  # fmt: skip


def _by_lines(tuning: LineTuning) -> dict[str, Any]:
    """The tuning curve; in words only by filters, because of most units lines do not tell what they look for."""
    response = tuning.response
    scale = np.abs(response).max((1, 2))
    largest, least = response.max(2), response.min(2)
    inhibited = -least.min(1) > INHIBITED * largest.max(1)
    curve = np.where(inhibited[:, None], least, largest)
    units = len(curve)
    return {
        "how": "lines", "nearest": [""] * units, "second": [""] * units, "p": np.full(units, np.nan),
        "confidence": np.full(units, np.nan), "tuning": curve / np.where(scale > 0, scale, 1)[:, None],
        "selectivity": np.array([orientation_selectivity(np.abs(each)) for each in curve]),
    }  # fmt: skip


def _judged(mine: Mapping[str, Any], shuffled: Mapping[str, Any] | None, alpha: float) -> dict[str, Any]:
    """What holds beside random filters; and what of the copy with shuffled weights would have held."""
    passed = significant(mine["p"], alpha)
    words, second = (tuple(word if there else "" for word, there in zip(mine[name], passed, strict=True))
                     for name in ("nearest", "second"))  # fmt: skip
    control = float(significant(shuffled["p"], alpha).mean()) if shuffled else float("nan")
    kept = {name: mine[name] for name in ("p", "confidence", "tuning", "selectivity")}
    return {"words": words, "second": second, "control": control, **kept}


def _commonest(words: Sequence[str]) -> list[str]:
    counts = Counter(filter(None, words))
    return [f"{word} ({count})" for word, count in counts.most_common(3)]


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"
