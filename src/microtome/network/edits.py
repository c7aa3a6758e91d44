"""Temporary changes of a forward pass, given as data: what is silenced, scaled or replaced, and where."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Some channels of a site become `factor` times themselves plus `offset`, before anything is measured there.

    A factor of 0 silences, another one scales; an offset with factor 0 replaces, for instance by the mean.
    Shapes: offset is one number, or one a channel.
    """

    site: str
    channels: tuple[int, ...]
    factor: float = 0.0
    offset: tuple[float, ...] = (0.0,)

    @classmethod
    def silence(cls, site: str, *channels: int) -> Self:
        """Set channels to zero."""
        return cls(site=site, channels=channels)

    def apply(self, tensor: Tensor, channel_axis: int, overwrite: bool) -> Tensor:
        """The changed tensor: the same one where later code relies on that (`overwrite`), else a new one."""
        changed = tensor if overwrite else tensor.clone()
        view = changed.movedim(channel_axis, 1)
        where = torch.tensor(self.channels, device=tensor.device)
        offset = torch.tensor(self.offset, device=tensor.device, dtype=tensor.dtype)
        offset = offset.expand(len(self.channels)).reshape(1, -1, *[1] * (view.ndim - 2))
        view[:, where] = view[:, where] * self.factor + offset
        return changed
