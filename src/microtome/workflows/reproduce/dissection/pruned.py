"""Seven rounds from a wide network to the document's last widths, beside the smallest weights and random channels."""

from pathlib import Path
from typing import Any

import numpy as np

from ....network.open import Model, open_model
from ....network.training import Recipe
from ....progress import Progress
from ...prune.prune import prune
from ...prune.settings import Arm
from ...prune.settings import Settings as Pruning
from ...train import train_zoo
from .networks import Settings

WIDE = "zoo:simpleconvnet"
TARGET = "conv1=8,conv2=16,conv3=24,fc4=16"  # the document's last widths
BATCH = 128
EPOCHS, LAST = 1, 2  # of retraining after every round, and further ones after the last
BESIDE: tuple[Arm, ...] = ("magnitude", "random")


def pruning(settings: Settings, seed: int) -> Pruning:
    """How one network is pruned."""
    return Pruning(rounds=settings.rounds, target=TARGET, epochs=EPOCHS, last=LAST, baselines=BESIDE, seed=seed,
                   climb=settings.climb)  # fmt: skip


def base(settings: Settings, seed: int) -> Recipe:
    """How it is trained before; the document does not say how its own was."""
    return Recipe(epochs=settings.wide_epochs, batch_size=BATCH, seed=seed)


def measure_pruned(images: str, settings: Settings, out: Path, progress: Progress) -> dict[str, Any]:
    """Every seed trained wide and pruned; what is in the folder is not done again. One entry a network.

    Raises: BadImages, RunFailed.
    """
    found = []
    for each in range(settings.seed, settings.seed + settings.seeds):
        folder = out / "pruned" / f"seed-{each}"
        made = prune(wide(images, base(settings, each), folder / "wide.safetensors", progress), images,
                     out=folder / "slim", settings=pruning(settings, each), progress=progress)  # fmt: skip
        of = made.certificate
        found.append({
            "seed": each, "images": of.images, "arms": list(of.arms), "parameters": of.parameters, "macs": of.macs,
            "before": of.before, "after": of.after, "apart": of.apart, "time": of.time,
            "why": [list(texts) for texts in of.why], "difference": of.difference,
            "recovered": _from_the_wide(of.after),
        })  # fmt: skip
    return {
        "networks": found,
        "rounds": settings.rounds,
        "epochs": EPOCHS,
        "last": LAST,
        "base": str(base(settings, settings.seed)),
    }


def _from_the_wide(after: np.ndarray) -> float:
    """Points between the pruned network's last accuracy and that of the network as it came."""
    return float(100 * (after[0, -1, 0] - after[0, 0, 0]))


def wide(images: str, recipe: Recipe, path: Path, progress: Progress) -> Model:
    """The network as it is before pruning, trained here or taken from the folder."""
    if not path.exists():
        train_zoo(WIDE, images, recipe, out=path, progress=progress)
    return open_model(f"{WIDE}@{path}")
