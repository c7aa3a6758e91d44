"""What happens to an image between the file and the network, in two steps that are kept apart.

Geometry (resize, crop, channels) gives the 8-bit image that is shown to people; normalisation turns it into the
numbers that the network is given. So every picture in a report lies exactly under the activations that it caused.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import BadImages

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize the short side to `resize` (0: do not), crop the middle to `size`, scale to 0..1, normalise.

    Shapes: size (H, W); mean and std one number a channel, so their length is the number of channels.
    """

    size: tuple[int, int]
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return len(self.mean)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one image as the network is given it."""
        return (self.channels, *self.size)

    def same_pictures(self, other: "Preprocessing") -> bool:
        """Whether both make the same 8-bit picture of an image, whatever they normalise it to."""
        same = self.shape == other.shape and self.resize == other.resize
        return same and (self.interpolation == other.interpolation or not self.resize)

    def geometry(self, image: Image.Image) -> np.ndarray:
        """The image as people are shown it.

        As with torchvision's folder loader, colours are converted as Pillow does it: transparency is dropped, 16-bit
        grey is cut at 255, and a photograph is not turned by the orientation in its EXIF data.
        Shapes: -> (C, H, W) uint8.
        Raises: BadImages if the network takes neither grey nor colours.
        """
        if self.channels not in MODES:
            raise BadImages(
                f"The network takes {self.channels} channels, which a picture cannot give it",
                "Pictures have 1 channel (grey) or 3 (colours)",
                "Give tensors of floating point, prepared for the network",
            )
        if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
            image = image.convert("RGBA")  # the direct way gives the same colours, and a warning
        image = image.convert(MODES[self.channels])
        if self.resize and min(image.size) != self.resize:
            # torchvision's Resize: the short side is exact, the long one is rounded down
            short, long = min(image.size), max(image.size)
            scaled = int(self.resize * long / short)
            size = (self.resize, scaled) if image.width <= image.height else (scaled, self.resize)
            image = image.resize(size, RESAMPLING[self.interpolation])
        height, width = self.size
        if image.size != (width, height):
            left, top = _offset(image.width, width), _offset(image.height, height)
            image = image.crop((left, top, left + width, top + height))
        pixels = np.asarray(image)  # read-only, which torch warns of
        return pixels[None].copy() if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy()

    def normalise(self, images: Tensor) -> Tensor:
        """The numbers that the network is given; floating point is prepared already and passes unchanged.

        Shapes: (N, C, H, W) uint8 -> the same, float32.
        """
        if images.is_floating_point():
            return images
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(-1, 1, 1)
        return (images.float() / 255 - mean) / std

    def display(self, prepared: np.ndarray) -> np.ndarray:
        """A picture of what was prepared for the network: mean and std undone, clipped.

        Shapes: (C, H, W) float -> (C, H, W) uint8; what is neither grey nor colours, its mean (1, H, W).
        """
        mean, std = (np.array(values, dtype=np.float64)[:, None, None] for values in (self.mean, self.std))
        scaled = (prepared * std + mean) * 255
        if self.channels not in MODES:
            scaled = scaled.mean(0, keepdims=True)
        return np.nan_to_num(np.rint(scaled)).clip(0, 255).astype(np.uint8)

    def __str__(self) -> str:
        height, width = self.size
        scale = f"resize {self.resize} ({self.interpolation}), crop" if self.resize else "crop"
        numbers = [", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std)]
        return f"{scale} {height} x {width}, {self.channels} channels, mean ({numbers[0]}), std ({numbers[1]})"


def _offset(there: int, wanted: int) -> int:
    """Where torchvision's CenterCrop starts: half a pixel rounds to even; before the image, where it pads, down."""
    return round((there - wanted) / 2) if there >= wanted else -((wanted - there) // 2)
