"""What is to be explained: a unit, a class, or whatever the network answers."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import UnknownName, UsageError
from ..network.activations import activations
from ..network.classes import class_number, class_words, logits_address, logits_site
from ..network.model import Model
from ..network.recording.addresses import parse_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASS = "class"  # what a unit that is a class begins with


class Explanation(Protocol):
    """What every way of explaining gives."""

    def plot(self) -> "Figure":
        """The figure."""
        ...

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for machines."""
        ...

    def sentences(self) -> list[str]:
        """The lines to print, defaults that were chosen among them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A unit, at a position or none said, or a class; `words` say which, `number` is that of a class."""

    words: str
    site: str
    channel: int
    at: tuple[int, int] | None = None
    number: int | None = None


def aim_at(model: Model, unit: str | int, pixels: np.ndarray, at: tuple[int, int] | None = None) -> Aim:
    """What a unit means: SITE:CHANNEL, SITE:CHANNEL@ROW,COLUMN, class:NAME, class:NUMBER, a number, or "class", which
    is the one with the largest logit.

    Shapes: pixels (C, H, W), the picture in the network's geometry.
    Raises: UnknownName; UsageError for a position of a class; NotApplicable without classes.
    """
    text = f"{CLASS}:{unit}" if isinstance(unit, int) else unit
    if text == CLASS or text.startswith(f"{CLASS}:"):
        if at is not None:
            raise UsageError(f"Position {at[0]},{at[1]} was given for {text}", "Only units of maps have positions",
                             "Leave --at out, or name a unit SITE:CHANNEL")  # fmt: skip
        number = class_number(model, text.removeprefix(f"{CLASS}:")) if text != CLASS else answer_of(model, pixels)
        return Aim(words=class_words(model, number), site=logits_site(model), channel=number, number=number)
    name, channel, where = parse_unit(text)
    site = model.sites[model.sites.resolve(name)]
    if not 0 <= channel < site.channels:
        raise UnknownName(f"Unit {channel} of {name} does not exist", f"Its units are 0 to {site.channels - 1}",
                          "Units count from 0: give one of them")  # fmt: skip
    return Aim(words=f"{site.name}:{channel}", site=site.name, channel=channel, at=where if at is None else at)


def answer_of(model: Model, pixels: np.ndarray) -> int:
    """The class with the largest logit. Shapes: pixels (C, H, W)."""
    address = str(logits_address(model))
    return int(activations(model, pixels[None], [address])[address].values.argmax())


def parse_position(text: str) -> tuple[int, int]:
    """Rows and columns of `Y,X`.

    Raises: UsageError.
    """
    found = re.fullmatch(r"(\d+),(\d+)", text)
    if not found:
        raise UsageError(f"Position {text!r} cannot be read", "A position is ROW,COLUMN in the map, counted from 0",
                         "Write it like 6,7")  # fmt: skip
    return int(found[1]), int(found[2])
