"""Which picture excites a unit more than any image does? Grown from noise, scored, and said where it is plain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from ..analysis import Analysis, Jobs, Limit, Pass, Result, Steps, each, setting, unread_layers
from ..cards import Card, Column, Finding, Pictures, Table, Text, card_link, layer_link
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.proportions import wilson_interval
from ..network.dreaming.choosing import affordable_units, spread_units
from ..network.dreaming.loop import superstimuli
from ..network.dreaming.objective import Objective, Where, usual_place
from ..network.dreaming.palette import Palette, measured
from ..network.dreaming.recipe import Recipe, usual
from ..network.dreaming.scoring import PLAIN
from ..network.model import Model
from ..network.randomised import randomised
from ..network.sampling import spread_over_depth
from ..network.specimen import Effort, Specimen
from ..statistics import Extremes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET: dict[Effort, float] = {"quick": 5e9, "normal": 8e11, "full": float("inf")}  # multiply-adds of all pictures
MOST: dict[Effort, int] = {"quick": 2, "normal": 8, "full": 1 << 30}  # units of a layer
TOGETHER = 16  # units of a batch
SIDE = 112  # pixels of a stored picture's side
SHEET, ROWS = 96, 8  # pixels of a picture's side on the network's sheet, and layers on it
CONTROLS: dict[Effort, int] = {"quick": 1, "normal": 4, "full": 4}  # layers whose units grow on shuffled weights too
CONTROLLED = 3  # units of each of them
TITLE = "Superstimuli"
NAMES = ("pictures", "reached", "contrast", "plain", "dead")  # what is kept of a batch
KINDS = {"plain": bool, "dead": bool}
LEFT_OUT = ("Not grown: the pictures of this layer cost more than the effort allows. Name units with --units, or look "
            "again with --effort full.")  # fmt: skip

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class SuperstimuliResult(Result):
    """Everything by layer, m of its units.

    Shapes: units (m,) channel numbers; pictures (m, C, h, w) uint8, another size by layer; reached, data_max,
    contrast (m,); plain, dead (m,) bool; shuffled (n,) contrast of the first n of `controls` units, grown on a copy
    with shuffled weights. `widths` are the numbers of units of the layers.
    """

    images: int
    steps: int
    widths: dict[str, int]
    units: ByLayer
    pictures: ByLayer
    reached: ByLayer
    data_max: ByLayer
    contrast: ByLayer
    plain: ByLayer
    dead: ByLayer
    controls: ByLayer
    shuffled: ByLayer
    threshold: float

    def ratio(self, layer: str) -> np.ndarray:
        """What was reached over the data's largest, NaN where that is not above 0. Shapes: (m,)."""
        largest = np.where(self.data_max[layer] > 0, self.data_max[layer], np.nan)
        return self.reached[layer] / largest

    def findings(self) -> list[Finding]:
        plain = np.concatenate([*self.plain.values(), np.zeros(0, bool)])
        if not len(plain):
            return []
        share = float(plain.mean())
        return [Finding(
            sentence=f"{_of(plain)} superstimuli are plain: their units show no pattern that excites them",
            number=int(plain.sum()), weight=min(0.6, 0.15 + share / 2), link=card_link(TITLE),
            control=self._control(),
        )]  # fmt: skip

    def _control(self) -> str:
        shuffled = np.concatenate([*self.shuffled.values(), np.zeros(0)])
        if not len(shuffled):
            return "The network could not be copied, so nothing was grown on shuffled weights"
        same = np.concatenate([self.plain[k][np.isin(self.units[k], self.controls[k])] for k in self.controls])
        return (f"on a copy with shuffled weights {_of(shuffled < self.threshold)} are plain; of the same units of "
                f"this network {_of(same)}")  # fmt: skip

    def columns(self) -> list[Column]:
        known = [layer for layer in self.units if len(self.units[layer])]
        return [
            Column(name="superstimulus", values={k: self._whole(k, self.ratio(k)) for k in known}, good="high",
                   how_to_read=f"Activation that the grown picture reaches, over the largest on {self.images:,} "
                   "images."),
            Column(name="picture contrast", values={k: self._whole(k, self.contrast[k]) for k in known}, good="high",
                   how_to_read=f"Contrast of the grown picture; below {self.threshold:g} it is plain."),
        ]  # fmt: skip

    def _whole(self, layer: str, values: np.ndarray) -> np.ndarray:
        """One number a unit of the layer, NaN where nothing was grown."""
        out = np.full(self.widths[layer], np.nan)
        out[self.units[layer]] = values
        return out

    def cards(self) -> list[Card]:
        return [*self._network_cards(), *map(self._unit_card, self.units)]

    def _network_cards(self) -> list[Card]:
        rows = tuple(
            (k, self.widths[k], len(v), _number(self.ratio(k), np.median), _number(self.ratio(k) >= 1, np.mean),
             int(self.plain[k].sum()), int(self.dead[k].sum()))
            for k, v in self.units.items() if len(v)
        )  # fmt: skip
        table = Card(
            title=TITLE, control=f"A ratio of 1 is the largest activation on {self.images:,} images. Plain: "
            f"{self._control()}.",
            how_to_read="One row a layer, in order: how many units have a grown picture, what the median picture "
            "reaches over the data's largest activation (as the median of 16 moved copies), the share that "
            "reaches the data's largest, and how many pictures are plain, or of units that nothing woke.",
            content=Table(header=("layer", "units", "grown", "median ratio", "share from 1", "plain", "dead"),
                          rows=rows, links=tuple(layer_link(row[0]) for row in rows)),
        )  # fmt: skip
        sheet = self.sheet()
        if not sheet:
            return [table]
        return [Card(
            title="Superstimuli by depth",
            how_to_read="Of some layers the unit whose grown picture exceeds the data most, in order of depth; the "
            "number is its activation over the data's largest.",
            content=Pictures(pixels=np.stack([picture for _, picture in sheet]), crisp=False,
                             captions=tuple(caption for caption, _ in sheet)),
            control=f"1 is the largest activation on {self.images:,} images.",
        ), table]  # fmt: skip

    def sheet(self) -> list[tuple[str, np.ndarray]]:
        """Some layers' most excited unit: caption and picture (S, S, 3) uint8."""
        found = []
        for layer in spread_over_depth([k for k, v in self.units.items() if len(v)], ROWS):
            best = int(np.nan_to_num(self.ratio(layer), nan=-np.inf).argmax())
            caption = f"{layer}:{self.units[layer][best]} · {_times(self.ratio(layer)[best])}"
            found.append((caption, _square(_coloured(self.pictures[layer][best]))))
        return found

    def _unit_card(self, layer: str) -> Card:
        units, width = self.units[layer], self.widths[layer]
        if not len(units):
            return Card(title="Superstimulus", layer=layer, per_unit=True, section="dreams", how_to_read="",
                        content=Text(lines=(LEFT_OUT,) * width))  # fmt: skip
        pixels = np.full((width, 1, *self.pictures[layer].shape[2:], 3), 255, np.uint8)
        pixels[units, 0] = _coloured(self.pictures[layer])
        captions: list[tuple[str | None]] = [(None,)] * width
        for place, unit in enumerate(units):
            captions[unit] = (self._caption(layer, place),)
        return Card(
            title="Superstimulus", layer=layer, per_unit=True, section="dreams",
            how_to_read="A picture that was grown from noise to excite this unit, within the range and along the "
            f"colours of the images, in {self.steps} steps; the number is what 16 moved copies of it reach (median) "
            f"over the largest activation on {self.images:,} images.",
            content=Pictures(pixels=pixels, captions=tuple(captions), crisp=max(pixels.shape[2:4]) < SHEET,
                             exact=False),
            control=f"1 x is the data's largest. Plain pictures: {self._control()}.",
        )  # fmt: skip

    def _caption(self, layer: str, place: int) -> str:
        if self.dead[layer][place]:
            return "dead: nothing woke it"
        ratio = self.ratio(layer)[place]
        words = f"{_times(ratio)} the data's largest" if np.isfinite(ratio) else "the data never excites it"
        return words + (", plain" if self.plain[layer][place] else "")

    def plot(self) -> "Figure":
        """The sheet: of some layers the unit whose picture exceeds the data most."""
        sheet = self.sheet() or [("no picture was grown", np.full((SHEET, SHEET, 3), 255, np.uint8))]
        figure = new_figure(1, len(sheet), size=(1.9 * len(sheet), 2.4))
        for axes, (caption, picture) in zip(figure.axes, sheet, strict=True):
            axes.set_axis_off()
            axes.imshow(picture)
            axes.set_title(caption.replace(" · ", "\n"), fontsize=6)
        figure.suptitle("Superstimuli by depth; activation over the data's largest", fontsize=9)
        return figure


@dataclass(frozen=True, kw_only=True)
class Superstimuli(Analysis):
    """Which picture excites a unit more than any image does?"""

    name = "superstimuli"
    question = "Which picture excites a unit more than any image does?"
    result = SuperstimuliResult

    units: int = setting(0, help="units of each layer; 0: as many as effort and each layer's cost allow")
    climb: int = setting(0, help="steps of the optimiser; 0: as usual for the size, half of it at effort quick")

    def steps(self, specimen: Specimen) -> Steps:
        images, where = specimen.need_images(self.name), specimen.reading()
        answers = yield Pass(top=each(where, Extremes()))
        recipe = usual(specimen.model.preprocessing.size)
        if self.climb or specimen.effort == "quick":
            recipe = replace(recipe, steps=self.climb or recipe.steps // 2)
        units = self._units(specimen, where, recipe.steps)
        items = tuple((layer, tuple(map(int, some))) for layer, chosen in units.items()
                      for some in np.split(chosen, range(TOGETHER, len(chosen), TOGETHER)) if len(some))  # fmt: skip
        controls = _controls(units, CONTROLS[specimen.effort])
        palette = cache(lambda: measured(specimen.model, images, specimen.seed))

        @cache
        def network(shuffled: bool) -> Model | None:
            try:
                return randomised(specimen.model, specimen.seed) if shuffled else specimen.model
            except NotApplicable:
                return None

        def work(some: Sequence[Any], shuffled: bool) -> list[Any]:
            model = network(shuffled)
            return [_grown(model, where[k], usual_place(specimen.model, k), channels, palette(), recipe, specimen.seed)
                    if model else {} for k, channels in some]  # fmt: skip

        grown = yield Jobs(key=f"{recipe}", items=items, function=lambda some: work(some, False))
        beside = yield Jobs(key=f"{recipe}, shuffled weights", items=tuple((k, v) for k, v in controls.items()),
                            function=lambda some: work(some, True))  # fmt: skip
        gathered = {layer: [answer for (k, _), answer in zip(items, grown, strict=True) if k == layer]
                    for layer in units}  # fmt: skip
        by_name = {name: {k: _joined(found, name) for k, found in gathered.items()} for name in NAMES}
        copied = [answer for answer in beside if answer]
        return SuperstimuliResult(
            images=len(images) - len(images.broken), steps=recipe.steps, threshold=PLAIN, units=units, **by_name,
            widths={k: specimen.sites[k].units for k in where},
            data_max={k: top.values[units[k], 0].astype(np.float64) for k, top in answers["top"].items()},
            controls={k: np.array(v) for k, v in controls.items()} if copied else {},
            shuffled={k: found["contrast"] for k, found in zip(controls, copied, strict=False)},
        )  # fmt: skip

    def _units(self, specimen: Specimen, where: Mapping[str, str], steps: int) -> ByLayer:
        counts = (dict.fromkeys(where, self.units) if self.units else
                  affordable_units(specimen, where, steps, BUDGET[specimen.effort], MOST[specimen.effort]))  # fmt: skip
        return {k: np.array(spread_units(specimen, k, counts[k]), np.int64) for k in where}

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        return unread_layers(specimen)


def _controls(units: Mapping[str, np.ndarray], most: int) -> dict[str, tuple[int, ...]]:
    """A few units of so many layers, spread over the depth."""
    layers = spread_over_depth([layer for layer, chosen in units.items() if len(chosen)], most)
    return {layer: tuple(map(int, units[layer][:CONTROLLED])) for layer in layers}


def _grown(
    model: Model, site: str, place: Where, channels: tuple[int, ...], palette: Palette, recipe: Recipe, seed: int
) -> dict[str, np.ndarray]:
    """What is kept of some pictures: what they are about, no larger than a page shows it."""
    found = superstimuli(model, Objective(site=site, channels=channels, where=place), palette, recipe, seed=seed)
    top, left, bottom, right = found.box
    cut = torch.from_numpy(found.pictures[:, 0, :, top:bottom, left:right]).float()
    longer = max(cut.shape[2:])
    if longer > SIDE:
        height, width = (max(1, round(length * SIDE / longer)) for length in cut.shape[2:])
        cut = F.adaptive_avg_pool2d(cut, (height, width))
    pictures = cut.round().to(torch.uint8).numpy()
    return {"pictures": pictures, **{name: getattr(found, name)[:, 0] for name in NAMES[1:]}}


def _joined(found: Sequence[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    """One array of those of all batches; an empty one of none."""
    if found:
        return np.concatenate([part[name] for part in found])
    return np.zeros((0, 1, 1, 1), np.uint8) if name == "pictures" else np.zeros(0, KINDS.get(name, np.float64))


def _of(flags: np.ndarray) -> str:
    low, high = wilson_interval(flags.sum(), np.array(len(flags)))
    return f"{int(flags.sum())} of {len(flags)} ({float(low):.0%} to {float(high):.0%})"


def _number(values: np.ndarray, reduce: Callable[[np.ndarray], Any]) -> str:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return f"{float(reduce(known)):.2f}" if len(known) else "–"


def _times(ratio: float) -> str:
    return f"{ratio:.1f} x" if np.isfinite(ratio) else "–"


def _coloured(pictures: np.ndarray) -> np.ndarray:
    """Shapes: (..., C, h, w) -> (..., h, w, 3)."""
    shown = pictures if pictures.shape[-3] == 3 else np.repeat(pictures[..., :1, :, :], 3, -3)
    return np.moveaxis(shown, -3, -1)


def _square(picture: np.ndarray) -> np.ndarray:
    """A picture on the sheet, small ones with their pixels as squares. Shapes: (h, w, 3) -> (SHEET, SHEET, 3)."""
    rows, columns = (np.arange(SHEET) * length // SHEET for length in picture.shape[:2])
    return picture[rows][:, columns]
