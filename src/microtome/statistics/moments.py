"""Mean and standard deviation, share of active positions, and means by class, per channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .statistic import Accumulator, Arrays, Batch, Statistic, added, appended


@dataclass(frozen=True, kw_only=True)
class Moments(Statistic):
    """Mean and standard deviation of every channel over all images and positions."""

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "MomentsAccumulator":
        return MomentsAccumulator()


@dataclass(frozen=True, kw_only=True)
class MomentsAnswer:
    """Shapes: count (values behind each number); mean, std (C,) float64, std with the 1/count convention."""

    count: float
    mean: np.ndarray
    std: np.ndarray


class MomentsAccumulator(Accumulator):
    """Sums and sums of squares."""

    patience = 16

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        seen = batch.per_image(tensors[0])
        count = np.float64(len(batch.index) * seen.positions)
        return {"total": seen.total.sum(0), "squares": seen.squares.sum(0), "count": np.asarray(count)}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return added(parts)

    def compute(self) -> MomentsAnswer:
        count = float(self.seen["count"])
        mean = self.seen["total"] / count
        variance = np.maximum(self.seen["squares"] / count - mean**2, 0)
        return MomentsAnswer(count=count, mean=mean, std=np.sqrt(variance))


@dataclass(frozen=True, kw_only=True)
class Firing(Statistic):
    """Share of positions above zero and the largest value of every channel."""

    @property
    def grows(self) -> bool:
        return True

    def start(self) -> "FiringAccumulator":
        return FiringAccumulator()


@dataclass(frozen=True, kw_only=True)
class FiringAnswer:
    """Shapes: share (C,) in 0..1; largest (C,)."""

    share: np.ndarray
    largest: np.ndarray


class FiringAccumulator(Accumulator):
    """Counts of active positions and a running maximum."""

    patience = 16

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        seen = batch.per_image(tensors[0])
        count = np.float64(len(batch.index) * seen.positions)
        largest = seen.largest.max(0).astype(np.float64)
        return {"active": seen.active.sum(0), "largest": largest, "count": np.asarray(count)}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return added(parts) | {"largest": np.max([part["largest"] for part in parts], axis=0)}

    def compute(self) -> FiringAnswer:
        return FiringAnswer(share=self.seen["active"] / float(self.seen["count"]), largest=self.seen["largest"])


@dataclass(frozen=True, kw_only=True)
class ClassMeans(Statistic):
    """Mean response of every channel over the images of each class; images without a label are left out.

    The response is what is above zero, averaged over positions: of a rectified channel simply its mean. With
    `shuffle` the labels of the whole set are shuffled first, by that number as seed: what chance gives.
    """

    classes: int
    shuffle: int | None = None

    @property
    def grows(self) -> bool:
        return self.shuffle is None  # a shuffle is one of all labels

    def start(self) -> "ClassMeansAccumulator":
        return ClassMeansAccumulator(self)


@dataclass(frozen=True, kw_only=True)
class ClassMeansAnswer:
    """Shapes: images (K,) seen of each class; mean (K, C) float64, NaN for a class without images."""

    images: np.ndarray
    mean: np.ndarray


class ClassMeansAccumulator(Accumulator):
    """Sums of per-image mean responses of the classes seen so far. Shapes: classes, images (m,), total (m, C)."""

    patience = 16  # joining sorts by class

    def __init__(self, request: ClassMeans) -> None:
        super().__init__()
        self.request = request

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        labels = batch.labels if self.request.shuffle is None else batch.shuffled_labels(self.request.shuffle)
        labelled = np.flatnonzero(labels >= 0)
        if len(labelled) == 0:
            return {}
        seen = batch.per_image(tensors[0])
        means = seen.response[labelled] / seen.positions
        return _by_class(labels[labelled], means, np.ones(len(labelled)))

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        rows = appended(parts)
        return _by_class(rows["classes"], rows["total"], rows["images"])

    def compute(self) -> ClassMeansAnswer:
        seen = self.seen
        images = np.zeros(self.request.classes)
        mean = np.full((self.request.classes, seen["total"].shape[1]), np.nan)
        images[seen["classes"]] = seen["images"]
        mean[seen["classes"]] = seen["total"] / seen["images"][:, None]
        return ClassMeansAnswer(images=images, mean=mean)


def _by_class(classes: np.ndarray, total: np.ndarray, images: np.ndarray) -> Arrays:
    """Rows added up by class. No matrix product: NumPy's would wake threads that the network needs."""
    order = np.argsort(classes, kind="stable")
    found, starts = np.unique(classes[order], return_index=True)
    return {
        "classes": found,
        "total": np.add.reduceat(total[order], starts, axis=0),
        "images": np.add.reduceat(images[order], starts),
    }
