"""Pictures grown for units or classes that one names: several of each, their opposites, and what they are worth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..checks import at_least
from ..errors import UsageError
from ..figures import captioned, coloured, short
from ..images.collection import Images
from ..network.dreaming.keeping import joined, kept
from ..network.dreaming.loop import superstimuli as grow
from ..network.dreaming.objective import Objective, Where, usual_place
from ..network.dreaming.palette import Palette, assumed, measured
from ..network.dreaming.recipe import Recipe, usual
from ..network.dreaming.scoring import PLAIN
from ..network.open import Model, open_model
from ..network.recording.measure import measure
from ..network.recording.recorder import Probe
from ..network.recording.untouched import untouched
from ..progress import Progress, Silent
from ..statistics import Extremes
from .explanation import CLASS, Aim, aim_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIVERSITY = 2.0  # weight of the likeness of several pictures of a unit
LONGEST = 512  # pixels of a picture's longer side in the figure
WRITTEN = {"pixels": "pixels", "fourier": "a spectrum"}
DEAD = {1: "nothing woke it", -1: "nothing brought it below 0"}
KINDS = {1: "for", -1: "against"}


@dataclass(frozen=True, kw_only=True)
class GrownUnit:
    """The pictures of one unit or class: first those for it, then the one it is against, as `signs` say.

    Shapes: pictures (k, C, h, w) uint8, cut to what they are about; reached, other, contrast (k,); plain, dead (k,).
    `largest` is the largest activation of the data, NaN without; `other` what the unit makes of the pictures of
    another unit, NaN where none of the same site was asked for; `place` says in words where on its map it is to fire.
    """

    aim: Aim
    site: str
    where: Where
    place: str
    largest: float
    signs: tuple[int, ...]
    pictures: np.ndarray
    reached: np.ndarray
    other: np.ndarray
    contrast: np.ndarray
    plain: np.ndarray
    dead: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """What was reached over the data's largest, NaN where that is unknown or not above 0, and for what the unit is
        against. Shapes: (k,).
        """
        return np.where(np.array(self.signs) > 0, self.reached / (self.largest if self.largest > 0 else np.nan), np.nan)

    def captions(self) -> list[str]:
        """A line for every picture."""
        return [self._caption(place, sign) for place, sign in enumerate(self.signs)]

    def _caption(self, place: int, sign: int) -> str:
        name = self.aim.words if sign > 0 else f"against {self.aim.words}"
        if self.dead[place]:
            return f"{name} · {DEAD[sign]}"
        ratio = self.ratio[place]
        number = f"{ratio:.2f} x the data" if np.isfinite(ratio) else f"reaches {short(float(self.reached[place]))}"
        return f"{name} · {number}{', plain' if self.plain[place] else ''}"


@dataclass(frozen=True, kw_only=True)
class SuperstimulusSheet:
    """Grown pictures of some units. `images` names those that colours and largest activations come from, or is ""."""

    model: str
    images: str
    count: int
    recipe: Recipe
    seed: int
    units: tuple[GrownUnit, ...]

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        units = [
            {"unit": unit.aim.words, "site": unit.site, "channel": unit.aim.channel, "where": unit.where,
             "data_max": _known(unit.largest), "pictures": [
                 {"kind": KINDS[sign], "reached": float(unit.reached[k]), "ratio": _known(unit.ratio[k]),
                  "other": _known(unit.other[k]), "contrast": float(unit.contrast[k]), "plain": bool(unit.plain[k]),
                  "dead": bool(unit.dead[k])} for k, sign in enumerate(unit.signs)]}
            for unit in self.units
        ]  # fmt: skip
        return {"model": self.model, "images": self.images or None, "count": self.count, "seed": self.seed,
                "canvas": self.recipe.canvas, "steps": self.recipe.steps, "copies": self.recipe.copies,
                "units": units}  # fmt: skip

    def sentences(self) -> list[str]:
        """What was done and reached, defaults that were chosen among it, with the control."""
        moves = self.recipe.transforms
        turned = f", scaled by {moves.scale[0]:g} to {moves.scale[1]:g}" if moves.scale != (1, 1) else ""
        turned += f", turned by up to {moves.degrees:g} degrees" if moves.degrees else ""
        colours = (
            f"Colours and largest activations are those of {self.count:,} images of {self.images}"
            if self.images
            else "Colours are assumed, around grey and independent; give images to compare with what they reach"
        )
        lines = [
            f"{self.model}: {self.recipe.steps} steps, written as {WRITTEN[self.recipe.canvas]}, moved by up to "
            f"{moves.jitter} pixels{turned}; seed {self.seed}", colours,
        ]  # fmt: skip
        for unit in self.units:
            lines += [self._line(unit, k) for k in range(len(unit.signs))]
            if np.isfinite(unit.other[0]):
                lines.append(f"Control: on another unit's picture {unit.aim.words} reaches "
                             f"{_of(unit, float(unit.other[0]))}")  # fmt: skip
        return lines

    def _line(self, unit: GrownUnit, place: int) -> str:
        value, good = float(unit.reached[place]), unit.signs[place] > 0
        name = unit.aim.words if good else f"against {unit.aim.words}"
        if unit.dead[place]:
            return f"{name}: {DEAD[unit.signs[place]]}, so its picture means nothing"
        plain = f", which is plain (below {PLAIN:g})" if unit.plain[place] else ""
        reached = _of(unit, value) if good else short(value)
        return (f"{name} (read at {unit.site}{unit.place}): reaches {reached}; contrast "
                f"{unit.contrast[place]:.2f}{plain}")  # fmt: skip

    def plot(self) -> "Figure":
        """A row a unit: the pictures for it, then the one it is against."""
        pictures = [[coloured(picture) for picture in unit.pictures] for unit in self.units]
        compared = f"; 1 x is the largest on {self.count:,} images of {self.images}" if self.images else ""
        return captioned(pictures, [unit.captions() for unit in self.units], f"{self.model} · superstimuli{compared}")


def superstimuli(
    model: Model | nn.Module | str,
    units: int | str | Sequence[int | str],
    *,
    images: Images | None = None,
    n: int = 1,
    negative: bool = False,
    at: tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> SuperstimulusSheet:
    """Grow `n` pictures for every unit, LAYER:CHANNEL, or class, class:NAME or a number; with `negative` the opposite.

    Units are read where their layer's units are read, over the map, at the middle in a first layer, or at the position
    `at`. Several pictures of a unit are grown to be unlike each other. Colours and the data's largest activations come
    from `images`; without them colours are assumed, and there is nothing to compare with. Equal seeds give equal bits.
    Raises: UnknownName, UsageError, CallOrderChanged; NotApplicable for the class of a network without classes.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    for name, number in (("n", n), ("steps", 1 if steps is None else steps)):
        at_least(name, number, 1)
    aims = [_aim(opened, unit, at) for unit in ([units] if isinstance(units, int | str) else units)]
    groups = _groups(opened, aims, DIVERSITY if n > 1 else 0.0)
    recipe = usual(opened.preprocessing.size)
    recipe = recipe if steps is None else replace(recipe, steps=steps)
    growing = _Growing(
        model=opened, palette=assumed(opened) if images is None else measured(opened, images, seed), recipe=recipe,
        seed=seed, ways={sign: count for sign, count in ((1, n), (-1, int(negative))) if count},
        largest=_largest(opened, images, [objective.site for objective in groups]),
    )  # fmt: skip
    found: dict[Aim, GrownUnit] = {}
    total = len(set(aims)) * sum(growing.ways.values()) * recipe.steps
    with (progress or Silent()).bar("growing pictures", total, "steps") as advance:
        for objective, some in groups.items():
            found |= growing.grown(objective, some, advance)
    return SuperstimulusSheet(
        model=opened.name, images="" if images is None else images.source, recipe=recipe, seed=seed,
        count=0 if images is None else len(images) - len(images.broken), units=tuple(found[aim] for aim in aims),
    )  # fmt: skip


def _groups(model: Model, aims: Sequence[Aim], diversity: float) -> dict[Objective, list[Aim]]:
    """What is grown together: units that are read at one site in one way, each once."""
    groups: dict[tuple[str, Where], list[Aim]] = {}
    for aim in dict.fromkeys(aims):
        groups.setdefault(_read(model, aim), []).append(aim)
    found = {
        Objective(site=site, channels=tuple(aim.channel for aim in some), where=where, diversity=diversity): some
        for (site, where), some in groups.items()
    }
    for objective in found:
        objective.check(model)
    return found


@dataclass(frozen=True, kw_only=True)
class _Growing:
    """What all pictures of a sheet have in common. `ways` says how many are grown for a unit (1), and against it (-1);
    `largest` is the data's largest activation of every channel by site, empty without images.
    """

    model: Model
    palette: Palette
    recipe: Recipe
    seed: int
    ways: dict[int, int]
    largest: dict[str, np.ndarray]

    def grown(self, objective: Objective, aims: Sequence[Aim], after: Callable[[int], None]) -> dict[Aim, GrownUnit]:
        """The pictures of the units of one objective; `after` is told of every step, for how many pictures."""
        site, where = objective.site, objective.where
        most = [float(self.largest[site][aim.channel]) if self.largest else np.nan for aim in aims]
        known = np.array(most) if self.largest and self.ways[1] == 1 else None
        parts = [
            kept(grow(self.model, replace(objective, sign=sign), self.palette, self.recipe, each=count, seed=self.seed,
                      data_max=known, after=after), LONGEST) for sign, count in self.ways.items()
        ]  # fmt: skip
        joint = joined(parts, 1)
        signs = tuple(sign for sign, count in self.ways.items() for _ in range(count))
        return {
            aim: GrownUnit(aim=aim, site=site, where=where, place=_place(self.model, site, where), signs=signs,
                           largest=most[place], **{name: values[place] for name, values in joint.items()})
            for place, aim in enumerate(aims)
        }  # fmt: skip


def _aim(model: Model, unit: int | str, at: tuple[int, int] | None) -> Aim:
    if unit == CLASS:
        raise UsageError("A picture was asked for of the network's own answer", "It is grown for a unit or one class",
                         "Name a unit LAYER:CHANNEL, or class:NAME or class:NUMBER")  # fmt: skip
    return aim_at(model, unit, np.zeros(model.preprocessing.shape, np.uint8), at)


def _read(model: Model, aim: Aim) -> tuple[str, Where]:
    """The site at which a unit is read, and where on its map it is to fire."""
    site = model.sites[aim.site]
    if aim.number is not None:
        return aim.site, "map"
    return site.read or site.name, aim.at or (usual_place(model, site.name) if site.units else "map")


def _largest(model: Model, images: Images | None, sites: Sequence[str]) -> dict[str, np.ndarray]:
    """The largest activation of every channel of some sites over the images; nothing without images. Shapes: (C,)."""
    if images is None:
        return {}
    probes = [Probe((model.sites.address(site),), Extremes(k=1)) for site in sites]
    home = next((parameter.device for parameter in model.module.parameters()), torch.device("cpu"))
    with untouched(model.module):
        found = measure(model, images, probes, device=home)
    return {site: accumulator.compute().values[:, 0] for site, accumulator in zip(sites, found, strict=True)}


def _of(unit: GrownUnit, value: float) -> str:
    """An activation, and how it compares with the data's largest where that says something."""
    if not unit.largest > 0:
        return short(value)
    return f"{short(value)}, {value / unit.largest:.2f} times the data's largest ({short(unit.largest)})"


def _place(model: Model, site: str, where: Where) -> str:
    if not model.sites[site].extent:
        return ""
    words = {"map": ", over its map", "mean": ", over its map", "centre": ", at its middle"}
    return words[where] if isinstance(where, str) else f", at {','.join(map(str, where))}"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
