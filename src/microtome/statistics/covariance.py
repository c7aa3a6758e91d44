"""The covariance of the patches that a convolution's kernel sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import RunFailed, UsageError
from .drawn_windows import drawn_products, spread
from .patches import Patches
from .row_bands import Lags, lag_products, patch_products, patch_total, runs_alike
from .statistic import Accumulator, Arrays, Batch, Statistic, added
from .window_grid import Pair, WindowGrid

Method = Literal["auto", "bands", "windows"]

LARGEST_BANDS = 1 << 28  # bytes of whole rows' products, beyond which images are large and windows are drawn
WINDOWS = 2_000_000  # with a million of 3 x 3 the energy profile of a first layer correlates 0.9996 with that of all


@dataclass(frozen=True, kw_only=True)
class PatchCovariance(Statistic):
    """Mean and covariance of the patches under a kernel, at the input of a convolution: pixels (N, C, H, W).

    "bands" counts every patch exactly; "windows" draws about that many from the whole set, as many of every image;
    "auto" draws from large images only. What comes of it says which.

    Raises: UsageError for a kernel, a method or a number of windows that cannot be.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    method: Method = "auto"
    windows: int = WINDOWS

    def __post_init__(self) -> None:
        _ = self.grid  # which checks what it is given
        if self.method not in get_args(Method):
            raise UsageError(f"The method is {self.method!r}", f"There are: {', '.join(get_args(Method))}",
                             'Give "auto" unless you know better')  # fmt: skip
        if self.windows < 1:
            raise UsageError(f"{self.windows} windows were asked for", "It must be 1 or more",
                             f"Give a larger number, such as {WINDOWS:,}")  # fmt: skip

    @property
    def grid(self) -> WindowGrid:
        """Where the windows lie."""
        return WindowGrid(kernel=self.kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)

    @property
    def grows(self) -> bool:
        return self.method == "bands"  # how many windows an image gives depends on how many images there are

    def draws_from(self, shape: Sequence[int]) -> bool:
        """Whether windows are drawn from images of this shape (C, H, W)."""
        channels, height, width = shape
        size = 8 * self.kernel[0] * height * (channels * width) ** 2
        return self.method == "windows" or (self.method == "auto" and size > LARGEST_BANDS)

    def start(self) -> "PatchCovarianceAccumulator":
        return PatchCovarianceAccumulator(self)


class PatchCovarianceAccumulator(Accumulator):
    """Sums over patches. Shapes: products (D, D), total (D,), shape (C, H, W); numbers of patches, images, drawn."""

    patience = 4  # batches' products may be as large as a batch

    def __init__(self, request: PatchCovariance) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        pixels = finite_pixels(tensors[0], batch)
        grid, drawn = self.request.grid, self.request.draws_from(pixels.shape[1:])
        if drawn:
            each = -(-self.request.windows // batch.size_of_whole)
            products, total, count = drawn_products(pixels, grid, batch.hashes, each)
        else:
            products, total = banded_products(pixels, grid)
            count = len(pixels) * math.prod(grid.counts(*pixels.shape[2:]))
        return {
            "products": products, "total": total, "shape": np.asarray(pixels.shape[1:]),
            "patches": np.asarray(count), "drawn": np.asarray(drawn * count), "images": np.asarray(len(pixels)),
        }  # fmt: skip

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        shape = one_shape(parts)
        return added(parts) | {"shape": shape}

    def compute(self) -> Patches:
        seen = self.seen
        return Patches.of_sums(
            seen["products"], seen["total"], count=int(seen["patches"]), images=int(seen["images"]),
            shape=(int(seen["shape"][0]), *self.request.kernel), exact=not seen["drawn"],
        )  # fmt: skip


def banded_products(pixels: Tensor, grid: WindowGrid) -> tuple[np.ndarray, np.ndarray]:
    """Sums over all windows: of products (D, D) and of patches (D,)."""
    rows, columns = grid.members(*pixels.shape[2:])
    groups, alike = runs_alike(rows)
    found, total = lag_products(pixels, groups, Lags(reach=grid.reach, step=grid.dilation))
    wide = torch.from_numpy(columns).to(found)
    products = patch_products(found, torch.from_numpy(alike).to(found), wide)
    return products, patch_total(total, torch.from_numpy(rows).to(found), wide)


def finite_pixels(tensor: Tensor, batch: Batch) -> Tensor:
    """The pixels themselves, if they are such.

    Raises: RunFailed for another number of axes, or for values that are not finite.
    """
    pixels = tensor.detach()
    if pixels.ndim != 4:
        raise RunFailed(
            f"Patches were asked for where tensors have the shape {tuple(pixels.shape)}",
            "A patch is taken from images, channels, rows and columns",
            "Measure at the input of a convolution over two axes, such as conv1:in",
        )
    if not all(math.isfinite(float(end)) for end in torch.aminmax(pixels)):  # NaN, if any, is both ends
        bad = (~pixels.isfinite()).flatten(1).sum(1).cpu().numpy()
        first = batch.index[np.flatnonzero(bad)[0]]
        raise RunFailed(
            f"{bad.sum():,} of {pixels.numel():,} pixels are NaN or infinite, the first of them in image {first}",
            "A covariance needs finite numbers",
            "Look at that image (images count from 0) and at the preprocessing",
        )
    return pixels


def one_shape(parts: Sequence[Arrays]) -> np.ndarray:
    """The shape (C, H, W) that all parts are of.

    Raises: RunFailed if they are of several.
    """
    shapes = sorted({tuple(part["shape"].tolist()) for part in parts})
    if len(shapes) > 1:
        raise RunFailed(
            f"Images of {' and of '.join(map(str, shapes))} were given, as channels, rows and columns",
            "Patches are put together from images of one shape",
            "Bring the images to one size",
        )
    return parts[0]["shape"]


def patches_of(pixels: Tensor, request: PatchCovariance) -> Patches:
    """The patches of these images, which are the whole set. Shapes: pixels (N, C, H, W).

    Raises: RunFailed for what is no image, is too small, is not finite, or has fewer than two patches.
    """
    index = np.arange(len(pixels))
    accumulator = request.start()
    if len(pixels):
        accumulator.update(Batch(index, np.full(len(pixels), -1), spread(index.astype(np.uint64))), pixels)
    return accumulator.compute()
