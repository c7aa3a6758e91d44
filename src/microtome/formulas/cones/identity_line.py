"""A network on constant images: with borders that come around they stay constant, and only channel sums act.

Convolutions become matrices of channel sums, rectifiers stay, maximum and mean pools do nothing. Where a unit of this
small network is 0, there the apices of its cone are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UsageError


@dataclass(frozen=True, kw_only=True)
class IdentityLine:
    """Layers as they act on constant images. Shapes: sums, of each layer (O, C); biases, of each (O,)."""

    sums: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> "IdentityLine":
        """Of layers one after the other, a rectifier between them. Shapes: weights, of each (O, C, kh, kw).

        Raises: UsageError for layers that do not follow each other.
        """
        for place, (later, earlier) in enumerate(zip(weights[1:], weights[:-1], strict=True), 1):
            if later.shape[1] != len(earlier):
                raise UsageError(
                    f"Layer {place} takes {later.shape[1]} channels, and the one before has {len(earlier)}",
                    "Each layer takes what the one before gives",
                    "Give the layers of a plain network, or of one path through it",
                )
        return cls(
            sums=tuple(each.sum((-2, -1), dtype=np.float64) for each in weights),
            biases=tuple(each.astype(np.float64) for each in biases),
        )

    def responses(self, means: np.ndarray) -> list[np.ndarray]:
        """What every layer makes of constant images, before its rectifier. Shapes: (N, C) -> of each layer (N, O)."""
        found = []
        for sums, biases in zip(self.sums, self.biases, strict=True):
            found.append(means @ sums.T + biases)
            means = np.maximum(found[-1], 0)
        return found
