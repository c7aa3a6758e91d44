"""Networks as files: a .tnn is a zip of plain arrays and a description of the layers. No code is in it, none is run."""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadModel
from .convolution import Conv2D
from .core import Layer, Parameter
from .layers import Dropout, Flatten, Linear, ReLU, Softmax
from .normalisation import BatchNorm2D
from .pooling import AvgPool2D, MaxPool2D

LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (Linear, Conv2D, MaxPool2D, AvgPool2D, BatchNorm2D, ReLU, Dropout, Flatten, Softmax)
}  # fmt: skip
DESCRIPTION, VERSION = "architecture.json", 1


def write(path: str | Path, layers: Sequence[Layer], about: Mapping[str, Any]) -> Path:
    """Write layers: settings, every array bit by bit, and what is said about them. The same again is the same file.

    Raises: BadModel for layers that are none of ours.
    """
    path = Path(path)
    strange = [layer for layer in layers if type(layer) is not LAYERS.get(layer.type)]
    if strange:
        raise BadModel(f"Layer {strange[0].name!r} is a {strange[0].type}", f"Files hold {', '.join(LAYERS)}",
                       "Save its `state_dict()` with numpy.savez")  # fmt: skip
    described = {
        "version": VERSION, "about": about,
        "layers": [{"type": layer.type, "name": layer.name, "settings": layer.settings()} for layer in layers],
    }  # fmt: skip
    waiting = path.with_name(path.name + ".part")
    with zipfile.ZipFile(waiting, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(DESCRIPTION), json.dumps(described, indent=1))
        for name, array in arrays_of(layers).items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return waiting.replace(path)


def read(path: str | Path) -> tuple[list[Layer], dict[str, Any]]:
    """The layers of a file, ready to be used, and what is said about them.

    Raises: BadModel for what is no such file, or one that holds anything else than plain arrays.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            described = json.loads(archive.read(DESCRIPTION))
            arrays = {name.removesuffix(".npy"): _array(archive, name)
                      for name in archive.namelist() if name != DESCRIPTION}  # fmt: skip
        if described["version"] != VERSION:
            raise _bad(path, f"it is of version {described['version']}, known is {VERSION}")
        layers = [_layer(path, each) for each in described["layers"]]
    except FileNotFoundError:
        raise BadModel(f"There is no file {path.name!r}", "A network is a .tnn file", "Check the path") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError) as error:
        raise _bad(path, f"{type(error).__name__}: {error}") from error
    expected = arrays_of(layers)
    if {name: array.shape for name, array in arrays.items()} != {name: each.shape for name, each in expected.items()}:
        raise _bad(path, "its arrays are not those of its layers")
    for layer in layers:
        for name, value in list(vars(layer).items()):
            if isinstance(value, Parameter):
                value.tensor = arrays[f"{layer.name}.{name}"]
            elif name in layer.buffers():
                setattr(layer, name, arrays[f"{layer.name}.{name}"])
    return [layer.eval() for layer in layers], dict(described.get("about") or {})


def arrays_of(layers: Iterable[Layer]) -> dict[str, np.ndarray]:
    """Parameters, then buffers, by layer and name: the arrays themselves."""
    layers = list(layers)
    found = {f"{layer.name}.{name}": each.tensor for layer in layers for name, each in layer.parameters().items()}
    return found | {f"{layer.name}.{name}": each for layer in layers for name, each in layer.buffers().items()}


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _layer(path: Path, described: dict[str, Any]) -> Layer:
    cls = LAYERS.get(described["type"])
    if cls is None:
        raise _bad(path, f"it has a layer of type {described['type']!r}; known are {', '.join(LAYERS)}")
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in described["settings"].items()}
    if set(settings) != set(cls.arguments):
        raise _bad(path, f"{described['type']} {described['name']!r} is described by other settings than it has")
    return cls(described["name"], **settings)


def _bad(path: Path, why: str) -> BadModel:
    return BadModel(f"{path.name} cannot be read as a network ({why})", "A .tnn file holds plain arrays and layers",
                    "Write it again with `Net.export`")  # fmt: skip
