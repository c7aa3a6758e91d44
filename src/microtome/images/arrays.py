"""Images that lie in memory as one array or tensor, and .npz files that hold such arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import BadImages
from .collection import Images, content_mark, numbered_ids
from .files import as_array, as_picture, wrong_numbers
from .opening import Opening
from .preprocessing import MODES

PREPARED = (
    "floating point is taken as prepared: the network is given it as it is, and pictures are made by undoing mean and "
    "standard deviation, cut to 0..255"
)
NPZ = "An .npz file holds `images` (N, H, W), (N, H, W, C) or (N, C, H, W), and if you like labels, ids, class_names"


def open_array(
    images: Tensor | np.ndarray,
    opening: Opening,
    numbers: np.ndarray | None = None,
    *,
    source: str = "array",
    ids: Sequence[str] | None = None,
    classes: Sequence[str] = (),
) -> Images:
    """Images from one array: uint8 are pictures, floating point is prepared for the network.

    Shapes: images (N, C, H, W) or, where that cannot be meant, (N, H, W, C); numbers (N,), -1 where unknown.
    Raises: BadImages if the shape or the kind of numbers does not fit.
    """
    array = as_array(images)
    if array.ndim != 4 or len(array) == 0:
        raise BadImages(f"{source} has shape {array.shape}", "Images are (N, C, H, W) with one image or more",
                        "Add the axis that is missing")  # fmt: skip
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise wrong_numbers(source, array)
    prepared, preprocessing = array.dtype != np.uint8, opening.preprocessing
    array = _channels_first(array, source, opening)

    def read(place: int) -> np.ndarray:
        if prepared:
            return np.ascontiguousarray(array[place], dtype=np.float32)
        return preprocessing.geometry(as_picture(array[place]))

    return opening.settled(Images(
        source=source, ids=tuple(ids or numbered_ids(source.partition(":")[0], range(len(array)), len(array))),
        labels=np.full(len(array), -1) if numbers is None else numbers, class_names=tuple(classes),
        shape=preprocessing.shape, read=read, display=preprocessing.display if prepared else None,
        mark=lambda place: content_mark(array[place]), labelling="no labels: an array of images alone",
        notes=(PREPARED,) if prepared else (),
    ))  # fmt: skip


def _channels_first(array: np.ndarray, source: str, opening: Opening) -> np.ndarray:
    """Shapes: (N, C, H, W) or (N, H, W, C) -> (N, C, H, W)."""
    turned, wanted = array.transpose(0, 3, 1, 2), opening.preprocessing.shape
    for form in (array, turned):
        if form.shape[1:] == wanted or (array.dtype == np.uint8 and form.shape[1] in MODES):
            return form
    if array.dtype == np.uint8:
        raise BadImages(f"{source} has shape {array.shape}", "Pictures have 1 channel (grey) or 3 (colours)",
                        "Give floating point for other channels, prepared for the network")  # fmt: skip
    raise BadImages(
        f"{source} has shape {array.shape}", f"Floating point is prepared for the network, which takes (N, "
        f"{', '.join(map(str, wanted))})", "Resize it, or give uint8, which is resized here",
    )  # fmt: skip


def open_npz(path: str, opening: Opening) -> Images:
    """A NumPy archive with `images` and, if there are, `labels`, `ids` and `class_names`.

    Raises: BadImages if an array is missing or does not fit the others.
    """
    arrays = _read_npz(Path(path))
    name = Path(path).name
    images = arrays["images"]
    images = images[:, None] if images.ndim == 3 else images
    numbers = as_numbers(arrays["labels"], len(images), name) if "labels" in arrays else None
    ids, classes = ([str(item) for item in arrays.get(key, np.zeros(0)).reshape(-1)] for key in ("ids", "class_names"))
    if ids and (len(ids) != len(images) or len(set(ids)) != len(ids)):
        raise BadImages(f"{name} holds {len(set(ids)):,} different ids for {len(images):,} images",
                        "Every image has an id of its own", "Mend or leave out `ids`")  # fmt: skip
    ids = ids or list(numbered_ids("npz", range(len(images)), len(images)))
    return open_array(images, opening, numbers, source=name, ids=ids, classes=classes)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise BadImages(f"There is no file {str(path)!r}", NPZ, "Check the path")
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            names = [] if isinstance(loaded, np.ndarray) else loaded.files
            if "images" in names:
                return {key: loaded[key] for key in names if key in ("images", "labels", "ids", "class_names")}
    except Exception as error:  # NumPy and its ZIP reader raise a dozen kinds on damaged and hostile files
        raise BadImages(f"{path.name} cannot be read ({error})", NPZ + "; no Python objects",
                        "Write it with numpy.savez") from error  # fmt: skip
    raise BadImages(f"{path.name} holds {', '.join(names) or 'one array without a name'}, and no `images`", NPZ,
                    "Write it with numpy.savez(FILE, images=...)")  # fmt: skip


def as_numbers(labels: object, count: int, source: str) -> np.ndarray:
    """Labels that somebody gave as whole numbers: (N,) int64.

    Raises: BadImages if they are no whole numbers or not as many as images.
    """
    array = as_array(labels) if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (count,) or not np.issubdtype(array.dtype, np.integer):
        raise BadImages(
            f"The labels of {source} have shape {array.shape} and type {array.dtype}",
            f"Labels are whole numbers, one for each of its {count:,} images, -1 where unknown", "Mend the labels",
        )  # fmt: skip
    return array.astype(np.int64)
