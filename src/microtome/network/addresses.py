"""How places in a network are written: names of calls, addresses of tensors, units."""

import re
from dataclasses import dataclass

from ..errors import UnknownName


@dataclass(frozen=True)
class Address:
    """A site's name, and whether its first input is meant instead of its output."""

    site: str
    inputs: bool = False

    def __str__(self) -> str:
        return f"{self.site}:in" if self.inputs else self.site


class Namer:
    """Numbers repeated names the way torchvision's feature extraction does.

    A trailing `_3` of a name counts as a number, whoever put it there: so modules `conv_1` and `conv_2` come out as
    `conv` and `conv_1`. Names made here agree with `get_graph_node_names`, odd cases included.
    """

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}  # base name -> the number that its latest name carries, 0 for none

    def name(self, base: str) -> str:
        """The name of the next call with this base name."""
        stem, _, number = base.rpartition("_")
        if stem and number.isdigit():
            base = stem
        chosen = f"{base}_{self._latest[base] + 1}" if base in self._latest else base
        self._latest[chosen] = 0
        stem, _, number = chosen.rpartition("_")
        if stem and number.isdigit():
            self._latest[stem] = int(number)
        return chosen


def parse_unit(text: str) -> tuple[str, int, tuple[int, int] | None]:
    """Split `SITE:12` or `SITE:12@y,x` into site, channel and position.

    Raises: UnknownName if it is neither.
    """
    found = re.fullmatch(r"(.+):(\d+)(?:@(\d+),(\d+))?", text)
    if not found:
        raise UnknownName(
            f"Unit {text!r} cannot be read",
            "A unit is LAYER:CHANNEL, counted from 0, or LAYER:CHANNEL@ROW,COLUMN",
            "Write it like features.7.expand3x3:12",
        )
    where = (int(found[3]), int(found[4])) if found[3] else None
    return found[1], int(found[2]), where
