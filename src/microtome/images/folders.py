"""Folders of images, and lists of image files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import BadImages
from .collection import Images
from .files import read_picture
from .labels import map_labels, read_labels
from .opening import Opening

MARKED_BYTES = 4096  # at either end

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))
PARTS = frozenset(("train", "test", "val", "valid", "validation"))  # names of a data set's parts


def open_folder(folder: Path, opening: Opening) -> Images:
    """A folder of images, flat or one sub-folder a class; `labelling` says where its labels come from.

    Raises: BadImages.
    """
    files = sorted(
        (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and _is_file(path)),
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
        read_labels(names, opening.class_names)
        if opening.class_map is None
        else map_labels(names, opening.class_names, opening.class_map)
    )
    folders = tuple(sorted({name.partition("/")[0] for name in names if "/" in name}))
    return Images(
        source=_short(folder), ids=tuple(names), labels=labels, class_names=opening.class_names or folders,
        shape=opening.preprocessing.shape, read=lambda place: read_picture(files[place], opening.preprocessing),
        mark=lambda place: _mark(files[place]), labelling=labelling, strict=opening.strict, decoders=opening.decoders,
    )  # fmt: skip


def open_files(paths: Sequence[str | Path], opening: Opening, numbers: np.ndarray | None = None) -> Images:
    """Image files one by one, called by their paths below the folder that holds all of them."""
    files = [Path(path).absolute() for path in paths]
    common = Path(os.path.commonpath([path.parent for path in files]))
    return opening.settled(Images(
        source=_short(common), ids=tuple(path.relative_to(common).as_posix() for path in files),
        labels=np.full(len(files), -1) if numbers is None else numbers, class_names=(),
        shape=opening.preprocessing.shape, read=lambda place: read_picture(files[place], opening.preprocessing),
        mark=lambda place: _mark(files[place]), labelling="no labels: a list of files",
    ))  # fmt: skip


def _is_file(path: Path) -> bool:
    """Whether this is a file, or a link that leads nowhere: an image that is missed, and said to be broken."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _mark(path: Path) -> bytes:
    """Size, beginning and end of a file: enough to notice that it is another one, without reading all of it."""
    if not path.is_file():
        return b"none"
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        content = file.read(MARKED_BYTES)
        file.seek(max(0, size - MARKED_BYTES))
        content += file.read(MARKED_BYTES)
    return str(size).encode() + hashlib.blake2b(content, digest_size=8).digest()


def _short(folder: Path) -> str:
    """A folder's name, with its parent's where the name alone says too little."""
    return "/".join(folder.parts[-2:]) if folder.name in PARTS else folder.name
