"""One picture, however it is given: an index into a set, a file, a Pillow image, an array, the name of a stimulus."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import BadImages
from ..formulas.stimuli import STIMULI, stimulus
from .collection import Images
from .preprocessing import Preprocessing

SCHEME = "stimulus:"  # may stand in front of a stimulus' name, where the name could be a file's

Given = int | np.integer | str | Path | Image.Image | np.ndarray


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A display image with a name. Shapes: pixels (C, H, W) uint8 in the geometry of one network."""

    name: str
    pixels: np.ndarray


def open_picture(given: Given, preprocessing: Preprocessing, images: Images | None = None) -> Picture:
    """A picture in the geometry of a network.

    An index counts in `images`. An array is (C, H, W) in the network's own geometry, such as `images[3]`, or
    (H, W, 3) or (H, W) of any size; both uint8.
    Raises: BadImages, UnknownName for a stimulus that does not exist.
    """
    if isinstance(given, (int, np.integer)):
        return _of_set(int(given), images)
    if isinstance(given, np.ndarray):
        return Picture(name="array", pixels=_of_array(given, preprocessing))
    if isinstance(given, Image.Image):
        return Picture(name="picture", pixels=preprocessing.geometry(given))
    text = str(given)
    if text.startswith(SCHEME) or text in STIMULI:
        name = text.removeprefix(SCHEME)
        return Picture(name=name, pixels=stimulus(name, preprocessing.size, preprocessing.channels))
    try:
        with Image.open(text) as image:
            return Picture(name=Path(text).name, pixels=preprocessing.geometry(image))
    except (OSError, UnidentifiedImageError) as error:
        raise BadImages(
            f"{text!r} cannot be opened as an image ({type(error).__name__})",
            f"A picture is an image file or a stimulus: {', '.join(STIMULI)}",
            "Check the path, or write a stimulus like stimulus:line:45",
        ) from error


def _of_set(place: int, images: Images | None) -> Picture:
    if images is None:
        raise BadImages(f"Picture {place} was given without images", "A number is a place in an image set",
                        "Pass the set as images=..., or its picture as images[3]")  # fmt: skip
    if not 0 <= place < len(images):
        raise BadImages(f"There is no picture {place} in {images.source}",
                        f"Its places are 0 to {len(images) - 1}", "Give one of them")  # fmt: skip
    return Picture(name=images.ids[place], pixels=images[place])


def _of_array(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    if array.dtype == np.uint8 and array.shape == preprocessing.shape:
        return array
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.ndim == 3 and array.shape[2] != 3:
        raise BadImages(
            f"The array has shape {array.shape} and type {array.dtype}",
            f"A picture is uint8 of shape {preprocessing.shape}, (H, W, 3) or (H, W)",
            "Convert it, for instance with (255 * array).astype(np.uint8)",
        )
    return preprocessing.geometry(Image.fromarray(array))
