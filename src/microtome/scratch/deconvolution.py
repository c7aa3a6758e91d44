"""The way from one activation back to the pixels: unpool, rectify, filter with the transposed filters.

The deconvolution W*^T is the transpose of the convolution, not its inverse: <W* x, y> = <x, W*^T y>, and x does not
come back. Reference: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (ECCV 2014).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import UnknownName, UsageError
from .convolution import Conv2D
from .core import Layer
from .layers import Dropout, Flatten, Linear, ReLU
from .net import Net
from .normalisation import BatchNorm2D
from .pooling import AvgPool2D, MaxPool2D

Rule = Literal["deconvnet", "gradient", "guided"]
Unpool = Literal["add", "place"]


class Deconv2D(Layer):
    """W*^T of a convolution: from the shape of its output to that of its input, with the same filters and no bias."""

    def __init__(self, name: str, convolution: Conv2D) -> None:
        super().__init__(name)
        self.convolution = convolution

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.convolution.transposed(x)

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.convolution.in_shape


class MaxUnpool2D(Layer):
    """Values go back to where they were the maximum; zeros elsewhere.

    Windows that overlap may have had the same maximum: "add" adds up what comes back to it, as the gradient does;
    "place" keeps what comes last, row by row. Shapes: in_shape (C, H, W), that of the pool's input.
    """

    def __init__(self, name: str, in_shape: tuple[int, int, int], mode: Unpool = "add") -> None:
        super().__init__(name)
        self.in_shape, self.mode = in_shape, mode
        self.switches: np.ndarray | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Shapes: x as the pool's output; set `switches` (N, C, H', W') first -> (N, *in_shape)."""
        if self.switches is None or self.switches.shape != x.shape:
            raise UsageError(f"Unpooling {self.name!r} was given {x.shape}, and no switches of that shape",
                             "Every value goes back to its switch", "Set `switches` to those of the pool")  # fmt: skip
        out = np.zeros((*x.shape[:2], int(np.prod(self.in_shape[1:]))), x.dtype)
        n, c = np.ogrid[: x.shape[0], : x.shape[1]]
        where = n[..., None], c[..., None], self.switches.reshape(*x.shape[:2], -1)
        if self.mode == "add":
            np.add.at(out, where, x.reshape(*x.shape[:2], -1))
        else:
            out[where] = x.reshape(*x.shape[:2], -1)
        return out.reshape(len(x), *self.in_shape)


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What of each image reached one unit at one place.

    Shapes: maps (N, C, H, W) as the images; place (N, 2) row and column (0, 0 for a layer without); activation (N,).
    """

    layer: str
    unit: int
    maps: np.ndarray
    place: np.ndarray
    activation: np.ndarray


def deconvnet(
    net: Net, x: np.ndarray, layer: str, unit: int, *, at: tuple[int, int] | None = None, rule: Rule = "deconvnet",
    unpool: Unpool = "add",
) -> Reconstruction:  # fmt: skip
    """Lead one unit of a layer's output back to the pixels, from its strongest place on each image, or from the one
    given; everything else in that layer is set to zero.

    `rule` is what happens at a rectifier: "deconvnet" rectifies the reconstruction, "gradient" lets through what the
    forward pass let through, "guided" does both. The network is used, not trained, and left as it was.
    Shapes: x (N, C, H, W). Raises: UnknownName, UsageError.
    """
    if rule not in ("deconvnet", "gradient", "guided"):
        raise UnknownName(f"Rule {rule!r} does not exist", "There are deconvnet, gradient and guided", "Name one")
    names = [each.name for each in net]
    below = net.layers[: names.index(net.layer(layer).name) + 1]
    was = [each.training for each in net]
    try:
        net.eval()
        activation = x
        for each in below:
            activation = each.forward(activation)
        seed, place, value = _seed(activation, layer, unit, at)
        for each in reversed(below):
            seed = _step(each, seed, rule, unpool)
    finally:
        for each, training in zip(net, was, strict=True):
            each.training = training
    return Reconstruction(layer=layer, unit=unit, maps=seed, place=place, activation=value)


def _seed(
    activation: np.ndarray, layer: str, unit: int, at: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not 0 <= unit < activation.shape[1]:
        raise UnknownName(f"Unit {unit} of {layer} does not exist", f"Its units are 0 to {activation.shape[1] - 1}",
                          "Units count from 0: give one of them")  # fmt: skip
    flat = activation[:, unit].reshape(len(activation), -1)
    width = activation.shape[3] if activation.ndim == 4 else 1
    if at is not None and not (0 <= at[0] * width + at[1] < flat.shape[1] and 0 <= at[1] < width):
        raise UsageError(f"Place {at} is not in {layer}", f"Its maps are {activation.shape[2:]}", "Give row and column")
    chosen = flat.argmax(1) if at is None else np.full(len(flat), at[0] * width + at[1])
    images = np.arange(len(flat))
    seed = np.zeros_like(activation)
    seed.reshape(*activation.shape[:2], -1)[images, unit, chosen] = flat[images, chosen]
    return seed, np.stack(np.divmod(chosen, width), 1), flat[images, chosen]


def _step(layer: Layer, y: np.ndarray, rule: Rule, unpool: Unpool) -> np.ndarray:
    """One layer down: the transpose of what is linear, switches for pools, the rule at rectifiers."""
    if isinstance(layer, ReLU):
        passed = y if rule == "deconvnet" else layer.backward(y)
        return passed if rule == "gradient" else np.maximum(passed, 0)
    if isinstance(layer, Conv2D):
        padded, padding = layer.padded.shape, layer.padding
        shape = padded[1], padded[2] - 2 * padding[0], padded[3] - 2 * padding[1]
        return layer.transposed(y, shape)
    if isinstance(layer, MaxPool2D):
        back = MaxUnpool2D(layer.name, (layer.shape[1], layer.shape[2], layer.shape[3]), unpool)
        back.switches = layer.switches
        return back.forward(y)
    if isinstance(layer, Linear):
        return y @ layer.weight.tensor.T
    if isinstance(layer, (Flatten, AvgPool2D, Dropout)):
        return layer.backward(y)
    if isinstance(layer, BatchNorm2D):
        return y * (layer.weight.tensor * layer.scale)[:, None, None]
    raise UsageError(f"{layer.type} {layer.name!r} has no way back to the pixels",
                     "There is one through rectifiers, convolutions, linear layers, pools, batch norm and dropout",
                     "Start from a layer before it")  # fmt: skip


def to_bytes(maps: np.ndarray, mode: Literal["minmax", "symmetric"] = "minmax") -> np.ndarray:
    """Every map as a picture: from its smallest to its largest number ("minmax"; a constant one is black), or with 0 in
    the middle ("symmetric"; 128 is 0).

    Shapes: (N, C, H, W) -> (N, H, W, C) uint8.
    """
    axes = tuple(range(1, maps.ndim))
    moved = np.moveaxis(maps.astype(np.float64), 1, -1)
    if mode == "symmetric":
        largest = np.abs(moved).max(axes, keepdims=True)
        return np.round(128 + 127 * moved / np.where(largest > 0, largest, 1)).astype(np.uint8)
    low = moved.min(axes, keepdims=True)
    range_ = moved.max(axes, keepdims=True) - low
    return np.round(255 * (moved - low) / np.where(range_ > 0, range_, 1)).astype(np.uint8)
