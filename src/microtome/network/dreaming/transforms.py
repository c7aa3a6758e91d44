"""Small moves of a picture between two steps, so that it does not depend on where exactly its pixels lie.

Reference: Olah, Mordvintsev, Schubert, Feature Visualization (Distill, 2017), transformation robustness.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...checks import known
from ...errors import UsageError

Pad = Literal["reflect", "edge", "mean"]
SMALL = 64  # pixels of a side: below, a picture is moved by a pixel or two, and neither turned nor scaled
PADDING = {"reflect": "reflection", "edge": "border", "mean": "zeros"}  # as grid_sample calls them
MODES = {"reflect": "reflect", "edge": "replicate", "mean": "constant"}  # as torch.nn.functional.pad calls them


@dataclass(frozen=True, kw_only=True)
class Moves:
    """How far pictures move: to the right and down in pixels, enlarged by `scale`, turned by `degrees`
    counter-clockwise about their middle. Shapes: (n,) each, or (1,) for all alike.
    """

    down: np.ndarray
    right: np.ndarray
    scale: np.ndarray
    degrees: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """Ranges to draw moves from: jitter in whole pixels either way, factors of scale, degrees either way.

    `pad` says what comes in from beyond a border: the picture mirrored, its edge, or the mean colour. With `shared`
    all pictures of a batch move alike, which costs least.
    """

    jitter: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    degrees: float = 0.0
    pad: Pad = "reflect"
    shared: bool = True

    def __post_init__(self) -> None:
        known("Padding", self.pad, get_args(Pad), "Name one of them")
        if self.jitter < 0 or self.degrees < 0 or not 0 < self.scale[0] <= self.scale[1]:
            raise UsageError(
                f"Moves were asked for with jitter {self.jitter}, scale {self.scale} and {self.degrees:g} degrees",
                "Jitter and degrees are 0 or more, scale is a smallest and a largest factor above 0", "Mend them",
            )  # fmt: skip

    def draw(self, random: np.random.Generator, count: int) -> Moves:
        """Moves of so many pictures."""
        n = 1 if self.shared else count
        down, right = random.integers(-self.jitter, self.jitter, (2, n), endpoint=True)
        scale, degrees = np.full(n, self.scale[0]), np.zeros(n)
        if self.scale[0] < self.scale[1]:
            scale = random.uniform(*self.scale, n)
        if self.degrees:
            degrees = random.uniform(-self.degrees, self.degrees, n)
        return Moves(down=down, right=right, scale=scale, degrees=degrees)


def preset(size: tuple[int, int]) -> Transforms:
    """The moves for a size: a pixel or two for small pictures, and scale and rotation too for large ones."""
    side = min(size)
    if side < SMALL:
        return Transforms(jitter=min(2, side // 8), pad="edge")
    return Transforms(jitter=min(16, side // 14), scale=(0.9, 1.1), degrees=5.0)


def moved(images: Tensor, moves: Moves, pad: Pad = "reflect", mean: Tensor | None = None) -> Tensor:
    """Pictures after their moves, of the same size. Shapes: images (N, C, H, W); mean (C, 1, 1), 0 without."""
    fill = mean if pad == "mean" and mean is not None else None
    if fill is not None:
        images = images - fill
    if (moves.scale == 1).all() and (moves.degrees == 0).all():
        out = _shifted(images, moves, pad)
    else:
        out = _warped(images, moves, pad)
    return out if fill is None else out + fill


def _shifted(images: Tensor, moves: Moves, pad: Pad) -> Tensor:
    height, width = images.shape[2:]
    shifts = list(zip(moves.down.tolist(), moves.right.tolist(), strict=True))
    most = [max(0, *(way * shift[axis] for shift in shifts)) for axis in (1, 0) for way in (1, -1)]
    if not any(most):
        return images
    padded = F.pad(images, most, mode=MODES[pad])  # left, right, top, bottom
    cuts = [(most[2] - down, most[0] - right) for down, right in shifts]
    if len(cuts) == 1:
        (top, left), *_ = cuts
        return padded[:, :, top : top + height, left : left + width]
    rows = [padded[i, :, top : top + height, left : left + width] for i, (top, left) in enumerate(cuts)]
    return torch.stack(rows)


def _warped(images: Tensor, moves: Moves, pad: Pad) -> Tensor:
    """Every pixel takes what lay where the move brings it from, between pixels bilinearly."""
    count, _, height, width = images.shape
    angle = np.radians(moves.degrees)
    cosine, sine = np.cos(angle) / moves.scale, np.sin(angle) / moves.scale
    shrink = np.array([width, height]) / 2  # grid_sample counts in half sides
    down, right = moves.down / shrink[1], moves.right / shrink[0]
    ratio = shrink[1] / shrink[0]
    rows = [[cosine, -sine * ratio], [sine / ratio, cosine]]
    theta = np.stack([
        np.stack([*row, -(row[0] * right + row[1] * down)], -1) for row in rows
    ], 1)  # fmt: skip
    grid = F.affine_grid(
        torch.tensor(theta, dtype=images.dtype, device=images.device), [len(theta), 1, height, width],
        align_corners=False,
    )  # fmt: skip
    grid = grid.expand(count, -1, -1, -1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=PADDING[pad], align_corners=False)


def margin(transforms: Transforms, size: tuple[int, int]) -> int:
    """How many pixels from the border moves may bring what was never there."""
    turned = math.sin(math.radians(transforms.degrees)) * max(size) / 2
    scaled = max(0.0, 1 - transforms.scale[0]) * max(size) / 2
    return min(math.ceil(transforms.jitter + turned + scaled), min(size) // 4)
