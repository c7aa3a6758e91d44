"""What each unit looks for, in words: lines, edges and blobs by its filter, or by what it answers to lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting
from ..cards import Card, Chart, Column, Finding, Table, Text, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.labels import ALPHA, INHIBITED, label_kernels, orientation_selectivity, significant
from ..formulas.templates import ANGLES, in_words
from ..network.filters_on_pictures import filters_on_pictures
from ..network.model import Model
from ..network.randomised import randomised
from ..network.specimen import Effort, Specimen
from ..network.stages import stages
from ..network.tuning import LineTuning, line_tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Units in words"
COPIES: dict[Effort, int] = {
    "quick": 4,
    "normal": 12,
    "full": 40,
}  # with shuffled weights: the null of answers to lines
ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class LabelsResult(Result):
    """Everything by layer, U its units.

    words, second: U texts, "" where nothing can be told. Shapes: p, confidence (U,), NaN for confidence where words
    come from tuning alone; tuning (U, A), the largest answer to a line by angle, as a share of the unit's largest;
    selectivity (U,). how: "filter" or "lines". control: share labelled of the same network with shuffled weights, NaN
    if it cannot be copied.
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
        total, units = sum(map(self.labelled, self.words)), sum(map(len, self.words.values()))
        known = [(share, len(self.words[layer])) for layer, share in self.control.items() if not np.isnan(share)]
        beside = sum(share * count for share, count in known) / max(1, sum(count for _, count in known))
        most = max(self.words, key=lambda layer: self.labelled(layer) / len(self.words[layer]))
        control = (
            f"of the same network with shuffled weights {beside:.0%}" if known else "no control: it cannot be copied"
        )
        return [Finding(
            sentence=f"{total:,} of {units:,} units can be put into words as lines, edges or blobs; most in {most}: "
            f"{self.labelled(most)} of {len(self.words[most])}", number=total, weight=0.3, control=control,
            link=card_link(TITLE),
        )]  # fmt: skip

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
            (layer, "its filters" if self.how[layer] == "filter" else "answers to lines",
             f"{self.labelled(layer)} of {len(words)}", _share(self.control[layer]), ", ".join(_commonest(words)))
            for layer, words in self.words.items()
        )  # fmt: skip
        cards = [Card(
            title=TITLE,
            how_to_read="A unit is put into words by the pattern that is most similar to its filter, where that looks "
            "at the picture itself, else by the line that excites the unit in the middle most. Angles count from "
            f"horizontal, 45 is /. At most {ALPHA:.0%} of a layer's words should be noise (Benjamini and Hochberg).",
            content=Table(header=("layer", "by", "in words", "shuffled weights", "commonest"), rows=rows,
                          links=tuple(layer_link(layer) for layer in self.words)),
            control="Filters: beside 4,000 random ones. Lines: beside all units of the layer with shuffled weights.",
        )]  # fmt: skip
        for layer in self.words:
            cards += self._unit_cards(layer)
        return cards

    def _unit_cards(self, layer: str) -> list[Card]:
        lines = [f"{words}{f' (also {second})' if second else ''}" if words else ""
                 for words, second in zip(self.words[layer], self.second[layer], strict=True)]  # fmt: skip
        said = [f"p {p:.3f}" + ("" if np.isnan(sure) else f", confidence {sure:.2f}")
                for p, sure in zip(self.p[layer], self.confidence[layer], strict=True)]  # fmt: skip
        text = tuple(f"{line or 'no words for it'}: {how}" for line, how in zip(lines, said, strict=True))
        return [
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="",
                 content=Text(lines=tuple(lines))),
            Card(title="In words", layer=layer, per_unit=True, section="numbers", content=Text(lines=text),
                 how_to_read="What it looks for, and how sure that is; p is the share of random filters, or of units "
                 "with shuffled weights, that are as clear."),
            Card(title="Answer to lines", layer=layer, per_unit=True, section="numbers",
                 how_to_read="Its largest answer to a bright line on black, by angle, as a share of the largest; below "
                 "0: the line inhibits it.",
                 content=Chart(kind="lines", x=np.array(ANGLES), series=(("answer", self.tuning[layer]),),
                               x_label="angle (degrees)", y_label="share of its largest")),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """Share of units in words by layer, with the control."""
        figure = new_figure(size=(max(5.0, 0.5 * len(self.words)), 3.6))
        axes, depth = figure.axes[0], np.arange(len(self.words))
        axes.plot(depth, [self.labelled(layer) / len(self.words[layer]) for layer in self.words], "o-", label="trained")
        axes.plot(depth, list(self.control.values()), "s--", color="grey", label="shuffled weights")
        axes.set_xticks(depth, list(self.words), rotation=45, ha="right", fontsize=7)
        axes.set(ylim=(0, 1), ylabel="share of units in words")
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
        seeds = tuple(range(1 + COPIES[specimen.effort]))  # 0 is the network itself, 1 the control
        answers = yield Jobs(
            key=f"answers to lines, beside {len(seeds) - 1} copies with shuffled weights", items=seeds,
            function=lambda some: [_asked(specimen, copy, where) for copy in some],
        )  # fmt: skip
        trained, *copies = answers
        found = {
            layer: _judged(trained[layer], [copy[layer] for copy in copies if copy], self.alpha) for layer in where
        }
        return LabelsResult(
            how={layer: trained[layer]["how"] for layer in where},
            **{name: {layer: each[name] for layer, each in found.items()} for name in
               ("words", "second", "p", "confidence", "tuning", "selectivity", "control")},
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        if not _places(specimen):
            raise NotApplicable(f"{specimen.model.name} has no layer with maps", "Lines are shown to units of maps",
                                "Look at convolutions")  # fmt: skip

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        left_out = [layer.name for layer in specimen.layers if layer.name not in _places(specimen)]
        return [Limit(f"{len(left_out)} layers without maps are left out: {left_out[0]}, ...",
                      "Dissect their units")] if left_out else []  # fmt: skip


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
    """What each layer answers, as plain arrays; nothing if there is no copy to shuffle."""
    try:
        model: Model = randomised(specimen.model, specimen.seed + copy) if copy else specimen.model
    except NotApplicable:
        return {}
    kernels, tunings = filters_on_pictures(model) if copy < 2 else {}, line_tuning(model, where)
    return {layer: _by_filter(kernels[layer], tunings[layer], specimen.seed) if layer in kernels
            else _by_lines(tunings[layer]) for layer in where}  # fmt: skip


def _by_filter(kernels: np.ndarray, tuning: LineTuning, seed: int) -> dict[str, Any]:
    labels = label_kernels(kernels, corrected=False, alpha=1.0, seed=seed)
    return _by_lines(tuning) | {
        "how": "filter", "nearest": [label.nearest for label in labels], "second": [label.second for label in labels],
        "p": np.array([label.p for label in labels]), "confidence": np.array([label.confidence for label in labels]),
    }  # fmt: skip


def _by_lines(tuning: LineTuning) -> dict[str, Any]:
    """The line that excites most, or, if the absence of lines does more, inhibits most."""
    response = tuning.response
    absent = -response.min((1, 2)) > INHIBITED * response.max((1, 2))
    signed = np.where(absent[:, None, None], -response, response)
    best = signed.reshape(len(signed), -1).argmax(1)
    angle, place = np.divmod(best, response.shape[2])
    nearest = []
    for unit, (a, o) in enumerate(zip(angle, place, strict=True)):
        words = in_words("line", ANGLES[a], float(tuning.offset[a, o]) / tuning.width * 1.5)  # beyond half a width
        nearest.append(f"neg({words})" if absent[unit] else words)
    strongest = np.maximum(signed.max(2), 0)
    scale = np.abs(response).max((1, 2), keepdims=True)
    curve = np.where(absent[:, None], response.min(2), response.max(2))
    return {
        "how": "lines", "nearest": nearest, "second": [""] * len(nearest), "confidence": np.full(len(nearest), np.nan),
        "tuning": curve / np.where(scale > 0, scale, 1)[:, 0],
        "selectivity": np.array([orientation_selectivity(each) for each in strongest]),
    }  # fmt: skip


def _p(mine: Mapping[str, Any], copies: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The share of units with shuffled weights that are as selective; 1 without such copies, or without an answer."""
    selectivity = mine["selectivity"]
    if not copies:
        return np.ones(len(selectivity))
    others = np.sort(np.concatenate([copy["selectivity"] for copy in copies]))
    above = len(others) - np.searchsorted(others, selectivity, side="left")
    return np.where(selectivity > 0, (above + 1) / (len(others) + 1), 1.0)


def _judged(mine: Mapping[str, Any], copies: Sequence[Mapping[str, Any]], alpha: float) -> dict[str, Any]:
    """What holds beside random filters, or beside shuffled weights; and what of one such copy would have held."""
    p = mine["p"] if "p" in mine else _p(mine, copies)
    control = float("nan")
    if len(copies) > 1:
        first, *others = copies
        control = float(significant(first["p"] if "p" in first else _p(first, others), alpha).mean())
    passed = significant(p, alpha)
    words, second = (tuple(word if there else "" for word, there in zip(mine[name], passed, strict=True))
                     for name in ("nearest", "second"))  # fmt: skip
    return {"words": words, "second": second, "p": p, "control": control,
            **{name: mine[name] for name in ("confidence", "tuning", "selectivity")}}  # fmt: skip


def _commonest(words: Sequence[str]) -> list[str]:
    counts = Counter(filter(None, words))
    return [f"{word} ({count})" for word, count in counts.most_common(3)]


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"
