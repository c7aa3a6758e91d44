"""Which picture excites a unit more than any image does? Grown from noise, scored, and said where it is plain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Pass, Result, Steps, each, setting, unread_layers
from ..cards import Card, Column, Finding, Pictures, Table, Text, card_link, layer_link
from ..figures import captioned, coloured, short, square
from ..formulas.proportions import counted
from ..network.dreaming.choosing import affordable_units, in_batches, some_of, spread_units
from ..network.dreaming.keeping import NAMES, Grower, joined
from ..network.dreaming.recipe import usual
from ..network.dreaming.scoring import PLAIN
from ..network.sampling import spread_over_depth
from ..network.specimen import Effort, Specimen
from ..statistics import Extremes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET: dict[Effort, float] = {"quick": 5e9, "normal": 8e11, "full": float("inf")}  # multiply-adds of all pictures
MOST: dict[Effort, int] = {"quick": 2, "normal": 8, "full": 1 << 30}  # units of a layer
LONGER: dict[Effort, float] = {"quick": 0.5, "normal": 1.0, "full": 2.0}  # steps, in those that are usual
TOGETHER = 16  # units of a batch
SHEET, ROWS = 96, 8  # pixels of a picture's side on the network's sheet, and layers on it
CONTROLS: dict[Effort, int] = {"quick": 1, "normal": 4, "full": 4}  # layers whose units grow on shuffled weights too
CONTROLLED = 3  # units of each of them
TITLE = "Superstimuli"
NEGATIVE, DIVERSE = "against", "another"  # kinds of further pictures
MORE = (" Then pictures of the same unit that were grown together to be unlike each other, and last the one that it is "
        "most against, with the activation (before a rectifier) that it reaches.")  # fmt: skip
DIVERSITY = 2.0  # weight of the likeness of several pictures of a unit
LEFT_OUT = ("Not grown: such pictures cost more here than the effort allows. Name units with --units, or look "
            "again with --effort full.")  # fmt: skip

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class SuperstimuliResult(Result):
    """Everything by layer, m of its units.

    Shapes: units (m,) channel numbers; pictures (m, C, h, w) uint8, another size by layer; reached, data_max,
    contrast (m,); other (m,), what the unit makes of the picture of another, NaN for one alone; plain, dead (m,) bool;
    shuffled (n,) contrast of the first n of `controls` units, grown on a copy with shuffled weights. `widths` are the
    numbers of units of the layers. `more` (q,) are units with further pictures of the `kinds`, more_pictures
    (q, k, C, h, w) and more_reached (q, k).
    """

    images: int
    steps: int
    widths: dict[str, int]
    units: ByLayer
    pictures: ByLayer
    reached: ByLayer
    other: ByLayer
    data_max: ByLayer
    contrast: ByLayer
    plain: ByLayer
    dead: ByLayer
    controls: ByLayer
    shuffled: ByLayer
    threshold: float
    kinds: tuple[str, ...]
    more: ByLayer
    more_pictures: ByLayer
    more_reached: ByLayer

    def ratio(self, layer: str) -> np.ndarray:
        """What was reached over the data's largest, NaN where that is not above 0. Shapes: (m,)."""
        return self._over_data(self.reached, layer)

    def _over_data(self, values: ByLayer, layer: str) -> np.ndarray:
        return values[layer] / np.where(self.data_max[layer] > 0, self.data_max[layer], np.nan)

    def findings(self) -> list[Finding]:
        plain = np.concatenate([*self.plain.values(), np.zeros(0, bool)])
        if not len(plain):
            return []
        share = float(plain.mean())
        return [*self._reach(), Finding(
            sentence=f"{counted(plain)} superstimuli are plain: their units show no pattern that excites them",
            number=int(plain.sum()), weight=min(0.6, 0.15 + share / 2), link=card_link(TITLE),
            control=self._control(),
        )]  # fmt: skip

    def _reach(self) -> list[Finding]:
        layers = {k: v[np.isfinite(v)] for k, v in ((k, self.ratio(k)) for k in self.units)}
        ratios = np.concatenate([*layers.values(), np.zeros(0)])
        if not len(ratios):
            return []
        others = np.concatenate([self._over_data(self.other, k) for k in self.units])
        others, middle = others[np.isfinite(others)], [float(np.median(v)) for v in layers.values() if len(v)]
        return [Finding(
            sentence=f"Superstimuli reach {np.median(ratios):.2f} times the data's largest activation (median; layers "
            f"{min(middle):.2f} to {max(middle):.2f}), and {counted(ratios >= 1)} reach it",
            number=float(np.median(ratios)), weight=0.2, link=card_link(TITLE),
            control=f"the same units reach {np.median(others):.2f} times on the picture of another unit of their layer"
            if len(others) else "no layer has two grown units, so no picture of another to compare with",
        )]  # fmt: skip

    def _control(self) -> str:
        shuffled = np.concatenate([*self.shuffled.values(), np.zeros(0)])
        if not len(shuffled):
            return "The network could not be copied, so nothing was grown on shuffled weights"
        same = np.concatenate([self.plain[k][np.isin(self.units[k], self.controls[k])] for k in self.controls])
        return (f"on a copy with shuffled weights {counted(shuffled < self.threshold)} are plain; of the same units of "
                f"this network {counted(same)}")  # fmt: skip

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
            (k, self.widths[k], len(v), _number(self.ratio(k), np.median), _number(_reached(self.ratio(k)), np.mean),
             _number(self._over_data(self.other, k), np.median), int(self.plain[k].sum()), int(self.dead[k].sum()))
            for k, v in self.units.items() if len(v)
        )  # fmt: skip
        if not rows:
            return [Card(title=TITLE, how_to_read="Pictures grown to excite units.", content=Text(lines=(LEFT_OUT,)))]
        table = Card(
            title=TITLE, control=f"A ratio of 1 is the largest activation on {self.images:,} images. Plain: "
            f"{self._control()}.",
            how_to_read="One row a layer, in order: how many units have a grown picture, what the median picture "
            "reaches over the data's largest activation (as the median of 16 moved copies), the share that "
            "reaches the data's largest, the median ratio on the picture of another unit, and how many pictures are "
            "plain, or of units that nothing woke.",
            content=Table(header=("layer", "units", "grown", "median ratio", "share from 1", "on another's",
                                  "plain", "dead"), rows=rows, links=tuple(layer_link(row[0]) for row in rows)),
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
            found.append((caption, square(coloured(self.pictures[layer][best]), SHEET)))
        return found

    def _unit_card(self, layer: str) -> Card:
        units, width = self.units[layer], self.widths[layer]
        if not len(units):
            return Card(title="Superstimulus", layer=layer, per_unit=True, section="dreams", how_to_read="",
                        content=Text(lines=(LEFT_OUT,) * width))  # fmt: skip
        count = 1 + (len(self.kinds) if len(self.more[layer]) else 0)
        pixels = np.full((width, count, *self.pictures[layer].shape[2:], 3), 255, np.uint8)
        pixels[units, 0] = coloured(self.pictures[layer])
        captions = np.full((width, count), None)
        captions[units, 0] = [self._caption(layer, place) for place in range(len(units))]
        if count > 1:
            pixels[self.more[layer], 1:] = coloured(self.more_pictures[layer])
            captions[self.more[layer], 1:] = [self._more_captions(layer, k) for k in range(len(self.more[layer]))]
        return Card(
            title="Superstimulus", layer=layer, per_unit=True, section="dreams",
            how_to_read="A picture that was grown from noise to excite this unit, within the range and along the "
            f"colours of the images, in {self.steps} steps; the number is what 16 moved copies of it reach (median) "
            f"over the largest activation on {self.images:,} images.{MORE if count > 1 else ''}",
            content=Pictures(pixels=pixels, captions=tuple(map(tuple, captions)), crisp=max(pixels.shape[2:4]) < SHEET,
                             exact=False),
            control=f"1 x is the data's largest. Plain pictures: {self._control()}.",
        )  # fmt: skip

    def _caption(self, layer: str, place: int) -> str:
        if self.dead[layer][place]:
            return "dead: nothing woke it"
        ratio = self.ratio(layer)[place]
        words = f"{_times(ratio)} the data's largest" if np.isfinite(ratio) else "the data never excites it"
        return words + (", plain" if self.plain[layer][place] else "")

    def _more_captions(self, layer: str, place: int) -> tuple[str, ...]:
        largest = self.data_max[layer][self.units[layer] == self.more[layer][place]]
        ratios = self.more_reached[layer][place] / (largest if largest > 0 else np.nan)
        words = [short(float(v)) if k == NEGATIVE or np.isnan(r) else _times(r)
                 for k, r, v in zip(self.kinds, ratios, self.more_reached[layer][place], strict=True)]  # fmt: skip
        return tuple(f"{kind}: {word}" for kind, word in zip(self.kinds, words, strict=True))

    def plot(self) -> "Figure":
        """The sheet: of some layers the unit whose picture exceeds the data most."""
        sheet = self.sheet() or [("no picture was grown", np.full((SHEET, SHEET, 3), 255, np.uint8))]
        captions, pictures = zip(*sheet, strict=True)
        return captioned([pictures], [captions], "Superstimuli by depth; activation over the data's largest")


@dataclass(frozen=True, kw_only=True)
class Superstimuli(Analysis):
    """Which picture excites a unit more than any image does?"""

    topic = "units"
    result = SuperstimuliResult

    units: int = setting(0, help="units of each layer; 0: as many as effort and each layer's cost allow")
    further: int = setting(3, help="further pictures, unlike each other, of units that are named or at effort full")
    negative: bool = setting(True, help="whether these also get the picture that they are most against")
    climb: int = setting(
        0, help="steps of the optimiser; 0: as usual for the size; effort quick halves, full doubles it"
    )

    def steps(self, specimen: Specimen) -> Steps:
        images, where = specimen.need_images(self.name), specimen.reading()
        answers = yield Pass(top=each(where, Extremes()))
        recipe = usual(specimen.model.preprocessing.size)
        recipe = replace(recipe, steps=self.climb or round(recipe.steps * LONGER[specimen.effort]))
        units = self._units(specimen, where, recipe.steps)
        items = in_batches(units, TOGETHER)
        controls = some_of(units, CONTROLS[specimen.effort], CONTROLLED)
        largest = {k: top.values[:, 0].astype(np.float64) for k, top in answers["top"].items()}
        grower = Grower(specimen, where, recipe, largest)
        made = yield Jobs(
            key=f"{recipe}", items=items, function=grower.grow, words=f"pictures grown in {recipe.steps} steps"
        )
        beside = yield Jobs(key=f"{recipe}, shuffled weights", items=tuple((k, v) for k, v in controls.items()),
                            function=lambda some: grower.grow(some, shuffled=True),
                            words="pictures grown with shuffled weights")  # fmt: skip
        wanted = units if specimen.effort == "full" else specimen.named_units
        more = tuple((k, tuple(map(int, v))) for k, v in wanted.items() if self._kinds and len(v) and k in where)
        besides = yield Jobs(key=f"{recipe}, {self._ways()}", items=more,
                            function=lambda some: grower.further(some, self._ways()),
                            words="further pictures grown")  # fmt: skip
        gathered = {k: joined([found for (layer, _), found in zip(items, made, strict=True) if layer == k])
                    for k in units}  # fmt: skip
        by_name = {name: {k: found[name][:, 0] for k, found in gathered.items()} for name in NAMES}
        extra = {k: found for (k, _), found in zip(more, besides, strict=True)}
        copied = [answer for answer in beside if answer]
        return SuperstimuliResult(
            images=len(images) - len(images.broken), steps=recipe.steps, threshold=PLAIN, units=units, **by_name,
            widths={k: specimen.sites[k].units for k in where},
            data_max={k: values[units[k]] for k, values in largest.items()},
            controls={k: np.array(v) for k, v in controls.items()} if copied else {},
            shuffled={k: found["contrast"][:, 0] for k, found in zip(controls, copied, strict=False)},
            kinds=self._kinds, more={k: np.array(dict(more).get(k, ()), np.int64) for k in units},
            more_pictures={k: extra.get(k, joined([]))["pictures"] for k in units},
            more_reached={k: extra.get(k, joined([]))["reached"] for k in units},
        )  # fmt: skip

    @property
    def _kinds(self) -> tuple[str, ...]:
        return (DIVERSE,) * self.further + (NEGATIVE,) * self.negative

    def _ways(self) -> list[tuple[dict[str, Any], int]]:
        """What else is grown for a unit: how its objective differs, and how many pictures."""
        ways: list[tuple[dict[str, Any], int]] = [
            ({"diversity": DIVERSITY}, self.further),
            ({"sign": -1}, int(self.negative)),
        ]
        return [(given, count) for given, count in ways if count]

    def _units(self, specimen: Specimen, where: Mapping[str, str], steps: int) -> ByLayer:
        counts = (dict.fromkeys(where, self.units) if self.units else
                  affordable_units(specimen, where, steps, BUDGET[specimen.effort], MOST[specimen.effort]))  # fmt: skip
        return {k: np.array(spread_units(specimen, k, counts[k]), np.int64) for k in where}

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        return unread_layers(specimen)


def _reached(ratios: np.ndarray) -> np.ndarray:
    """1 where a ratio is known and at least 1, 0 where it is less."""
    return np.where(np.isfinite(ratios), ratios >= 1, np.nan)


def _number(values: np.ndarray, reduce: Callable[[np.ndarray], Any]) -> str:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return f"{float(reduce(known)):.2f}" if len(known) else "–"


def _times(ratio: float) -> str:
    return f"{ratio:.1f} x" if np.isfinite(ratio) else "–"
