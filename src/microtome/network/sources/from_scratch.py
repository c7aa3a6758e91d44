"""Networks of `microtome.scratch`, looked at as their like in PyTorch."""

from pathlib import Path
from typing import Any

from ...checks import known
from ...errors import BadModel
from ...images.preprocessing import Preprocessing
from ...scratch import Conv2D, Net, load, to_torch
from ...scratch.recipes import RECIPES
from ..model import Model
from .weights import RANDOM

SUFFIX = ".tnn"


def open_scratch(source: str, name: str) -> Model:
    """Open `scratch:NAME`, untrained, or the .tnn file that a network from scratch was written to.

    What it is made for is what its file says: mean and std one number a channel, class_names.
    Raises: UnknownName, BadModel.
    """
    if name.endswith(SUFFIX):
        return wrapped(load(name), source, Path(name).stem, Path(name).name)
    known("Network from scratch", name, RECIPES, f"Write scratch:NAME, or the path of a {SUFFIX} file")
    return wrapped(RECIPES[name].build(0).eval(), source, name, RANDOM)


def wrapped(net: Net, source: str, name: str, weights: str) -> Model:
    """A network from scratch as its like in PyTorch, with the same numbers.

    Raises: BadModel for one that does not begin with a convolution, or says what does not fit.
    """
    first = net.layers[0] if net.layers else None
    if not isinstance(first, Conv2D):
        raise BadModel(f"{name} begins with {first!r}", "A network that looks at images begins with a convolution",
                       "Give its first Conv2D an in_shape")  # fmt: skip
    channels, *size = first.in_shape
    about = net.about
    mean, std = (tuple(float(each) for each in about.get(key, (value,) * channels))
                 for key, value in (("mean", 0.0), ("std", 1.0)))  # fmt: skip
    if {len(mean), len(std)} != {channels}:
        raise BadModel(f"{name} has {channels} channels, and says mean={mean}, std={std}",
                       "Mean and std are one number a channel", "Mend `about` and write it again")  # fmt: skip
    return Model(
        module=to_torch(net).eval(), name=str(about.get("name", name)), source=source, weights=weights,
        preprocessing=Preprocessing(size=(size[0], size[1]), resize=min(size), mean=mean, std=std),
        preprocessing_from="what the network says" if "mean" in about else "default (pixels / 255)",
        class_names=_names(about),
    )  # fmt: skip


def _names(about: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in about.get("class_names", ()))
