"""What in an image made a unit fire: reconstructions of every unit on its strongest images, and what they are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..analysis import Analysis, Jobs, Limit, Pass, Result, Steps, each, setting
from ..cards import Card, Finding, Pictures, Text
from ..checks import known
from ..errors import NotApplicable
from ..figures import new_figure
from ..formulas.rendering import to_rgb
from ..network.backward.reconstructing import LEVELS, arranged, picture_sides, reconstructions
from ..network.backward.rectifiers import without_rule
from ..network.backward.rules import RULES, Method
from ..network.sampling import affordable, by_image, channels_first, spread_over_depth
from ..network.specimen import Effort, Specimen
from ..statistics import Extremes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

K = 9  # strongest images of a unit, as many as its page shows crops
BUDGET: dict[Effort, float] = {"quick": 2e10, "normal": 5e11, "full": float("inf")}  # multiply-adds of all pictures
SHEET = 96  # pixels of a picture's side on the network's sheet
ROWS = 6  # layers of that sheet
LEFT_OUT = ("Left out, because those of this layer cost more than the effort allows: look again with --effort full, "
            "or with --set deconvnet.images=3.")  # fmt: skip

ByLayer = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class DeconvnetResult(Result):
    """Everything by layer, U its units, k of its strongest images, which differs by layer.

    Shapes: index (U, k) places in the image set, -1 for none; maps (U, k, C, s, s) int8, in steps of 1/127 of each
    map's own scale, 0 in the middle. worth, control: sentences a layer on how much such maps depend on the unit, and
    whether they point at the pixels that matter. sheet (m, C, S, S) int8: the strongest unit of `sheet_units` layers,
    in order of depth, and their images. verdict: whether rectifying is better than masking, in sentences.
    """

    method: str
    index: ByLayer
    maps: ByLayer
    sheet: np.ndarray
    sheet_units: tuple[str, ...]
    sheet_images: tuple[str, ...]
    worth: dict[str, str]
    control: dict[str, str]
    verdict: tuple[str, ...]

    def findings(self) -> list[Finding]:
        return []

    def cards(self) -> list[Card]:
        return [
            *self._sheet_card(),
            *self._verdict_card(),
            *map(self._unit_card, self.maps),
        ]

    def _verdict_card(self) -> list[Card]:
        if not self.verdict:
            return []
        return [Card(
            title="Rectify on the way back, or mask?",
            how_to_read="A deconvnet rectifies the reconstruction itself; the gradient lets through what the forward "
            "ReLU let through. Zeiler and Fergus (2014) call pictures of the second kind significantly less clear: "
            "here is what of that can be measured on this network and these images.",
            content=Text(lines=self.verdict),
        )]  # fmt: skip

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
        if not self.maps[layer].shape[1]:
            return Card(
                title="Reconstructions", layer=layer, per_unit=True, section="sees", how_to_read="",
                content=Text(lines=(LEFT_OUT,) * len(self.maps[layer])),
            )  # fmt: skip
        return Card(
            title="Reconstructions", layer=layer, per_unit=True, section="sees", below="Strongest images",
            how_to_read=f"Below an image what of it reached this unit, by {self.method}: the unit at its strongest "
            f"position, within what it can see, in its own scale; grey is 0. {self.worth[layer]}",
            content=Pictures(pixels=_coloured(self.maps[layer]), crisp=False, exact=False),
            control=self.control[layer],
        )  # fmt: skip

    def plot(self) -> "Figure":
        """The sheet: the strongest unit of some layers by depth."""
        figure = new_figure(1, max(1, len(self.sheet)), size=(1.9 * max(1, len(self.sheet)), 2.4))
        for axes in figure.axes:
            axes.set_axis_off()
        for axes, picture, unit, name in zip(figure.axes, _coloured(self.sheet), self.sheet_units, self.sheet_images,
                                             strict=False):  # fmt: skip
            axes.imshow(picture)
            axes.set_title(f"{unit}\n{name}", fontsize=6)
        figure.suptitle(f"Strongest units by depth, {self.method}; grey is 0", fontsize=9)
        return figure


@dataclass(frozen=True, kw_only=True)
class Deconvnet(Analysis):
    """What in an image made this unit fire?"""

    topic = "units"
    result = DeconvnetResult
    requires = ("specificity", "faithfulness")

    method: str = setting("deconvnet", help="deconvnet, guided or gradient")
    images: int = setting(0, help="strongest images of a unit; 0: as many as effort and each layer's cost allow")

    def steps(self, specimen: Specimen) -> Steps:
        images, model = specimen.need_images(self.name), specimen.model
        where, method = self._sites(specimen), cast(Method, self.method)
        answers = yield Pass(top=each(where, Extremes(k=K)))
        counts = (dict.fromkeys(where, min(self.images, K)) if self.images
                  else affordable(specimen, where, BUDGET[specimen.effort], K))  # fmt: skip
        index = {k: top.index[:, : counts[k]] for k, top in answers["top"].items()}
        sides = picture_sides(specimen, where, counts)
        wanted = by_image(where, index, {k: top.place[:, : counts[k]] for k, top in answers["top"].items()})
        best = _sheet_units(where, answers["top"])
        tiles = yield Jobs(
            key=f"{method}, {sum(map(np.size, index.values())):,} pictures of up to {max(sides.values())} pixels",
            items=tuple((place, found) for place, found in wanted.items()),
            function=lambda some: [reconstructions(model, images[i], found, method, sides) for i, found in some],
            words=f"{sum(map(np.size, index.values())):,} reconstructions, image by image",
        )  # fmt: skip
        large = yield Jobs(
            key=f"{method}, sheet of {SHEET} pixels", items=tuple(best),
            function=lambda some: [
                reconstructions(model, images[i], {site: [at]}, method, {site: SHEET}, enlarge=True)[site][0]
                for _, site, i, at in some
            ],
            words="large reconstructions of the strongest units",
        )  # fmt: skip
        return DeconvnetResult(
            method=self.method, index=index, maps=arranged(specimen, where, index, wanted, tiles, sides),
            sheet=np.stack(large) if large else np.zeros((0, 1, SHEET, SHEET), np.int8),
            sheet_units=tuple(f"{layer}:{at[0]}" for layer, _, _, at in best),
            sheet_images=tuple(images.ids[i] for _, _, i, _ in best), **self._said(specimen, where),
        )  # fmt: skip

    def _said(self, specimen: Specimen, where: Mapping[str, str]) -> dict[str, Any]:
        """What other analyses have found out about such pictures."""
        specific, faithful = (specimen.results[name] for name in self.requires)
        lines = {layer: specific.line(layer, self.method) for layer in where}
        return {
            "worth": {k: f"{line} {faithful.line(k, self.method)}.".strip() for k, (line, _) in lines.items()},
            "control": {k: control for k, (_, control) in lines.items()},
            "verdict": _verdict(specific, faithful),
        }

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        self._sites(specimen)

    def limits(self, specimen: Specimen) -> Sequence[Limit]:
        left_out = [layer for layer in specimen.reading() if layer not in self._sites(specimen)]
        return [Limit(f"{len(left_out)} layers whose channels do not come first are left out: {left_out[0]}, ...",
                      "Look at the convolutions")] if left_out else []  # fmt: skip

    def _sites(self, specimen: Specimen) -> dict[str, str]:
        known("Method", self.method, RULES, "Set deconvnet.method to one of them")
        smooth = without_rule(specimen.sites)
        if smooth and self.method != "gradient":
            raise NotApplicable(
                f"{specimen.model.name} has {', '.join(smooth)}, for which {self.method} has no rule",
                "The rule is defined for rectifiers", "Look at the gradient: --set deconvnet.method=gradient",
            )  # fmt: skip
        return channels_first(specimen)


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


def _verdict(specific: Any, faithful: Any) -> tuple[str, ...]:
    """Whether rectifying the reconstruction is better than masking it: what was measured, and what follows."""
    lines = specific.verdict(), faithful.verdict()
    if not all(lines):
        return ()
    (_, low, high), (_, least, most) = specific.rectified_or_masked(), faithful.rectified_or_masked()
    depends = "more" if low > 0 else "less" if high < 0 else "no more and no less"
    points = "better" if least > 0 else "worse" if most < 0 else "no better and no worse"
    holds = {2: "holds", 1: "holds in part", 0: "does not hold"}[(low > 0) + (least > 0)]
    return (
        *lines,
        f"Rectified pictures depend {depends} on their unit and point {points} than masked ones: of what was measured, "
        f"the remark {holds} here. How clear a picture looks to people was not measured.",
    )


def _coloured(maps: np.ndarray) -> np.ndarray:
    """Shapes: (..., C, s, s) int8 -> (..., s, s, 3) uint8; 0 is grey, 127 full."""
    picture = to_rgb(maps / np.float32(LEVELS))
    return picture if picture.shape[-1] == 3 else np.repeat(picture[..., :1], 3, -1)
