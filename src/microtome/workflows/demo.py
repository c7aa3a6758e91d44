"""The demo: train a small network on real digits, look at it with everything there is, write the report."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..api import look
from ..network.training import Recipe
from ..progress import Progress
from ..runs.run import Run
from .train import TrainedModel, save_weights, train_zoo

NETWORK = "zoo:simpleconvnet"
RECIPE = Recipe(epochs=12, batch_size=64, rate=2e-3, shift=2)
MNIST_RECIPE = Recipe(epochs=1, batch_size=64, rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo made: the run, its report, the network, and held-out accuracies by seed."""

    run: Run
    page: Path
    trained: TrainedModel
    accuracies: np.ndarray


def demo(out: Path, *, images: str = "digits", seed: int = 0, seeds: int = 1, progress: Progress | None = None) -> Demo:
    """Train on `images` (with further seeds, to say how much accuracy varies), look at the held-out ones, report."""
    recipe = dataclasses.replace(MNIST_RECIPE if images.startswith("mnist:") else RECIPE, seed=seed)
    first = train_zoo(NETWORK, images, recipe, progress=progress)
    others = [
        train_zoo(NETWORK, images, dataclasses.replace(recipe, seed=seed + place), progress=progress).accuracy
        for place in range(1, seeds)
    ]
    run = look(first.model, first.held_out, out=out, effort="quick", seed=seed, progress=progress)
    save_weights(first.model, out / "simpleconvnet.safetensors", recipe, first.accuracy)
    return Demo(run=run, page=run.report(), trained=first, accuracies=np.array([first.accuracy, *others]))
