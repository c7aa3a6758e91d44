"""What a network is given has the type and lies on the device of its parameters."""

import torch
from torch import Tensor, nn

from ...images.preprocessing import Preprocessing


def prepare(images: Tensor, preprocessing: Preprocessing, module: nn.Module) -> Tensor:
    """What `module` is given for 8-bit images: normalised in float32, then in the type of its parameters."""
    return like_parameters(preprocessing.normalise(images), module)


def like_parameters(images: Tensor, module: nn.Module) -> Tensor:
    """Prepared images in the floating type and on the device of `module`'s first such parameter, if it has one."""
    first = next((p for p in module.parameters() if p.is_floating_point()), images)
    return images.to(first.device, first.dtype)


def smooth_images(shape: tuple[int, int, int]) -> Tensor:
    """Two images that are not constant, drawn without touching any random state. Shapes: (C, H, W) -> (2, C, H, W)."""
    ramp = torch.linspace(-1, 1, 2 * int(torch.Size(shape).numel())).sin()
    return ramp.view(2, *shape)
