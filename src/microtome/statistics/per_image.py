"""Reductions of one activation tensor per image and channel, each computed at most once."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

BUFFER = 1 << 18  # numbers worked on at a time: 1 MB, which second-level caches hold
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd constant of SplitMix64 (Steele et al. 2014), spreads consecutive numbers


class PerImage:
    """One number per image and channel, from a tensor (N, C, ...) whose remaining axes are positions.

    Sums run in float32 within an image (at most some ten thousand positions) and are handed out in float64, so that
    what is added over images does not depend on batch boundaries.

    `rectified` promises that no value is below zero.

    Shapes: every property is (N, C) unless it says otherwise, NumPy, on the CPU.
    """

    def __init__(self, tensor: Tensor, hashes: np.ndarray, scratch: dict[Any, Tensor], rectified: bool = False) -> None:
        flat = tensor.detach().flatten(2) if tensor.ndim > 2 else tensor.detach().unsqueeze(-1)  # (N, C, P)
        self.flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        self._hashes, self._scratch, self._rectified = hashes, scratch, rectified
        self._samples: dict[tuple[int, bytes], np.ndarray] = {}

    @property
    def positions(self) -> int:
        """Number of positions P behind each number."""
        return self.flat.shape[2]

    @property
    def total(self) -> np.ndarray:
        """Sum over positions, float64."""
        return self._sweep[0]

    @property
    def squares(self) -> np.ndarray:
        """Sum of squares over positions, float64."""
        return self._sweep[1]

    @property
    def largest(self) -> np.ndarray:
        """Largest value over positions, float32 (float64 of a tensor that is)."""
        return self._sweep[2]

    @cached_property
    def _sweep(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sum, sum of squares and largest value, a few images at a time: what is read for one is at hand for all."""
        found = self.flat.new_empty((3, *self.flat.shape[:2]))
        for part, total, norm, largest in zip(*map(self._parts, (self.flat, *found)), strict=True):
            _sum(part, total)
            torch.linalg.vector_norm(part, dim=2, out=norm)
            torch.amax(part, 2, out=largest)
        total, norm, largest = found.cpu().numpy()
        return total.astype(np.float64), np.square(norm.astype(np.float64)), largest

    def _parts(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """A tensor (N, ...) cut into as many images at a time as a cache holds; not cut on a GPU.

        The last first: they have just been written, and what comes next in the network begins with the first.
        """
        at_once = max(1, BUFFER // max(1, self.flat[0].numel())) if self.flat.is_cpu else len(self.flat)
        return torch.split(tensor, at_once)[::-1]

    @property
    def active(self) -> np.ndarray:
        """Number of positions above zero, float64."""
        return self._above_zero[1]

    @property
    def response(self) -> np.ndarray:
        """Sum over positions of what is above zero, float64; of a rectified tensor that is the sum itself."""
        return self.total if self._rectified else self._above_zero[0]

    @cached_property
    def _above_zero(self) -> tuple[np.ndarray, np.ndarray]:
        """Response and number of positions above zero.

        Into a reused buffer of the tensor's own type: comparing into fresh booleans costs three times as much.
        """
        response, active = self.flat.new_empty((2, *self.flat.shape[:2]))
        for some, its_response, its_active in zip(*map(self._parts, (self.flat, response, active)), strict=True):
            above = some
            if not self._rectified:
                above = torch.clamp(some, min=0, out=self._buffer(some.shape))
                _sum(above, its_response)
            _sum(torch.gt(above, 0, out=self._buffer(some.shape)), its_active)
        return (self.total if self._rectified else _double(response)), _double(active)

    def _buffer(self, shape: torch.Size) -> Tensor:
        """Memory that is used again and again: fresh pages cost more than the arithmetic."""
        size, key = shape.numel(), (self.flat.dtype, self.flat.device)
        kept = self._scratch.get(key)
        if kept is None or kept.numel() < size:
            kept = self._scratch[key] = torch.empty(size, dtype=self.flat.dtype, device=self.flat.device)
        return kept[:size].view(shape)

    def place(self, images: np.ndarray) -> np.ndarray:
        """Flat positions (n, C) of the largest values (the first of equal ones) of n chosen images, int64."""
        if len(images) == len(self.flat):
            return _first_largest(self.flat)
        buffer = self._buffer(torch.Size((len(images), *self.flat.shape[1:])))
        chosen = torch.index_select(self.flat, 0, torch.from_numpy(images).to(self.flat.device), out=buffer)
        return _first_largest(chosen)

    def place_of(self, image: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """Flat positions (M,) of the largest values of M chosen (image, channel) pairs."""
        if self.flat.is_cpu:
            return self.flat.numpy()[image, channel].argmax(1)
        return _first_largest(self.flat[torch.from_numpy(image), torch.from_numpy(channel)])

    def sample(self, images: np.ndarray, count: int) -> np.ndarray:
        """Values (n, C, count) of n chosen images at positions drawn from a hash of each image's id."""
        key = (count, images.tobytes())
        if key not in self._samples:
            self._samples[key] = self._draw(images, count)
        return self._samples[key]

    def _draw(self, images: np.ndarray, count: int) -> np.ndarray:
        draws = self._hashes[images][:, None] + np.arange(1, count + 1, dtype=np.uint64)[None, :] * MIX
        draws = (draws ^ (draws >> np.uint64(31))) * MIX
        where = torch.from_numpy(((draws >> np.uint64(33)) % np.uint64(self.positions)).astype(np.int64))  # (n, count)
        where = where.to(self.flat.device)[:, None, :]
        channels = torch.arange(self.flat.shape[1], device=self.flat.device)[None, :, None]
        return self.flat[torch.from_numpy(images).to(self.flat.device)[:, None, None], channels, where].cpu().numpy()


def _first_largest(values: Tensor) -> np.ndarray:
    """Where along the last axis the largest value stands. On a CPU NumPy finds it four times as fast as torch."""
    return values.numpy().argmax(-1) if values.is_cpu else values.max(-1)[1].cpu().numpy()


def _sum(values: Tensor, out: Tensor) -> None:
    """Sum over positions. Torch splits a sum that gives one number among threads: then it would depend on the batch."""
    if out.numel() == 1:
        out.copy_(values.expand(2, -1, -1).sum(2)[:1])
    else:
        torch.sum(values, 2, out=out)


def _double(values: Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.float64)
