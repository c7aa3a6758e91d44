"""Do reconstructions point at the pixels that matter? Blur what they call strongest, and see what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Pass, Result, Steps, each, setting, unread_layers
from ..cards import Card, Finding, Table, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.resampling import bootstrap_mean, percent_in_words, points_in_words
from ..network.backward.rules import Method
from ..network.chosen_units import Seat, drawn, layers_in_depth
from ..network.specimen import Effort, Specimen
from ..network.trials.pointing import SHUFFLED, Pointer, falls_of, tested_seats
from ..statistics import Extremes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS: tuple[Method, ...] = ("deconvnet", "guided", "gradient")
STRONG = 9  # images a unit, as many as unit pages show: a test is on one of them
UNITS: dict[Effort, int] = {"quick": 4, "normal": 16, "full": 128}  # a layer
IMAGES: dict[Effort, int] = {"quick": 4, "normal": 32, "full": 500}  # for the network's answer
DRAWS: dict[Effort, int] = {"quick": 1, "normal": 2, "full": 2}
FEWEST = 12  # tests of a layer by itself, for a finding
TOGETHER = 4  # targets that go back in one pass
LOGIT, PROBABILITY = "logit of the answer", "probability of the answer"
TITLE = "Where reconstructions point"

BySource = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class FaithfulnessResult(Result):
    """Everything by layer, and for the network's answer; n tests each, of one position of one unit on one image.

    A fall is 1 - after / before: 1 for all of it, below 0 for a rise. Shapes: falls and random (mean of the draws), by
    the maps' name, edges, middle (n,); unit (class) and index of the image (n,). silent: units of the layer that
    never fire; for the answer, images without a positive logit. `order` are all layers that could be tested. `refused`
    says why there are no maps of some name.
    """

    share: float
    sigma: float
    draws: int
    order: tuple[str, ...]
    falls: dict[str, BySource]
    random: dict[str, BySource]
    edges: BySource
    middle: BySource
    unit: BySource
    index: BySource
    silent: dict[str, int]
    refused: dict[str, str]

    @property
    def layers(self) -> list[str]:
        """The layers tested, in order, without the answer."""
        return [layer for layer in self.falls if layer in self.order]

    def sources(self, layers: Sequence[str]) -> list[str]:
        """The names of maps that were tested in any of these layers."""
        return list(dict.fromkeys(source for layer in layers for source in self.falls[layer]))

    def line(self, layer: str, method: str) -> str:
        """One sentence for under a picture; of a layer that was not tested, what was found in the nearest one."""
        if layer not in self.falls and layer in self.order and self.layers:
            place = self.order.index(layer)
            nearest = min(self.layers, key=lambda other: abs(self.order.index(other) - place))
            return f"{self.line(nearest, method)[:-1]}, measured in {nearest})"
        falls = self.falls.get(layer, {}).get(method, np.zeros(0))
        if not len(falls):
            return f"Whether {method} maps point at the pixels that matter could not be measured"
        what = "the unit" if layer in self.order else f"the {layer}"
        return (
            f"Blurring the strongest {self.share:.0%} of such maps lowers {what} by {percent_in_words(falls)} (random "
            f"areas {_percent(self.random[layer][method])}, edges {_percent(self.edges[layer])}, the middle "
            f"{_percent(self.middle[layer])}; {len(falls)} tests)"
        )

    def rectified_or_masked(self) -> tuple[float, float, float]:
        """Mean of deconvnet's falls minus the gradient's over all units tested, and its 95% interval."""
        found = self._pooled("deconvnet"), self._pooled("gradient")
        return bootstrap_mean(found[0] - found[1]) if len(found[0]) == len(found[1]) else (float("nan"),) * 3

    def verdict(self) -> str:
        """Whether rectifying the reconstruction points better than masking by the forward ReLU; "" without both.

        Zeiler and Fergus (2014) found what is masked significantly less clear; this is about where it points.
        """
        found = {
            layer: bootstrap_mean(falls["deconvnet"] - falls["gradient"])
            for layer, falls in self.falls.items()
            if len(falls.get("deconvnet", ())) and "gradient" in falls
        }
        tested = [layer for layer in self.layers if layer in found]
        if not tested:
            return ""
        better, worse = ([at for at in tested if found[at][end] * sign > 0] for end, sign in ((1, 1), (2, -1)))
        difference = self._pooled("deconvnet") - self._pooled("gradient")
        said = (f"Rectifying the reconstruction (deconvnet) instead of masking by the forward ReLU (gradient) points "
                f"better in {len(better)} and worse in {len(worse)} of {len(tested)} layers "
                f"({points_in_words(difference)} points of fall over all)")  # fmt: skip
        if LOGIT in found:
            said += f"; for the {LOGIT} it makes {100 * found[LOGIT][0]:+.0f} points"
        return said + "."

    def _pooled(self, source: str, of: str = "falls", only: str = "") -> np.ndarray:
        """The tests of all layers, or only one, that have this kind of map: falls, or what stands beside them."""
        layers = [layer for layer in self.layers if source in self.falls[layer] and only in ("", layer)]
        values = getattr(self, of)
        parts = [values[layer] if of in ("edges", "middle") else values[layer][source] for layer in layers]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _rivals(self, source: str, only: str = "") -> dict[str, np.ndarray]:
        """What maps have to beat, in words: the falls, test by test."""
        found = {"an edge filter": "edges", "the middle of what a unit can see": "middle"}
        rivals = {words: self._pooled(source, of, only) for words, of in found.items()}
        shuffled = self._pooled(SHUFFLED, only=only)
        if source == "deconvnet" and len(shuffled) == len(self._pooled(source, only=only)):
            rivals["a copy whose weights are shuffled"] = shuffled
        return rivals

    def _missed(self, methods: Sequence[str]) -> tuple[str, str, str] | None:
        """The method, the layer and the rival with the worst difference: certainly worse than a rival in one layer,
        or, over all layers (""), not certainly better than it.
        """
        found = {}
        for only in (*self.layers, ""):
            for name in methods:
                falls = self._pooled(name, only=only)
                for rival, others in self._rivals(name, only).items():
                    mean, low, high = bootstrap_mean(falls - others)
                    if (len(falls) >= FEWEST and high < 0) if only else not low > 0:
                        found[name, only, rival] = mean
        return min(found, key=lambda each: found[each]) if found else None

    def findings(self) -> list[Finding]:
        methods = [name for name in self.sources(self.layers) if name != SHUFFLED and len(self._pooled(name))]
        if not methods:
            return []
        best = max(methods, key=lambda name: self._pooled(name).mean())
        missed = self._missed(methods)
        name, only, rival = missed or (best, "", "")
        falls, rivals = self._pooled(name, only=only), self._rivals(name, only)
        what = f"blurring their strongest {self.share:.0%} lowers units by {percent_in_words(falls)}"
        sentence = f"Of the maps, {best} points best at what matters: {what}"
        if missed:
            start = (
                f"In {only} {name} maps point worse than" if only else f"{name.capitalize()} maps point no better than"
            )
            sentence = f"{start} {rival}: {what}, there {_percent(rivals[rival])}"
            sentence += f"; {best}, the best, by {_percent(self._pooled(best, only=only))}" if best != name else ""
        others = [f"{other} {_percent(values)}" for other, values in rivals.items() if other != rival]
        return [Finding(
            sentence=sentence, number=float(falls.mean()), weight=0.6 if missed else 0.35, link=card_link(TITLE),
            control=", ".join([f"random areas {_percent(self._pooled(name, 'random', only))}", *others]),
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        rows: list[tuple[str | int, ...]] = []
        links: list[str] = []
        for layer, sources in self.falls.items():
            for source, falls in sources.items():
                beside = [self.random[layer][source], self.edges[layer], self.middle[layer]]
                rows.append((layer, source, *_cells(falls, *beside), self.silent[layer]))
                links.append(layer_link(layer) if layer in self.order else "")
        for source in self.sources(self.layers):
            beside = [self._pooled(source, of) for of in ("random", "edges", "middle")]
            silent = sum(self.silent[layer] for layer in self.layers if source in self.falls[layer])
            rows.append(("all layers", source, *_cells(self._pooled(source), *beside), silent))
            links.append("")
        header = ("layer", "maps", "tests", "fall", "random areas", "edges", "middle", "fall - random",
                  "fall - edges", "fall - middle", "left out")  # fmt: skip
        refused = " ".join(f"No {name} maps: {reason}" for name, reason in self.refused.items())
        return [Card(
            title=TITLE, content=Table(header=header, rows=tuple(rows), links=tuple(links)),
            how_to_read=f"How far a unit falls (1 - after / before) when the strongest {self.share:.0%} of what it can "
            "see, by a map of it, is blurred; units drawn at random among those that fire, each on one of its "
            f"{STRONG} strongest images, at the position that is strongest there. The logit of the network's answer is "
            f"taken above the mean of all classes. {refused}".strip(),
            control="Beside it, in areas of equal size: the same area moved at random, the strongest edges, the middle "
            "of what the unit can see, and maps of a copy with every parameter's numbers in random order. Intervals: "
            "95%, bootstrap; differences are in points, test by test. Left out: what does not fire. "
            f"{self.verdict()}".strip(),
        )]  # fmt: skip

    def plot(self) -> "Figure":
        """The fall by kind of map through the layers, beside random areas, edges and the middle."""
        figure = new_figure(size=(8.5, 4.2))
        axes = figure.axes[0]
        axes.axhline(0, color="grey", linewidth=0.8)
        sources = self.sources(list(self.falls))
        for place, source in enumerate(sources):
            found = {n: self.falls[layer][source] for n, layer in enumerate(self.falls) if source in self.falls[layer]}
            means = {n: bootstrap_mean(falls) for n, falls in found.items() if len(falls)}
            middle, low, high = np.array(list(means.values())).reshape(-1, 3).T
            beside = 0.09 * (place - (len(sources) - 1) / 2)
            axes.errorbar(np.array(list(means)) + beside, middle, np.nan_to_num([middle - low, high - middle]), fmt="o",
                          markersize=4, label=source)  # fmt: skip
        for label, controls, marker in (("edges", self.edges, "_"), ("middle", self.middle, "x")):
            known = {n: values.mean() for n, values in enumerate(controls.values()) if len(values)}
            axes.plot(list(known), list(known.values()), marker, color="black", markersize=12, label=label)
        pooled = [np.concatenate([np.zeros(0), *of.values()]) for of in self.random.values()]
        known = {n: values.mean() for n, values in enumerate(pooled) if len(values)}
        axes.plot(list(known), list(known.values()), "_", color="grey", markersize=18, label="random areas")
        axes.set_xticks(range(len(self.falls)), list(self.falls), rotation=30, ha="right", fontsize=7)
        axes.set_ylabel(f"fall when {self.share:.0%} is blurred")
        axes.legend(fontsize=7, ncols=4)
        return figure


@dataclass(frozen=True, kw_only=True)
class Faithfulness(Analysis):
    """Do reconstructions point at the pixels that matter?"""

    topic = "trust"
    result = FaithfulnessResult

    units: int = setting(0, help="units tested in each of six layers; 0: as the effort allows (4, 16 or 128)")
    images: int = setting(0, help="images on which the network's answer is tested; 0: by effort (4, 32 or 500)")
    share: float = setting(0.1, help="share of what a unit can see that is blurred")
    draws: int = setting(0, help="random areas beside each area; 0: as the effort allows (1 or 2)")
    sigma: float = setting(0.1, help="standard deviation of the blur, in longer sides of the image")

    def limits(self, specimen: Specimen) -> list[Limit]:
        return unread_layers(specimen)

    def steps(self, specimen: Specimen) -> Steps:
        images = specimen.need_images(self.name)
        chosen = layers_in_depth(specimen)
        answers = yield Pass(strong=each(chosen, Extremes(k=STRONG)))
        pointer = Pointer(model=specimen.model, methods=METHODS, share=self.share, sigma=self.sigma, seed=specimen.seed,
                          draws=self.draws or DRAWS[specimen.effort], control=specimen.shuffled)  # fmt: skip
        count = self.units or UNITS[specimen.effort]
        items: list[Item] = []
        silent = {}
        for layer, site in chosen.items():
            seats, silent[layer] = drawn(specimen, layer, answers["strong"][layer], count)
            items += [(layer, site, seats[at : at + TOGETHER]) for at in range(0, len(seats), TOGETHER)]
        if specimen.classes > 1:
            wanted = min(self.images or IMAGES[specimen.effort], len(images))
            places = images.readable(np.argsort(images.hashes, kind="stable"), wanted)
            seen = tuple((-1, int(place), 0) for place in np.sort(places))
            items += [(LOGIT, "", seen[at : at + TOGETHER]) for at in range(0, len(seen), TOGETHER)]
        tested = yield Jobs(
            key="blurred areas", items=tuple(items), words="pointed-at areas blurred, and others beside them",
            function=lambda some: [tested_seats(specimen, pointer, site, seats) for _, site, seats in some],
        )  # fmt: skip
        layers = list(specimen.reading())
        return self._result(pointer.draws, tuple(layers), list(chosen), silent, list(zip(items, tested, strict=True)))

    def _result(
        self,
        draws: int,
        order: tuple[str, ...],
        chosen: list[str],
        silent: dict[str, int],
        tested: list[tuple["Item", Any]],
    ) -> FaithfulnessResult:
        refused = {name: reason for _, answer in tested for name, reason in answer["refused"].items()}
        if tested and not any(answer["after"] for _, answer in tested):
            raise NotApplicable(next(iter(refused.values())), "Reconstructions go back through the graph of a pass",
                                "Read the other analyses")  # fmt: skip
        by_layer: dict[str, dict[str, Any]] = {}
        for layer in chosen:
            by_layer[layer] = falls_of([answer for (name, *_), answer in tested if name == layer], 0)
        answered = [answer for (name, *_), answer in tested if name == LOGIT]
        for quantity, name in enumerate((LOGIT, PROBABILITY) if answered else ()):
            by_layer[name] = falls_of(answered, quantity)
            silent[name] = by_layer[name]["left_out"]
        fields = {name: {layer: found[name] for layer, found in by_layer.items()}
                  for name in ("falls", "random", "edges", "middle", "unit", "index")}  # fmt: skip
        return FaithfulnessResult(share=self.share, sigma=self.sigma, draws=draws, order=order, silent=silent,
                                  refused=refused, **fields)  # fmt: skip


Item = tuple[str, str, tuple[Seat, ...]]  # layer, site where its units are read, what is tested


def _percent(values: np.ndarray) -> str:
    return f"{values.mean():.0%}"


def _cells(falls: np.ndarray, random: np.ndarray, edges: np.ndarray, middle: np.ndarray) -> tuple[str | int, ...]:
    """Tests, the fall, the controls, and the paired differences to them."""
    if not len(falls):
        return (0, *["–"] * 7)
    beside = random, edges, middle
    return (len(falls), percent_in_words(falls), *map(_percent, beside),
            *(points_in_words(falls - control) for control in beside))  # fmt: skip
