"""Image sets that everybody knows: scikit-learn's digits, and those of which torchvision has a reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..checks import known
from ..errors import BadImages
from .collection import Images, wrap
from .opening import Opening

DIGITS_SIDE = 28  # scikit-learn's digits are 8 x 8; networks for handwritten digits take MNIST's size
DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True, kw_only=True)
class StandardSet:
    """One of torchvision's sets: its name there, the files that its folder needs, and its class names.

    CIFAR-10's files are pickles; torchvision opens none of which the checksum is not the published one.
    """

    name: str
    needs: str
    class_names: Sequence[str] = ()


STANDARD_SETS = {
    "mnist": StandardSet(name="MNIST", needs="MNIST/raw with the four files of the data set", class_names=DIGITS),
    "fashionmnist": StandardSet(name="FashionMNIST", needs="FashionMNIST/raw with the four files of the data set"),
    "cifar10": StandardSet(name="CIFAR10", needs="cifar-10-batches-py with the files of the data set"),
}


def open_digits(_rest: str, opening: Opening) -> Images:
    """The 1,797 handwritten digits that come with scikit-learn (8 x 8 pixels), enlarged to 28 x 28."""
    from sklearn.datasets import load_digits

    data = load_digits()
    small = np.round(data.images * (255 / 16)).astype(np.uint8)
    size = (DIGITS_SIDE, DIGITS_SIDE)
    large = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in small])
    return opening.settled(wrap("digits", large, data.target, DIGITS, opening.preprocessing))


def open_standard(scheme: str) -> Callable[[str, Opening], Images]:
    """What opens `mnist:DIR`, `fashionmnist:DIR` or `cifar10:DIR`; ids say the part, such as `mnist-test/00012`."""

    def open_part(folder: str, opening: Opening) -> Images:
        known("Split", opening.split, ("train", "test"), "Give the split as train or test")
        data = _of_torchvision(scheme, folder, opening)
        names = STANDARD_SETS[scheme].class_names or data.classes
        pixels, numbers = np.asarray(data.data), np.asarray(data.targets)
        return opening.settled(wrap(f"{scheme}-{opening.split}", pixels, numbers, names, opening.preprocessing))

    return open_part


def _of_torchvision(scheme: str, folder: str, opening: Opening) -> Any:
    from torchvision import datasets

    wanted = STANDARD_SETS[scheme]
    try:
        return getattr(datasets, wanted.name)(folder, train=opening.split == "train", download=opening.download)
    except (RuntimeError, OSError, ValueError, AssertionError) as error:  # what its readers and its downloads raise
        if opening.download:
            raise BadImages(
                f"{wanted.name} could not be fetched into {folder!r} ({str(error).strip()})",
                "--download needs a network and a folder that can be written",
                f"Fetch it elsewhere and copy it: {scheme}:DIR needs DIR/{wanted.needs}",
            ) from error
        missing = isinstance(error, RuntimeError)
        raise BadImages(
            f"There is no {wanted.name} in {folder!r}"
            if missing else f"{wanted.name} in {folder!r} cannot be read ({error})",
            f"{scheme}:DIR needs DIR/{wanted.needs}",
            f"Give the folder that you gave to torchvision.datasets.{wanted.name}, or fetch it with --download",
        ) from error  # fmt: skip
