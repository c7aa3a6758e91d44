"""The colours of the images that a network is given: their range, their mean, and how their channels go together."""

from dataclasses import dataclass

import numpy as np
import torch

from ...images.collection import Images
from ..model import Model

IMAGES, PIXELS = 64, 256  # from which colours are measured: so many images, so many pixels of each
LEAST = 1e-4  # variance in any direction of colour, as a share of the largest: no colour is out of reach


@dataclass(frozen=True, kw_only=True)
class Palette:
    """In the numbers that the network is given.

    Shapes: low, high, mean (C,); root (C, C), whose product with its transpose is the covariance of colours.
    `shown` says that the range is that of 8-bit pictures.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    shown: bool

    @property
    def half_range(self) -> np.ndarray:
        """Half of what lies between the smallest and the largest number. Shapes: (C,)."""
        return np.maximum((self.high - self.low) / 2, 1e-12)


def measured(model: Model, images: Images, seed: int = 0) -> Palette:
    """The palette of some images: their pixels' mean and covariance; the range is that of 8-bit pictures, or of the
    sampled pixels themselves for images that come prepared.
    """
    random = np.random.default_rng([seed, len(images)])
    chosen = images.readable(random.permutation(len(images)), IMAGES)
    found = []
    for place in np.sort(chosen):
        pixels = model.preprocessing.normalise(torch.from_numpy(images.pixels(int(place))[None]))[0].double().numpy()
        flat = pixels.reshape(len(pixels), -1)
        ends = np.stack([flat.min(1), flat.max(1)], 1)
        found.append((flat[:, random.integers(flat.shape[1], size=PIXELS)], ends))
    if not found:
        return assumed(model)
    drawn, ends = np.concatenate([part for part, _ in found], 1), np.stack([part for _, part in found])
    low, high = (ends[..., 0].min(0), ends[..., 1].max(0)) if images.prepared else _eight_bits(model)
    return of_pixels(drawn, low, high, not images.prepared)


def of_pixels(pixels: np.ndarray, low: np.ndarray, high: np.ndarray, shown: bool = True) -> Palette:
    """The palette of pixels within a range; in every direction of colour there is some variance. Shapes: (C, n)."""
    covariance = np.atleast_2d(np.cov(pixels, bias=True))
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, max(LEAST * values[-1], 1e-12))
    return Palette(low=low, high=high, mean=pixels.mean(1), root=vectors * np.sqrt(values), shown=shown)


def assumed(model: Model) -> Palette:
    """The palette without images: middle grey, channels that do not depend on each other, a quarter of the range."""
    low, high = _eight_bits(model)
    return Palette(low=low, high=high, mean=(low + high) / 2, root=np.diag((high - low) / 4), shown=True)


def _eight_bits(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """What black and white become. Shapes: (C,), (C,)."""
    mean, std = np.array(model.preprocessing.mean), np.array(model.preprocessing.std)
    return -mean / std, (1 - mean) / std
