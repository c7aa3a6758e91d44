"""The state of a network's numbers: precision, values that are no numbers, layers of zeros, scales that turn signs."""

from collections import Counter

import torch
from torch import nn

from ..open import Model
from ..remarks import Remark, counted, listed


def remark_health(model: Model) -> list[Remark]:
    """Everything that can be said about parameters and buffers without running the network."""
    return [_precision(model), _not_finite(model), _zero_layers(model), *_scales(model.module)]


def _precision(model: Model) -> Remark:
    parameters = list(model.module.parameters())
    kinds = Counter(str(parameter.dtype).removeprefix("torch.") for parameter in parameters)
    devices = sorted({str(parameter.device) for parameter in parameters})
    frozen = sum(not parameter.requires_grad for parameter in parameters)
    mixed = len(kinds) > 1 or len(devices) > 1
    held = f"; {frozen} of {len(parameters)} tensors frozen" if frozen else ""
    return Remark(
        name="parameters", number=model.parameters, level="note" if mixed or frozen else "fine",
        sentence=f"{counted(model.parameters, 'parameter')}, {' and '.join(kinds) or 'none'}, on "
        f"{' and '.join(devices) or 'no device'}{held}",
    )  # fmt: skip


def _not_finite(model: Model) -> Remark:
    bad = {}
    for name, tensor in (*model.module.named_parameters(), *model.module.named_buffers()):
        count = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
        if count:
            bad[name] = count
    if not bad:
        return Remark(name="not_finite", sentence="Every parameter and buffer is finite", number=0)
    total = sum(bad.values())
    return Remark(
        name="not_finite", number=total, level="warning", places=tuple(bad), counts=tuple(bad.values()),
        sentence=f"{counted(total, 'value is', 'values are')} NaN or infinite, in {listed(list(bad))}: "
        "nothing behind them can be trusted",
    )  # fmt: skip


def _zero_layers(model: Model) -> Remark:
    zero = [layer.name for layer in model.sites.layers if not bool(model.weight(layer.name).any())]
    if not zero:
        return Remark(name="zero_layers", sentence="No layer has only zeros for weights", number=0)
    return Remark(
        name="zero_layers", number=len(zero), level="warning", places=tuple(zero),
        sentence=f"{counted(len(zero), 'layer has', 'layers have')} only zeros for weights: {listed(zero)}",
    )  # fmt: skip


def _scales(module: nn.Module) -> list[Remark]:
    """Negative and zero scales of normalisations by channel."""
    scales = {
        name: part.weight.detach() for name, part in module.named_modules()
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.weight is not None
    }  # fmt: skip
    if not scales:
        return [Remark(name="negative_scales", sentence="There is no BatchNorm with scales", number=0)]
    channels = sum(len(scale) for scale in scales.values())
    negative = {name: int((scale < 0).sum()) for name, scale in scales.items()}
    zero = {name: int((scale == 0).sum()) for name, scale in scales.items()}
    return [
        _scale_remark("negative_scales", negative, channels, scales,
                      "negative: there the strongest activation is the weakest response of the convolution"),
        _scale_remark("zero_scales", zero, channels, scales, "zero: they are constant, whatever the image"),
    ]  # fmt: skip


def _scale_remark(
    name: str, counts: dict[str, int], channels: int, scales: dict[str, torch.Tensor], meaning: str
) -> Remark:
    found = {layer: count for layer, count in counts.items() if count}
    if not found:
        sign = name.partition("_")[0]
        return Remark(name=name, sentence=f"None of {channels:,} BatchNorm scales is {sign}", number=0)
    texts = [f"{layer} ({count} of {len(scales[layer])})" for layer, count in found.items()]
    total = sum(found.values())
    return Remark(
        name=name, number=total, level="note", places=tuple(found), counts=tuple(found.values()),
        sentence=f"{total:,} of {channels:,} BatchNorm scales are {meaning}; in {listed(texts)}",
    )  # fmt: skip
