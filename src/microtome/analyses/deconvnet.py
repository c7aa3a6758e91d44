"""What in an image made a unit fire: reconstructions of every unit on its strongest images, and what they are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Pass, Result, Steps, each, setting
from ..cards import Card, Finding, Pictures, Table, card_link, layer_link
from ..errors import NotApplicable, UsageError
from ..figures import new_figure
from ..formulas.rendering import to_rgb
from ..formulas.resampling import bootstrap_mean
from ..network.model import Model
from ..network.randomised import randomised
from ..network.reconstructing import LEVELS, arranged, picture_sides, reconstructions, worth
from ..network.rectifiers import KIND_OF, WITH_RULE
from ..network.rules import Method
from ..network.sampling import by_image, drawn_channels, spread_over_depth
from ..network.specimen import Effort, Specimen
from ..statistics import Extremes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

K = 9  # strongest images of a unit, as many as its page shows crops
SMALL: dict[Effort, int] = {"quick": 3, "normal": K, "full": K}  # reconstructed for each unit of a small network
FEW: dict[Effort, int] = {"quick": 0, "normal": 1, "full": K}  # of one with many units or large images
MUCH, MANY = 50_000_000, 1_500  # units times pixels, or units, from where only few strongest images are reconstructed
CHECKED: dict[Effort, int] = {"quick": 4, "normal": 16, "full": 100}  # images on which the worth is measured
OTHERS = 8  # channels beside which a channel is called specific
CHECKED_LAYERS = 8  # of the network, spread over its depth
NOTHING = (float("nan"), float("nan"))  # of a network that could not be copied
SHEET = 96  # pixels of a picture's side on the network's sheet
ROWS = 6  # layers of that sheet
METHODS = ("deconvnet", "guided", "gradient")

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class DeconvnetResult(Result):
    """Everything by layer, U its units.

    Shapes: index (U, k) places in the image set, -1 for none; maps (U, k, C, s, s) int8, in steps of 1/127 of each
    map's own scale, 0 in the middle. specific, focused (n,): specificity and share of energy in the strongest tenth of
    the receptive field on n images; specific_shuffled, focused_shuffled: the same of the network with shuffled
    weights, NaN if it cannot be copied. truth: a sentence a layer on whether such maps point at the pixels that
    matter. sheet (m, C, S, S) int8: the strongest unit of `sheet_units` layers, in order of depth, and their images.
    """

    method: str
    index: ByLayer
    maps: ByLayer
    specific: ByLayer
    focused: ByLayer
    specific_shuffled: ByLayer
    focused_shuffled: ByLayer
    sheet: np.ndarray
    sheet_units: tuple[str, ...]
    sheet_images: tuple[str, ...]
    images: int
    truth: dict[str, str]

    def findings(self) -> list[Finding]:
        means = {layer: _mean(values)[0] for layer, values in self.specific.items()}
        known = {layer: value for layer, value in means.items() if not np.isnan(value)}
        if not known:
            return []
        worst = min(known, key=lambda layer: known[layer])
        control = _mean(self.specific_shuffled[worst])[0]
        said = "hardly depend" if known[worst] < 0.2 else "depend in part" if known[worst] < 0.6 else "depend"
        return [Finding(
            sentence=f"{self.method.capitalize()} pictures of {worst} {said} on which of its units is asked for: "
            f"specificity {known[worst]:.2f} of 1, the least of {len(known)} layers",
            number=known[worst], weight=0.1 + 0.6 * max(0.0, 0.5 - known[worst]),
            link=card_link("What reconstructions are worth"),
            control=f"with shuffled weights {control:.2f}",
        )]  # fmt: skip

    def cards(self) -> list[Card]:
        return [
            self._table(),
            *self._sheet_card(),
            *(self._unit_card(layer) for layer, maps in self.maps.items() if maps.shape[1]),
        ]

    def _table(self) -> Card:
        rows = tuple(
            (layer, *(_interval(part[layer]) for part in (self.specific, self.specific_shuffled, self.focused,
                                                          self.focused_shuffled)))
            for layer in self.specific
        )  # fmt: skip
        header = ("layer", "specificity", "specificity, weights shuffled", "energy in the strongest tenth",
                  "energy, weights shuffled")  # fmt: skip
        return Card(
            title="What reconstructions are worth",
            how_to_read="Specificity: 1 - mean |cosine| between a unit's reconstruction and those of "
            f"{OTHERS} other units of the layer at the same position; 0: all give the same picture. Energy: share of "
            f"the sum of squares in the strongest tenth of the receptive field. Means and 95% intervals over "
            f"{self.images:,} images, one unit each.",
            content=Table(header=header, rows=rows, links=tuple(layer_link(layer) for layer in self.specific)),
            control="The same with the weights of every layer shuffled; a flat picture has 10% in a tenth.",
        )

    def _sheet_card(self) -> list[Card]:
        if not len(self.sheet):
            return []
        captions = tuple(f"{unit} · {name}" for unit, name in zip(self.sheet_units, self.sheet_images, strict=True))
        return [Card(
            title="Strongest units by depth",
            how_to_read="The strongest unit of some layers on the image that excites it most, projected back to the "
            f"pixels ({self.method}); grey is 0.",
            content=Pictures(pixels=_coloured(self.sheet), captions=captions, crisp=False),
            control="How far such pictures depend on the unit says the table of their worth.",
        )]  # fmt: skip

    def _unit_card(self, layer: str) -> Card:
        line = " ".join(filter(None, (self._line(layer), self.truth.get(layer, ""))))
        return Card(
            title="Reconstructions", layer=layer, per_unit=True, section="sees",
            how_to_read=f"What of the strongest images reached this unit, by {self.method}: one unit at its strongest "
            f"position, within what it can see, each in its own scale; grey is 0. {line}",
            content=Pictures(pixels=_coloured(self.maps[layer]), crisp=False, exact=False),
            control=self._control(layer),
        )  # fmt: skip

    def _line(self, layer: str) -> str:
        nearest = self._nearest(layer)
        if nearest is None:
            return ""
        of = f" (of {nearest})" if nearest != layer else ""
        return f"Specificity {_interval(self.specific[nearest])}{of}."

    def _control(self, layer: str) -> str:
        nearest = self._nearest(layer)
        return "" if nearest is None else f"With shuffled weights: {_interval(self.specific_shuffled[nearest])}."

    def _nearest(self, layer: str) -> str | None:
        """The layer among those measured that is nearest in depth."""
        order, measured = list(self.maps), [k for k in self.maps if k in self.specific]
        return min(measured, key=lambda k: abs(order.index(k) - order.index(layer)), default=None)

    def plot(self) -> "Figure":
        """Specificity through the layers, with that of shuffled weights."""
        figure = new_figure(size=(max(5.0, 0.7 * len(self.specific)), 3.6))
        axes, depth = figure.axes[0], np.arange(len(self.specific))
        for part, name, style in (
            (self.specific, "trained", "o-"),
            (self.specific_shuffled, "shuffled weights", "s--"),
        ):
            means = np.array([_mean(values) for values in part.values()])
            axes.errorbar(depth, means[:, 0], yerr=[means[:, 0] - means[:, 1], means[:, 2] - means[:, 0]], fmt=style,
                          capsize=3, label=name)  # fmt: skip
        axes.set_xticks(depth, list(self.specific), rotation=45, ha="right", fontsize=7)
        axes.set(ylim=(0, 1), ylabel=f"specificity of {self.method} pictures")
        axes.legend()
        return figure


@dataclass(frozen=True, kw_only=True)
class Deconvnet(Analysis):
    """What in an image made this unit fire?"""

    name = "deconvnet"
    question = "What in an image made this unit fire?"
    result = DeconvnetResult
    requires = ("faithfulness",)

    method: str = setting("deconvnet", help="deconvnet, guided or gradient")
    images: int = setting(0, help="strongest images of a unit; 0: as effort and size allow (0 to 9)")
    checked: int = setting(0, help="images on which specificity is measured; 0: by effort (4, 16 or 100)")

    def steps(self, specimen: Specimen) -> Steps:
        images, model = specimen.need_images(self.name), specimen.model
        where, method = self._sites(specimen), cast(Method, self.method)
        answers = yield Pass(top=each(where, Extremes(k=K)))
        count, checked = self._count(specimen, where), spread_over_depth(list(where), CHECKED_LAYERS)
        index = {k: top.index[:, :count] for k, top in answers["top"].items()}
        sides = picture_sides(specimen, where, count)
        wanted = by_image(where, index, {k: top.place[:, :count] for k, top in answers["top"].items()})
        best = _sheet_units(where, answers["top"])
        tiles = yield Jobs(
            key=f"{method} of {count} images a unit, up to {max(sides.values())} pixels",
            items=tuple((place, found) for place, found in wanted.items()),
            function=lambda some: [reconstructions(model, images[i], found, method, sides) for i, found in some],
        )  # fmt: skip
        large = yield Jobs(
            key=f"{method}, sheet of {SHEET} pixels", items=tuple(best),
            function=lambda some: [
                reconstructions(model, images[i], {site: [at]}, method, {site: SHEET}, enlarge=True)[site][0]
                for _, site, i, at in some
            ],
        )  # fmt: skip
        chosen = np.argsort(images.hashes, kind="stable")
        chosen = np.sort(images.readable(chosen, min(self.checked or CHECKED[specimen.effort], len(images))))
        worths = []
        for shuffled in (False, True):
            worths.append((yield _worth(specimen, shuffled, [where[k] for k in checked], method, chosen)))
        specific, focused = ([_by_layer(found, where, checked, which) for found in worths] for which in (0, 1))
        return DeconvnetResult(
            method=self.method, index=index, maps=arranged(specimen, where, index, wanted, tiles, sides),
            specific=specific[0], specific_shuffled=specific[1], focused=focused[0], focused_shuffled=focused[1],
            sheet=np.stack(large) if large else np.zeros((0, 1, SHEET, SHEET), np.int8),
            sheet_units=tuple(f"{layer}:{at[0]}" for layer, _, _, at in best),
            sheet_images=tuple(images.ids[i] for _, _, i, _ in best), images=len(chosen),
            truth={k: f"{specimen.results['faithfulness'].line(k, method)}." for k in where},
        )  # fmt: skip

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        self._sites(specimen)

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        left_out = [layer for layer in specimen.reading() if layer not in self._sites(specimen)]
        return [Limit(f"{len(left_out)} layers whose channels do not come first are left out: {left_out[0]}, ...",
                      "Look at the convolutions")] if left_out else []  # fmt: skip

    def _sites(self, specimen: Specimen) -> dict[str, str]:
        if self.method not in METHODS:
            raise UsageError(f"Method {self.method!r} does not exist", f"Methods are {', '.join(METHODS)}",
                             "Set deconvnet.method to one of them")  # fmt: skip
        kinds = {KIND_OF[site.operation] for site in specimen.sites.values() if site.operation in KIND_OF}
        smooth = sorted(kinds - WITH_RULE - {"Hardtanh", "Threshold", "clamp"})
        if smooth and self.method != "gradient":
            raise NotApplicable(
                f"{specimen.model.name} has {', '.join(smooth)}, for which {self.method} has no rule",
                "The rule is defined for rectifiers", "Look at the gradient: --set deconvnet.method=gradient",
            )  # fmt: skip
        return {k: site for k, site in specimen.reading().items() if specimen.sites[site].channel_axis == 1}

    def _count(self, specimen: Specimen, where: Mapping[str, str]) -> int:
        if self.images:
            return min(self.images, K)
        units = sum(specimen.sites[layer].units for layer in where)
        small = units <= MANY and units * int(np.prod(specimen.model.preprocessing.size)) <= MUCH
        return SMALL[specimen.effort] if small else FEW[specimen.effort]


def _sheet_units(where: Mapping[str, str], tops: Mapping[str, Any]) -> list[tuple[str, str, int, tuple[int, int]]]:
    """Of some layers the unit with the largest activation: layer, site, image, place."""
    found = []
    for layer in spread_over_depth(list(where), ROWS):
        best = np.nan_to_num(tops[layer].values[:, 0], nan=-np.inf)
        unit = int(best.argmax())
        if tops[layer].index[unit, 0] >= 0:
            image, place = (int(part[unit, 0]) for part in (tops[layer].index, tops[layer].place))
            found.append((layer, where[layer], image, (unit, place)))
    return found


def _worth(specimen: Specimen, shuffled: bool, sites: Sequence[str], method: Method, chosen: np.ndarray) -> Jobs:
    images = specimen.need_images(Deconvnet.name)

    @cache
    def network() -> Model | None:
        """The network, or its control if it can be copied; made when it is needed."""
        try:
            return randomised(specimen.model, specimen.seed) if shuffled else specimen.model
        except NotApplicable:
            return None

    def work(some: Sequence[int]) -> list[dict[str, list[float]]]:
        answers, model = [], network()
        for place in some:
            channels = {site: drawn_channels(specimen, site, OTHERS + 1, place) for site in sites}
            found = worth(model, images[place], sites, method, channels) if model else dict.fromkeys(sites, NOTHING)
            answers.append({site: list(pair) for site, pair in found.items()})
        return answers

    words = "shuffled weights" if shuffled else "trained"
    return Jobs(key=f"worth of {method}, {words}", items=tuple(int(place) for place in chosen), function=work)


def _by_layer(found: Sequence[Any], where: Mapping[str, str], layers: Sequence[str], which: int) -> ByLayer:
    return {layer: np.array([answer[where[layer]][which] for answer in found]) for layer in layers}


def _coloured(maps: np.ndarray) -> np.ndarray:
    """Shapes: (..., C, s, s) int8 -> (..., s, s, 3) uint8; 0 is grey, 127 full."""
    picture = to_rgb(maps / np.float32(LEVELS))
    return picture if picture.shape[-1] == 3 else np.repeat(picture[..., :1], 3, -1)


def _mean(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and interval of what is known."""
    return bootstrap_mean(values[~np.isnan(values)])


def _interval(values: np.ndarray) -> str:
    mean, low, high = _mean(values)
    return "–" if np.isnan(mean) else f"{mean:.2f}" if np.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"
