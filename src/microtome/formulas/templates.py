"""The patterns that a small filter may look for: lines, edges and blobs, at every angle and offset.

Angles count counter-clockwise from horizontal, x to the right and y up: 45 degrees is /. The offset of a line is its
distance from the middle along its normal (-sin, cos): above a horizontal line is a positive offset.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

Kind = Literal["line", "edge", "blob"]
ANGLES = tuple(22.5 * step for step in range(8))
LINE_WIDTHS, EDGE_WIDTHS, BLOB_SIZES = (1.0, 1.75), (0.5, 1.5), (0.8, 1.2)  # pixels, of a filter of 5 x 5
USUAL = 5  # side that these are meant for; patterns of larger filters grow with them
STEP = 0.5  # pixels between offsets
CENTRED = 0.75  # pixels: a line so near the middle is seen from no side


@dataclass(frozen=True, kw_only=True)
class Bank:
    """All patterns of one size.

    Shapes: patterns (T, K, K), each with mean 0 and norm 1; theta (T,) degrees, offset (T,) pixels (0 for blobs).
    """

    kinds: tuple[Kind, ...]
    patterns: np.ndarray
    theta: np.ndarray
    offset: np.ndarray

    @property
    def signed(self) -> np.ndarray:
        """Which patterns mean something upside down: edges, whose bright side is then the other. Shapes: (T,) bool."""
        return np.array([kind == "edge" for kind in self.kinds])


@lru_cache
def bank(side: int) -> Bank:
    """The patterns of filters of `side` pixels."""
    right, up = grid(side)
    scale = max(1.0, side / USUAL)
    found: list[tuple[Kind, float, float, np.ndarray]] = []
    for theta in ANGLES:
        across = distance(right, up, theta)
        for offset in offsets(side):
            found += [("line", theta, offset, np.clip(scale * width / 2 + 0.5 - np.abs(across - offset), 0, 1))
                      for width in LINE_WIDTHS]  # fmt: skip
            found += [("edge", theta, offset, np.tanh((across - offset) / (scale * width))) for width in EDGE_WIDTHS]
    places = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    for size in BLOB_SIZES:
        found += [("blob", 0.0, 0.0, np.exp(-((right - x) ** 2 + (up - y) ** 2) / (2 * (scale * size) ** 2)))
                  for x, y in places]  # fmt: skip
    known = [each for each in found if np.ptp(each[3]) > 0]
    return Bank(
        kinds=tuple(kind for kind, *_ in known), theta=np.array([theta for _, theta, _, _ in known]),
        offset=np.array([offset for _, _, offset, _ in known]),
        patterns=unit(np.stack([pattern for *_, pattern in known])),
    )  # fmt: skip


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel is, to the right of the middle and above it. Shapes: -> two of (side, side)."""
    middle = (side - 1) / 2
    up, right = np.meshgrid(middle - np.arange(side), np.arange(side) - middle, indexing="ij")
    return right, up


def distance(right: np.ndarray, up: np.ndarray, theta: float) -> np.ndarray:
    """The signed distance from the line through the middle at an angle, positive above it (left of a vertical one)."""
    angle = np.deg2rad(theta)
    return np.asarray(-np.sin(angle) * right + np.cos(angle) * up)


def offsets(side: int) -> np.ndarray:
    """Where lines may lie, across a filter of `side` pixels."""
    furthest = (side - 1) / 2
    return np.arange(-furthest, furthest + STEP / 2, STEP)


def unit(patterns: np.ndarray) -> np.ndarray:
    """With mean 0 and norm 1; constant ones stay 0. Shapes: (..., K, K) -> the same, float64."""
    centred = patterns - patterns.mean((-2, -1), keepdims=True, dtype=np.float64)
    norm = np.linalg.norm(centred, axis=(-2, -1), keepdims=True)
    tiny = norm <= 1e-9 * np.abs(patterns).max((-2, -1), keepdims=True)
    return np.where(tiny, 0, centred / np.where(norm > 0, norm, 1))


def in_words(kind: Kind, theta: float, offset: float) -> str:
    """A pattern as people say it: `line at slope 45`, `right side of vertical line`, `blob`.

    Angles between the named ones go to the nearest of 0, 45, 90 and 135, those in the middle to horizontal or vertical.
    A line that lies to one side of the middle is seen from the other: the unit is on the right side of a line on its
    left. An edge is the side of the bright half's line.
    """
    if kind == "blob":
        return "blob"
    named = 45 * round(theta / 45)
    if theta % 45 == 22.5:
        named = 0 if theta < 45 else 90 if theta < 135 else 180
    if named == 180:
        named, offset = 0, -offset
    line = {0: "horizontal line", 90: "vertical line"}.get(named, f"line at slope {named}")
    if kind == "line" and abs(offset) <= CENTRED:
        return line
    sides = {0: ("lower", "upper"), 45: ("lower-right", "upper-left"), 90: ("right", "left"),
             135: ("upper-right", "lower-left")}  # fmt: skip
    return f"{sides[named][0 if offset > 0 else 1]} side of {line}"
