"""The images: to train on, held aside of those, and to validate on; all small, all in memory."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import BadImages
from ...images.folders import SUFFIXES

CLASSES = ("other", "cat")
OTHER, CAT = 0, 1
FOLDER = "cats1200"
SMALLEST = 16  # pixels of a side: four pools halve it four times
ALLOWED = "It is a folder with train/cat, train/other, val/cat and val/other, each with images in it"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some images. Shapes: images (N, 3, side, side) uint8; labels (N,), 1 for a cat; files in the same order."""

    images: np.ndarray
    labels: np.ndarray
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: np.ndarray) -> "Part":
        """Those at these places."""
        return Part(images=self.images[places], labels=self.labels[places],
                    files=tuple(self.files[int(place)] for place in places))  # fmt: skip

    def of(self, label: int) -> "Part":
        """Those of one class."""
        return self.take(np.flatnonzero(self.labels == label))


@dataclass(frozen=True, kw_only=True)
class Cats:
    """What is trained on, what is held aside of the training images, and the validation images, which choose nothing.

    `mark` is a short hash of the pixels and of which image plays which part.
    """

    train: Part
    aside: Part
    validation: Part
    mark: str


def default_folder() -> Path:
    """Where the images are unless one says so. Raises: BadImages if nobody did."""
    shared = os.environ.get("MICROTOME_DATA")
    if not shared:
        raise BadImages("Neither --images nor MICROTOME_DATA says where the cats are", ALLOWED,
                        "Give the folder with --images DIR")  # fmt: skip
    return Path(shared) / FOLDER


def read_cats(folder: Path, side: int, aside: int, seed: int) -> Cats:
    """Read both parts, every image squeezed to a square as in the document; hold some of each class aside, by seed.

    At most a quarter of a class is held aside. Raises: BadImages.
    """
    if side < SMALLEST:
        raise BadImages(f"A side of {side} pixels was asked for", f"Four pools need {SMALLEST} or more",
                        "Take a larger --side")  # fmt: skip
    learning, validation = (_read(folder, part, side) for part in ("train", "val"))
    random = np.random.default_rng(seed)
    held = np.zeros(len(learning), bool)
    for label in (OTHER, CAT):
        places = np.flatnonzero(learning.labels == label)
        held[random.permutation(places)[: min(aside, len(places) // 4)]] = True
    digest = hashlib.blake2b(held.tobytes(), digest_size=8)
    for part in (learning, validation):
        digest.update(part.images.tobytes() + part.labels.tobytes())
    return Cats(train=learning.take(np.flatnonzero(~held)), aside=learning.take(np.flatnonzero(held)),
                validation=validation, mark=digest.hexdigest())  # fmt: skip


def scaled(images: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Bytes as numbers from 0 to 1, which is all that the document does to them."""
    return images.astype(dtype) / dtype(255)


def squeezed(path: Path, side: int) -> np.ndarray:
    """A file as a square. Shapes: -> (3, side, side) uint8. Raises: BadImages if it cannot be read."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    except OSError as error:
        raise BadImages(f"{path.name} cannot be read ({type(error).__name__})", "Every image is trained or tested on",
                        "Remove or replace it") from error  # fmt: skip
    return np.asarray(small).transpose(2, 0, 1).copy()


def _read(folder: Path, part: str, side: int) -> Part:
    files, labels = [], []
    for label, name in enumerate(CLASSES):
        found = sorted(path for path in (folder / part / name).glob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise BadImages(f"There are no images in {part}/{name} of {str(folder)!r}", ALLOWED,
                            "Give the folder with --images DIR")  # fmt: skip
        files += found
        labels += [label] * len(found)
    return Part(images=np.stack([squeezed(path, side) for path in files]), labels=np.array(labels), files=tuple(files))
