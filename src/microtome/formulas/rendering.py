"""Reconstructions as pictures: signed maps around grey, stretched from end to end, or as magnitudes."""

from typing import Literal, get_args

import numpy as np

from ..checks import known
from ..errors import UsageError

Mode = Literal["symmetric", "minmax", "absolute"]
Per = Literal["map", "sheet"]
GREY = 128  # 127.5, the middle of 0..255, as NumPy rounds it


def rendered(
    maps: np.ndarray, mode: Mode = "symmetric", per: Per = "map", percentile: float | None = 99.5
) -> np.ndarray:
    """Maps as pictures; three channels are red, green and blue, one is grey.

    symmetric: 0 is middle grey (128), and full is that percentile of the magnitudes (None: the largest).
    minmax: the smallest number is 0 and the largest 255, with no percentile; what is constant is middle grey.
    absolute: the Euclidean norm over any number of channels, black (0) to white (255) at that percentile of the norms.
    Percentiles are among the magnitudes that are not 0, so that the empty surroundings of a map change nothing.
    `per` says whether every map has a scale of its own or all share one; the colours of a map always share one.
    Shapes: maps (U, C, H, W) -> (U, H, W, 3) uint8.
    Raises: UsageError for other shapes, for what is not finite, and for a percentile outside 0..100; UnknownName.
    """
    known("Mode", mode, get_args(Mode), "Name one of them")
    known("Scale per", per, get_args(Per), "Name one of them")
    _check(maps, mode, percentile)
    if not maps.size:
        return np.zeros((len(maps), *maps.shape[2:], 3), np.uint8)
    maps = maps.astype(np.float64)
    groups = maps[None] if per == "sheet" else maps[:, None]  # (groups, maps of one scale, C, H, W)
    scaled = groups / largest(groups, 1)  # to -1..1, so that no sum of squares overflows
    if mode == "absolute":
        scaled = np.sqrt(np.square(scaled).sum(2, keepdims=True))
    shares = np.stack([_from_end_to_end(group) if mode == "minmax" else _up_to(group, percentile) for group in scaled])
    shares = shares.reshape(len(maps), -1, *maps.shape[2:])
    pictures = to_rgb(2 * shares - 1 if mode == "absolute" else shares)
    return np.repeat(pictures, 3, -1) if pictures.shape[-1] == 1 else pictures


def to_rgb(shares: np.ndarray) -> np.ndarray:
    """Numbers in -1..1 as 0..255, 0 as 128. Shapes: (..., C, h, w) -> (..., h, w, C) uint8."""
    return np.clip(np.round(np.moveaxis(127.5 * (1 + shares), -3, -1)), 0, 255).astype(np.uint8)


def largest(maps: np.ndarray, per: int) -> np.ndarray:
    """The largest magnitude for each of the first `per` axes, 1 where all is 0; to be divided by."""
    found = np.abs(maps).max(axis=tuple(range(per, maps.ndim)), keepdims=True)
    return np.where(found > 0, found, 1.0)


def _up_to(group: np.ndarray, percentile: float | None) -> np.ndarray:
    """Divided by a percentile of the magnitudes, and cut off there."""
    magnitudes = np.abs(group[group != 0])
    if not magnitudes.size:
        return group
    full = magnitudes.max() if percentile is None else np.percentile(magnitudes, percentile)
    return np.clip(group, -full, full) / full


def _from_end_to_end(group: np.ndarray) -> np.ndarray:
    """The smallest number as -1, the largest as 1, a constant as 0."""
    low, high = group.min(), group.max()
    return (2 * (group - low) / (high - low) - 1) if high > low else np.zeros_like(group)


def _check(maps: np.ndarray, mode: str, percentile: float | None) -> None:
    if maps.ndim != 4 or (maps.shape[1] not in (1, 3) and mode != "absolute"):
        raise UsageError(f"The maps have shape {maps.shape}", "Pictures are made of (maps, 1 or 3 channels, rows, "
                         "columns)", "Choose channels, or the mode absolute")  # fmt: skip
    bad = sum(not np.isfinite(each).all() for each in maps)
    if bad:
        raise UsageError(f"{bad} of {len(maps)} maps hold NaN or infinity", "Pictures are made of finite numbers",
                         "Look where the network stops being finite")  # fmt: skip
    if percentile is not None and not 0 <= percentile <= 100:
        raise UsageError(f"The percentile is {percentile:g}", "It lies in 0..100, or is None for the largest",
                         "Give another one")  # fmt: skip
