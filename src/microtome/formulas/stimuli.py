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


def _distance(up: np.ndarray, right: np.ndarray, angle: float) -> np.ndarray:
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return up * cosine - right * sine
