"""Which layer could be left out: what a copy of its input, a 1x1 map or its input itself would do in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting
from ..cards import Card, Column, Finding, Table, Text, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.omission import Kind, Trial, in_words, verdicts
from ..network.parts.linear_layers import kind as kind_of_layer
from ..network.specimen import Effort, Specimen
from ..network.trials.omitting import Omitting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET: dict[Effort, float] = {"quick": 5e10, "normal": 6e11, "full": float("inf")}  # multiply-adds
MOST: dict[Effort, int] = {"quick": 64, "normal": 100, "full": 2000}  # images tested
OBSERVED: dict[Effort, int] = {"quick": 16, "normal": 32, "full": 128}  # images of each half that are sampled
FEWEST = 20  # images tested, rather test fewer layers
LEARNING: tuple[Kind, ...] = ("copy", "1x1")  # stand-ins around which the rest may learn
TRIED = 3  # stand-ins of a layer, about
WORDS: dict[Kind, str] = {"copy": "a copy of one input channel for each unit", "1x1": "a 1x1 map",
                          "identity": "its input itself", "mean": "its mean activation"}  # fmt: skip
TITLE = "Layers that could be left out"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class OmissionResult(Result):
    """Everything by layer, U its units.

    Shapes: index (U,), the input channel that each is most like, shift (U, 2), by how many rows and columns, score
    (U,), the correlation with it on other images, NaN of a constant; shuffled: mean score with shuffled weights, NaN if
    it cannot be copied; r2 of the best 1x1 map, NaN of a layer that is one. original (n,): how right the network is on
    each image tested; shares: by layer tested and stand-in the same with it, (n,); tuned: after `steps` of training.
    """

    labelled: bool
    fitted: int
    steps: int
    index: ByLayer
    shift: ByLayer
    score: ByLayer
    shuffled: dict[str, float]
    r2: dict[str, float]
    original: np.ndarray
    shares: dict[str, dict[Kind, np.ndarray]]
    tuned: dict[str, dict[Kind, np.ndarray]]

    @property
    def measured(self) -> str:
        """What shares are of."""
        return "accuracy" if self.labelled else "own answers kept"

    def copy_score(self, layer: str) -> float:
        """Mean over the units that are not constant; NaN if all are."""
        return _mean(self.score[layer])

    def trials(self) -> dict[str, Trial]:
        """The layers tested, with what the training has made of the stand-ins, if there was one."""
        return {layer: Trial(copy_score=self.copy_score(layer), shares=shares | self.tuned.get(layer, {}))
                for layer, shares in self.shares.items()}  # fmt: skip

    def findings(self) -> list[Finding]:
        trials = self.trials()
        said = verdicts(self.original, trials)
        if not trials or not len(self.original):
            return []
        able = [layer for layer, verdict in said.items() if verdict.able] or list(trials)
        best = min(able, key=lambda layer: (said[layer].able and said[layer].kind == "1x1", said[layer].lost))
        verdict, trial = said[best], trials[best]
        others = [float(each.shares[verdict.kind].mean()) for layer, each in trials.items()
                  if layer != best and verdict.kind in each.shares]  # fmt: skip
        beside = f"in {len(others)} of the others {np.median(others):.0%} (median)" if others else "in no other layer"
        count = sum(each.able for each in said.values())
        gone = "be a mere 1x1 map" if verdict.kind == "1x1" else "be left out"
        tested = f"{len(trials)} layers tested" + (f" (of {len(self.index)})" if len(trials) < len(self.index) else "")
        start = (f"{best} could {gone}, one of {count} with a simple stand-in, of {tested}" if verdict.able else
                 f"None of the {tested} can be left out; the least is lost in {best}")  # fmt: skip
        how = f"after {self.steps} steps of training" if self.steps else "without any training"
        return [Finding(
            sentence=f"{start}: with {WORDS[verdict.kind]} in its place, {how}, {self.measured} is "
            f"{in_words(trial.shares[verdict.kind])} instead of {in_words(self.original)}, of {len(self.original)} "
            "images",
            number=verdict.lost, weight=0.6 if verdict.able else 0.3, link=card_link(TITLE),
            control=f"the same stand-in {beside}; the mean activation of {best} in its place "
            f"{in_words(trial.shares['mean'])}",
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        return [Column(name="copy score", values=self.score, how_to_read="Correlation of the unit, as it is read, with "
                       "the channel of its layer's input that it is most like, on images that had no say in which "
                       "channel that is.")]  # fmt: skip

    def cards(self) -> list[Card]:
        return [self._table(), *(self._layer_card(layer) for layer in self.shares),
                *(self._unit_card(layer) for layer in self.index)]  # fmt: skip

    def _table(self) -> Card:
        said, rows = verdicts(self.original, self.trials()), []
        tuned = tuple(dict.fromkeys(kind for shares in self.tuned.values() for kind in shares))
        for layer in self.index:
            shares = self.shares.get(layer, {})
            rows.append((layer, _number(self.copy_score(layer)), _number(self.shuffled[layer]), _number(self.r2[layer]),
                         *(in_words(shares[kind]) if kind in shares else "–" for kind in WORDS),
                         *(in_words(self.tuned[layer][kind]) if kind in self.tuned.get(layer, {}) else "–"
                           for kind in tuned), said[layer].words if layer in said else "not tested"))  # fmt: skip
        return Card(
            title=TITLE,
            how_to_read="Copy score: how much units are like one channel of their input, shifted by no more than two "
            "places (mean correlation). R²: what the best 1x1 map explains. Then "
            f"{self.measured} on {len(self.original):,} images with the layer replaced, fitted on {self.fitted:,} "
            f"others, without training (as it is: {in_words(self.original)}). Intervals: 95%, Wilson.",
            content=Table(
                header=("layer", "copy score", "shuffled weights", "R², 1x1", "copies", "1x1 map", "its input", "mean",
                        *(f"{kind}, {self.steps} steps of training" for kind in tuned), "verdict"),
                rows=tuple(rows), links=tuple(layer_link(layer) for layer in self.index),
            ),
            control="A stand-in has to beat the layer's mean activation, which knows nothing of the image, by 10 "
            "points, and copies the same stand-in in other layers.",
        )  # fmt: skip

    def _layer_card(self, layer: str) -> Card:
        rows = [("as it is", in_words(self.original), "")]
        for words, part in (("", self.shares), (f", after {self.steps} steps of training", self.tuned)):
            rows += [(WORDS[kind] + words, in_words(share), f"{100 * (self.original - share).mean():.0f}")
                     for kind, share in part.get(layer, {}).items()]  # fmt: skip
        return Card(
            title="Left out", layer=layer, control="Its mean activation in its place.",
            how_to_read=f"What is left of {self.measured} on {len(self.original):,} images with something in the "
            f"layer's place. {verdicts(self.original, self.trials())[layer].words.capitalize()}.",
            content=Table(header=("in its place", self.measured, "points lost"), rows=tuple(rows)),
        )  # fmt: skip

    def _unit_card(self, layer: str) -> Card:
        lines = tuple(
            "Constant on these images." if np.isnan(score) else
            f"Most like channel {channel} of its layer's input{_shifted(*map(int, shift))}: correlation {score:.2f}."
            for channel, shift, score in zip(self.index[layer], self.shift[layer], self.score[layer], strict=True)
        )  # fmt: skip
        shuffled = self.shuffled[layer]
        beside = "" if np.isnan(shuffled) else f"With shuffled weights {shuffled:.2f}, mean of the layer."
        return Card(
            title="Copies", layer=layer, per_unit=True, section="made of", content=Text(lines=lines), control=beside,
            how_to_read="Whether it passes on one channel of what it is given; 1 is a copy.",
        )  # fmt: skip

    def plot(self) -> "Figure":
        """Copy scores through the layers beside shuffled weights, and what is left with each stand-in."""
        figure = new_figure(rows=2, size=(max(5.0, 0.4 * len(self.index)), 5.5))
        above, below = figure.axes
        depth = np.arange(len(self.index))
        above.plot(depth, [self.copy_score(layer) for layer in self.index], "o-", label="copy score")
        above.plot(depth, list(self.shuffled.values()), "s--", color="grey", label="shuffled weights")
        above.plot(depth, list(self.r2.values()), "^", label="R², 1x1 map")
        above.set(ylim=(min(0.0, *above.get_ylim()), 1), xticks=[])
        for kind in WORDS:
            points = [(place, float(self.shares[layer][kind].mean())) for place, layer in enumerate(self.index)
                      if kind in self.shares.get(layer, {})]  # fmt: skip
            below.plot(*np.array(points).reshape(-1, 2).T, "x" if kind == "mean" else "o", label=kind)
        below.axhline(float(self.original.mean()) if len(self.original) else np.nan, color="grey", label="as it is")
        below.set_xticks(depth, list(self.index), rotation=60, ha="right", fontsize=7)
        below.set(ylim=(-0.02, 1.02), ylabel=self.measured)
        for axes, columns in ((above, 3), (below, 5)):
            axes.legend(fontsize=6, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return figure


@dataclass(frozen=True, kw_only=True)
class Omission(Analysis):
    """Which layer could be left out?"""

    topic = "decisions"
    result = OmissionResult

    images: int = setting(0, help="images tested, as many are fitted on; 0: as many as effort and cost allow")
    fine_tune: int = setting(0, help="steps for which the rest may learn around a stand-in, on images not tested")

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        images, names = specimen.need_images(self.name), _convolutions(specimen)
        tested, count = self._affordable(specimen, len(names))
        order = images.readable(_order(specimen), 2 * count)
        work = Omitting(specimen, names, order[::2], order[1::2])
        most = OBSERVED[specimen.effort]
        which = f"{len(order)} images, sampled on {2 * min(most, len(work.tested))}"
        found, beside = yield Jobs(key=f"copies, {which}", items=(0, 1),
                                   function=lambda some: [work.observed(each, most) for each in some],
                                   words=f"what a layer copies, on {len(order)} images")  # fmt: skip
        chosen = _promising(found, tested)
        trials = yield Jobs(
            key=f"stand-ins, {which}", items=("", *chosen), words=f"layers left out on {len(work.tested)} images",
            function=lambda some: [work.tried(each, found[each]) if each else {"mean": work.original()}
                                   for each in some],
        )  # fmt: skip
        pairs = tuple((k, kind) for k in chosen for kind in LEARNING if kind in found[k]["kinds"])
        pairs = pairs if self.fine_tune else ()
        learnt = yield Jobs(
            key=f"stand-ins, {which}, {self.fine_tune} steps", items=pairs,
            words=f"the rest of the network learning around a stand-in for {self.fine_tune} steps",
            function=lambda some: [work.learnt(k, found[k], kind, self.fine_tune) for k, kind in some],
        )  # fmt: skip
        tuned: dict[str, dict[Kind, np.ndarray]] = {k: {} for k, _ in pairs}
        for (k, kind), share in zip(pairs, learnt, strict=True):
            tuned[k][kind] = share
        return OmissionResult(
            labelled=specimen.labelled, fitted=len(work.fitted), steps=self.fine_tune, original=trials[0]["mean"],
            **{name: {k: each[name] for k, each in found.items()} for name in ("index", "shift", "score", "r2")},
            shuffled={k: _mean(beside[k]["score"]) if beside else float("nan") for k in found},
            shares=dict(zip(chosen, trials[1:], strict=True)), tuned=tuned,
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        output = specimen.sites[specimen.sites.output]
        if not _convolutions(specimen) or not output.batched or len(_order(specimen)) < 2:
            raise NotApplicable(
                f"{specimen.model.name} has {len(_convolutions(specimen))} convolutions of maps, and there are "
                f"{len(_order(specimen))} images to ask it about",
                "Something is put in the place of a convolution, fitted on one image or more and tried on others",
                "Give a convolutional network that answers image by image, and two images or more",
            )  # fmt: skip

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        layers = len(_convolutions(specimen))
        tested, _ = self._affordable(specimen, layers)
        if tested >= layers:
            return []
        return [Limit(f"Only the {tested} most promising of {layers} layers are tested", "Use --effort full")]

    def _affordable(self, specimen: Specimen, layers: int) -> tuple[int, int]:
        """How many layers are tested, and on how many images: rather all layers, unless the images get too few."""
        passes = BUDGET[specimen.effort] / max(1, sum(site.macs for site in specimen.sites.values()))
        passes -= 4 * OBSERVED[specimen.effort]
        there, most = len(_order(specimen)) // 2, self.images or MOST[specimen.effort]
        images = max(FEWEST, int(min(most, passes / (TRIED * layers + 1))))
        affordable = layers if np.isinf(passes) else int((passes / images - 1) / TRIED)
        return int(np.clip(affordable, 2, layers)), max(1, min(images, there, most))


def _convolutions(specimen: Specimen) -> list[str]:
    """Layers with maps that see each image by itself."""
    maps = [site for site in specimen.layers if site.batched and site.channel_axis == 1 and len(site.shape) == 3]
    return [site.name for site in maps if kind_of_layer(specimen.model, site) == "conv2d"]


def _order(specimen: Specimen) -> np.ndarray:
    """The places of the images that can be asked about, drawn by a hash of their ids."""
    images = specimen.need_images(Omission.name)
    order = np.argsort(images.hashes, kind="stable")
    return order[images.labels[order] >= 0] if specimen.labelled else order


def _promising(found: Mapping[str, Mapping[str, Any]], count: int) -> tuple[str, ...]:
    """The layers that are most like their input, and those of which a 1x1 map explains most, in turn; in order."""
    scores = {k: _mean(each["score"]) for k, each in found.items()}, {k: each["r2"] for k, each in found.items()}
    orders = (sorted(of, key=lambda k: -np.inf if np.isnan(of[k]) else of[k], reverse=True) for of in scores)
    taken = dict.fromkeys(layer for pair in zip(*orders, strict=True) for layer in pair)
    chosen = set(list(taken)[:count])
    return tuple(layer for layer in found if layer in chosen)


def _mean(values: np.ndarray) -> float:
    """Of what is known; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _shifted(down: int, right: int) -> str:
    """In words; a copy at (y, x) is what the input has at (y + down, x + right)."""
    return f", taken {down:+d} rows and {right:+d} columns away" if down or right else ""
