"""Simple pictures whose content is known exactly: lines, edges, a dot, nothing. White on black, with smooth borders."""

import math

import numpy as np

from ..checks import known

ORIENTATIONS = (0, 45, 90, 135)  # degrees, counter-clockwise from horizontal
STIMULI = (
    *(f"line:{angle}" for angle in ORIENTATIONS),
    *(f"edge:{angle}" for angle in ORIENTATIONS),
    "dot",
    "blank",
)
LINE = 1 / 16  # width of a line, in short sides of the picture
CURATED_WIDTHS = (1 / 14, 1 / 7)  # of lines, in short sides: 2 and 4 pixels of 28
CURATED_ANGLES = tuple(22.5 * step for step in range(8))  # degrees
DOT = 1 / 12  # radius of the dot, in short sides


def stimulus(name: str, size: tuple[int, int], channels: int) -> np.ndarray:
    """The display image of one of `STIMULI`; a border pixel is as bright as the share of it that is covered.

    A line runs through the middle; an edge is white to the left of its direction (above, for 0 degrees); the dot is a
    disc in the middle; the blank is black.
    Shapes: size (H, W) -> (channels, H, W) uint8.
    Units: angles in degrees, counter-clockwise.
    Raises: UnknownName.
    """
    known("Stimulus", name, STIMULI, "Write it like line:45")
    kind, _, angle = name.partition(":")
    height, width = size
    up = ((height - 1) / 2 - np.arange(height))[:, None]  # rows count downwards
    right = (np.arange(width) - (width - 1) / 2)[None, :]
    if kind in ("line", "edge"):
        across = _distance(up, right, float(angle))  # signed distance from the line, in pixels
        inside = max(1.0, LINE * min(size)) / 2 - np.abs(across) if kind == "line" else across
    elif kind == "dot":
        inside = max(1.0, DOT * min(size)) - np.hypot(up, right)
    else:
        inside = np.full(size, -1.0)
    covered = np.clip(inside + 0.5, 0, 1)  # of a pixel whose middle lies so far inside
    return np.repeat(np.round(255 * covered).astype(np.uint8)[None], channels, axis=0)


def curated(size: tuple[int, int], channels: int) -> np.ndarray:
    """Thirty display images: lines at 8 angles in 2 widths, edges at 8 angles, a dot, a disc, a ring, a cross, black,
    white. A unit that selects patterns answers to few of them.

    Shapes: size (H, W) -> (30, channels, H, W) uint8.
    """
    side = min(size)
    up = ((size[0] - 1) / 2 - np.arange(size[0]))[:, None]
    right = (np.arange(size[1]) - (size[1] - 1) / 2)[None, :]
    away = np.hypot(up, right)
    across = {angle: _distance(up, right, angle) for angle in CURATED_ANGLES}
    inside = [width * side / 2 - np.abs(each) for width in CURATED_WIDTHS for each in across.values()]
    inside += [
        *across.values(),
        DOT * side - away,
        3 * DOT * side - away,
        DOT * side / 2 - np.abs(away - 3 * DOT * side),
    ]
    inside += [DOT * side / 2 - np.minimum(np.abs(across[0.0]), np.abs(across[90.0]))]
    inside += [np.full(size, -1.0), np.full(size, 1.0)]
    covered = np.clip(np.stack([np.broadcast_to(each, size) for each in inside]) + 0.5, 0, 1)
    return np.repeat(np.round(255 * covered).astype(np.uint8)[:, None], channels, axis=1)


def _distance(up: np.ndarray, right: np.ndarray, angle: float) -> np.ndarray:
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return up * cosine - right * sine
