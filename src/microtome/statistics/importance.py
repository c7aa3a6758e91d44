"""How much each channel matters to the loss, to first order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic, added


@dataclass(frozen=True, kw_only=True)
class Taylor(Statistic):
    """Mean over images of |sum over positions of activation times gradient|; for passes with a loss.

    Reference: Molchanov, Tyree, Karras, Aila, Kautz, Pruning convolutional neural networks for resource efficient
    inference (2017), equation 8.
    """

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "TaylorAccumulator":
        return TaylorAccumulator()


class TaylorAccumulator(Accumulator):
    """Sums over images. The answer has shape (C,)."""

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        activation, gradient = tensors
        product = activation.detach() * gradient
        change = product.flatten(2).double().sum(2) if product.ndim > 2 else product.double()  # (N, C)
        return {"total": change.abs().sum(0).cpu().numpy(), "count": np.asarray(np.float64(len(change)))}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return added(parts)

    def compute(self) -> np.ndarray:
        found: np.ndarray = self.seen["total"] / self.seen["count"]
        return found
