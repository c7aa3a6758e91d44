"""How well a network does on the test images, and how fast it is."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...formulas.paired import paired_interval
from ...formulas.proportions import wilson_interval
from ...images.collection import Images
from ...network.model import Model
from ...network.recording.inputs import like_parameters, prepare
from ...network.recording.untouched import untouched

TOGETHER = 256  # test images
TIMED, REPEATS = 32, 5  # images whose time is taken, so many times; the least counts


def predictions(model: Model, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """The class answered for every image that can be read, and its label. Shapes: (n,) int32 each."""
    answers, labels = [], []
    with untouched(model.module) as module:
        for places, pixels in images.batches(TOGETHER):
            outputs: Any = module(prepare(torch.from_numpy(pixels), model.preprocessing, module))
            answers.append(outputs.argmax(1).cpu().numpy().astype(np.int32))
            labels.append(images.labels[places].astype(np.int32))
    return np.concatenate(answers), np.concatenate(labels)


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of n images, with its 95% interval (Wilson)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, right: np.ndarray) -> "Share":
        """Of images answered rightly. Shapes: (n,) bool."""
        low, high = wilson_interval(np.array(right.sum()), np.array(len(right)))
        return cls(value=float(right.mean()), low=float(low), high=float(high))

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


def difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """How much higher our accuracy is on the same images, in points, with its 95% interval. Shapes: (n,) bool each."""
    lost, gained = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    low, high = paired_interval(np.array(lost), np.array(gained), len(ours))
    return 100 * (gained - lost) / len(ours), -100 * float(high), -100 * float(low)


def milliseconds(models: list[Model]) -> list[float]:
    """Time of one image in a batch, of each network: the least of some runs, taken in turns. Units: milliseconds."""
    pictures = torch.randn(TIMED, *models[0].preprocessing.shape, generator=torch.Generator().manual_seed(0))
    best = [float("inf")] * len(models)
    for _ in range(REPEATS):
        for place, model in enumerate(models):
            with untouched(model.module) as module:
                given = like_parameters(pictures, module)
                started = time.perf_counter()
                module(given)
                best[place] = min(best[place], 1000 * (time.perf_counter() - started) / TIMED)
    return best
