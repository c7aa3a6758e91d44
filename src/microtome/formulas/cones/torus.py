"""Small kernels on a grid that closes upon itself: where their weights come to lie, and their Fourier transform."""

from functools import lru_cache

import numpy as np

ZERO = 1e-12  # of a kernel's sum of absolute values: a sum or a Fourier coefficient below is one that cancels


def spans(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns a dilated kernel reaches over."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def placed(kernels: np.ndarray, grid: tuple[int, int], dilation: tuple[int, int] = (1, 1)) -> np.ndarray:
    """Kernels with their first weight at the grid's origin; what reaches beyond the grid comes back and is added.

    Shapes: (..., kh, kw) -> (..., H, W), float64.
    """
    found = np.zeros((*kernels.shape[:-2], *grid))
    for y, x in np.ndindex(*kernels.shape[-2:]):
        found[..., y * dilation[0] % grid[0], x * dilation[1] % grid[1]] += kernels[..., y, x]
    return found


def spectra(
    kernels: np.ndarray, grid: tuple[int, int], dilation: tuple[int, int] = (1, 1), half: bool = True
) -> np.ndarray:
    """Discrete Fourier transforms of kernels on a grid, by one matrix product: kernels are small.

    Shapes: (..., kh, kw) -> (..., H, W // 2 + 1) as `numpy.fft.rfft2` gives them, (..., H, W) if not `half`.
    """
    columns = grid[1] // 2 + 1 if half else grid[1]
    waves = _waves(kernels.shape[-2:], grid, dilation, columns)
    flat = np.ascontiguousarray(kernels, dtype=np.float64).reshape(-1, len(waves))
    return (flat @ waves).view(np.complex128).reshape(*kernels.shape[:-2], grid[0], columns)


def multiplicity(grid: tuple[int, int]) -> np.ndarray:
    """How often each column of a half spectrum stands in the whole one. Shapes: (W // 2 + 1,)."""
    columns = np.arange(grid[1] // 2 + 1)
    return np.where((columns == 0) | (2 * columns == grid[1]), 1.0, 2.0)


def back(spectrum: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The real maps of half spectra. Shapes: (..., H, W // 2 + 1) -> (..., H, W)."""
    return np.fft.irfft2(spectrum, s=grid, axes=(-2, -1))


@lru_cache(maxsize=32)
def _waves(kernel: tuple[int, int], grid: tuple[int, int], dilation: tuple[int, int], columns: int) -> np.ndarray:
    """exp(-2 pi i f h / N), real and imaginary parts in turns. Shapes: (kh kw, 2 H columns)."""
    vertical = _wave(kernel[0], grid[0], dilation[0], grid[0])  # (kh, H)
    horizontal = _wave(kernel[1], grid[1], dilation[1], columns)  # (kw, columns)
    both = vertical[:, None, :, None] * horizontal[None, :, None, :]
    found = np.ascontiguousarray(both).reshape(kernel[0] * kernel[1], -1).view(np.float64)
    found.flags.writeable = False  # it is kept for the next caller
    return found


def _wave(taps: int, extent: int, dilation: int, frequencies: int) -> np.ndarray:
    # turns are counted in whole numbers first, so that whole and half turns are exact to the last digit of pi
    turns = np.outer(np.arange(taps) * dilation, np.arange(frequencies)) % extent
    return np.exp(-2j * np.pi * turns / extent)
