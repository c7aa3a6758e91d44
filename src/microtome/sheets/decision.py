"""A decision in words: one way from a class down to the picture, with what each step accounts for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ..figures import new_figure, short, show_picture
from ..images.collection import Images
from ..images.picture import Given, open_picture
from ..network.classes import class_words
from ..network.open import Model, open_model
from ..network.parts.decision_controls import Falls, falls, usual
from ..network.parts.decision_path import Path, Place, Step, decision_paths
from ..network.parts.filters_on_pictures import words_of_filters
from .explanation import CLASS, aim_at, answer_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20  # steps of the figure
LITTLE = 0.1  # of a logit: a path with less is one of many
EARLY = 3  # steps after which the product is told too
COLOURS = ("red", "green", "blue")

HOW_TO_READ = (
    "From the class down: what the place of each unit sees, and its share of how far the unit above it is from its "
    "mean (bar; line: an even share). The shares of one unit's channels sum to 1; those of a path multiply."
)


@dataclass(frozen=True, kw_only=True)
class DecisionSheet:
    """The path of the largest shares below one class on one picture.

    `usual` says over what means are taken, `labels` what is known of the unit that each step leads to ("" for nothing),
    `names` what it is called; `where` at what positions the start and the steps are, in words.
    Shapes, K steps: pixels (C, H, W) uint8; boxes (K + 1, 4), what the start and what each step leads to see: top,
    left, bottom, right; random (paths, K), the products of the shares of paths of random channels down to each step.
    """

    model: str
    picture: str
    pixels: np.ndarray
    number: int
    words: str
    answer: str
    usual: str
    path: Path
    labels: tuple[str, ...]
    names: tuple[str, ...]
    where: tuple[str, ...]
    boxes: np.ndarray
    random: np.ndarray
    falls: Falls

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines, steps from the class down."""
        steps = [
            {"layer": step.place.layer, "unit": step.place.unit, "at": list(step.place.at), "excess": step.excess,
             "channel": step.channel, "channels": step.count, "share": step.share, "even_share": 1 / step.count,
             "source": name, "label": label, "source_at": list(step.source.at) if step.source else None,
             "place_share": step.source.part if step.source else None,
             "gradient": step.source.passed if step.source else None, "units_behind": step.behind,
             "product": float(product), "random_product": self._random(place), "box": box.tolist()}
            for place, (step, name, label, product, box) in enumerate(zip(
                self.path.steps, self.names, self.labels, self.path.running, self.boxes[1:], strict=True))
        ]  # fmt: skip
        fall = self.falls
        cut = vars(fall) | {"random": fall.random.tolist(), "random_rest": fall.random_rest.tolist()}
        return {
            "model": self.model, "picture": self.picture, "method": "path", "class": self.number,
            "class_name": self.words, "answer": self.answer, "usual": self.usual,
            "start": {"layer": self.path.start.layer, "unit": self.path.start.unit, "at": list(self.path.start.at),
                      "place_share": self.path.start.part},
            "steps": steps, "end": self.path.end, "share": self.path.share, "share_with_places": self.path.placed,
            "random_paths": len(self.random), "falls": cut,
        }  # fmt: skip

    def _random(self, place: int) -> dict[str, float]:
        magnitude = np.abs(self.random[:, place])
        return {"mean": float(magnitude.mean()), "quantile_95": float(np.quantile(magnitude, 0.95))}

    def sentences(self) -> list[str]:
        """The path from the class down, what it accounts for, and what stands beside that."""
        start = self.path.start
        own = "the network's answer" if self.answer == self.words else f"its answer is {self.answer}"
        lines = [
            f"{self.model}, {self.words} on {self.picture}: logit {short(self.falls.logit)}, {own}. Shares are of how "
            f"far a unit is from its mean over {self.usual}"
        ]  # fmt: skip
        if start.part < 1:
            lines.append(f"{percent(start.part):>7}  {start.layer}:{start.unit}{self.where[0]}: the place "
                         "that holds most of the class, of all that pull it the same way")  # fmt: skip
        lines += [f"{percent(step.share):>7}  {self._line(place)}" for place, step in enumerate(self.path.steps)]
        return [*lines, f"The path ends there: {self.path.end}", *self._accounts(), *self._cut()]

    def _line(self, place: int) -> str:
        step = self.path.steps[place]
        label = f" ({self.labels[place]})" if self.labels[place] else ""
        rank = f"the largest of {step.count} channels, an even share is {percent(1 / step.count)}"
        among = f"; the strongest of {step.behind} units behind the channel" if step.behind > 1 else ""
        off = (
            "; no gradient comes through, so the place is only likely" if step.source and not step.source.passed else ""
        )
        return f"{self.names[place]}{label}{self.where[place + 1]}: {rank}{among}{off}"

    def _accounts(self) -> list[str]:
        """The products of shares, beside those of random paths."""
        lines, start = [], self.path.start
        last = len(self.path.steps)
        what = f"{start.layer}:{start.unit} there" if start.part < 1 else "the class"
        for count in sorted({min(EARLY, last), last}):
            beside = self._random(count - 1)
            which = f"All {last} channels" if count == last else f"The first {count} channels"
            lines.append(
                f"{which} account for {percent(float(self.path.running[count - 1]))} of {what} (product of shares); "
                f"{len(self.random)} paths of random channels for {percent(beside['mean'])} (mean magnitude; 95% of "
                f"them for at most {percent(beside['quantile_95'])})"
            )  # fmt: skip
        placed = percent(self.path.placed)
        lines.append(f"With the one place of each unit alone it is {placed} of the class, to first order")
        if abs(self.path.share) < LITTLE:
            lines.append("Shares multiply: by itself the whole path is one thread of very many")
        return lines

    def _cut(self) -> list[str]:
        fall = self.falls
        return [
            f"With the first connection cut everywhere (it adds its mean) the logit falls by {short(fall.first)} of "
            f"{short(fall.logit)}, with all {len(self.path.steps)} by {short(fall.path)}, with all but the first by "
            f"{short(fall.rest)}",
            "Control: with a random channel of each of the same units cut it falls by "
            f"{_spread(fall.random, fall.path)}, of each but the first by {_spread(fall.random_rest, fall.rest)}",
        ]  # fmt: skip

    def plot(self) -> "Figure":
        """A row a step: what its place sees, the unit in words, and its share beside an even one."""
        steps = self.path.steps[:SHOWN]
        figure = new_figure(len(steps) + 1, 3, size=(9.0, 0.85 * len(steps) + 2.2))
        grid = np.array(figure.axes).reshape(len(steps) + 1, 3)
        for axes in figure.axes:
            axes.set_axis_off()
        start = self.path.start
        said = [f"{self.words}\n{start.layer}:{start.unit}{self.where[0]}"]
        for name, where, label in zip(self.names, self.where[1:], self.labels, strict=True):
            said.append("\n".join(filter(None, (name + where, label))))
        for row, (text, box) in enumerate(zip(said, self.boxes, strict=False)):
            top, left, bottom, right = box
            show_picture(grid[row, 0], self.pixels[:, top:bottom, left:right])
            grid[row, 0].set_axis_on()
            grid[row, 0].set(xticks=(), yticks=())
            grid[row, 1].text(0, 0.5, text, fontsize=7, va="center")
        for row, step in enumerate(steps, 1):
            axes = grid[row, 2]
            axes.barh(0, np.clip(step.share, 0, 1), color="#b35806", height=0.5)
            axes.axvline(1 / step.count, color="black", linewidth=1)
            axes.text(1.02, 0, f"{percent(step.share)}, even {percent(1 / step.count)}", fontsize=7, va="center")
            axes.set(xlim=(0, 1.4), ylim=(-0.6, 0.6))
        left_out = len(self.path.steps) - len(steps)
        beside = self._random(len(self.path.steps) - 1)
        grid[0, 2].text(0, 0.5, f"product of the shares {percent(self.path.share)}\nrandom paths "
                        f"{percent(beside['mean'])} on average" + (f"\n{left_out} more steps" if left_out else ""),
                        fontsize=7, va="center")  # fmt: skip
        figure.suptitle(f"{self.model} · {self.words} on {self.picture}", fontsize=11)
        figure.supxlabel(HOW_TO_READ, fontsize=8, wrap=True)
        return figure


def percent(share: float) -> str:
    """A share in percent with two significant digits where it is small."""
    return f"{share:.0%}" if abs(share) >= 0.1 else f"{100 * share:.2g}%"


def decision(
    model: Model | nn.Module | str, image: Given, target: int | str = CLASS, *,
    labels: Mapping[str, Sequence[str]] | None = None, images: Images | None = None,
) -> DecisionSheet:  # fmt: skip
    """Follow a class of one picture, the network's answer unless one is given, down to the picture: at each unit the
    channel that adds most of what is above the unit's mean over `images`, or over a picture of its background.

    `image` is as for `maps`; `target` a class's number, its name, "class:NAME" or "class:NUMBER"; `labels` are words by
    layer and unit, filters on the picture itself are labelled by themselves.
    Raises: UnknownName, BadImages; NotApplicable for a network without classes or without layers that can be followed.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    picture = open_picture(image, opened.preprocessing, images)
    named = target if isinstance(target, int) or target.split(":")[0] == CLASS else f"{CLASS}:{target}"
    aim = aim_at(opened, named, picture.pixels)
    mean, words = usual(opened, picture.pixels, images)
    path, random = decision_paths(opened, picture.pixels, aim.channel, mean)
    known = words_of_filters(opened) | dict(labels or {})
    places = [path.start, *(step.source or step.place for step in path.steps)]
    return DecisionSheet(
        model=opened.name, picture=picture.name, pixels=picture.pixels, number=aim.channel, words=aim.words,
        answer=class_words(opened, answer_of(opened, picture.pixels)), usual=words, path=path,
        labels=tuple(_label(known, step.source) for step in path.steps),
        names=tuple(_name(opened, step) for step in path.steps),
        where=tuple(_where(opened, place) for place in (path.start, *(step.source for step in path.steps))),
        boxes=np.stack([_box(opened, place) for place in places]),
        random=np.stack([_products(other, len(path.steps)) for other in random]),
        falls=falls(opened, picture.pixels, aim.channel, path, mean),
    )  # fmt: skip


def _spread(random: np.ndarray, own: float) -> str:
    """What random cuts cost, and how many of them cost less than those of the path."""
    low, high = np.quantile(random, (0.025, 0.975))
    return (
        f"{short(float(random.mean()))} on average (95% of {len(random)} draws from {short(float(low))} to "
        f"{short(float(high))}; less than the path's in {int((own > random).sum())})"
    )


def _label(known: Mapping[str, Sequence[str]], place: Place | None) -> str:
    words = known.get(place.layer, ()) if place else ()
    return words[place.unit] if place and place.unit < len(words) else ""


def _name(model: Model, step: Step) -> str:
    """What a step leads to: a unit, a colour of the picture, or a channel of which no more is known."""
    if step.source is not None:
        return f"{step.source.layer}:{step.source.unit}"
    if model.sites[step.place.layer].inputs or model.preprocessing.channels != len(COLOURS):
        return f"channel {step.channel} of the input of {step.place.layer}"
    return f"the {COLOURS[step.channel]} of the picture"


def _where(model: Model, place: Place | None) -> str:
    if place is None or np.prod(model.sites[place.layer].extent, dtype=int) <= 1:
        return ""
    return f", at row {place.at[0]}, column {place.at[1]}"


def _box(model: Model, place: Place) -> np.ndarray:
    """What a unit at its position sees of the picture. Shapes: (4,) top, left, bottom, right."""
    height, width = model.preprocessing.size
    site = model.sites[place.layer]
    field = model.receptive_fields[site.name]
    if field is None or len(site.extent) != 2:
        return np.array([0, 0, height, width])
    flat = np.array([place.at[0] * site.extent[1] + place.at[1]])
    return np.asarray(field.boxes(flat, site.extent[1], (height, width))[0])


def _products(path: Path, count: int) -> np.ndarray:
    """The products of a path's shares down to each of so many steps; where it ends before, the last one.

    Shapes: (count,).
    """
    running = path.running[:count] if path.steps else np.zeros(1)
    return np.concatenate([running, np.repeat(running[-1:], count - len(running))])
