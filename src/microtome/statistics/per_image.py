"""Reductions of one activation tensor per image and channel, each computed at most once."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

MIX = np.uint64(0x9E3779B97F4A7C15)  # odd constant of SplitMix64 (Steele et al. 2014), spreads consecutive numbers


class PerImage:
    """One number per image and channel, from a tensor (N, C, ...) whose remaining axes are positions.

    Sums run in float32 within an image (at most some ten thousand positions) and are handed out in float64, so that
    what is added over images does not depend on batch boundaries.

    Shapes: every property is (N, C) unless it says otherwise, NumPy, on the CPU.
    """

    def __init__(self, tensor: Tensor, hashes: np.ndarray, scratch: dict[Any, Tensor]) -> None:
        flat = tensor.detach().flatten(2) if tensor.ndim > 2 else tensor.detach().unsqueeze(-1)  # (N, C, P)
        self.flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        self._hashes, self._scratch = hashes, scratch

    @property
    def positions(self) -> int:
        """Number of positions P behind each number."""
        return self.flat.shape[2]

    @cached_property
    def total(self) -> np.ndarray:
        """Sum over positions, float64."""
        return _double(self.flat.sum(2))

    @cached_property
    def squares(self) -> np.ndarray:
        """Sum of squares over positions, float64."""
        return np.square(_double(torch.linalg.vector_norm(self.flat, dim=2)))

    @cached_property
    def active(self) -> np.ndarray:
        """Number of positions above zero, float64.

        Comparing into a reused buffer of the tensor's own type costs a third of comparing into fresh booleans.
        """
        return _double(torch.gt(self.flat, 0, out=self._buffer()).sum(2))

    @cached_property
    def response(self) -> np.ndarray:
        """Sum over positions of what is above zero, float64; of a rectified tensor that is the sum itself."""
        return _double(torch.clamp(self.flat, min=0, out=self._buffer()).sum(2))

    def _buffer(self) -> Tensor:
        """Memory of the tensor's shape that is used again and again: fresh pages cost more than the arithmetic."""
        size = self.flat.numel()
        kept = self._scratch.get((self.flat.dtype, self.flat.device))
        if kept is None or kept.numel() < size:
            kept = torch.empty(size, dtype=self.flat.dtype, device=self.flat.device)
            self._scratch[self.flat.dtype, self.flat.device] = kept
        return kept[:size].view(self.flat.shape)

    @cached_property
    def _peak(self) -> tuple[Tensor, Tensor]:
        values, places = self.flat.max(2)
        return values, places

    @cached_property
    def largest(self) -> Tensor:
        """Largest value over positions: (N, C) float32, still on its device."""
        return self._peak[0] if "_peak" in self.__dict__ else self.flat.amax(2)

    @property
    def place(self) -> np.ndarray:
        """Flat position of the largest value (the first of equal ones), int64."""
        return self._peak[1].cpu().numpy()

    def place_of(self, image: Tensor, channel: Tensor) -> Tensor:
        """Flat positions (M,) of the largest values of M chosen (image, channel) pairs."""
        if "_peak" in self.__dict__:
            return self._peak[1][image, channel]
        return self.flat[image, channel].max(1)[1]

    def sample(self, count: int) -> np.ndarray:
        """Values (N, C, count) at positions drawn from a hash of each image's id: the same in any batch."""
        draws = self._hashes[:, None] + np.arange(1, count + 1, dtype=np.uint64)[None, :] * MIX
        draws = (draws ^ (draws >> np.uint64(31))) * MIX
        where = torch.from_numpy(((draws >> np.uint64(33)) % np.uint64(self.positions)).astype(np.int64))  # (N, count)
        where = where.to(self.flat.device)[:, None, :].expand(-1, self.flat.shape[1], -1)
        return self.flat.gather(2, where).cpu().numpy()


def _double(values: Tensor) -> np.ndarray:
    return values.cpu().numpy().astype(np.float64)
