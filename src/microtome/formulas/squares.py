"""Squares that step over a picture, and what numbers about them say about its pixels."""

import numpy as np


def squares(extent: tuple[int, int], size: int, stride: int) -> np.ndarray:
    """Squares in steps of `stride` from the top left, all inside; the last of a line ends at the border.

    Shapes: extent (H, W), neither smaller than size -> (R, S, 4) top, left, bottom, right, the last two excluded.
    """
    starts = []
    for length in extent:
        steps = np.arange(0, length - size + 1, stride)
        starts.append(steps if steps[-1] == length - size else np.append(steps, length - size))
    top, left = np.meshgrid(*starts, indexing="ij")
    return np.stack([top, left, top + size, left + size], axis=-1)


def overlapping(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Which boxes share a pixel with one. Shapes: (..., 4), (4,) -> (...) bool."""
    top, left, bottom, right = np.moveaxis(boxes, -1, 0)
    return (top < box[2]) & (bottom > box[0]) & (left < box[3]) & (right > box[1])


def over_pixels(values: np.ndarray, boxes: np.ndarray, extent: tuple[int, int]) -> np.ndarray:
    """Every pixel's mean over the boxes that cover it; NaN under none. Shapes: (R, S), (R, S, 4) -> (H, W)."""
    total, count = np.zeros(extent), np.zeros(extent)
    for value, (top, left, bottom, right) in zip(values.ravel(), boxes.reshape(-1, 4), strict=True):
        total[top:bottom, left:right] += value
        count[top:bottom, left:right] += 1
    return np.divide(total, count, out=np.full(extent, np.nan), where=count > 0)
