"""One picture: from a file or from memory to the pixels of a network's geometry."""

import warnings
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import BadImages
from .preprocessing import MODES, Preprocessing

ONE_AT_A_TIME = Lock()  # Python's list of warning filters belongs to all threads


def read_picture(path: Path, preprocessing: Preprocessing) -> np.ndarray:
    """A file as people are shown it (see `Preprocessing.geometry`). Shapes: -> (C, H, W) uint8.

    Raises: OSError or another error of Pillow if it cannot be read.
    """
    try:
        return _read(path, preprocessing)
    except Warning:
        # Pillow warns of large images and of bad metadata; whether warnings are errors must not change what is read
        with ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(path, preprocessing)


def _read(path: Path, preprocessing: Preprocessing) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return preprocessing.geometry(image)
    except UnidentifiedImageError as error:
        # Pillow's own text names the path, which is another on every machine
        raise OSError("no image that Pillow can identify" if path.stat().st_size else "the file is empty") from error


def as_pixels(image: object, preprocessing: Preprocessing) -> np.ndarray:
    """An image in memory as the network's preprocessing wants it.

    A PIL image or 8-bit numbers are a picture and are resized and cropped; floating point is prepared for the network
    already and stays as it is (in float32).
    Shapes: (C, H, W), (H, W) or (H, W, C) -> (C, H, W) uint8 or float32.
    Raises: BadImages if it is something else, or prepared in another shape.
    """
    if isinstance(image, Image.Image):
        return preprocessing.geometry(image)
    if not isinstance(image, Tensor | np.ndarray):
        raise BadImages(
            f"An image is a {type(image).__name__}",
            "It is a PIL image, a uint8 tensor or array, or a tensor of floating point prepared for the network",
            "Have the data set return one of these, alone or first in a tuple",
        )
    array = as_array(image)
    if array.dtype == np.uint8:
        return preprocessing.geometry(as_picture(_channels_first(array)))
    if np.issubdtype(array.dtype, np.floating):
        return _prepared(array, preprocessing)
    raise wrong_numbers("An image", array)


def as_array(values: Tensor | np.ndarray) -> np.ndarray:
    """The numbers of a tensor on any device, half precision as single, which NumPy knows."""
    if isinstance(values, np.ndarray):
        return values
    plain = values.detach().cpu()
    return (plain.float() if plain.dtype in (torch.bfloat16, torch.float16) else plain).numpy()


def wrong_numbers(what: str, array: np.ndarray) -> BadImages:
    """The error for numbers that are neither 8-bit nor floating point."""
    return BadImages(
        f"{what} holds numbers of type {array.dtype}",
        "uint8 is a picture; floating point is prepared for the network", "Convert it to one of these",
    )  # fmt: skip


def _prepared(array: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    wanted = preprocessing.shape
    if array.shape != wanted and array.ndim == 3 and array.transpose(2, 0, 1).shape == wanted:
        array = array.transpose(2, 0, 1)
    if array.shape != wanted:
        raise BadImages(
            f"A prepared image has shape {array.shape}", f"The network takes {wanted}, channels first",
            "Resize it as the network wants it, or give uint8, which is resized here",
        )  # fmt: skip
    return np.ascontiguousarray(array, dtype=np.float32)


def as_picture(array: np.ndarray) -> Image.Image:
    """A PIL image of 8-bit numbers. Shapes: (1 or 3, H, W)."""
    return Image.fromarray(np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)))


def _channels_first(array: np.ndarray) -> np.ndarray:
    """Shapes: (H, W), (1 or 3, H, W) or (H, W, 1 or 3) -> (1 or 3, H, W)."""
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3 and array.shape[0] in MODES:
        return array
    if array.ndim == 3 and array.shape[2] in MODES:
        return array.transpose(2, 0, 1)
    raise BadImages(f"A picture has shape {array.shape}", "Pictures are (C, H, W) or (H, W, C) with 1 or 3 channels",
                    "Give floating point for other channels, prepared for the network")  # fmt: skip
