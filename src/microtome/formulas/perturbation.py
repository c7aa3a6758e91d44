"""Areas of an image, and what is left of it once they are blurred: does a map point at the pixels that matter?

All areas are a share of a box: the pixels that a unit can see. Outside of it every area is harmless, and a control
drawn there would flatter any map.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
EDGE_SIGMA = 1.0  # pixels; below, the edge filter follows noise


def strength(maps: np.ndarray) -> np.ndarray:
    """How strong a map is at every pixel: the Euclidean norm over its colours. Shapes: (..., C, H, W) -> (..., H, W).

    The norm of one colour is its magnitude, and a pixel counts the same whatever the axes of the colour space.
    """
    return np.sqrt(np.square(maps, dtype=np.float64).sum(-3))


def area_size(shape: tuple[int, int], share: float) -> int:
    """Pixels of an area that takes a share of a box (H, W), one at least."""
    return max(1, round(share * shape[0] * shape[1]))


def strongest_area(strengths: np.ndarray, share: float = 0.1) -> np.ndarray:
    """The strongest pixels, `area_size` of them; of equal ones those that come first, line by line.

    Shapes: (H, W) -> (H, W) bool.
    """
    order = np.argsort(-strengths, axis=None, kind="stable")
    area = np.zeros(strengths.size, bool)
    area[order[: area_size((strengths.shape[0], strengths.shape[1]), share)]] = True
    return area.reshape(strengths.shape)


def middle_area(shape: tuple[int, int], share: float = 0.1) -> np.ndarray:
    """The pixels nearest to the middle of a box: what a map would show that knows only where it looks.

    Shapes: shape (H, W) -> (H, W) bool.
    """
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in shape)
    return strongest_area(-np.hypot(rows[:, None], columns[None, :]), share)


def random_area(area: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The same area elsewhere in its box: moved around it at random (what leaves on one side comes back on the other)
    and mirrored at random.

    Pixels drawn one by one would be no fair control: their blurred values are close to their neighbours', and hardly
    anything is lost. A moved area has the same size, holes and coarseness, and only its place is random.
    Shapes: (H, W) bool -> the same.
    """
    moved = np.roll(area, (int(random.integers(area.shape[0])), int(random.integers(area.shape[1]))), (0, 1))
    flips = random.random(2) < 0.5
    return moved[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1].copy()


def edge_strength(pixels: np.ndarray) -> np.ndarray:
    """How strong the edges are at every pixel: magnitude of the Sobel gradient of the slightly smoothed luminance.

    It knows no network: a map that points no better than this shows the image. Luminance is weighted for three
    channels, else their mean. Shapes: (C, H, W) of any number type -> (H, W) float64.
    """
    weights = np.array(LUMINANCE) if len(pixels) == 3 else np.full(len(pixels), 1 / len(pixels))
    grey = np.tensordot(weights, pixels.astype(np.float64), 1)
    smooth = np.pad(_blur(torch.from_numpy(grey), EDGE_SIGMA).numpy(), 1, mode="edge")
    down = smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]
    right = smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]
    return np.hypot(down[2:] - down[:-2], right[:, 2:] - right[:, :-2])


def blurred(images: Tensor, sigma: float = 0.1) -> Tensor:
    """Gaussian blur; at the border the weights are those of the pixels that there are, so nothing darkens.

    At a tenth of the longer side (22 of 224 pixels) only the broad colours are left: shapes, textures and the strokes
    of a digit are gone. At a twentieth digits can still be read.
    Shapes: (..., H, W) floating point -> the same. Units: sigma in longer sides of the image.
    """
    return _blur(images, sigma * max(images.shape[-2:]))


def replaced(images: Tensor, areas: Tensor, by: Tensor) -> Tensor:
    """Images with areas taken from others. Shapes: (..., C, H, W), (..., H, W) bool, (..., C, H, W) broadcast."""
    return torch.where(areas.unsqueeze(-3), by, images)


def _blur(images: Tensor, sigma: float) -> Tensor:
    rows, columns = (_weights(length, sigma).to(images) for length in images.shape[-2:])
    return rows @ images @ columns.T


@lru_cache(maxsize=8)
def _weights(length: int, sigma: float) -> Tensor:
    """What every pixel of a line takes from every other; each row adds up to 1. Shapes: -> (length, length)."""
    place = torch.arange(length, dtype=torch.float64)
    weights = torch.exp(-((place[:, None] - place[None, :]) ** 2) / (2 * sigma**2)) if sigma > 0 else torch.eye(length)
    return weights / weights.sum(1, keepdim=True)
