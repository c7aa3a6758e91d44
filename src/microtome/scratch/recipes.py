"""The two networks of the document, and how they are trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .convolution import Conv2D
from .core import DTYPE, Layer, generator
from .layers import Dropout, Flatten, Linear, ReLU
from .net import Net
from .pooling import MaxPool2D


def mnist_net(random: np.random.Generator | int | None = None, dtype: np.dtype[np.floating] = DTYPE) -> Net:
    """Two convolutions, a pool and two linear layers for digits of 28 x 28 pixels: 1,199,882 numbers (Listing 5.3)."""
    random = generator(random)
    return Net([
        Conv2D("conv_1", (1, 28, 28), 32, 3, 3, random=random, dtype=dtype),
        ReLU("relu_1"),
        Conv2D("conv_2", (32, 26, 26), 64, 3, 3, random=random, dtype=dtype),
        ReLU("relu_2"),
        MaxPool2D("maxpool_1", (64, 24, 24), 2, 2, return_index=True),
        Dropout("drop_1", 0.25, random=random),
        Flatten("flat_1"),
        Linear("fc_1", 9216, 128, random=random, dtype=dtype),
        ReLU("relu_3"),
        Dropout("drop_2", 0.5, random=random),
        Linear("fc_2", 128, 10, random=random, dtype=dtype),
    ], {"name": "mnist-net", "mean": [0.1307], "std": [0.3081], "class_names": list("0123456789")})  # fmt: skip


def cats_net(
    side: int = 224, widths: Sequence[int] = (64, 128, 256, 512), hidden: Sequence[int] = (600, 256), classes: int = 2,
    random: np.random.Generator | int | None = None, dtype: np.dtype[np.floating] = DTYPE,
) -> Net:  # fmt: skip
    """A small VGG: blocks of two, two, three and three convolutions with a pool each, then three linear layers.

    The document says four blocks of two to three convolutions, three linear layers and 68 million numbers, and its
    figure is lost: with these widths and 600 and 256 hidden units there are 68,001,434.
    """
    random, layers, shape = generator(random), list[Layer](), (3, side, side)
    for block, (width, depth) in enumerate(zip(widths, (2, 2, 3, 3), strict=True), 1):
        for number in range(1, depth + 1):
            layers += [Conv2D(f"conv{block}_{number}", shape, width, 3, 3, 1, 1, random=random, dtype=dtype),
                       ReLU(f"relu{block}_{number}")]  # fmt: skip
            shape = width, shape[1], shape[2]
        layers.append(MaxPool2D(f"pool{block}", shape, 2, 2, return_index=True))
        shape = width, shape[1] // 2, shape[2] // 2
    layers.append(Flatten("flat"))
    sizes = [int(np.prod(shape)), *hidden, classes]
    for number, (before, after) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), 1):
        layers.append(Linear(f"fc{number}", before, after, random=random, dtype=dtype))
        if number < len(sizes) - 1:
            layers += [ReLU(f"fc_relu{number}"), Dropout(f"drop{number}", 0.5, random=random)]
    return Net(layers, {"name": f"cats-net-{side}", "mean": [0.0] * 3, "std": [1.0] * 3})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to build a network, from a seed or a generator, and how to train it: SGD with momentum on batches."""

    build: Callable[[np.random.Generator | int | None], Net]
    epochs: int
    batch_size: int
    rate: float
    momentum: float = 0.9
    weight_decay: float = 0.0


RECIPES: dict[str, Recipe] = {
    "mnist-net": Recipe(build=mnist_net, epochs=3, batch_size=128, rate=0.02),
    "cats-net": Recipe(build=lambda random: cats_net(random=random), epochs=30, batch_size=36, rate=1e-3),
    "cats-net-64": Recipe(
        build=lambda random: cats_net(64, (16, 32, 64, 128), (256, 64), random=random),
        epochs=30, batch_size=36, rate=1e-2,
    ),
}  # fmt: skip
