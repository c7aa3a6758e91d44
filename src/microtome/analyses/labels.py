"""What units look for: filters on the picture in words, and of every unit of a map what it answers to lines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Result, Steps, setting
from ..cards import Card, Chart, Column, Finding, Table, Text, layer_link
from ..errors import NotApplicable
from ..figures import through_layers
from ..formulas.labels import ALPHA, label_kernels, orientation_selectivity, significant
from ..formulas.line_words import Answers, words_by_lines
from ..formulas.templates import ANGLES
from ..network.model import Model
from ..network.parts.filters_on_pictures import filters_on_pictures
from ..network.randomised import randomised
from ..network.specimen import Specimen
from ..network.stages import stages
from ..network.trials.tuning import LineTuning, line_tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = 1.5  # times the usual width: lines that answers are checked with
TITLE = "Units in words"
ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class LabelsResult(Result):
    """Everything by layer, U its units.

    words, second: U texts, "" where nothing can be told. Shapes: p (U,), NaN where there is no filter on the picture
    itself; confidence (U,), of answers to lines the correlation of tuning curves for two widths; tuning (U, A), the
    largest answer to a line by angle, as a share of the unit's largest; selectivity (U,). how: "filter" or "lines", by
    what a layer's units are put into words. control: share of units that have words with shuffled weights, NaN if they
    cannot be shuffled.
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
            commonest = ", ".join(_commonest(self.words[layer]))
            beside = "it cannot be copied: none" if np.isnan(share) else f"with shuffled weights {share:.0%}"
            found.append(Finding(
                sentence=f"{self.labelled(layer)} of {units} filters of {layer} can be put into words as lines, "
                f"edges or blobs{f': {commonest}' if commonest else ''}",
                number=self.labelled(layer), weight=0.3, control=beside, link=layer_link(layer),
            ))  # fmt: skip
        return found + self._deeper()

    def _deeper(self) -> list[Finding]:
        """One sentence on all layers behind the first."""
        layers = [layer for layer, how in self.how.items() if how == "lines"]
        units = sum(len(self.words[layer]) for layer in layers)
        if not units:
            return []
        said = sum(map(self.labelled, layers))
        shuffled = sum(self.control[layer] * len(self.words[layer]) for layer in layers) / units
        most = max(layers, key=lambda layer: self.labelled(layer) / len(self.words[layer]))
        return [Finding(
            sentence=f"{said} of {units} units of later layers answer to lines of one direction, wide or narrow; in "
            f"{most} {self.labelled(most)} of {len(self.words[most])}", number=said, weight=0.2,
            control="it cannot be copied: none" if np.isnan(shuffled) else
            f"with shuffled weights {shuffled:.0%}, here {said / units:.0%}", link=layer_link(most),
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
            (layer, f"{self.labelled(layer)} of {len(words)}", _share(self.control[layer]),
             f"{np.median(self.selectivity[layer]):.2f}", ", ".join(_commonest(words)))
            for layer, words in self.words.items()
        )  # fmt: skip
        cards = [Card(
            title=TITLE,
            how_to_read="Filters that look at the picture itself are put into words by the most similar pattern; units "
            "behind them by the line that they answer most, where lines of two widths agree on one direction. Angles "
            "count from horizontal, 45 is /; neg(...) silences the unit. Orientation: how much answers to a bright "
            "line depend on its angle, 0 not at all, 1 one angle alone (median unit).",
            content=Table(header=("layer", "in words", "shuffled weights", "orientation", "commonest"), rows=rows,
                          links=tuple(layer_link(layer) for layer in self.words)),
            control=f"Of filters beside 4,000 random ones at most {ALPHA:.0%} of a layer's words should be noise "
            "(Benjamini and Hochberg). Answers to lines are described, whether or not they were learnt: shuffled "
            "weights say how many units of such a layer answer so anyhow.",
        )]  # fmt: skip
        for layer in self.words:
            cards += self._unit_cards(layer)
        return cards

    def _unit_cards(self, layer: str) -> list[Card]:
        lines = tuple(f"{words}{f' (also {second})' if second else ''}" if words else ""
                      for words, second in zip(self.words[layer], self.second[layer], strict=True))  # fmt: skip
        if self.how[layer] == "filter":
            sure = [f"{'p < 0.001' if p < 0.0005 else f'p {p:.3f}'}, confidence {confidence:.2f}"
                    for p, confidence in zip(self.p[layer], self.confidence[layer], strict=True)]  # fmt: skip
            how = ("What its filter looks for, neg(...) what it is against, and how sure that is; p is the share of "
                   "random filters that are as similar to any pattern.")  # fmt: skip
            control = ""
        else:
            sure = [f"its answers to narrow and wide lines correlate by {r:.2f}" for r in self.confidence[layer]]
            how = (
                "The bright line on black that it answers most, seen from its side; neg(...): that silences it most. "
                "None if its answer hardly depends on the angle, or lines of two widths disagree."
            )
            control = f"With shuffled weights {_share(self.control[layer])} of this layer's units have words."
        text = tuple(f"{line or 'no words for it'}: {why}" for line, why in zip(lines, sure, strict=True))
        return [
            Card(title="", layer=layer, per_unit=True, section="headline", how_to_read="", content=Text(lines=lines)),
            Card(title="In words", layer=layer, per_unit=True, section="made of", content=Text(lines=text),
                 how_to_read=how, control=control),
            Card(
                title="Answer to lines", layer=layer, per_unit=True, section="numbers",
                how_to_read="Its largest answer to a bright line on black, by angle, as a share of the largest; below "
                "0: lines inhibit it.",
                content=Chart(kind="lines", x=np.array(ANGLES), series=(("answer", self.tuning[layer]),),
                              x_label="angle (degrees)", y_label="share of its largest"),
            ),
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """How much answers to lines depend on their angle, by layer: median and the middle 80% of units."""
        figure = through_layers(self.selectivity, "orientation selectivity")
        figure.axes[0].set_ylim(0, 1)
        return figure


@dataclass(frozen=True, kw_only=True)
class Labels(Analysis):
    """What does each unit look for, in words?"""

    topic = "units"
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
    """What each layer answers, as plain arrays; of the network, or of a copy with shuffled weights, if there is one."""
    try:
        model: Model = randomised(specimen.model, specimen.seed + copy) if copy else specimen.model
    except NotApplicable:
        return {}
    kernels = filters_on_pictures(model)
    narrow, wide = (line_tuning(model, where, widths) for widths in (1.0, WIDE))
    return {layer: _by_lines(narrow[layer], wide[layer])
            | (_by_filter(kernels[layer], specimen.seed) if layer in kernels else {}) for layer in where}  # fmt: skip


def _by_filter(kernels: np.ndarray, seed: int) -> dict[str, Any]:
    labels = label_kernels(kernels, corrected=False, alpha=1.0, seed=seed)
    return {
        "how": "filter", "nearest": [label.nearest for label in labels], "second": [label.second for label in labels],
        "p": np.array([label.p for label in labels]), "confidence": np.array([label.confidence for label in labels]),
    }  # fmt: skip


def _by_lines(narrow: LineTuning, wide: LineTuning) -> dict[str, Any]:
    """The tuning curve for the narrower lines, and the best line in words."""
    scale = np.abs(narrow.response).max((1, 2))
    answers = [Answers(response=each.response, offset=each.offset / each.width) for each in (narrow, wide)]
    words, agreement = words_by_lines(*answers)
    curve = np.where(answers[0].inhibited[:, None], narrow.response.min(2), narrow.response.max(2))
    return {
        "how": "lines", "nearest": words, "second": [""] * len(curve), "p": np.full(len(curve), np.nan),
        "confidence": agreement, "tuning": curve / np.where(scale > 0, scale, 1)[:, None],
        "selectivity": np.array([orientation_selectivity(np.abs(each)) for each in curve]),
    }  # fmt: skip


def _judged(mine: Mapping[str, Any], shuffled: Mapping[str, Any] | None, alpha: float) -> dict[str, Any]:
    """What holds: filters beside random ones, answers to lines where they agree; and the share of the copy's words."""
    passed = _passed(mine, alpha)
    words, second = (tuple(word if there else "" for word, there in zip(mine[name], passed, strict=True))
                     for name in ("nearest", "second"))  # fmt: skip
    control = float(_passed(shuffled, alpha).mean()) if shuffled else float("nan")
    kept = {name: mine[name] for name in ("p", "confidence", "tuning", "selectivity")}
    return {"words": words, "second": second, "control": control, **kept}


def _passed(found: Mapping[str, Any], alpha: float) -> np.ndarray:
    if found["how"] == "filter":
        return significant(found["p"], alpha)
    return np.array([bool(word) for word in found["nearest"]])


def _commonest(words: Sequence[str]) -> list[str]:
    counts = Counter(filter(None, words))
    return [f"{word} ({count})" for word, count in counts.most_common(3)]


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"
