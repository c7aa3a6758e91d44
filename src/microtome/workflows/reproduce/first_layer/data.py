"""The pictures: the set that is trained on, and others beside it, all 32 pixels a side."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import BadImages
from ....images.collection import Images
from ....images.sources import open_images
from ....network.training import in_memory
from ....network.zoo import CIFAR_PROFILES
from ....runs.answers import digest
from ....store import read_tree
from ..parts import Parts
from .settings import OWN, RANDOM, Settings

CLASSES = 10  # of random labels where there is one image a class
FEWEST = 20  # images of a class, below which its name cannot be learnt
ALLOWED = "It is a folder with train and test, each with one folder of images a class, as CIFAR-10 unpacks"
OTHERS = {"cats": "cats1200/train", "photographs": "imagenet500"}  # among the shared data
WEIGHTS = {
    **{name: f"{name}_cifar10.safetensors" for name in ("resnet20", "resnet32", "resnet44")},
    "squeezenet1_0": "squeezenet1_0_imagenet.safetensors",
}


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What is learnt from and tested on. Shapes: pixels (N, 3, 32, 32) uint8, labels (N,); of those held out (n, ...).

    `random_only`: labels that nobody can learn, one image each.
    """

    pixels: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray
    names: tuple[str, ...]

    @property
    def classes(self) -> int:
        """What a network answers: as many classes as there are, if these can be learnt."""
        return len(self.names) if len(self.pixels) >= FEWEST * len(self.names) else CLASSES

    @property
    def labels_to_learn(self) -> str:
        """Random ones, where there are too few images a class to learn the true ones from."""
        return "true" if self.classes == len(self.names) else RANDOM


@dataclass(frozen=True, kw_only=True)
class Data:
    """All data sets, by name, as files that every process can read; `mark` changes with any of them."""

    sets: Mapping[str, Pictures]
    files: Mapping[str, Path]
    mark: str

    def __getitem__(self, name: str) -> Pictures:
        return self.sets[name]


def read_pictures(stem: Path) -> Pictures:
    """What `gather` has written. Raises: BadRun."""
    found = read_tree(stem)["found"]
    return Pictures(names=tuple(found.pop("names")), **found)


def gather(folder: Path, others: Mapping[str, Path], settings: Settings, known: Path, progress: Any) -> Data:
    """Read all images once, and keep their pixels.

    Raises: BadImages for a folder without train and test.
    """
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise BadImages(f"There is no folder {part!r} in {folder.name!r}", ALLOWED, "Give it with --images DIR")
    sets = {OWN: _limited(folder / "train", settings.images, settings.seed)}
    tests = {OWN: _limited(folder / "test", settings.held_out, settings.seed)}
    if sets[OWN].class_names != tests[OWN].class_names:
        raise BadImages(f"train and test of {folder.name!r} hold other classes", ALLOWED, "Give it with --images DIR")
    for name, path in others.items():
        tests[name], sets[name] = open_images(path, CIFAR_PROFILES).split("held out", 0.1, settings.seed)
    marks = [[name, sets[name].fingerprint, tests[name].fingerprint] for name in sets]
    for name, images in sets.items():
        held_out = tests[name]
        Parts(known, [name, *marks], progress)(
            f"pixels-{name}",
            f"reading {len(images) + len(held_out):,} images of {images.source}",
            lambda images=images, held_out=held_out: _pixels(images, held_out),  # type: ignore[misc]
        )
    files = {name: known / f"pixels-{name}" for name in sets}
    return Data(sets={name: read_pictures(path) for name, path in files.items()}, files=files, mark=digest(*marks))


def _limited(folder: Path, count: int, seed: int) -> Images:
    images = open_images(folder, CIFAR_PROFILES)
    if (images.labels < 0).any():
        raise BadImages(f"Images of {images.source} have no classes ({images.labelling})", ALLOWED,
                        "Give a folder with --images DIR")  # fmt: skip
    return images.limit(count, seed) if count else images


def _pixels(images: Images, held_out: Images) -> dict[str, Any]:
    learnt, asked = in_memory(images), in_memory(held_out)
    return {"pixels": learnt[0].numpy(), "labels": learnt[1].numpy(), "held_out": asked[0].numpy(),
            "held_out_labels": asked[1].numpy(), "names": list(images.class_names)}  # fmt: skip


def default_folder() -> Path:
    """CIFAR-10 among the shared data.

    Raises: BadImages if nothing says where these are.
    """
    home = shared()
    if home is None:
        raise BadImages("Neither --images nor MICROTOME_DATA says where CIFAR-10 is", ALLOWED,
                        "Give the folder with --images DIR")  # fmt: skip
    return home / "cifar10"


def shared() -> Path | None:
    """The folder of the shared data, if one is named."""
    home = os.environ.get("MICROTOME_DATA")
    return Path(home) if home else None


def shared_sets() -> dict[str, Path]:
    """The data sets to compare with that are among the shared data, by name."""
    return _there(OTHERS)


def shared_weights() -> dict[str, Path]:
    """The trained networks that are among the shared data, by name."""
    return _there(WEIGHTS)


def _there(wanted: Mapping[str, str]) -> dict[str, Path]:
    home = shared()
    paths = {} if home is None else {name: home / path for name, path in wanted.items()}
    return {name: path for name, path in paths.items() if path.exists()}
