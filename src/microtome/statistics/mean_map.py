"""The mean map of every channel: where it is active, whatever the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic, added


@dataclass(frozen=True, kw_only=True)
class MeanMap(Statistic):
    """What is above zero, mean over images, at every position."""

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "MeanMapAccumulator":
        return MeanMapAccumulator()


class MeanMapAccumulator(Accumulator):
    """Sums over images. The answer has shape (C, positions)."""

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        maps = tensors[0].detach().clamp(min=0)
        flat = maps.flatten(2) if maps.ndim > 2 else maps.unsqueeze(2)
        return {"total": flat.double().sum(0).cpu().numpy(), "count": np.asarray(np.float64(len(flat)))}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return added(parts)

    def compute(self) -> np.ndarray:
        found: np.ndarray = self.seen["total"] / self.seen["count"]
        return found
