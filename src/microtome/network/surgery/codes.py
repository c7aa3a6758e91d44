"""Which channels reached a place, told from few trials: every channel is marked in the trials that spell its number.

A channel's number in binary has two trials a digit, one for 1 and one for 0, and all layers are marked at once; one
trial a layer says which layers a place depends on. A place that depends on one channel number alone is told by that.
Where it depends on several, layers are spelt one by one, and what cannot be told apart is taken to be all that fits.
"""

from collections.abc import Sequence

import numpy as np


def digits(widths: Sequence[int]) -> int:
    """Binary digits of the largest channel number of layers of these widths."""
    return max(1, int(max(widths, default=1) - 1).bit_length())


def spelt(width: int, count: int) -> np.ndarray:
    """The trials in which each channel is marked. Shapes: -> (2 * count, width): digit is 1, digit is 0, by digit."""
    ones = (np.arange(width)[None] >> np.arange(count)[:, None]) & 1 > 0  # (count, width)
    return np.stack([ones, ~ones], 1).reshape(2 * count, width)


def together(widths: Sequence[int]) -> np.ndarray:
    """First one trial a layer, then all layers spelt at once. Shapes: -> (trials, channels of all layers)."""
    count, total = digits(widths), int(sum(widths))
    marks = np.zeros((len(widths) + 2 * count, total), bool)
    start = 0
    for layer, width in enumerate(widths):
        marks[layer, start : start + width] = True
        marks[len(widths) :, start : start + width] = spelt(width, count)
        start += width
    return marks


def one_by_one(widths: Sequence[int], layers: Sequence[int]) -> np.ndarray:
    """Some layers spelt, each in trials of its own. Shapes: -> (trials, channels of all layers)."""
    starts = np.concatenate([[0], np.cumsum(widths)])
    rows = []
    for layer in layers:
        marks = spelt(widths[layer], digits([widths[layer]]))
        rows.append(np.pad(marks, ((0, 0), (starts[layer], starts[-1] - starts[layer + 1]))))
    return np.concatenate(rows) if rows else np.zeros((0, int(starts[-1])), bool)


def read_together(seen: np.ndarray, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Which layers reached each place, and the number of the channel in all of them, -1 if that is more than one.

    Shapes: seen (trials, places) -> (layers, places), (places,).
    """
    there = seen[: len(widths)]
    pairs = seen[len(widths) :].reshape(digits(widths), 2, -1)
    number = (pairs[:, 0] * (1 << np.arange(len(pairs)))[:, None]).sum(0)
    return there, np.where((pairs[:, 0] ^ pairs[:, 1]).all(0), number, -1)


def read_one(seen: np.ndarray, width: int) -> np.ndarray:
    """All channels of a layer that may have reached each place. Shapes: seen (trials, places) -> (width, places)."""
    pairs = seen.reshape(digits([width]), 2, -1)
    marks = spelt(width, len(pairs)).reshape(len(pairs), 2, width)
    fits = np.ones((width, seen.shape[1]), bool)
    for (one, zero), (is_one, is_zero) in zip(pairs, marks, strict=True):
        fits &= (is_one[:, None] & one[None]) | (is_zero[:, None] & zero[None])
    return fits
