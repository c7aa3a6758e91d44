"""Does a unit answer to a pattern, or to a place? Short bars at every angle and in many places tell the two apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..analysis import Analysis, Jobs, Limit, Result, Steps, setting, unread_layers
from ..cards import Card, Chart, Column, Finding, Heat, Table, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.anova import by_chance, location_index, participation, two_way
from ..network.model import Model
from ..network.specimen import Effort, Specimen
from ..network.trials.bars import bar_answers, map_sums

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET: dict[Effort, float] = {"quick": 5e10, "normal": 2.5e11, "full": float("inf")}  # multiply-adds
GRIDS = ((8, 6), (8, 4), (4, 4), (4, 3))  # angles, and places along either side: the finest that can be afforded
MOST: dict[Effort, int] = {"quick": 16, "normal": 200, "full": 2000}  # images
FEWEST = 16  # images for which the bars leave room
NAMES = ("pattern", "position", "interaction")
TITLE = "Pattern or place"

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class DualityResult(Result):
    """Everything by layer, U its units.

    Shapes: pattern, position, interaction (U,), shares of the sum of squares of the response to bars, pooled over the
    map, NaN of a unit that answers all bars alike; shuffled (3,), their medians with shuffled weights, NaN if it
    cannot be copied; single (3,), medians over units at one place of a small map each, NaN for others; location (U,),
    share of the variance on `images` images that lies between places; kernel (U,), how many places carry the filter,
    kernel_shuffled its median with shuffled weights.
    """

    angles: int
    grid: int
    images: int
    pattern: ByLayer
    position: ByLayer
    interaction: ByLayer
    shuffled: ByLayer
    single: ByLayer
    location: ByLayer
    kernel: ByLayer
    kernel_shuffled: dict[str, float]

    def medians(self, layer: str) -> np.ndarray:
        """Median shares of the units that answer. Shapes: -> (3,), NaN if none does."""
        return np.array([_median(getattr(self, name)[layer]) for name in NAMES])

    def findings(self) -> list[Finding]:
        known = {layer: self.medians(layer) for layer in self.pattern}
        known = {layer: shares for layer, shares in known.items() if not np.isnan(shares).any()}
        if not known:
            return []
        placed = [layer for layer, shares in known.items() if shares.argmax() == 1]
        layer = placed[0] if placed else max(known, key=lambda each: float(known[each][1]))
        start = (f"Units become detectors of places in {layer}, the first of {len(known)} layers where the place of a "
                 "bar alone matters most" if placed else f"In none of {len(known)} layers does the place of a bar "
                 f"matter most; {layer} comes nearest")  # fmt: skip
        shuffled = self.shuffled[layer]
        alike = placed and not np.isnan(shuffled).any() and shuffled.argmax() == 1
        why = "; with shuffled weights too, so this much is the architecture" if alike else ""
        beside = "it cannot be copied" if np.isnan(shuffled).any() else f"with shuffled weights {_in_words(shuffled)}"
        return [Finding(
            sentence=f"{start}: {_in_words(known[layer])} of the median unit's response{why}",
            number=float(known[layer][1]), weight=0.35, link=card_link(TITLE),
            control=f"{beside}; a response at random {_in_words(np.array(by_chance(self.angles, self.grid**2)))}",
        )]  # fmt: skip

    def columns(self) -> list[Column]:
        found = [
            Column(name=f"{name} share", values=getattr(self, name), kind="share", how_to_read="Share of what its "
                   f"response to short bars varies that depends on {what}.")
            for name, what in (("pattern", "the bar's angle alone"), ("position", "the bar's place alone"))
        ]  # fmt: skip
        if self.images:
            found.append(Column(name="location index", values=self.location, kind="share", how_to_read="Share of what "
                                "it varies on the images that lies between the places of its map."))  # fmt: skip
        return found

    def cards(self) -> list[Card]:
        shares = [np.stack([part(layer) for layer in self.pattern], 1) for part in (self.medians, self._shuffled)]
        through = Card(
            title="Pattern and place through the layers",
            how_to_read="Shares of the median unit's response to bars, in order of depth.",
            content=Heat(values=np.concatenate(shares), rows=(*NAMES, *(f"{name}, shuffled" for name in NAMES)),
                         columns=tuple(self.pattern), row_label="depends on", column_label="layer"),
            control="Below, the same with the weights of every layer shuffled.",
        )  # fmt: skip
        return [self._table(), through, *(self._unit_card(layer) for layer in self.pattern)]

    def _shuffled(self, layer: str) -> np.ndarray:
        return self.shuffled[layer]

    def _table(self) -> Card:
        rows = tuple(
            (layer, *map(_percent, self.medians(layer)), _shares(self.shuffled[layer]),
             _shares(self.single[layer]), _percent(_median(self.location[layer])),
             _percent(_median(self.kernel[layer])), _percent(self.kernel_shuffled[layer]))
            for layer in self.pattern
        )  # fmt: skip
        chance = _in_words(np.array(by_chance(self.angles, self.grid**2)))
        return Card(
            title=TITLE,
            how_to_read=f"Two-way analysis of variance of each unit's response to short bright bars on black, at "
            f"{self.angles} angles in {self.grid} x {self.grid} places: the largest value of its map as it is read, "
            "behind its rectifier. Medians over the units. Shuffled weights: the three of a copy. At one place: the "
            "three of units at a single place of a map of 64 places or fewer. Location index: share of the variance on "
            f"{self.images:,} images that lies between places. Kernel: share of its places that carry the filter.",
            content=Table(
                header=("layer", *NAMES, "shuffled weights", "at one place", "location index", "kernel",
                        "kernel, shuffled"),
                rows=rows, links=tuple(layer_link(layer) for layer in self.pattern),
            ),
            control=f"A response at random has {chance}; a location index at random about "
            f"{f'{1 / self.images:.1%}' if self.images else '–'}, a kernel of Gaussian weights about 1/3.",
        )  # fmt: skip

    def _unit_card(self, layer: str) -> Card:
        shares = np.stack([getattr(self, name)[layer] for name in NAMES], 1)
        shuffled = self.shuffled[layer]
        beside = (
            ""
            if np.isnan(shuffled).any()
            else f"Median unit of the layer with shuffled weights: {_in_words(shuffled)}."
        )
        return Card(
            title=TITLE, layer=layer, per_unit=True, section="numbers", control=beside,
            how_to_read="What its response to short bars depends on: their angle, their place, or both together.",
            content=Chart(kind="bars", x=np.array(NAMES), series=(("share", shares),), x_label="depends on",
                          y_label="share of the sum of squares"),
        )  # fmt: skip

    def plot(self) -> "Figure":
        """Median shares through the layers, on top of each other, and the share of patterns with shuffled weights."""
        figure = new_figure(size=(max(5.0, 0.4 * len(self.pattern)), 3.8))
        axes, depth = figure.axes[0], np.arange(len(self.pattern))
        medians = np.nan_to_num(np.stack([self.medians(layer) for layer in self.pattern]))
        whole = np.maximum(medians.sum(1, keepdims=True), 1e-9)  # medians of shares need not add up to 1
        base = np.zeros(len(depth))
        for name, share in zip(NAMES, (medians / whole).T, strict=True):
            axes.bar(depth, share, bottom=base, label=name)
            base = base + share
        axes.plot(depth, [shares[0] for shares in self.shuffled.values()], "k_", label="pattern, shuffled weights")
        axes.set_xticks(depth, list(self.pattern), rotation=60, ha="right", fontsize=7)
        axes.set(ylim=(0, 1), ylabel="share of the sum of squares")
        axes.legend(fontsize=7, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return figure


@dataclass(frozen=True, kw_only=True)
class Duality(Analysis):
    """Does a unit answer to a pattern, or to a place?"""

    topic = "units"
    result = DualityResult

    grid: int = setting(0, help="places of a bar along either side of the picture; 0: as many as effort and cost allow")

    def steps(self, specimen: Specimen) -> Steps:
        where = specimen.reading()
        angles, grid, most = self._affordable(specimen)
        trained, beside = yield Jobs(
            key=f"bars at {angles} angles in {grid} x {grid} places", items=(0, 1),
            function=lambda some: [_asked(specimen, shuffled, where, angles, grid) for shuffled in some],
        )  # fmt: skip
        images = specimen.images
        chosen = images.readable(np.argsort(images.hashes, kind="stable"), most) if images else np.zeros(0, np.int64)
        (location,) = yield Jobs(
            key="location", items=(tuple(map(int, chosen)),), words=f"place alone, on {len(chosen)} images",
            function=lambda some: [_location(specimen, where, places) for places in some],
        )  # fmt: skip
        unknown = np.full(len(NAMES), np.nan)
        medians = {layer: np.array([_median(beside[layer][name]) for name in NAMES]) if beside else unknown
                   for layer in where}  # fmt: skip
        return DualityResult(
            angles=angles, grid=grid, images=len(chosen), shuffled=medians, location=location,
            **{name: {layer: trained[layer][name] for layer in where} for name in (*NAMES, "single", "kernel")},
            kernel_shuffled={k: _median(beside[k]["kernel"]) if beside else float("nan") for k in where},
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        specimen.reading()

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        if specimen.images is not None:
            return unread_layers(specimen)
        return [*unread_layers(specimen), Limit("Without images there is no location index", "Give an image source")]

    def _affordable(self, specimen: Specimen) -> tuple[int, int, int]:
        """Angles, places along a side, and images."""
        passes = BUDGET[specimen.effort] / max(1, sum(site.macs for site in specimen.sites.values()))
        choices = tuple((angles, self.grid) for angles, _ in GRIDS) if self.grid else GRIDS
        fitting = [pair for pair in choices if 2 * pair[0] * pair[1] ** 2 + FEWEST <= passes]
        angles, grid = fitting[0] if fitting else choices[-1]
        images = min(float(MOST[specimen.effort]), passes - 2 * angles * grid**2)
        return angles, grid, max(FEWEST, int(images))


def _asked(
    specimen: Specimen, shuffled: int, where: Mapping[str, str], angles: int, grid: int
) -> dict[str, dict[str, Any]]:
    """Shares of every unit of each layer; empty of a copy with shuffled weights that cannot be made."""
    try:
        model: Model = specimen.shuffled() if shuffled else specimen.model
    except NotApplicable:
        return {}
    found = {}
    for layer, response in bar_answers(model, where, angles, grid).items():
        shares, single = two_way(response.pooled), two_way(response.single)
        weight = model.weight(layer).double().cpu().numpy()
        found[layer] = {
            "single": np.array([_median(getattr(single, name)) for name in NAMES]), "kernel": participation(weight),
            **{name: getattr(shares, name) for name in NAMES},
        }  # fmt: skip
    return found


def _location(specimen: Specimen, where: Mapping[str, str], places: Sequence[int]) -> ByLayer:
    if not places or specimen.images is None:
        return {layer: np.full(specimen.sites[site].channels, np.nan) for layer, site in where.items()}
    pixels = torch.from_numpy(np.stack([specimen.images[place] for place in places]))
    sums = map_sums(specimen.model, where, specimen.model.preprocessing.normalise(pixels))
    return {layer: location_index(each.total, each.squares, each.count) for layer, each in sums.items()}


def _median(values: np.ndarray) -> float:
    """Of what is known; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{share:.0%}"


def _shares(shares: np.ndarray) -> str:
    return "–" if np.isnan(shares).any() else " / ".join(map(_percent, shares))


def _in_words(shares: np.ndarray) -> str:
    return ", ".join(f"{name} {_percent(share)}" for name, share in zip(NAMES, shares, strict=True))
