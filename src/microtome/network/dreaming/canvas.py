"""How pictures are written as numbers that an optimiser may change: as pixels, or as a spectrum.

Both have the axes of the images' colours, measured from them, so that a step changes colours as images do. Nothing
leaves the range of the data.
Reference: Olah, Mordvintsev, Schubert, Feature Visualization (Distill, 2017), preconditioning.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...checks import known
from .palette import Palette

Kind = Literal["pixels", "fourier"]
EDGE = 1e-3  # of the range: how near its ends a picture may start that is written as a spectrum
QUARTER = 4.0  # divides a spectrum's picture, as lucid does


@dataclass(frozen=True, kw_only=True)
class Canvas(ABC):
    """A way of writing pictures of one size with the colours of a palette. Shapes: images (N, C, H, W)."""

    palette: Palette
    size: tuple[int, int]
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture's numbers."""

    @abstractmethod
    def images(self, numbers: Tensor) -> Tensor:
        """The pictures that numbers mean, as the network is given them."""

    @abstractmethod
    def pulled(self, images: Tensor, gradient: Tensor) -> Tensor:
        """The gradient for the numbers, of one for the pictures that they mean."""

    @abstractmethod
    def numbers(self, images: Tensor) -> Tensor:
        """The numbers that mean these pictures."""

    @abstractmethod
    def noise(self, random: np.random.Generator) -> np.ndarray:
        """The numbers of one picture to start from, around the mean colour."""

    def settle(self, numbers: Tensor) -> None:
        """After a step, bring what has left the data's range back into it."""

    def finished(self, numbers: Tensor) -> Tensor:
        """The pictures, within the range to the last bit."""
        with torch.no_grad():
            return torch.clamp(self.images(numbers), self._low, self._high)

    @cached_property
    def half_range(self) -> Tensor:
        """Shapes: (C, 1, 1)."""
        return self._column(self.palette.half_range)

    def _column(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device).view(-1, 1, 1)

    @cached_property
    def _low(self) -> Tensor:
        return self._column(self.palette.low)

    @cached_property
    def _high(self) -> Tensor:
        return self._column(self.palette.high)

    @cached_property
    def _mean(self) -> Tensor:
        return self._column(self.palette.mean)

    def _matrix(self, matrix: np.ndarray) -> Tensor:
        return torch.tensor(matrix, dtype=torch.float32, device=self.device)


class Pixels(Canvas):
    """Pixels along the axes of the colours, in standard deviations; clamped after every step."""

    def shape(self) -> tuple[int, ...]:
        return (len(self.palette.mean), *self.size)

    def images(self, numbers: Tensor) -> Tensor:
        return _mixed(self._root, numbers).add_(self._mean)

    def pulled(self, images: Tensor, gradient: Tensor) -> Tensor:
        return _mixed(self._root.T, gradient)

    def numbers(self, images: Tensor) -> Tensor:
        return _mixed(self._inverse, images - self._mean)

    def noise(self, random: np.random.Generator) -> np.ndarray:
        return 0.1 * random.standard_normal(self.shape(), np.float32)

    def settle(self, numbers: Tensor) -> None:
        with torch.no_grad():
            numbers.copy_(self.numbers(torch.clamp(self.images(numbers), self._low, self._high)))

    @cached_property
    def _root(self) -> Tensor:
        return self._matrix(self.palette.root)

    @cached_property
    def _inverse(self) -> Tensor:
        return self._matrix(np.linalg.inv(self.palette.root))


class Fourier(Canvas):
    """A spectrum whose low frequencies weigh more (1 / frequency); a sigmoid keeps the picture in range.

    Shapes: numbers (N, C, H, W // 2 + 1, 2), real and imaginary.
    """

    def shape(self) -> tuple[int, ...]:
        height, width = self.size
        return (len(self.palette.mean), height, width // 2 + 1, 2)

    def images(self, numbers: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(numbers * self._scale)
        plain = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        share = _mixed(self._root / QUARTER, plain).add_(self._middle).sigmoid_()
        return share * (self._high - self._low) + self._low

    def pulled(self, images: Tensor, gradient: Tensor) -> Tensor:
        slope = (images - self._low).mul_(self._high - images).div_(self._high - self._low)
        plain = _mixed(self._root.T / QUARTER, slope.mul_(gradient))
        return torch.view_as_real(torch.fft.rfft2(plain, norm="ortho")).mul_(self._twice)

    def numbers(self, images: Tensor) -> Tensor:
        share = torch.clamp((images - self._low) / (self._high - self._low), EDGE, 1 - EDGE)
        plain = _mixed(self._inverse, torch.logit(share) - self._middle) * QUARTER
        return torch.view_as_real(torch.fft.rfft2(plain, norm="ortho").contiguous()) / self._scale

    def noise(self, random: np.random.Generator) -> np.ndarray:
        return 0.01 * random.standard_normal(self.shape(), np.float32)

    @cached_property
    def _scale(self) -> Tensor:
        """Shapes: (H, W // 2 + 1, 1)."""
        height, width = self.size
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
        return self._matrix(1 / np.maximum(frequency, 1 / max(self.size)))[..., None]

    @cached_property
    def _twice(self) -> Tensor:
        """The scale again; a column of the spectrum stands for two frequencies, but for the first and an even width's
        last. Shapes: (H, W // 2 + 1, 1).
        """
        width = self.size[1]
        columns = torch.full((width // 2 + 1, 1), 2.0, device=self.device)
        columns[0] = 1
        if width % 2 == 0:
            columns[-1] = 1
        return self._scale * columns

    @cached_property
    def _middle(self) -> Tensor:
        """The mean colour, before the sigmoid."""
        share = (self.palette.mean - self.palette.low) / (2 * self.palette.half_range)
        share = np.clip(share, 0.02, 0.98)
        return self._column(np.log(share / (1 - share)))

    @cached_property
    def _directions(self) -> np.ndarray:
        """The axes of colour, the longest of length 1, as lucid has them."""
        root = self.palette.root / self.palette.half_range[:, None]
        return root / np.linalg.norm(root, axis=0).max()

    @cached_property
    def _root(self) -> Tensor:
        return self._matrix(self._directions)

    @cached_property
    def _inverse(self) -> Tensor:
        return self._matrix(np.linalg.inv(self._directions))


CANVASES: dict[str, type[Canvas]] = {"pixels": Pixels, "fourier": Fourier}


def canvas(kind: str, palette: Palette, size: tuple[int, int], device: torch.device) -> Canvas:
    """The canvas of a kind. Raises: UnknownName."""
    known("Canvas", kind, CANVASES, "Name one of them")
    return CANVASES[kind](palette=palette, size=size, device=device)


def _mixed(matrix: Tensor, images: Tensor) -> Tensor:
    """Channels mixed by a matrix; one channel is only scaled. Shapes: (C, C), (N, C, H, W) -> (N, C, H, W)."""
    if len(matrix) == 1:
        return images * matrix[0, 0]
    return torch.matmul(matrix, images.flatten(2)).view(images.shape)
