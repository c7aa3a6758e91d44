"""Open image sets by name: folders, MNIST's files, scikit-learn's digits."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .checks import known
from .errors import BadImages
from .images import Images, wrap
from .preprocessing import Preprocessing

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))
PARTS = frozenset(("train", "test", "val", "valid", "validation"))  # names of a data set's parts
DIGITS_SIDE = 28  # scikit-learn's digits are 8 x 8; networks for handwritten digits take MNIST's size


def open_images(
    source: str,
    preprocessing: Preprocessing,
    class_names: Sequence[str] = (),
    split: str = "test",
    class_map: Mapping[str, int | str] | None = None,
) -> Images:
    """Open `digits`, `mnist:DIR` or a folder of images, in the geometry of a network.

    `class_names` are the network's; a folder's classes are matched with them, or by `class_map` from folder to class
    index or name. `split` is train or test where the source has two.
    Raises: BadImages.
    """
    scheme, colon, rest = source.partition(":")
    if source in SCHEMES or (colon and len(scheme) > 1 and not Path(source).exists()):
        known("Image source", scheme, (*SCHEMES, "a folder"), "Give a folder, or SCHEME:PATH")
        return SCHEMES[scheme](rest, preprocessing, split)
    return open_folder(Path(source), preprocessing, class_names, class_map)


def open_digits(_rest: str, preprocessing: Preprocessing, _split: str) -> Images:
    """The 1,797 handwritten digits that come with scikit-learn (8 x 8 pixels), enlarged to 28 x 28."""
    from sklearn.datasets import load_digits

    data = load_digits()
    small = np.round(data.images * (255 / 16)).astype(np.uint8)
    size = (DIGITS_SIDE, DIGITS_SIDE)
    large = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in small])
    return wrap("digits", large, data.target, [str(digit) for digit in range(10)], preprocessing)


def open_mnist(folder: str, preprocessing: Preprocessing, split: str) -> Images:
    """MNIST as torchvision's reader finds it in a folder."""
    from torchvision.datasets import MNIST

    known("Split", split, ("train", "test"), "Give the split as train or test")
    try:
        data = MNIST(folder, train=split == "train", download=False)
    except RuntimeError as error:
        raise BadImages(
            f"There is no MNIST in {folder!r}",
            "mnist:DIR needs DIR/MNIST/raw with the four files of the data set",
            "Give the folder that you gave to torchvision.datasets.MNIST",
        ) from error
    return wrap("mnist", data.data.numpy(), data.targets.numpy(), [str(digit) for digit in range(10)], preprocessing)


SCHEMES: dict[str, Callable[[str, Preprocessing, str], Images]] = {"digits": open_digits, "mnist": open_mnist}


def open_folder(
    folder: Path,
    preprocessing: Preprocessing,
    class_names: Sequence[str],
    class_map: Mapping[str, int | str] | None = None,
) -> Images:
    """A folder of images, flat or one sub-folder a class."""
    if not folder.is_dir():
        raise BadImages(
            f"There is no folder {str(folder)!r}",
            f"Images come from a folder or from {', '.join(f'{scheme}:' for scheme in SCHEMES)}",
            "Check the path",
        )
    files = sorted(
        (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()),
        key=lambda path: path.relative_to(folder).as_posix(),
    )
    if not files:
        raise BadImages(
            f"Folder {str(folder)!r} holds no images",
            f"An image ends in {', '.join(sorted(SUFFIXES))}",
            "Check the path",
        )
    names = [path.relative_to(folder).as_posix() for path in files]
    labels, labelling = (
        read_labels(names, class_names) if class_map is None else map_labels(names, class_names, class_map)
    )
    folders = tuple(sorted({name.partition("/")[0] for name in names if "/" in name}))

    def read(place: int) -> np.ndarray:
        with Image.open(files[place]) as image:
            return preprocessing.geometry(image)

    return Images(
        source=_short(folder), ids=tuple(names), labels=labels, class_names=tuple(class_names) or folders,
        shape=preprocessing.shape, read=read, labelling=labelling,
    )  # fmt: skip


def read_labels(names: Sequence[str], class_names: Sequence[str]) -> tuple[np.ndarray, str]:
    """Labels of files by the first rule that fits, and the rule in words.

    1. Sub-folders named like the network's classes. 2. A class index in front of every file's name. 3. As many
    sub-folders as the network has classes (or no classes known), in alphabetical order. Else there are no labels.
    """
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    classes = {_plain(name): index for index, name in enumerate(class_names)}
    none = np.full(len(names), -1, dtype=np.int64)
    if not folders or any("/" not in name for name in names):
        return none, "no labels: the images do not lie in one folder a class"
    if all(_plain(folder) in classes for folder in folders):
        index = {folder: classes[_plain(folder)] for folder in folders}
        return _by_folder(names, index), f"labels by folder name, {len(folders)} of {len(class_names)} classes"
    found = [re.match(r"(\d+)_", name.rpartition("/")[2]) for name in names]
    numbers = [int(match[1]) for match in found if match]
    one_per_folder = len(set(zip((n.partition("/")[0] for n in names), numbers, strict=False))) == len(folders)
    if len(numbers) == len(names) and class_names and max(numbers) < len(class_names) and one_per_folder:
        text = (
            f"labels by the class index in front of the file names, {len(set(numbers))} of {len(class_names)} classes"
        )
        return np.array(numbers, dtype=np.int64), text
    if not class_names or len(folders) == len(class_names):
        index = {folder: place for place, folder in enumerate(folders)}
        return _by_folder(names, index), f"labels by folder in alphabetical order, {len(folders)} classes"
    return none, f"no labels: {len(folders)} folders match neither names nor number of the {len(class_names)} classes"


def map_labels(
    names: Sequence[str], class_names: Sequence[str], class_map: Mapping[str, int | str]
) -> tuple[np.ndarray, str]:
    """Labels by a map from folder to class index or name; folders that it leaves out have none.

    Raises: BadImages if it names a folder or a class that does not exist.
    """
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    index: dict[str, int] = dict.fromkeys(folders, -1)
    for folder, label in class_map.items():
        place = class_names.index(label) if label in class_names else label
        if folder not in index or not isinstance(place, int) or not 0 <= place < (len(class_names) or place + 1):
            raise BadImages(
                f"The class map sends {folder!r} to {label!r}",
                f"It maps folders ({', '.join(folders[:6])}, ...) to class names or numbers from 0"
                + (f" to {len(class_names) - 1}" if class_names else ""),
                "Mend this entry",
            )
        index[folder] = place
    labels = np.array([index.get(name.partition("/")[0], -1) for name in names], dtype=np.int64)
    return labels, f"labels by the class map, {sum(place >= 0 for place in index.values())} of {len(folders)} folders"


def _by_folder(names: Sequence[str], index: dict[str, int]) -> np.ndarray:
    return np.array([index[name.partition("/")[0]] for name in names], dtype=np.int64)


def _short(folder: Path) -> str:
    """A folder's name, with its parent's where the name alone says too little."""
    return "/".join(folder.parts[-2:]) if folder.name in PARTS else folder.name


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").strip()
