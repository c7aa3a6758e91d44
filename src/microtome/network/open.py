"""Open a network by name: torchvision's, timm's, the zoo's, that of a Python file, or a module of your own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from ..checks import known
from ..errors import BadModel
from .model import Model
from .sources.from_file import open_file
from .sources.from_module import wrap_module
from .sources.from_scratch import SUFFIX, open_scratch
from .sources.from_timm import open_timm
from .sources.from_torchvision import open_torchvision
from .sources.weights import RANDOM, load_weights, named, odd_numbers, same_random_weights
from .zoo import ZOO

__all__ = ("Model", "open_model")

SCHEMES = ("torchvision", "timm", "zoo", "file", "scratch")
WRITE = ("Write torchvision:NAME[@WEIGHTS], timm:NAME[@WEIGHTS], zoo:NAME[@WEIGHTS], file:PATH.py:FACTORY[@WEIGHTS], "
         "scratch:NAME or PATH.tnn")  # fmt: skip


def open_model(
    source: str | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] = (),
    trust_pickle: bool = False,
) -> Model:
    """Open `torchvision:`, `timm:` or `zoo:NAME[@WEIGHTS]`, `file:PATH.py:FACTORY[@WEIGHTS]`, `scratch:NAME`, the path
    of a .tnn file, or a module of yours.

    WEIGHTS is the path of a .safetensors, .pt, .pth, .bin or .ckpt file or, for torchvision and timm, DEFAULT or the
    name of a weights entry. No file of weights runs anything, unless `trust_pickle` says that it may. A Python file
    named with `file:` is run, and may say SIZE, MEAN, STD and CLASS_NAMES; for a module `size`, `mean`, `std` and
    `class_names` do. Default: 224 x 224, ImageNet's numbers, no names.
    Raises: UnknownName, BadModel.
    """
    if isinstance(source, nn.Module):
        opened = wrap_module(source, size=size, mean=mean, std=std, class_names=class_names)
        return replace(opened, notes=odd_numbers(source))
    if size is not None or mean is not None or std is not None or class_names:
        raise BadModel(
            f"{source!r} was given with a size, mean, std or class names of your own",
            "A network opened by name brings its own", "Leave them out, or pass the module itself",
        )  # fmt: skip
    opened = _open(source, trust_pickle)
    return replace(opened, notes=(*opened.notes, *odd_numbers(opened.module)))


def _open(source: str, trust_pickle: bool) -> Model:
    if source.endswith(SUFFIX):
        return open_scratch(source, source.removeprefix("scratch:"))
    scheme, _, rest = source.partition(":")
    known("Model scheme", scheme, SCHEMES, WRITE)
    if scheme == "file":
        return open_file(source, rest, trust_pickle)
    if scheme == "scratch":
        return open_scratch(source, rest)
    name, _, weights = rest.partition("@")
    if scheme == "zoo":
        return _open_zoo(source, name, weights, trust_pickle)
    return (open_torchvision if scheme == "torchvision" else open_timm)(source, name, weights, trust_pickle)


def _open_zoo(source: str, name: str, weights: str, trust_pickle: bool) -> Model:
    known("Zoo network", name, ZOO, "Write zoo:NAME or zoo:NAME@FILE.safetensors")
    entry = ZOO[name]
    with same_random_weights():
        module = entry.build().eval()
    cuts = load_weights(module, Path(weights), trust_pickle=trust_pickle) if weights else ()
    return Model(
        module=module, name=name, source=source, weights=named(weights, cuts) if weights else RANDOM,
        preprocessing=entry.preprocessing, preprocessing_from=f"zoo entry {name}", class_names=entry.class_names,
        cuts=cuts,
    )  # fmt: skip
