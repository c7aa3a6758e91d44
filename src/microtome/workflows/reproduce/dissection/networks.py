"""The networks that are read: trained here with several seeds, and as they are before any training."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ....errors import BadImages, BadModel
from ....images.collection import Images
from ....network.open import Model, open_model
from ....network.training import Recipe
from ....network.zoo import ZOO
from ....progress import Progress
from ....runs.answers import digest
from ....store import tree_file, write_tree
from ...train import parts, save_weights, train_zoo
from ..parts import kept
from ..verdicts import share_of

NETWORK = "zoo:simpleconvnet_pruned"
PARAMETERS = 13_618  # of the document's last network: convolutions of 8, 16 and 24 channels, linear layers of 16 and 10
FIRST, SECOND, THIRD = "conv1", "conv2", "conv3"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the numbers. `seeds` networks are trained, from `seed` on; `untrained` are drawn; `images` are
    what rows are measured on, as many others are tested on; `omitted` those on which a layer is left out, `fine_tune`
    the steps of training around what stands in for it; `random` filters of noise stand beside the labelled ones. A wide
    network of `wide_epochs` is pruned in `rounds`, whose superstimuli climb for `climb` steps.
    """

    epochs: int = 4
    batch_size: int = 64
    rate: float = 2e-3
    seeds: int = 3
    seed: int = 0
    untrained: int = 100
    images: int = 500
    omitted: int = 1000
    fine_tune: int = 400
    random: int = 4000
    rounds: int = 7
    wide_epochs: int = 4
    climb: int = 32

    def recipe(self, seed: int) -> Recipe:
        """How one network is trained."""
        return Recipe(epochs=self.epochs, batch_size=self.batch_size, rate=self.rate, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Net:
    """One trained network: accuracy on images that had no part in the training, and what happened by epoch."""

    seed: int
    model: Model
    accuracy: dict[str, Any]
    history: dict[str, list[float]]
    reused: bool


@dataclass(frozen=True, kw_only=True)
class Nets:
    """All networks of one training set, and the images that none was trained on."""

    trained: tuple[Net, ...]
    held_out: Images
    learning: int
    mark: str


def trained_nets(images: str, settings: Settings, out: Path, progress: Progress) -> Nets:
    """Train every seed, or take from the folder what was trained there like this on these images.

    Raises: BadImages; BadModel if the network is not the document's.
    """
    model = open_model(NETWORK)
    if model.parameters != PARAMETERS:
        raise BadModel(f"{NETWORK} has {model.parameters:,} parameters", f"The document's has {PARAMETERS:,}",
                       "Mend its widths in the zoo")  # fmt: skip
    learning, held_out = parts(model, images, None, strict=False, download=False)
    mark = digest(learning.fingerprint, held_out.fingerprint)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    nets = tuple(_net(images, settings.recipe(seed), mark, out / f"net-{seed}", progress) for seed in seeds)
    return Nets(trained=nets, held_out=held_out, learning=len(learning), mark=mark)


def untrained_models(count: int, seed: int) -> Iterator[Model]:
    """The network with random weights as PyTorch draws them, with one seed after the other."""
    like = open_model(NETWORK)
    for number in range(count):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + seed + number)  # no seed of a training
            module = ZOO[like.name].build().eval()
        yield replace(like, module=module, weights=f"random ({number})")


def _net(images: str, recipe: Recipe, mark: str, stem: Path, progress: Progress) -> Net:
    key = json.dumps({"recipe": asdict(recipe), "images": mark}, sort_keys=True)
    weights, about = tree_file(stem), stem.with_name(f"{stem.name}-about")
    known = kept(about, key) if weights.is_file() else None
    if known is None:
        progress.say(f"training {NETWORK} with seed {recipe.seed}: {recipe}")
        made = train_zoo(NETWORK, images, recipe, progress=progress)
        save_weights(made.model, weights, recipe, made.accuracy)
        found = {"hits": round(made.accuracy * made.tested), "tested": made.tested,
                 "loss": made.trained.loss.tolist(), "validation": made.trained.validation.tolist()}  # fmt: skip
        write_tree(about, {"key": key, "found": found})
    else:
        progress.say(f"{weights.name} was trained like this on these images: it is used again")
        found = known
    return Net(seed=recipe.seed, model=open_model(f"{NETWORK}@{weights}"), reused=known is not None,
               accuracy=share_of(found["hits"], found["tested"]),
               history={name: found[name] for name in ("loss", "validation")})  # fmt: skip


def default_images() -> str:
    """MNIST among the shared data.

    Raises: BadImages if nothing says where these are.
    """
    home = os.environ.get("MICROTOME_DATA")
    if not home:
        raise BadImages("Neither --images nor MICROTOME_DATA says where MNIST is", "--images takes mnist:DIR or digits",
                        "Give --images mnist:DIR, where DIR holds MNIST/raw")  # fmt: skip
    return f"mnist:{home}"
