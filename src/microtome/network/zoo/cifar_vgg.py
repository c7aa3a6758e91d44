"""Plain stacks of 3 x 3 convolutions and max-pools for 32 x 32 images, as in two of the source documents."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

Widths = tuple[int | Literal["pool"], ...]  # of the convolutions in order, and where the maps are halved

LENET9: Widths = (6, 6, "pool", 16, 16, "pool", 64, 64, "pool")
VGG9: Widths = (64, 64, "pool", 128, 128, "pool", 256, 256, "pool")
VGG11: Widths = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")


class CifarVgg(nn.Module):
    """Convolutions with biases, each with a rectifier, max-pools, then linear layers with dropout between them.

    With `batch_norm` each convolution has one, and torch's own initial weights; without, weights are drawn by
    Xavier's normal rule with the gain of a ReLU, and biases are 0.
    Shapes: (N, 3, 32, 32) -> (N, classes) logits.
    """

    def __init__(self, widths: Widths, hidden: tuple[int, int], *, batch_norm: bool = False, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features(widths, batch_norm))
        side = 32 >> widths.count("pool")
        last = max(place for place, width in enumerate(widths) if width != "pool")
        first, second = hidden
        self.classifier = nn.Sequential(
            nn.Linear(int(widths[last]) * side * side, first), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(first, second), nn.ReLU(), nn.Dropout(0.5), nn.Linear(second, classes),
        )  # fmt: skip
        if not batch_norm:
            for part in self.modules():
                if isinstance(part, nn.Conv2d | nn.Linear):
                    nn.init.xavier_normal_(part.weight, gain=nn.init.calculate_gain("relu"))
                    nn.init.constant_(part.get_parameter("bias"), 0)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def _features(widths: Widths, batch_norm: bool) -> Iterator[nn.Module]:
    channels = 3
    for width in widths:
        if width == "pool":
            yield nn.MaxPool2d(2)
            continue
        yield nn.Conv2d(channels, width, 3, padding=1)
        if batch_norm:
            yield nn.BatchNorm2d(width)
        yield nn.ReLU()
        channels = width
