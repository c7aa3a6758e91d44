"""Open image sets by what the user gives: a folder, SCHEME:PATH, or an object of their own."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..checks import known
from ..errors import BadImages, UsageError
from ..factories import made_by
from .arrays import open_npz
from .collection import DECODERS, Images
from .datasets import open_object
from .folders import open_folder
from .opening import Opening
from .preprocessing import Preprocessing
from .standard import STANDARD_SETS, open_digits, open_standard


def open_images(
    source: object,
    preprocessing: Preprocessing,
    class_names: Sequence[str] = (),
    split: str = "test",
    class_map: Mapping[str, int | str] | None = None,
    *,
    labels: object = None,
    strict: bool = False,
    download: bool = False,
    decoders: int = DECODERS,
) -> Images:
    """Open a folder, `SCHEME:PATH`, or an object (see `open_object`), in the geometry of a network.

    `class_names` are the network's; a source's classes are matched with them, or by `class_map` from folder or class
    to class index or name. `split` is train or test where the source has two; `labels` go with objects alone.
    Raises: BadImages, UnknownName, UsageError.
    """
    opening = Opening(
        preprocessing=preprocessing, class_names=tuple(class_names), split=split, class_map=class_map, strict=strict,
        download=download, decoders=decoders,
    )  # fmt: skip

    def again(other: Preprocessing) -> Images:
        return _opened(source, dataclasses.replace(opening, preprocessing=other), labels)

    return dataclasses.replace(_opened(source, opening, labels), again=again)


def _opened(source: object, opening: Opening, labels: object) -> Images:
    scheme, colon, rest = source.partition(":") if isinstance(source, str) else ("", "", "")
    if opening.download and scheme not in STANDARD_SETS:
        raise UsageError(f"{source} was given with --download", f"Fetched are: {_named(STANDARD_SETS)}",
                         "Leave --download out")  # fmt: skip
    if not isinstance(source, str | Path):
        return open_object(source, opening, labels)
    if labels is not None:
        raise UsageError(f"{source} was given with labels", "Labels go with tensors, arrays, lists and data sets",
                         "Leave them out, or give a class map")  # fmt: skip
    if scheme in SCHEMES or (colon and len(scheme) > 1 and not Path(source).exists()):
        known("Image source", scheme, (*SCHEMES, "a folder"), "Give a folder, or SCHEME:PATH")
        return SCHEMES[scheme](rest, opening)
    if not Path(source).is_dir():
        raise BadImages(
            f"There is no folder {str(source)!r}", f"Images come from a folder or from {_named(SCHEMES)}",
            "Check the path",
        )  # fmt: skip
    return open_folder(Path(source), opening)


def has_parts(source: object) -> bool:
    """Whether a source brings a part to train on and one to test on."""
    return isinstance(source, str) and source.partition(":")[0] in STANDARD_SETS


def _of_factory(address: str, opening: Opening) -> Images:
    return open_object(made_by(address, BadImages), opening)


def _named(schemes: Mapping[str, object]) -> str:
    return ", ".join(f"{scheme}:" for scheme in schemes)


SCHEMES: dict[str, Callable[[str, Opening], Images]] = {
    "digits": open_digits, **{scheme: open_standard(scheme) for scheme in STANDARD_SETS}, "npz": open_npz,
    "file": _of_factory,
}  # fmt: skip
