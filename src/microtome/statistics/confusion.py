"""What a classifier answers: counts of (true, predicted), and its strongest answers image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic, added, appended


@dataclass(frozen=True, kw_only=True)
class Confusion(Statistic):
    """Counts of images by true class and predicted class; images without a label are left out."""

    classes: int

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "ConfusionAccumulator":
        return ConfusionAccumulator(self.classes)


class ConfusionAccumulator(Accumulator):
    """Counts (K true, K predicted); so is the answer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        predicted = tensors[0].argmax(1).cpu().numpy()
        labelled = batch.labels >= 0
        cells = batch.labels[labelled] * self.classes + predicted[labelled]
        return {"counts": np.bincount(cells, minlength=self.classes**2).reshape(self.classes, self.classes)}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return added(parts)

    def compute(self) -> np.ndarray:
        return self.seen["counts"]


@dataclass(frozen=True, kw_only=True)
class Predictions(Statistic):
    """The `k` most probable classes of every image (softmax of the outputs)."""

    k: int = 5

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "PredictionsAccumulator":
        return PredictionsAccumulator(self.k)


@dataclass(frozen=True, kw_only=True)
class PredictionsAnswer:
    """Shapes: index, label (n,) by ascending index, label -1 where unknown; classes, probability (n, k)."""

    index: np.ndarray
    label: np.ndarray
    classes: np.ndarray
    probability: np.ndarray


class PredictionsAccumulator(Accumulator):
    """A few numbers of every image: grows with the number of images."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        probability = torch.softmax(tensors[0].double(), 1).cpu()  # (N, K)
        # equal outputs: the first class first, as argmax has it
        best = tensors[0].argsort(dim=1, descending=True, stable=True)[:, : self.k].cpu()
        classes, strength = best.numpy(), probability.gather(1, best).numpy()
        return {"index": batch.index, "label": batch.labels, "classes": classes, "probability": strength}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return appended(parts)

    def move(self, places: np.ndarray) -> None:
        if seen := self.state():
            self.load(seen | {"index": places[seen["index"]]})

    def compute(self) -> PredictionsAnswer:
        order = np.argsort(self.seen["index"])
        return PredictionsAnswer(**{name: array[order] for name, array in self.seen.items()})
