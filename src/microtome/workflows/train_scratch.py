"""Train a network from scratch, in NumPy, on an image source, and write it as a .tnn file."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import known
from ..errors import BadImages
from ..formulas.proportions import wilson_interval
from ..images.collection import DECODERS, Images
from ..network.open import open_model
from ..progress import Progress, Silent
from ..scratch import SGD, Epoch, Learner, Net, softmax_cross_entropy
from ..scratch.recipes import RECIPES, Recipe
from .train import parts

BATCH = 256  # images read at a time


@dataclass(frozen=True, kw_only=True)
class TrainedNet:
    """A network trained in NumPy, and how well it does on `tested` images that played no part in the training."""

    net: Net
    epochs: tuple[Epoch, ...]
    accuracy: float
    interval: tuple[float, float]
    tested: int
    trained_on: int
    seconds: float
    broken: dict[str, str]


def recipe_of(source: str) -> Recipe:
    """How `scratch:NAME` is trained unless one says otherwise. Raises: UnknownName."""
    name = source.removeprefix("scratch:")
    known("Network from scratch", name, RECIPES, "Write scratch:NAME")
    return RECIPES[name]


def train_scratch(
    source: str, images: str | Path, recipe: Recipe | None = None, *, seed: int = 0, test: str | Path | None = None,
    out: Path | None = None, strict: bool = False, download: bool = False, decoders: int = DECODERS,
    progress: Progress | None = None,
) -> TrainedNet:  # fmt: skip
    """Train `scratch:NAME`; the same seed gives the same network. It is written to `out` after every epoch.

    Nothing is chosen on the test images: the last epoch is the result. Raises: UnknownName, BadImages.
    """
    recipe, progress = recipe or recipe_of(source), progress or Silent()
    learning, held_out = parts(open_model(source), images, test, strict=strict, download=download, decoders=decoders)
    net = recipe.build(seed)
    if net.about.get("class_names") is None and learning.class_names:
        net.about["class_names"] = list(learning.class_names)
    (x, y), tested = arrays(learning, progress), arrays(held_out, progress)
    learner = Learner(net, softmax_cross_entropy, SGD(recipe.rate, recipe.momentum, recipe.weight_decay))
    settings = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)[1:]}
    started = time.perf_counter()
    with progress.bar(f"training {source}", recipe.epochs * -(-len(x) // recipe.batch_size), "steps") as advance:

        def after(learner: Learner, epoch: Epoch | None) -> None:
            if epoch is None:
                advance(1)
                return
            net.about["training"] = settings | {
                "seed": seed, "images": len(x), "done": epoch.number, "loss": epoch.loss, "accuracy": epoch.accuracy,
            }  # fmt: skip
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                net.export(out)

        learner.fit(x, y, recipe.epochs, recipe.batch_size, held_out=tested, seed=seed, watchers=[after],
                    prepare=normalisation(net), say=progress.say)  # fmt: skip
    seconds = time.perf_counter() - started
    if not recipe.epochs and out is not None:
        net.export(out)
    accuracy = learner.evaluate(*tested, prepare=normalisation(net))[1]
    low, high = wilson_interval(np.array(round(accuracy * len(tested[0]))), np.array(len(tested[0])))
    return TrainedNet(
        net=net, epochs=tuple(learner.history.epochs), accuracy=accuracy, interval=(float(low), float(high)),
        tested=len(tested[0]), trained_on=len(x), seconds=seconds, broken=learning.broken | held_out.broken,
    )  # fmt: skip


def arrays(images: Images, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """All labelled images that can be read, (N, C, H, W) uint8 or prepared already, and their labels (N,).

    Raises: BadImages if there are none.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    with progress.bar(f"reading {images.source}", len(images), "images") as advance:
        for places, pixels in images.batches(BATCH):
            found.append((np.asarray(places), np.asarray(pixels)))
            advance(len(places))
    places, pixels = (np.concatenate(part) for part in zip(*found, strict=True))
    known = images.labels[places] >= 0
    if not known.any():
        raise BadImages(f"No image of {images.source} has a label", "Training and testing need labelled images",
                        "Put the images into a folder a class")  # fmt: skip
    return pixels[known], images.labels[places][known]


def normalisation(net: Net) -> Callable[[np.ndarray], np.ndarray]:
    """What makes of pixels of 0 to 255 what a network takes; what is prepared already stays as it is."""
    mean, std = (np.array(net.about[key], np.float32)[:, None, None] for key in ("mean", "std"))

    def prepare(pixels: np.ndarray) -> np.ndarray:
        if pixels.dtype != np.uint8:
            return pixels.astype(np.float32)
        out: np.ndarray = (pixels.astype(np.float32) / 255 - mean) / std
        return out

    return prepare
