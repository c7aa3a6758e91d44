"""The reference networks, by name, each with the preprocessing and the classes it is made for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from ...preprocessing import Preprocessing
from .cifar_resnet import CifarResNet
from .simpleconvnet import PRUNED, SimpleConvNet

MNIST = Preprocessing(size=(28, 28), resize=28, mean=(0.1307,), std=(0.3081,))
CIFAR = Preprocessing(size=(32, 32), resize=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
DIGITS = tuple(str(digit) for digit in range(10))
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How to build one reference network."""

    build: Callable[[], nn.Module]
    preprocessing: Preprocessing
    class_names: tuple[str, ...]


ZOO: dict[str, Entry] = {
    "simpleconvnet": Entry(build=SimpleConvNet, preprocessing=MNIST, class_names=DIGITS),
    "simpleconvnet_pruned": Entry(build=partial(SimpleConvNet, PRUNED), preprocessing=MNIST, class_names=DIGITS),
    **{
        f"resnet{6 * blocks + 2}": Entry(
            build=partial(CifarResNet, blocks), preprocessing=CIFAR, class_names=CIFAR_CLASSES
        )
        for blocks in (3, 5, 7, 9)
    },
}
