"""The network built by hand: lines chosen by a person, where they are, and a read-out in closed form.

The third source document announces such a network and shows none; the blocks and both architectures are ours.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from ...errors import BadImages
from .handnet_blocks import ComboConv, Line, LineConv, WindowConv

# of the document's conv1 those directions and sides that it names, each once, with both axes beside
LABELS = (
    "line at slope 45", "line at slope 135", "left side of vertical line", "right side of vertical line",
    "lower side of horizontal line", "upper side of horizontal line", "horizontal line", "vertical line",
)  # fmt: skip
MAP = 7  # places of a side, after a pool of 4 on 28 pixels
GRID = (-2.0, 0.0, 2.0)  # places of the windows' middles, in both directions
FINE = (-2.25, -0.75, 0.75, 2.25)
WINDOW = 1.0  # places: the standard deviation of a window
COMBINED = (16, 24)  # units of the two layers of combinations
HIDDEN = 16
SPOT, REACH = 0.8, 2.0  # pixels: the standard deviation of a spot, and how far from the middle it begins
SCALES = 7.0  # powers of e, either way, among which the sureness of answers is looked for
TINY = 1e-12  # of a variance, where nothing varies at all
FLAT = 1e-3  # of the mean variance: what varies less says nothing, and would count beyond measure


class HandNet(nn.Module):
    """A first layer of lines, something that says where they are, and a linear read-out.

    Shapes: (N, 1, 28, 28) in 0 to 1, black 0, which the border continues -> (N, classes) logits.
    """

    readout: nn.Linear

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self.conv1 = LineConv(lines)

    @classmethod
    def from_labels(cls, labels: Iterable[str] = LABELS, **architecture: Any) -> Self:
        """With the lines that labels speak of, as the analysis `labels` writes them; the rest as the class takes it.

        Raises: UnknownName for a label of no line.
        """
        return cls([Line.from_label(words) for words in labels], **architecture)

    def features(self, x: Tensor) -> Tensor:
        """What the read-out reads. Shapes: (N, 1, 28, 28) -> (N, D)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.features(x))
        return logits


class HandNet2(HandNet):
    """Lines -> max-pool -> windows over the map -> read-out: no layer between patterns and places.

    Windows lie at every pair of places of `grid`, counted from the middle of the map.
    Reference: Explainable MNIST classification (2020): one convolution can be omitted.
    """

    def __init__(self, lines: Sequence[Line], grid: Sequence[float] = GRID, classes: int = 10) -> None:
        super().__init__(lines)
        up, right = torch.meshgrid(torch.tensor(grid).flip(0), torch.tensor(grid), indexing="ij")
        self.windows = WindowConv(len(lines), up.flatten(), right.flatten(), torch.full((up.numel(),), WINDOW), MAP)
        self.readout = nn.Linear(self.windows.out_channels, classes)

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 4)  # (N, U, 7, 7): what two pools of 2 give
        return torch.flatten(self.windows(x), 1)  # (N, U x windows)


class HandNet3(HandNet):
    """Lines -> combinations -> combinations of these -> two linear layers: SimpleConvNet of constrained kernels.

    Only the lines are chosen by hand. What is combined, and where, is drawn, as the linear layers are: by torch's
    random state.
    """

    def __init__(self, lines: Sequence[Line], widths: tuple[int, int] = COMBINED, hidden: int = HIDDEN,
                 classes: int = 10) -> None:  # fmt: skip
        super().__init__(lines)
        self.conv2 = _drawn(len(lines), widths[0], padding=2)
        self.conv3 = _drawn(widths[0], widths[1], padding=0)
        self.fc4 = nn.Linear(widths[1], hidden)
        self.readout = nn.Linear(hidden, classes)

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (N, lines, 14, 14)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, first, 7, 7)
        x = F.max_pool2d(F.relu(self.conv3(x)), 3)  # (N, second, 1, 1)
        return F.relu(self.fc4(torch.flatten(x, 1)))


def _drawn(channels: int, units: int, padding: int) -> ComboConv:
    """Combinations at random: as strong in all as torch would draw kernels, anywhere within reach."""
    shape = (units, channels)
    up, right = REACH * (2 * torch.rand(2, *shape) - 1)
    alpha = torch.randn(shape) * (2 / channels) ** 0.5
    return ComboConv(alpha, up, right, torch.full(shape, SPOT), padding=padding)


def fit_prototypes(net: HandNet, images: Tensor, labels: Tensor, batch: int = 256) -> None:
    """Set the read-out to the prototypes of the classes, with nothing trained: which mean is nearest, where every
    feature counts by what it varies within classes. How sure answers are is the one scale that fits the labels best.

    Shapes: images (N, 1, 28, 28) as the network takes them; labels (N,). Raises: BadImages if a class has none.
    Reference: discriminant analysis with a diagonal covariance and equal priors, Dudoit et al. (2002), section 2.1.
    """
    classes = net.readout.out_features
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if missing or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise BadImages(
            f"The labels of {len(labels)} images go from {int(labels.min())} to {int(labels.max())}, "
            f"without {', '.join(map(str, missing)) or 'gaps'}",
            f"Prototypes are means of each of {classes} classes", "Give images of every class, and of no other",
        )  # fmt: skip
    with torch.no_grad():
        features = torch.cat([net.features(each) for each in images.split(batch)]).double()  # type: ignore[no-untyped-call]
        means = torch.stack([features[labels == label].mean(0) for label in range(classes)])  # (K, D)
        variance = (features - means[labels]).square().mean(0)
        weight = means / variance.clamp(min=max(FLAT * float(variance.mean()), TINY))
        bias = -(means * weight).sum(1) / 2
        scale = _sureness(features @ weight.T + bias, labels)
        net.readout.weight.copy_(scale * weight)
        net.readout.bias.copy_(scale * bias)


def _sureness(logits: Tensor, labels: Tensor) -> float:
    """What logits are multiplied with so that the labels are most likely: features that say the same count as one.

    Shapes: (N, K), (N,).
    """

    def loss(power: float) -> float:
        return float(F.cross_entropy(logits * math.exp(power), labels))

    return math.exp(float(minimize_scalar(loss, bounds=(-SCALES, SCALES), method="bounded").x))
