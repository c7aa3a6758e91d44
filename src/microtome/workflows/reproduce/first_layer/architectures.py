"""The networks that learn: VGGs of several depths behind the same first layer, and ResNet20."""

from dataclasses import dataclass

import torch
from torch import nn

from ....network.zoo import ZOO
from ....network.zoo.cifar_vgg import VGG11, CifarVgg, Widths

RESIDUAL = "resnet20"
DEEP, MIDDLE, SHALLOW = "vgg8", "vgg5", "vgg3"  # by their convolutions
DEPTHS = {SHALLOW: 3, MIDDLE: 5, DEEP: 8}

# The 64 filters that are looked at are all there; behind them widths are a quarter of VGG11's and less, for the sake of
# time. What is shallower has fewer pools too.
NARROW: dict[str, Widths] = {
    SHALLOW: (64, "pool", 32, "pool", 64, "pool"),
    MIDDLE: (64, "pool", 32, "pool", 32, "pool", 64, "pool", 64, "pool"),
    DEEP: (64, "pool", 32, "pool", 32, 32, "pool", 64, 64, "pool", 64, 64, "pool"),
}
WIDE: dict[str, Widths] = {
    SHALLOW: (64, "pool", 128, "pool", 256, "pool"),
    MIDDLE: (64, "pool", 128, "pool", 256, "pool", 512, "pool", 512, "pool"),
    DEEP: VGG11,
}
HIDDEN = (512, 512)
SIDE = 32
COST = {SHALLOW: 1.0, MIDDLE: 1.0, DEEP: 1.2, RESIDUAL: 4.0}  # of one step, roughly, in those of the first


@dataclass(frozen=True, kw_only=True)
class First:
    """The first layer of a network: its convolution and the batch norm behind it."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d

    def filters(self) -> torch.Tensor:
        """As they are. Shapes: -> (K, C, kh, kw), a copy on the CPU."""
        return self.convolution.weight.detach().cpu().clone().contiguous()

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Filters and offsets with the batch norm's running numbers folded in. Shapes: -> (K, C, kh, kw), (K,)."""
        norm, mean, variance = self.norm, self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None  # batch norms here keep them
        scale = norm.weight.detach() / (variance + norm.eps).sqrt()
        bias = self.convolution.bias
        begun = -mean if bias is None else bias.detach() - mean
        offset = norm.bias.detach() + scale * begun
        return (self.filters() * scale.cpu()[:, None, None, None]), offset.cpu()


def build(name: str, classes: int, wide: bool) -> nn.Module:
    """A network with the weights that the current random state draws.

    The narrow VGGs end in one linear layer: two more with dropout, as VGG11 has them, take tens of epochs to learn
    random labels.
    """
    if name == RESIDUAL:
        module = ZOO[RESIDUAL].build()
        if classes != len(ZOO[RESIDUAL].class_names):
            module.linear = nn.Linear(64, classes)
        return module
    if wide:
        return CifarVgg(WIDE[name], HIDDEN, batch_norm=True, classes=classes)
    widths = NARROW[name]
    module = CifarVgg(widths, (1, 1), batch_norm=True, classes=classes)
    last = max(place for place, width in enumerate(widths) if width != "pool")
    module.classifier = nn.Sequential(nn.Linear(int(widths[last]) * (SIDE >> widths.count("pool")) ** 2, classes))
    return module


def first_of(module: nn.Module) -> First:
    """The first convolution and the first batch norm, which stands behind it in all of these networks."""
    convolution = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    norm = next(part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    return First(convolution=convolution, norm=norm)
