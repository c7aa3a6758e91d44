"""All patches' products by themselves, without taking a patch out: from products of pixels a lag apart.

Two places of a window are a fixed lag apart, whichever window it is. So the sum over windows of one place times the
other is a sum of products of pixels at that lag; and which pixels take part is the same for all images. Rows of pixels
are multiplied with the rows `lag` below, in tiles of a few columns with all columns that their windows reach: matrix
products over images, which add up in float64. The product of two float32 numbers is exact there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LAID_BYTES = 3 << 20  # of pixels worked on at a time: about what a core's caches hold
TILE = 12  # columns of a tile times channels: fewer slow a matrix product down, more work out products nobody needs
ROWS = 1 << 12  # of pixels that one matrix product adds up, one after the other: rounding grows with their number

Run = tuple[int, int]  # consecutive rows: the first, and the one behind the last


@dataclass(frozen=True, kw_only=True)
class Lags:
    """How far below, and how far to both sides: every `step`-th up to `reach`, for (rows, columns)."""

    reach: tuple[int, int]
    step: tuple[int, int] = (1, 1)

    @property
    def counts(self) -> tuple[int, int]:
        """How many lags of rows there are, from 0, and how many of columns, to both sides."""
        return self.reach[0] // self.step[0] + 1, 2 * (self.reach[1] // self.step[1]) + 1


def lag_products(pixels: Tensor, groups: Sequence[Sequence[Run]], lags: Lags) -> tuple[Tensor, Tensor]:
    """Sums over images, and over the rows of each group, of pixels times those a lag away; and of pixels.

    What lies outside of the image counts as 0. At row lag 0 only lags to the right are worked out, the others are 0.

    Shapes: pixels (N, C, H, W) -> (row lags, groups, W, column lags, C, C), (C, H, W), float64.
    """
    channels, height, width = pixels.shape[1:]
    reach, below = lags.reach[1], lags.counts[0]
    tiles = max(1, round(width * channels / TILE))
    tile = -(-width // tiles)
    columns = tiles * tile + 2 * reach
    across = (tile + 2 * reach) * channels
    products = pixels.new_zeros((below, len(groups), tiles, tile * channels, across), dtype=torch.float64)
    recent, total = torch.zeros_like(products), products.new_zeros((channels, height, width))
    at_once = min(len(pixels), max(1, min(ROWS // height, LAID_BYTES // (8 * height * columns * channels))))
    room = products.new_zeros((height, at_once, columns, channels))  # a tile's columns lie side by side
    for part in torch.split(pixels, at_once):
        laid = room if len(part) == at_once else room.new_zeros((height, len(part), columns, channels))
        wide = part.double()
        laid[:, :, reach : reach + width] = wide.permute(2, 0, 3, 1)
        total += wide.sum(0)
        for lag, group, rows in _steps(groups, below, lags.step[0], height):
            start = 0 if lag else reach
            left = _tiles(laid, rows, 0, (tiles, tile), (reach, reach + tile))
            right = _tiles(laid, rows, lag * lags.step[0], (tiles, tile), (start, tile + 2 * reach))
            recent[lag, group, :, :, start * channels :].baddbmm_(left.mT, right)
        products += recent
        recent.zero_()
    return _by_lag(products, tile, channels, lags)[:, :, :width], total


def _steps(groups: Sequence[Sequence[Run]], below: int, step: int, height: int) -> Iterator[tuple[int, int, Run]]:
    """Every lag, group and run of rows of which the rows that lag below are still in the image."""
    for lag in range(below):
        for number, group in enumerate(groups):
            for first, behind in group:
                last = min(behind, height - lag * step)
                if first < last:
                    yield lag, number, (first, last)


def _tiles(laid: Tensor, rows: Run, lag: int, tiles: tuple[int, int], part: Run) -> Tensor:
    """Columns `part`, counted from the first of each tile, of the rows `lag` below. Shapes: (tiles, rows n, columns C).

    No copy: tiles overlap where `part` is wider than a tile.
    """
    images, columns, channels = laid.shape[1:]
    row = columns * channels
    offset = (rows[0] + lag) * images * row + part[0] * channels
    size = (tiles[0], (rows[1] - rows[0]) * images, (part[1] - part[0]) * channels)
    return laid.as_strided(size, (tiles[1] * channels, row, 1), offset)


def _by_lag(products: Tensor, tile: int, channels: int, lags: Lags) -> Tensor:
    """What belongs to a lag lies along diagonals. Shapes: (..., tiles, tile C, (tile + 2 reach) C) -> (..., W or a few
    more, column lags, C, C).
    """
    below, groups, tiles, _, across = products.shape
    size = (below, groups, tiles, tile, lags.counts[1], channels, channels)
    stride = (*products.stride()[:3], channels * across + channels, channels * lags.step[1], across, 1)
    found = products.as_strided(size, stride)
    return found.reshape(below, groups, tiles * tile, *size[4:])


def runs_alike(members: np.ndarray) -> tuple[list[list[Run]], np.ndarray]:
    """Rows put together that are the same rows of their windows; those of no window are left out.

    Shapes: members (kh, H) -> groups as runs of rows, and the members (kh, groups) that all rows of each share.
    """
    groups: dict[bytes, list[Run]] = {}
    kept: list[np.ndarray] = []
    for row, member in enumerate(members.T):
        if not member.any():
            continue
        if member.tobytes() not in groups:
            kept.append(member)
        runs = groups.setdefault(member.tobytes(), [])
        if runs and runs[-1][1] == row:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return list(groups.values()), np.stack(kept, 1) if kept else members[:, :0]


def patch_products(products: Tensor, rows: Tensor, columns: Tensor) -> np.ndarray:
    """Sums over windows of every place times every other, from sums at a kernel's lags.

    Shapes: products (kh, groups, W, 2 kw - 1, C, C); rows (kh, groups), columns (kw, W), 1 for members, 0 for others
    -> (D, D), D = C kh kw in this order.
    """
    high, wide, channels = len(rows), len(columns), products.shape[-1]
    by_row = torch.tensordot(rows, products, ([1], [1]))  # (kh, lags, W, lags, C, C)
    sums = torch.tensordot(columns, by_row, ([1], [2])).cpu().numpy()  # (kw, kh, lags, lags, C, C)
    a, e, b, f = np.ogrid[:high, :wide, :high, :wide]
    later = (b > a) | ((b == a) & (f >= e))  # the others are the same products in reverse
    right = np.where(later, f - e, e - f) + wide - 1
    found = sums[np.where(later, e, f), np.where(later, a, b), np.abs(b - a), right]  # (kh, kw, kh, kw, C, C)
    found = np.where(later[..., None, None], found, found.swapaxes(-1, -2))
    size = channels * high * wide
    return found.transpose(4, 0, 1, 5, 2, 3).reshape(size, size)


def patch_total(total: Tensor, rows: Tensor, columns: Tensor) -> np.ndarray:
    """Sums over windows of every place. Shapes: total (C, H, W), rows (kh, H), columns (kw, W) -> (D,)."""
    return torch.matmul(torch.matmul(rows, total), columns.mT).flatten().cpu().numpy()
