"""Small networks, image sets and a statistic that keeps everything: what many tests share."""

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

import microtome as mt
from microtome.images.collection import Images, wrap
from microtome.network.open import Model
from microtome.network.recording.measure import measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.statistics import Accumulator, Arrays, Batch, Statistic
from microtome.statistics.statistic import appended

SIDE = 12  # pixels of a toy image


class Plain(nn.Module):
    """conv, batch norm, ReLU module, conv, functional ReLU, pool, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 5, 3, stride=2)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.conv1(x)))
        x = F.relu(self.conv2(x))
        return self.fc(x.mean((2, 3)))


class InPlace(nn.Module):
    """Every ReLU and the addition overwrite their input; the ReLU module is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act, self.fc = nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.act(self.conv1(x))
        x = self.conv2(skip)
        x += skip
        x = self.act(x)
        return self.fc(F.relu_(x.mean((2, 3))))


class Shared(nn.Module):
    """One convolution under two names, called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 3)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(self.first(x).amax((2, 3)))


class Functional(nn.Module):
    """Bare parameters and functions: there is no module to hook, batch norm and dropout included."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.head = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(3, 4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("variance", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(F.conv2d(x, self.kernel), self.mean, self.variance, training=self.training)
        x = F.dropout(F.relu(x), 0.25, self.training)
        return F.linear(x.mean((2, 3)), self.head)


class Reused(nn.Module):
    """A block that is called three times, with a batch norm inside, and a dropout that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.drop = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), nn.Dropout(0.25)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.block(self.stem(x)))
        x = x + self.block(self.block(x))
        return self.head(self.drop(x).mean((2, 3)))


class Caching(nn.Module):
    """In eval mode too it keeps tensors, counts its calls, moves a running mean, and draws numbers of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.register_buffer("running", torch.zeros(4))
        self.scale = torch.ones(1)  # neither parameter nor buffer
        self.cache: Tensor | None = None
        self.calls, self.history, self.grids = 0, list[Tensor](), dict[tuple[int, int], list[Tensor]]()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.calls += 1
        self.running += x.detach().mean((0, 2, 3)) * (random.random() + np.random.rand())  # noqa: NPY002
        self.scale.data.mul_(0.5)
        self.history.append(x)
        self.grids.setdefault((x.shape[2], x.shape[3]), []).append(torch.ones(2))
        self.cache = F.dropout(x, 0.5, training=True)
        self.seen = True
        return self.head(self.cache.relu().mean((2, 3)))


class Answers(nn.Module):
    """Gives its logits inside a dictionary or a tuple."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.body, self.kind = Plain(), kind

    def forward(self, x: Tensor) -> object:
        logits = self.body(x)
        return {"out": logits, "aux": logits * 2} if self.kind is dict else (logits, [logits * 2])


class Skip(nn.Module):
    """A residual block whose skip goes through nn.Identity, which returns the very tensor it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.skip = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Identity()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        branch = self.skip(x)
        return self.fc((self.conv(x) + branch).mean((2, 3)))


class Tokens(nn.Module):
    """Linear layers on (N, T, D): channels come last."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)  # (N, T, 6)
        return self.head(torch.relu(self.mix(x)).mean(1))


class Embedding(nn.Module):
    """Gives a point of a sphere in 16 dimensions, and no classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 16)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.fc(F.relu(self.conv(x)).mean((2, 3))), dim=1)


class UNet(nn.Module):
    """Down, up again, and a skip: gives two numbers a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up, self.merge = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 4, 3, padding=1)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.down(x))
        low = F.relu(self.bottom(F.max_pool2d(skip, 2)))
        return self.out(F.relu(self.merge(torch.cat([self.up(low), skip], 1))))


class Pyramid(nn.Module):
    """Gives an ordered dictionary of maps, as the backbones of detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 5, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        fine = F.relu(self.fine(x))
        return OrderedDict(fine=fine, coarse=F.relu(self.coarse(fine)))


def seeded(build: type[nn.Module], *arguments: object) -> nn.Module:
    """A module with weights that are the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*arguments).eval()


def without_weights(name: str) -> nn.Module:
    """A torchvision network full of zeros: what runs depends on no weight, and drawing weights takes seconds."""
    with torch.device("meta"):
        module = models.get_model(name, **({"init_weights": False} if name in ("googlenet", "inception_v3") else {}))
    module.to_empty(device="cpu")
    for tensor in module.state_dict().values():
        tensor.zero_()
    return module.eval()


# What lets torchvision's networks run on images of 32 pixels (Inception: 75), and spares them drawing weights.
SMALLER = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False, "aux_logits": False},
    "vit_b_16": {"image_size": 32},
}


def with_random_weights(name: str) -> nn.Module:
    """A torchvision network at a small input size, with weights that keep activations in the same order of size."""
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # RegNet computes its widths with tensors
        module = models.get_model(name, **SMALLER.get(name, {}))
        if name == "vgg11_bn":  # 28 million weights instead of 133: its last map is one pixel here
            module.avgpool, module.classifier[0] = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 4096)
        if name == "vit_b_16":  # four blocks of twelve: they are all alike
            module.encoder.layers = module.encoder.layers[:4]
    module.to_empty(device="cpu")
    numbers = torch.Generator().manual_seed(0)
    for tensor in module.state_dict().values():
        if not tensor.is_floating_point():
            tensor.zero_()
        elif tensor.ndim > 1:
            bound = (3 / tensor[0].numel()) ** 0.5
            tensor.uniform_(-bound, bound, generator=numbers)
        else:
            tensor.uniform_(0.5, 1.5, generator=numbers)
    return module.eval()


def opened(module: nn.Module, size: int = SIDE) -> Model:
    """A module of three input channels as a Model whose preprocessing is only the scaling to -1..1."""
    return mt.open_model(module, size=size, mean=(0.5,) * 3, std=(0.5,) * 3)


def noise(model: Model, count: int = 10, classes: int = 3) -> Images:
    """Images of random pixels with random labels, in the geometry of `model`."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, *model.preprocessing.size, 3), dtype=np.uint8)
    pixels = pixels if model.preprocessing.channels == 3 else pixels[..., 0]
    labels = np.arange(count) % classes
    return wrap("noise", pixels, labels, [str(k) for k in range(classes)], model.preprocessing)


def prepared(model: Model, images: Images) -> Tensor:
    """What the network is given for all images at once."""
    return model.preprocessing.normalise(torch.from_numpy(np.stack([images[i] for i in range(len(images))])))


@dataclass(frozen=True, kw_only=True)
class Everything(Statistic):
    """All values of all images, as they were seen."""

    def start(self) -> "EverythingAccumulator":
        return EverythingAccumulator()


class EverythingAccumulator(Accumulator):
    """One array a tensor, in the order of the images; the answer is a list of them."""

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        kept = {f"{place}": tensor.detach().cpu().numpy().copy() for place, tensor in enumerate(tensors)}
        return {"index": batch.index, **kept}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return appended(parts)

    def compute(self) -> list[np.ndarray]:
        order = np.argsort(self.seen["index"])
        return [self.seen[name][order] for name in self.seen if name != "index"]


def seen(
    model: Model, images: Images, *places: str | Sequence[str], batch_size: int = 4, **options: object
) -> list[list[np.ndarray]]:
    """What `measure` sees at each place (a tuple of addresses is a place too): a list of arrays a place."""
    groups = [(place,) if isinstance(place, str) else tuple(place) for place in places]
    probes = [Probe(tuple(model.sites.address(text) for text in group), Everything()) for group in groups]
    with untouched(model.module):
        found = measure(model, images, probes, batch_size=batch_size, **options)
    return [accumulator.compute() for accumulator in found]
