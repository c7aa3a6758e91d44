"""How many directions of a picture a layer does not see."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...formulas.matrix_rank import Rank, of_values, rank_by_projections
from ..pieces.switches import is_switch
from .local_map import COPIES, DEARER, LocalMap, Reading, local_map

WORK = 1e12  # multiply-accumulates spent on one rank: a few minutes on one core
LONGEST = 3072  # the shorter side up to which singular values are worked out: a colour image of 32 pixels
FEWEST = 2 * COPIES  # random vectors that are always tried
BUCKETS = 4  # in which products with random vectors are added up, as many times as there are vectors


@dataclass(frozen=True, kw_only=True)
class Blindness:
    """The rank of the derivative of what is read, at one picture.

    Inputs with the same activation around a picture are the directions that the derivative takes to 0: D less the rank.
    Rectifiers that are off are part of it: their rows are zero, so what moves them further off, or less, without
    turning them on, is free. `on` of the M numbers read have rows that are not.
    Shapes: directions (rank, D) orthonormal, seen ones, where singular values were worked out; None otherwise.
    """

    inputs: int
    outputs: int
    on: int
    rank: Rank
    directions: np.ndarray | None

    @property
    def dimension(self) -> tuple[int, int]:
        """Of the set of inputs with the same activation: the least and the most that it may be."""
        return self.inputs - self.rank.highest, self.inputs - self.rank.lowest


def blindness(reading: Reading, picture: Tensor) -> Blindness:
    """How many directions of a picture do not change what is read, to first order.

    By singular values where the derivative is small enough to be written down, else by random projections.
    Shapes: picture (C, H, W), normalised.
    Raises: NotApplicable where the network is not made of linear pieces up to the site, or no gradient leads back.
    """
    with local_map(reading, picture) as local:
        return blindness_of(local)


def blindness_of(local: LocalMap) -> Blindness:
    """How many directions do not change what is read, to first order."""
    outputs, inputs = local.shape
    reading = local.reading
    rectified = is_switch(reading.site)
    on = np.flatnonzero(local.value) if rectified else np.arange(outputs)
    largest = min(len(on), inputs)
    passes = min(len(on), DEARER * inputs)
    directions: np.ndarray | None = None
    if largest <= LONGEST and passes * reading.macs <= WORK:
        _, values, right = np.linalg.svd(local.matrix(on), full_matrices=False)
        rank = of_values(values, local.shape)
        directions = right[: rank.lowest]
    else:
        most = int(np.clip(WORK / (8 * reading.macs), FEWEST, LONGEST))  # a product costs several passes
        rank = rank_by_projections(lambda vectors: _added_up(local.times(vectors), BUCKETS * most), local.shape, most,
                                   largest)  # fmt: skip
    return Blindness(inputs=inputs, outputs=outputs, on=len(on), rank=rank, directions=directions)


def _added_up(products: np.ndarray, buckets: int) -> np.ndarray:
    """Fewer numbers of the same rank: each times a random number, added up in random buckets. Shapes: (k, M)."""
    length = products.shape[1]
    if length <= buckets:
        return products
    numbers = np.random.default_rng(0)
    bucket = torch.from_numpy(numbers.integers(0, buckets, length))
    scaled = torch.from_numpy(products * numbers.standard_normal(length))
    return torch.zeros(len(products), buckets, dtype=scaled.dtype).index_add_(1, bucket, scaled).numpy()
