"""The blocks that networks are built of by hand: convolutions whose kernels follow from a few numbers with a meaning.

Each is a `Conv2d` whose weight is parametrized: whoever reads `weight` gets kernels, gradients reach the numbers, and
no training can leave what they describe. Angles count counter-clockwise from horizontal, x to the right and y up, as
in `formulas.templates`; places are in pixels from the middle of the kernel, to the right and up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from ...errors import UnknownName
from ...formulas.templates import CENTRED, in_words

ANGLES = (0.0, 45.0, 90.0, 135.0)
ASIDE = 2 * CENTRED  # pixels from the middle: clearly to one side of it
WIDTH = 0.8  # pixels, the standard deviation across a line: strokes of digits are two to three wide
THRESHOLD = 0.5  # of a line's answer to itself, about a third: what is weaker is another pattern
NARROWEST, WIDEST = 0.3, 6.0  # pixels: below no pixel may lie on a line, above all are alike


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one filter looks for: a bright line at an angle, so far from the middle along its normal.

    Units: theta degrees, offset and sigma (how wide it is) pixels; gain is the kernel's norm, below 0 for the absence
    of the line; answers are lowered by the threshold.
    """

    theta: float
    offset: float = 0.0
    sigma: float = WIDTH
    gain: float = 1.0
    threshold: float = THRESHOLD

    @classmethod
    def from_label(cls, words: str) -> Self:
        """The line that a label speaks of, as the analysis `labels` writes it.

        Raises: UnknownName if it speaks of none.
        """
        absent = words.startswith("neg(") and words.endswith(")")
        bare = words[4:-1] if absent else words
        if bare not in NAMED:
            raise UnknownName(f"No line is called {words!r}", f"Lines are: {', '.join(NAMED)}, or neg(...) of one",
                              "Take labels of lines; blobs and filters without words have no angle")  # fmt: skip
        theta, offset = NAMED[bare]
        return cls(theta=theta, offset=offset, gain=-1.0 if absent else 1.0)


NAMED: dict[str, tuple[float, float]] = {
    in_words("line", theta, offset): (theta, offset) for theta in ANGLES for offset in (0.0, ASIDE, -ASIDE)
}


class Lines(nn.Module):
    """Kernels of lines, of mean 0 and norm 1, times their gain.

    Shapes: (U,) -> (U, 1, side, side). Units: angle radians (so that steps of training are as large as those of pixels
    are), offset and sigma pixels.
    """

    COLUMNS = ("theta", "offset", "sigma", "gain")

    def __init__(self, lines: Sequence[Line], side: int) -> None:
        super().__init__()
        self.side = side
        self.angle = nn.Parameter(torch.deg2rad(column(lines, "theta")))
        self.offset, self.sigma = nn.Parameter(column(lines, "offset")), nn.Parameter(column(lines, "sigma"))

    def forward(self, gain: Tensor) -> Tensor:
        return self.kernels(self.numbers(gain))

    def numbers(self, gain: Tensor) -> Tensor:
        """What people read, in the order of `COLUMNS`. Shapes: -> (U, 4)."""
        return torch.stack([torch.rad2deg(self.angle), self.offset, width(self.sigma), gain], 1)

    def kernels(self, numbers: Tensor) -> Tensor:
        """The kernels of some numbers, whichever. Shapes: (U, 4) -> (U, 1, side, side)."""
        theta, offset, sigma, gain = numbers.T[..., None, None]  # each (U, 1, 1)
        right, up = places(self.side, numbers)
        angle = torch.deg2rad(theta)
        across = -torch.sin(angle) * right + torch.cos(angle) * up - offset  # (U, side, side)
        power = -(across**2) / (2 * sigma**2)
        # relative to the nearest pixel, or a line beside the kernel would be 0 everywhere
        kernel = torch.exp(power - power.amax((1, 2), keepdim=True))
        kernel = kernel - kernel.mean((1, 2), keepdim=True)
        kernel = kernel / kernel.square().sum((1, 2), keepdim=True).sqrt()
        return (gain * kernel)[:, None]


class Spots(nn.Module):
    """Kernels of Gaussian spots of sum 1, times alpha: how much of an input's pattern is wanted at a place.

    Shapes: up, right, sigma and alpha (O, I) -> (O, I, side, side). Units: pixels.
    """

    COLUMNS = ("alpha", "up", "right", "sigma")

    def __init__(self, up: Tensor, right: Tensor, sigma: Tensor, side: int) -> None:
        super().__init__()
        self.side = side
        self.up, self.right, self.sigma = (nn.Parameter(each.clone()) for each in (up, right, sigma))

    def forward(self, alpha: Tensor) -> Tensor:
        return self.kernels(self.numbers(alpha))

    def numbers(self, alpha: Tensor) -> Tensor:
        """What people read, in the order of `COLUMNS`. Shapes: -> (O, I, 4)."""
        return torch.stack([alpha, self.up, self.right, width(self.sigma)], -1)

    def kernels(self, numbers: Tensor) -> Tensor:
        """The kernels of some numbers, whichever. Shapes: (O, I, 4) -> (O, I, side, side)."""
        alpha, up, right, sigma = numbers.movedim(-1, 0)
        return alpha[..., None, None] * gaussians(up, right, sigma, self.side)


class Windows(nn.Module):
    """Gaussian windows of sum 1 over a whole map.

    Shapes: up, right and sigma (U,) -> (U, 1, side, side). Units: places of the map.
    """

    COLUMNS = ("up", "right", "sigma")

    def __init__(self, up: Tensor, right: Tensor, side: int) -> None:
        super().__init__()
        self.side = side
        self.up, self.right = nn.Parameter(up.clone()), nn.Parameter(right.clone())

    def forward(self, sigma: Tensor) -> Tensor:
        return self.kernels(self.numbers(sigma))

    def numbers(self, sigma: Tensor) -> Tensor:
        """What people read, in the order of `COLUMNS`. Shapes: -> (U, 3)."""
        return torch.stack([self.up, self.right, width(sigma)], 1)

    def kernels(self, numbers: Tensor) -> Tensor:
        """The windows of some numbers, whichever. Shapes: (U, 3) -> (U, 1, side, side)."""
        up, right, sigma = numbers.T
        return gaussians(up, right, sigma, self.side)[:, None]


class BuiltConv(nn.Conv2d):
    """A convolution whose kernels are computed, and which remembers the numbers that it was built with."""

    columns: ClassVar[tuple[str, ...]]
    built: Tensor

    def _constrain(self, learnt: Tensor, shape: nn.Module) -> None:
        """Compute the weight by `shape` from `learnt`, which is trained in the place of free kernels."""
        self.weight = nn.Parameter(learnt.clone())
        register_parametrization(self, "weight", shape, unsafe=True)  # which are of another shape than kernels
        self.register_buffer("built", self.numbers().detach().clone())

    def numbers(self) -> Tensor:
        """What the kernels are computed from now, for people. Shapes: -> (..., number of `columns`)."""
        shape = self._shape
        found: Tensor = shape[0].numbers(shape.original)
        return found

    def as_built(self) -> Tensor:
        """The kernels that it was built with. Shapes: as `weight`."""
        kernels: Tensor = self._shape[0].kernels(self.built)
        return kernels

    @property
    def _shape(self) -> Any:
        return self.parametrizations["weight"]  # type: ignore[index]


class LineConv(BuiltConv):
    """One line a filter, on one channel; with a threshold below which nothing passes a rectifier behind it."""

    columns = (*Lines.COLUMNS, "threshold")

    def __init__(self, lines: Sequence[Line], side: int = 5) -> None:
        super().__init__(1, len(lines), side, padding=side // 2)
        assert self.bias is not None
        self.bias = nn.Parameter(-column(lines, "threshold"))
        self._constrain(column(lines, "gain"), Lines(lines, side))

    def numbers(self) -> Tensor:
        assert self.bias is not None
        return torch.cat([super().numbers(), -self.bias[:, None]], 1)

    def as_built(self) -> Tensor:
        kernels: Tensor = self._shape[0].kernels(self.built[:, :-1])
        return kernels


class ComboConv(BuiltConv):
    """Every unit adds up patterns at places: alpha times pattern j, so far to the right of the unit and above it."""

    columns = Spots.COLUMNS

    def __init__(self, alpha: Tensor, up: Tensor, right: Tensor, sigma: Tensor, *, side: int = 5, padding: int = 0,
                 bias: float = 0.0) -> None:  # fmt: skip
        units, channels = alpha.shape
        super().__init__(channels, units, side, padding=padding)
        self.bias = nn.Parameter(torch.full((units,), bias))
        self._constrain(alpha, Spots(up, right, sigma, side))


class WindowConv(BuiltConv):
    """Of every channel the mean under some Gaussian windows: how much of pattern p there is in region l.

    Shapes: up, right and sigma (L,), the same windows for all C channels at first; (N, C, side, side) -> (N, C x L, 1,
    1), channel by channel.
    """

    columns = Windows.COLUMNS

    def __init__(self, channels: int, up: Tensor, right: Tensor, sigma: Tensor, side: int) -> None:
        super().__init__(channels, channels * len(up), side, groups=channels, bias=False)
        self._constrain(sigma.repeat(channels), Windows(up.repeat(channels), right.repeat(channels), side))


def column(lines: Sequence[Line], name: str) -> Tensor:
    """One number of every line. Shapes: -> (U,)."""
    return torch.tensor([float(getattr(line, name)) for line in lines])


def places(side: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel is, to the right of the middle and above it. Shapes: -> two of (side, side)."""
    right = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    return right.expand(side, side), -right[:, None].expand(side, side)


def width(sigma: Tensor) -> Tensor:
    """A width as it is used: without its sign, within what a kernel can show."""
    return sigma.abs().clamp(NARROWEST, WIDEST)


def gaussians(up: Tensor, right: Tensor, sigma: Tensor, side: int) -> Tensor:
    """Normalised over the pixels that there are, wherever their middle is. Shapes: (...) -> (..., side, side)."""
    x, y = places(side, up)
    squared = (x - right[..., None, None]) ** 2 + (y - up[..., None, None]) ** 2
    power = -squared / (2 * sigma[..., None, None] ** 2)
    return power.flatten(-2).softmax(-1).view_as(power)
