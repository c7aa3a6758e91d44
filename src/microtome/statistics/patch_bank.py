"""The patches of all kernels up to a size, from one pass over the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import RunFailed, UsageError
from .covariance import LARGEST_BANDS, finite_pixels, one_shape
from .patches import Patches
from .row_bands import Lags, lag_products, patch_products, patch_total
from .statistic import Accumulator, Arrays, Batch, Statistic, added
from .window_grid import Pair, WindowGrid


@dataclass(frozen=True, kw_only=True)
class PatchBank(Statistic):
    """What the patches of any kernel, stride, padding and dilation can be worked out from, exactly.

    As long as no window takes more rows and columns than `largest`. Measured like `PatchCovariance`.

    Raises: UsageError for anything but two whole numbers of 1 or more.
    """

    largest: Pair = (7, 7)

    def __post_init__(self) -> None:
        _ = WindowGrid(kernel=self.largest)  # which checks it

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "PatchBankAccumulator":
        return PatchBankAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class PatchBankAnswer:
    """Means over images of pixels, and of products of pixels a lag apart, at every position.

    Shapes: products (kh, H, W, 2 kw - 1, C, C): rows below, position, columns to the right from -(kw - 1) on, channel
    here and channel there; pixels (C, H, W); float64.
    """

    products: np.ndarray
    pixels: np.ndarray
    images: int

    def patches(
        self, kernel: Pair, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1)
    ) -> Patches:
        """The patches under this kernel.

        Raises: UsageError for a window that is larger than the bank's; RunFailed if it is larger than the images, or
        for fewer than two patches.
        """
        grid = WindowGrid(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
        largest = len(self.products), (self.products.shape[3] + 1) // 2
        if grid.reach[0] >= largest[0] or grid.reach[1] >= largest[1]:
            raise UsageError(
                f"A window of {grid.reach[0] + 1} x {grid.reach[1] + 1} pixels was asked for",
                f"This bank has kept what windows up to {largest[0]} x {largest[1]} need",
                "Measure a PatchBank with a larger `largest`",
            )
        channels, height, width = self.pixels.shape
        rows, columns = (torch.from_numpy(member).double() for member in grid.members(height, width))
        middle, reach = largest[1] - 1, grid.reach[1]
        across = slice(middle - reach, middle + reach + 1, dilation[1])
        lags = torch.from_numpy(self.products[: grid.reach[0] + 1 : dilation[0], :, :, across])
        below, beside = grid.counts(height, width)
        return Patches.of_sums(
            self.images * patch_products(lags, rows, columns),
            self.images * patch_total(torch.from_numpy(self.pixels), rows, columns),
            count=self.images * below * beside, images=self.images, shape=(channels, *kernel), exact=True,
        )  # fmt: skip


class PatchBankAccumulator(Accumulator):
    """Sums over images, as in the answer; shape (C, H, W)."""

    def __init__(self, request: PatchBank) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        pixels = finite_pixels(tensors[0], batch)
        channels, height, width = pixels.shape[1:]
        lags = Lags(reach=WindowGrid(kernel=self.request.largest).reach)
        size = 8 * height * width * channels**2 * lags.counts[0] * lags.counts[1]
        if size > LARGEST_BANDS:
            raise RunFailed(
                f"A bank for windows up to {self.request.largest} of images of {height} x {width} pixels and "
                f"{channels} channels takes {size / 1e6:,.0f} MB",
                f"It may take {LARGEST_BANDS / 1e6:,.0f} MB",
                "Measure a PatchCovariance for each kernel, or a bank of smaller windows",
            )
        products, total = lag_products(pixels, [[(row, row + 1)] for row in range(height)], lags)
        return {"products": products.cpu().numpy(), "total": total.cpu().numpy(),
                "images": np.asarray(len(pixels)), "shape": np.asarray(pixels.shape[1:])}  # fmt: skip

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        shape = one_shape(parts)
        return added(parts) | {"shape": shape}

    def compute(self) -> PatchBankAnswer:
        seen = self.seen
        images = int(seen["images"])
        return PatchBankAnswer(products=seen["products"] / images, pixels=seen["total"] / images, images=images)
