"""Windows drawn from images: for images so large that all windows would cost too much.

Which windows of an image are drawn is decided by the hash of its id: the same in any batch, order and shard.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .per_image import MIX
from .window_grid import WindowGrid

DRAWN_BYTES = 1 << 22  # of patches taken out at a time


def drawn_products(
    pixels: Tensor, grid: WindowGrid, hashes: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Sums over `count` windows of every image (all, if it has no more): of products and of patches; and how many.

    Shapes: pixels (N, C, H, W), hashes (N,) -> (D, D), (D,), float64.
    """
    size = pixels.shape[1] * grid.kernel[0] * grid.kernel[1]
    products = torch.zeros((size, size), dtype=torch.float64, device=pixels.device)
    total, seen = products.new_zeros(size), 0
    for patches in _patches(pixels, grid, hashes, count):
        products += patches.mT @ patches
        total += patches.sum(0)
        seen += len(patches)
    return products.cpu().numpy(), total.cpu().numpy(), seen


def _patches(pixels: Tensor, grid: WindowGrid, hashes: np.ndarray, count: int) -> Iterator[Tensor]:
    """The drawn patches (n, D), a few at a time."""
    below, beside = grid.counts(*pixels.shape[2:])
    high, wide = grid.kernel
    at_once = max(1, DRAWN_BYTES // (8 * pixels.shape[1] * high * wide))
    images = max(1, at_once // min(count, below * beside))
    for part, names in zip(
        torch.split(pixels, images), np.split(hashes, range(images, len(hashes), images)), strict=True
    ):
        padded = functional.pad(part, (grid.padding[1],) * 2 + (grid.padding[0],) * 2)
        for axis in (0, 1):
            padded = padded.unfold(2 + axis, grid.reach[axis] + 1, grid.stride[axis])
        windows = padded[..., :: grid.dilation[0], :: grid.dilation[1]]  # (n, C, below, beside, kh, kw), no copy
        places = drawn_places(names, count, below * beside)
        image = torch.arange(len(part)).repeat_interleave(places.shape[1])
        place = torch.from_numpy(places.reshape(-1))
        for some, at in zip(torch.split(image, at_once), torch.split(place, at_once), strict=True):
            some, at = some.to(pixels.device), at.to(pixels.device)
            yield windows[some, :, at // beside, at % beside].flatten(1).double()


def drawn_places(hashes: np.ndarray, count: int, places: int) -> np.ndarray:
    """Places from 0 to `places` - 1 for every image: one in each of `count` equal parts; all, if there are no more.

    Every place is as likely as any other, and near places are seldom drawn together.

    Shapes: hashes (N,) -> (N, n) ascending, int64.
    """
    count = min(count, places)
    if count == places:
        return np.tile(np.arange(places), (len(hashes), 1))
    draws = spread(hashes[:, None] + np.arange(1, count + 1, dtype=np.uint64)[None, :] * MIX)
    part = (draws >> np.uint64(11)).astype(np.float64) / 2**53  # where in its part, from 0 to 1
    return np.minimum(((np.arange(count) + part) * (places / count)).astype(np.int64), places - 1)


def spread(numbers: np.ndarray) -> np.ndarray:
    """Numbers as good as random from any different ones, uint64: the last steps of SplitMix64.

    Reference: Steele, Lea, Flood, Fast splittable pseudorandom number generators (2014).
    """
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
