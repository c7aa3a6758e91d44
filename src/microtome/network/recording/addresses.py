"""How places in a network are written: names of calls, addresses of tensors, units."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import UnknownName


@dataclass(frozen=True)
class Address:
    """A site's name, and whether its first input is meant instead of its output."""

    site: str
    inputs: bool = False

    def __str__(self) -> str:
        return f"{self.site}:in" if self.inputs else self.site


class Namer:
    """Numbers repeated names as torchvision's feature extraction does: `conv`, `conv_1`, `conv_2`.

    With one difference: a module that is called `conv_1` keeps its name (there, modules `conv_1` and `conv_2` come out
    as `conv` and `conv_1`, so that a name means another module than it says). `modules` are the names that are kept.
    """

    def __init__(self, modules: Iterable[str] = ()) -> None:
        self._kept = {name for name in modules if name.rpartition("_")[2].isdigit()}
        self._latest: dict[str, int] = {}  # base name -> the number that its latest name carries, 0 for none

    def name(self, base: str) -> str:
        """The name of the next call with this base name."""
        if base not in self._latest:
            self._latest[base] = 0
            return base
        self._latest[base] += 1
        while f"{base}_{self._latest[base]}" in self._kept:
            self._latest[base] += 1
        return f"{base}_{self._latest[base]}"


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
