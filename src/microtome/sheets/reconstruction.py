"""What of a picture reached a unit: reconstructions for a notebook, each with how much it depends on its unit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..checks import known
from ..errors import UnknownName, UsageError
from ..figures import new_figure, short, show_picture
from ..formulas.perturbation import strength
from ..formulas.rendering import Mode, Per, rendered
from ..formulas.specificity import concentration, specificity
from ..images.collection import Images
from ..images.picture import Given, Picture, open_picture
from ..network.backward.projection import Projection, Projector, strongest
from ..network.backward.reconstructing import cut, fields
from ..network.backward.rules import RULES, Method
from ..network.backward.tracing import Handled, Trace, tracing_all
from ..network.backward.unpooling import Pools
from ..network.open import Model, open_model
from ..network.recording.addresses import parse_unit
from ..network.recording.inputs import prepare
from ..network.remarks import counted
from .map_truth import MapTruth, truth_of_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS = 8  # units of the same site beside which one is called specific, drawn by seed 0
Where = tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """One unit on one picture; `unit` is SITE:CHANNEL@ROW,COLUMN.

    Shapes: map (C, h, w), what is in `box` (top, left, bottom, right) of the picture; 0 everywhere else. `specificity`
    is 1 - mean |cosine| with other units at the same position, `focus` the share of energy in the strongest tenth of
    the box; NaN for a unit that is silent. `whole_image` says why the map was not made on the receptive field alone.
    `truth` tells whether it points at the pixels that matter; None where nothing can fall, or where it was not asked.
    """

    unit: str
    picture: str
    activation: float
    map: np.ndarray
    box: tuple[int, int, int, int]
    specificity: float
    focus: float
    whole_image: str
    truth: MapTruth | None = None


@dataclass(frozen=True, kw_only=True)
class Reconstructions:
    """Reconstructions of some units on some pictures: for every unit of the list its pictures in order.

    `handled` says what was in force on the way back, by site. Shapes: pixels by picture (C, H, W) uint8.
    """

    model: str
    method: Method
    handled: dict[str, Handled]
    entries: tuple[Reconstruction, ...]
    pixels: dict[str, np.ndarray]

    def maps(self) -> np.ndarray:
        """Every map in its place. Shapes: -> (entries, C, H, W)."""
        size = next(iter(self.pixels.values())).shape[1:]
        out = np.zeros((len(self.entries), self.entries[0].map.shape[0], *size), self.entries[0].map.dtype)
        for number, entry in enumerate(self.entries):
            top, left, bottom, right = entry.box
            out[number, :, top:bottom, left:right] = entry.map
        return out

    def rendered(self, mode: Mode = "symmetric", per: Per = "map") -> np.ndarray:
        """Every map as a picture: see `formulas.rendering.rendered`. Shapes: -> (entries, H, W, 3) uint8."""
        return rendered(self.maps(), mode, per)

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        return {
            "model": self.model, "method": self.method,
            "handled": {site: vars(handled) for site, handled in self.handled.items()},
            "entries": [
                {"unit": entry.unit, "picture": entry.picture, "activation": entry.activation, "box": list(entry.box),
                 "specificity": _known(entry.specificity), "focus": _known(entry.focus),
                 "whole_image": entry.whole_image, "truth": entry.truth.numbers() if entry.truth else None}
                for entry in self.entries
            ],
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What was done, and what each picture is worth."""
        lines = []
        for site, handled in self.handled.items():
            overlap = f" ({handled.overlapping} overlap)" if handled.overlapping else ""
            pools = f", {counted(handled.pools, 'max pool')}{overlap} unpooled by {handled.unpooling}"
            lines.append(f"{self.model}, {site}: {self.method} through {counted(handled.rectifiers, 'rectifier')}"
                         f"{pools if handled.pools else ''}")  # fmt: skip
        for entry in self.entries:
            lines.append(f"{entry.unit} on {entry.picture}: activation {short(entry.activation)}, {_worth(entry)}")
            lines += [entry.truth.sentence()] if entry.truth else []
        return [*lines, f"(specificity 0: {OTHERS} other units of the site give the same picture from this position)"]

    def plot(self) -> "Figure":
        """Each picture with the field of the unit marked, beside its reconstruction."""
        from matplotlib.patches import Rectangle

        figure = new_figure(len(self.entries), 2, size=(7.0, 3.9 * len(self.entries)))
        for number, (entry, made) in enumerate(zip(self.entries, self.crops(), strict=True)):
            left, right = figure.axes[2 * number : 2 * number + 2]
            show_picture(left, self.pixels[entry.picture])
            top, start, bottom, end = entry.box
            left.add_patch(Rectangle((start - 0.5, top - 0.5), end - start, bottom - top, fill=False, edgecolor="red"))
            left.set_title(entry.picture, fontsize=9)
            right.imshow(made, interpolation="nearest")
            right.set_axis_off()
            right.set_title("\n".join([entry.unit, *_worth(entry).split(", ")]), fontsize=8)
            if entry.truth:
                right.text(0.5, -0.03, fill(entry.truth.sentence(), 60), transform=right.transAxes, ha="center",
                           va="top", fontsize=7)  # fmt: skip
        figure.suptitle(f"{self.model} · {self.method} · grey is 0, in its own scale", fontsize=10)
        return figure

    def crops(self) -> list[np.ndarray]:
        """Every map as a picture of its box alone. Shapes: (h, w, 3) uint8 each."""
        return [rendered(entry.map[None])[0] for entry in self.entries]


def reconstruct(
    model: Model | nn.Module | str,
    pictures: Given | Sequence[Given],
    units: str | Sequence[str],
    *,
    method: Method = "deconvnet",
    at: Where = None,
    joint: bool = False,
    pools: Pools = "gradient",
    images: Images | None = None,
    truth: bool = True,
) -> Reconstructions:
    """Lead units back to the pixels, each by itself from its strongest position, or from the one that is given.

    `pictures` are places in `images`, paths, Pillow images, arrays or stimuli such as "line:45"; `units` SITE:CHANNEL
    or SITE:CHANNEL@ROW,COLUMN. With `joint` all units of a site are one seed, which is not the sum of their maps.
    `pools` is "gradient", where overlapping windows add up, or "switch", where the last one's value stands. `truth`
    also blurs what each map calls strongest, and random areas, and tells what is left: 23 forward passes a map.
    Raises: UnknownName, BadImages, NotApplicable for activations without such a rule.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    known("Method", method, RULES, "Name one of them")
    given = [pictures] if isinstance(pictures, Given) else list(pictures)
    names = [units] if isinstance(units, str) else list(units)
    if not given or not names:
        raise UsageError(f"{len(names)} units and {len(given)} pictures were given",
                         "A reconstruction is of one unit or more on one picture or more", "Name one")  # fmt: skip
    wanted = [_parsed(opened, name, at) for name in names]
    entries: list[Reconstruction] = []
    handled: dict[str, Handled] = {}
    seen = [open_picture(each, opened.preprocessing, images) for each in given]
    shown = _distinct(seen)
    by_name = {name: picture.pixels for picture, name in zip(seen, shown, strict=True)}
    for picture, name in zip(seen, shown, strict=True):
        pixels = prepare(torch.from_numpy(picture.pixels[None]), opened.preprocessing, opened.module)
        with tracing_all(opened, pixels, dict.fromkeys(site for site, _, _ in wanted)) as traces:
            for site, trace in traces.items():
                chosen = [_unit(trace, channel, where) for its, channel, where in wanted if its == site]
                projector = Projector(trace, method, pools=pools)
                entries += _of_one(opened, projector, site, chosen, name, joint)
                handled[site] = projector.handled
    if truth and not joint:
        entries = [_judged(opened, entry, by_name[entry.picture]) for entry in entries]
    return Reconstructions(
        model=opened.name, method=method, handled=handled, entries=tuple(entries),
        pixels=by_name,
    )  # fmt: skip


def _of_one(
    model: Model, projector: Projector, site: str, chosen: list[tuple[int, ...]], picture: str, joint: bool
) -> list[Reconstruction]:
    """The reconstructions of one picture at one site."""
    if joint:
        map_ = projector.together(chosen)[0].double().cpu().numpy()
        value = sum(float(projector.trace.activation[unit]) for unit in chosen)
        unit = " + ".join(_name(site, each) for each in chosen)
        box = (0, 0, *map_.shape[1:])
        return [Reconstruction(unit=unit, picture=picture, activation=value, map=map_, box=box,
                               focus=concentration(map_), specificity=float("nan"),
                               whole_image="units were seeds together")]  # fmt: skip
    found, boxes = projector.project(chosen), fields(model, projector.trace, chosen)
    return [
        Reconstruction(
            unit=_name(site, unit), picture=picture, activation=float(found.activation[number]),
            map=(mine := _cut(found, number, boxes[number])), box=tuple(boxes[number].tolist()),
            focus=concentration(mine), specificity=_specific(projector, unit, mine, boxes[number]),
            whole_image=found.whole_image,
        )
        for number, unit in enumerate(chosen)
    ]  # fmt: skip


def _judged(model: Model, entry: Reconstruction, pixels: np.ndarray) -> Reconstruction:
    """With its truth."""
    name, channel, where = parse_unit(entry.unit)
    top, left, bottom, right = entry.box
    strengths = np.zeros(pixels.shape[1:])
    strengths[top:bottom, left:right] = strength(entry.map)
    unit = (channel, *(where or ()))
    return replace(entry, truth=truth_of_map(model, pixels, name, unit, entry.box, strengths))


def _specific(projector: Projector, unit: tuple[int, ...], mine: np.ndarray, box: np.ndarray) -> float:
    """Beside other units of the site at the same position, all with the same seed: where they are is no difference."""
    channels = projector.trace.activation.shape[1]
    drawn = [int(c) for c in np.random.default_rng(0).permutation(channels) if c != unit[1]][:OTHERS]
    if not drawn or not mine.any():
        return float("nan")
    others = projector.project(
        [(unit[0], channel, *unit[2:]) for channel in drawn],
        [float(np.sign(float(projector.trace.activation[unit])))] * len(drawn),
    )
    return specificity(mine, np.stack([_cut(others, number, box) for number in range(len(drawn))]))


def _cut(found: Projection, number: int, box: np.ndarray) -> np.ndarray:
    map_: np.ndarray = cut(found, number, box).double().cpu().numpy()
    return map_


def _parsed(model: Model, unit: str, at: Where) -> tuple[str, int, Where]:
    name, channel, where = parse_unit(unit)
    site = model.sites[model.sites.resolve(name)]
    if site.channel_axis != 1:
        raise UsageError(f"The channels of {site.name} do not come first: {site.shape}",
                         "Units that are led back are channels of maps or of a row", "Choose another site")  # fmt: skip
    if not 0 <= channel < site.channels:
        raise UnknownName(f"Unit {channel} of {name} does not exist", f"Its units are 0 to {site.channels - 1}",
                          "Units count from 0: give one of them")  # fmt: skip
    return site.name, channel, at if where is None else where


def _unit(trace: Trace, channel: int, where: Where) -> tuple[int, ...]:
    if where is None:
        return strongest(trace, [0], [channel])[0]
    extent = tuple(trace.activation.shape[2:])
    if len(extent) != 2 or not (0 <= where[0] < extent[0] and 0 <= where[1] < extent[1]):
        raise UsageError(
            f"Position {where[0]},{where[1]} is not in {trace.site.name}",
            f"Its maps are {' x '.join(map(str, extent))}" if extent else "It has no positions",
            "Give a row and a column, counted from 0, or leave them out for the strongest",
        )  # fmt: skip
    return (0, channel, *where)


def _distinct(pictures: Sequence[Picture]) -> list[str]:
    """Their names, numbered where several are called the same."""
    names = [picture.name for picture in pictures]
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names)]


def _name(site: str, unit: tuple[int, ...]) -> str:
    where = f"@{','.join(map(str, unit[2:]))}" if len(unit) > 2 else ""
    return f"{site}:{unit[1]}{where}"


def _worth(entry: Reconstruction) -> str:
    if not entry.map.any():
        return "nothing to lead back" if not entry.activation else "on the way back everything was rectified away"
    if entry.specificity != entry.specificity:
        return f"{entry.focus:.0%} of its energy in a tenth of the area"
    return f"specificity {entry.specificity:.2f}, {entry.focus:.0%} of its energy in a tenth of the area"


def _known(value: float) -> float | None:
    return None if value != value else value
