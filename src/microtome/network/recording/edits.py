"""Temporary changes of a forward pass, given as data: what is silenced, scaled or replaced, and where."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ...errors import UsageError
from .sites import Sites


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

    def on(self, sites: Sites) -> Self:
        """The edit with its site resolved; to be asked before any compute.

        Raises: UnknownName for the site; UsageError for its channels or the number of offsets.
        """
        site = sites[sites.resolve(self.site)]
        wrong = [channel for channel in self.channels if not 0 <= channel < site.channels]
        if wrong:
            raise UsageError(
                f"The edit of {site.name} names channel {wrong[0]}",
                f"The site has {site.channels} channels, counted from 0", "Mend the edit's channels",
            )  # fmt: skip
        if len(self.offset) not in (1, len(self.channels)):
            raise UsageError(
                f"The edit of {site.name} has {len(self.offset)} offsets for {len(self.channels)} channels",
                "An offset is one number, or one a channel", "Mend the edit's offset",
            )  # fmt: skip
        return replace(self, site=site.name)

    def apply(self, tensor: Tensor, channel_axis: int, overwrite: bool) -> Tensor:
        """The changed tensor: the same one where later code relies on that (`overwrite`), else a new one."""
        changed = tensor if overwrite else tensor.clone()
        view = changed.movedim(channel_axis, 1)
        where = torch.tensor(self.channels, device=tensor.device)
        offset = torch.tensor(self.offset, device=tensor.device, dtype=tensor.dtype)
        offset = offset.expand(len(self.channels)).reshape(1, -1, *[1] * (view.ndim - 2))
        view[:, where] = view[:, where] * self.factor + offset
        return changed
