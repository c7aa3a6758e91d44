"""The reference networks, by name, each with the preprocessing, the classes and the training it is made for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from ...images.preprocessing import Preprocessing
from ..training import Recipe
from .cifar_resnet import CifarResNet
from .cifar_vgg import LENET9, VGG9, VGG11, CifarVgg
from .handnet import FINE, HandNet2, HandNet3
from .handnet_blocks import NAMED
from .simpleconvnet import PRUNED, SimpleConvNet

MNIST = Preprocessing(size=(28, 28), resize=28, mean=(0.1307,), std=(0.3081,))
# Networks built by hand take pixels in 0 to 1: black is 0, which convolutions pad with, so that the border is no line.
PIXELS = Preprocessing(size=(28, 28), resize=28, mean=(0.0,), std=(1.0,))
CIFAR = Preprocessing(size=(32, 32), resize=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# mean and standard deviation of CIFAR-10's own pixels, as the documents of these networks round them
CIFAR_CONES = Preprocessing(
    size=(32, 32), resize=32,
    mean=(125.3 / 255, 123.0 / 255, 113.9 / 255), std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
)  # fmt: skip
CIFAR_PROFILES = Preprocessing(size=(32, 32), resize=32, mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))
DIGITS = tuple(str(digit) for digit in range(10))
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# He et al. (2015), section 4.2: 64,000 steps are 182 epochs of 45,000 images, the rate drops at 32,000 and 48,000.
RESNET_RECIPE = Recipe(
    epochs=182, batch_size=128, optimizer="sgd", rate=0.1, weight_decay=1e-4, schedule="step", drops=(0.5, 0.75),
    shift=4, flip=True,
)  # fmt: skip
# Of the second source document: the rate drops every 20 of 75 epochs. It names 0.1 for networks of all kinds; without
# batch norm that leaves LeNet9 at chance (a loss of ln 10 after 400 steps on CIFAR-10), where 0.01 learns.
CONES_RECIPE = Recipe(
    epochs=75, batch_size=100, optimizer="sgd", rate=0.01, weight_decay=5e-4, schedule="step",
    drops=(20 / 75, 40 / 75, 60 / 75), shift=4, flip=True,
)  # fmt: skip
# Of the fourth source document: no momentum, no decay, no augmentation, so that theory can follow the first layer.
PROFILES_RECIPE = Recipe(
    epochs=100, batch_size=256, optimizer="sgd", rate=0.01, momentum=0.0, schedule="constant", drop_last=True
)

HANDNET_RECIPE = Recipe(rate=2e-2)  # numbers with a meaning: angles, places and widths have far to go


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How to build one reference network, and how it is trained."""

    build: Callable[[], nn.Module]
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    recipe: Recipe


ZOO: dict[str, Entry] = {
    "simpleconvnet": Entry(build=SimpleConvNet, preprocessing=MNIST, class_names=DIGITS, recipe=Recipe()),
    "simpleconvnet_pruned": Entry(
        build=partial(SimpleConvNet, PRUNED), preprocessing=MNIST, class_names=DIGITS, recipe=Recipe()
    ),
    "handnet2": Entry(
        build=HandNet2.from_labels, preprocessing=PIXELS, class_names=DIGITS, recipe=HANDNET_RECIPE
    ),
    "handnet2_wide": Entry(  # every line that has a name, and windows half as far apart
        build=partial(HandNet2.from_labels, NAMED, grid=FINE), preprocessing=PIXELS, class_names=DIGITS,
        recipe=HANDNET_RECIPE,
    ),
    "handnet3": Entry(
        build=HandNet3.from_labels, preprocessing=PIXELS, class_names=DIGITS, recipe=HANDNET_RECIPE
    ),
    **{
        f"resnet{6 * blocks + 2}": Entry(
            build=partial(CifarResNet, blocks), preprocessing=CIFAR, class_names=CIFAR_CLASSES, recipe=RESNET_RECIPE
        )
        for blocks in (3, 5, 7, 9)
    },
    "lenet9": Entry(
        build=partial(CifarVgg, LENET9, (120, 84)), preprocessing=CIFAR_CONES, class_names=CIFAR_CLASSES,
        recipe=CONES_RECIPE,
    ),
    "vgg9": Entry(
        build=partial(CifarVgg, VGG9, (512, 512)), preprocessing=CIFAR_CONES, class_names=CIFAR_CLASSES,
        recipe=CONES_RECIPE,
    ),
    "vgg11": Entry(
        build=partial(CifarVgg, VGG11, (512, 512), batch_norm=True), preprocessing=CIFAR_PROFILES,
        class_names=CIFAR_CLASSES, recipe=PROFILES_RECIPE,
    ),
}  # fmt: skip
