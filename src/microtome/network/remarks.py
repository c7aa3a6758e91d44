"""What there is to say about a network, one sentence at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["fine", "note", "warning"]

SHOWN = 6  # places named in a sentence; all of them stand in `Remark.places`


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One sentence, its number, and the sites, modules or parameters that it is about, with a count each if it counts.

    `name` is the same in every network. A warning may change what analyses mean, a note is good to know.
    """

    name: str
    sentence: str
    number: float
    level: Level = "fine"
    places: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


def listed(places: Sequence[str]) -> str:
    """The first places of a list in words, and how many there are besides."""
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return ", ".join(places[:SHOWN]) + more


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 layer, 2 layers, 1,000 layers."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
