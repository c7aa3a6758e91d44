"""Occlusion sensitivity on one picture: where covering it costs a unit or a class most, beside a random square."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ..figures import new_figure, short, show_over, show_picture
from ..images.collection import Images
from ..images.picture import Given, open_picture
from ..network.classes import class_words, logits_site
from ..network.open import Model, open_model
from ..network.trials.occlusion import At, Fill, Occlusion, Squares, occlude, occlude_class
from ..progress import Progress
from .explanation import CLASS, Aim, aim_at
from .map_truth import MapTruth, truth_of_map, with_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOW_TO_READ = ("Orange: covering this place makes the number fall, blue: rise. A pixel shows the mean over the squares "
               "that cover it; the frame is the square with the largest fall in the first map.")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OcclusionSheet:
    """What covering a picture square by square does to a unit or a class.

    Shapes: pixels (C, H, W) uint8; the rest see `Occlusion`. `mean` (C,) is the colour that is 0 after
    normalisation, 0 to 255; `positions` says whether the unit has any; `answer` is the network's own, in words.
    `truth` tells whether what falls when it is covered also falls when it is blurred; None where nothing falls.
    """

    model: str
    picture: str
    pixels: np.ndarray
    aim: Aim
    answer: str
    found: Occlusion
    mean: tuple[float, ...]
    positions: bool
    truth: MapTruth | None

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        found = self.found
        row, column = found.largest
        mean, spread = found.control
        known = {
            "model": self.model, "picture": self.picture, "method": "occlusion", "unit": self.aim.words,
            "site": found.site, "channel": found.channel, "at": found.at, "size": found.size, "stride": found.stride,
            "fill": found.fill, "before": found.before, "value": found.value.tolist(), "boxes": found.boxes.tolist(),
            "largest": {"drop": float(found.drop[row, column]), "box": found.boxes[row, column].tolist()},
            "truth": self.truth.numbers() if self.truth else None,
            "control": {"mean": mean, "standard_deviation": spread, "squares": int(found.seen.sum())},
        }  # fmt: skip
        if found.probability is None or found.answer is None:
            return known
        return known | {
            "probability_before": found.probability_before, "probability": found.probability.tolist(),
            "answer_before": found.answer_before, "answer": found.answer.tolist(),
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What was done and found, with its control."""
        found = self.found
        row, column = found.largest
        mean, spread = found.control
        top, left, bottom, right = found.boxes[row, column].tolist()
        lines = [
            f"{self.model}, {self.aim.words} on {self.picture}: {self._before()}",
            f"{found.seen.size} squares of {found.size} pixels in steps of {found.stride}, filled with "
            f"{self._filling()}",
        ]  # fmt: skip
        if not found.seen.all():
            lines.append(f"{found.seen.sum()} of them touch what this position sees; the others change nothing")
        if found.before == 0 and not found.drop.any():
            return [*lines, "The unit is silent here, whatever is covered"]
        lines += [
            f"Largest fall: {short(float(found.drop[row, column]))} under rows {top} to {bottom - 1}, columns {left} "
            f"to {right - 1}",
            f"Control: a random square that it can see costs {short(mean)} on average (standard deviation "
            f"{short(spread)})",
        ]  # fmt: skip
        return lines + self._of_class(row, column) + ([self.truth.sentence()] if self.truth else [])

    def plot(self) -> "Figure":
        """The picture, and over it how far the number falls; for a class also how far its probability does."""
        from matplotlib.patches import Rectangle

        found = self.found
        height, width = self.pixels.shape[1:]
        falls = {"fall of the logit" if self.aim.number is not None else "fall of the activation": found.drop}
        if found.probability_drop is not None:
            falls["fall of the probability"] = found.probability_drop
        figure = new_figure(1, 1 + len(falls), size=(4.5 * (1 + len(falls)), 4.6))
        first, *others = figure.axes
        show_picture(first, self.pixels)
        first.set_title(self.picture, fontsize=10)
        for axes, (label, drop) in zip(others, falls.items(), strict=True):
            show_over(axes, self.pixels, found.over_pixels(drop, (height, width)), label)
            axes.set_title(self.aim.words, fontsize=10)
        top, left, *_ = found.boxes[found.largest]
        for axes in (first, *others):
            for colour, wide in (("white", 2.5), ("black", 1.0)):  # to be seen on any picture
                corner = (left - 0.5, top - 0.5)
                frame = Rectangle(corner, found.size, found.size, fill=False, edgecolor=colour, linewidth=wide)
                axes.add_patch(frame)
        figure.suptitle(f"{self.model} · occlusion, {found.size} pixels in steps of {found.stride}")
        figure.supxlabel(with_truth(HOW_TO_READ, self.truth), fontsize=8, wrap=True)
        return figure

    def _before(self) -> str:
        found = self.found
        if found.probability_before is not None:
            own = "the network's answer" if found.answer_before == found.channel else f"its answer is {self.answer}"
            return f"logit {short(found.before)}, probability {found.probability_before:.1%} ({own})"
        read = f"read at {found.site}"
        if found.at is not None:
            where = f"row {found.at[0]}, column {found.at[1]}" if len(found.at) == 2 else f"position {found.at}"
            return f"{short(found.before)} at {where} ({read})"
        return f"{short(found.before)} ({read}{', the largest value anywhere' if self.positions else ''})"

    def _filling(self) -> str:
        if self.found.fill == "blur":
            return "the blurred picture"
        return f"the data set's mean colour ({', '.join(f'{value:.0f}' for value in self.mean)} of 255)"

    def _of_class(self, row: int, column: int) -> list[str]:
        found = self.found
        if found.probability is None or found.probability_before is None or found.answer is None:
            return []
        others = int((found.answer != found.answer_before).sum())
        return [
            f"There the probability goes from {found.probability_before:.1%} to {found.probability[row, column]:.1%}; "
            f"under {others} of {found.answer.size} squares the answer is another"
        ]


def occlusion(
    model: Model | nn.Module | str,
    image: Given,
    unit: int | str = CLASS,
    *,
    at: At = "strongest",
    size: int | None = None,
    stride: int | None = None,
    fill: Fill = "mean",
    images: Images | None = None,
    progress: Progress | None = None,
) -> OcclusionSheet:
    """Cover one picture square by square and follow a unit, SITE:CHANNEL, or a class, as for `grad_cam`.

    A unit is read where its layer's units are read, at its strongest position, the one given `at`, or "anywhere".
    `image` is as for `maps`; size, stride and fill see `network.occlusion.occlude`.
    Raises: UnknownName, UsageError, BadImages; NotApplicable for the class of a network without classes.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    picture = open_picture(image, opened.preprocessing, images)
    aim = aim_at(opened, unit, picture.pixels, None if isinstance(at, str) else at)
    how = Squares(size=size, stride=stride, fill=fill)
    if aim.number is not None:
        found = occlude_class(opened, picture.pixels, aim.number, how, progress)
    else:
        found = occlude(opened, picture.pixels, aim.site, aim.channel, how, aim.at or at, progress)
    answer = "" if found.answer_before is None else class_words(opened, found.answer_before)
    truth = _truth(opened, picture.pixels, found, aim)
    return OcclusionSheet(
        model=opened.name, picture=picture.name, pixels=picture.pixels, aim=aim, answer=answer, found=found,
        mean=tuple(255 * value for value in opened.preprocessing.mean),
        positions=bool(opened.sites[found.site].extent) if aim.number is None else False, truth=truth,
    )  # fmt: skip


def _truth(model: Model, pixels: np.ndarray, found: Occlusion, aim: Aim) -> MapTruth | None:
    """Of the fall at every pixel, for a class or a unit at a position."""
    size = pixels.shape[1], pixels.shape[2]
    falls = np.nan_to_num(found.over_pixels(found.drop, size)).clip(min=0)
    if aim.number is not None:
        return truth_of_map(model, pixels, logits_site(model), (aim.number,), (0, 0, *size), falls)
    site = model.sites[found.site]
    if site.channel_axis != 1 or (site.extent and (found.at is None or len(found.at) != len(site.extent))):
        return None  # the largest value anywhere: what it sees is not one box
    unit = (found.channel, *(found.at or ()))
    field = model.receptive_fields[site.name]
    place = np.array([np.ravel_multi_index(unit[1:], site.extent)]) if site.extent else np.zeros(1, int)
    box = (0, 0, *size) if field is None else field.boxes(place, site.extent[1], size)[0].tolist()
    return truth_of_map(model, pixels, site.name, unit, box, falls)
