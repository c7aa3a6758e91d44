"""To PyTorch and back: the same layers, the same numbers. Torch is imported only here, and only when asked for."""

from collections import OrderedDict
from typing import TYPE_CHECKING

from ..errors import BadModel
from .convolution import Conv2D
from .core import Layer, pair
from .files import LAYERS
from .layers import Dropout, Flatten, Linear, ReLU, Softmax
from .net import Net
from .normalisation import BatchNorm2D
from .pooling import AvgPool2D, MaxPool2D

if TYPE_CHECKING:
    from torch import nn


def to_torch(net: Net) -> "nn.Sequential":
    """The same network in PyTorch, in the same precision and mode; its layers keep their names (dots become _).

    The numbers are copied. Raises: BadModel for layers that are none of ours.
    """
    from torch import nn

    made = nn.Sequential(OrderedDict((layer.name.replace(".", "_"), _module(layer)) for layer in net))
    made.training = any(layer.training for layer in net)
    return made


def from_torch(module: "nn.Module", in_shape: tuple[int, ...]) -> Net:
    """The same network here, from an nn.Sequential (of such) for images of this shape, in the same precision and mode.

    Raises: BadModel for modules that there are none of here.
    """
    from torch import nn

    layers: list[Layer] = []

    def add(name: str, each: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(each, nn.Sequential):
            for inner, part in each.named_children():
                shape = add(f"{name}.{inner}" if name else inner, part, shape)
            return shape
        layer = _layer(name, each, shape)
        layer.training = each.training
        layers.append(layer)
        return layer.out_shape(shape)

    add("", module, in_shape)
    return Net(layers)


def _module(layer: Layer) -> "nn.Module":
    import torch
    from torch import nn

    made: nn.Module
    if type(layer) not in LAYERS.values():
        raise BadModel(f"{layer.type} {layer.name!r} is no layer of this package", "Only these have a like in PyTorch",
                       "Replace it")  # fmt: skip
    if isinstance(layer, Linear):
        made = nn.Linear(layer.input_dim, layer.output_dim, bias=layer.bias_there)
    elif isinstance(layer, Conv2D):
        made = nn.Conv2d(layer.in_shape[0], layer.n_filter, (layer.h_filter, layer.w_filter), layer.stride,
                         layer.padding, bias=layer.bias_there)  # fmt: skip
    elif isinstance(layer, BatchNorm2D):
        made = nn.BatchNorm2d(layer.channels, eps=layer.epsilon, momentum=layer.momentum)
    elif isinstance(layer, (MaxPool2D, AvgPool2D)):
        made = (nn.MaxPool2d if isinstance(layer, MaxPool2D) else nn.AvgPool2d)(layer.size, layer.stride)
    elif isinstance(layer, Dropout):
        made = nn.Dropout(layer.p)
    else:
        made = nn.ReLU() if isinstance(layer, ReLU) else nn.Flatten() if isinstance(layer, Flatten) else nn.Softmax(-1)
    for name, array in ({k: p.tensor for k, p in layer.parameters().items()} | layer.buffers()).items():
        value = torch.from_numpy((array.T if isinstance(layer, Linear) else array).copy("C"))
        if name in dict(made.named_parameters()):
            setattr(made, name, nn.Parameter(value, requires_grad=layer.parameters()[name].requires_grad))
        else:
            made.register_buffer(name, value)
    return made.train(layer.training)


def _layer(name: str, module: "nn.Module", shape: tuple[int, ...]) -> Layer:
    from torch import nn

    made: Layer
    in_shape = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (0, 0, 0)
    if isinstance(module, nn.Linear):
        made = Linear(name, module.in_features, module.out_features, module.bias is not None)
    elif isinstance(module, nn.Conv2d) and _plain(module):
        assert not isinstance(module.padding, str)  # it is plain
        made = Conv2D(name, in_shape, module.out_channels, *pair(module.kernel_size), pair(module.stride),
                      pair(module.padding), module.bias is not None)  # fmt: skip
    elif isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats and module.momentum:
        made = BatchNorm2D(name, module.num_features, module.momentum, module.eps)
    elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)) and _plain(module):
        made = (MaxPool2D if isinstance(module, nn.MaxPool2d) else AvgPool2D)(name, in_shape, *_window(module))
    elif isinstance(module, nn.Dropout):
        made = Dropout(name, module.p)
    elif isinstance(module, (nn.ReLU, nn.Flatten, nn.Softmax)):
        made = {nn.ReLU: ReLU, nn.Flatten: Flatten, nn.Softmax: Softmax}[type(module)](name)
    else:
        raise BadModel(f"{name} is {module}", "Known are linear layers, convolutions without dilation or groups, pools "
                       "without padding, batch norm, ReLU, dropout, flatten and softmax", "Replace it")  # fmt: skip
    for key, parameter in made.parameters().items():
        value = getattr(module, key).detach().cpu().numpy()
        parameter.tensor = (value.T if isinstance(made, Linear) else value).copy("C")
        parameter.requires_grad = getattr(module, key).requires_grad
    for key in made.buffers():
        setattr(made, key, getattr(module, key).detach().cpu().numpy().copy())
    return made


def _plain(module: "nn.Module") -> bool:
    """Whether it has none of what our layer of the kind does not know."""
    from torch import nn

    if isinstance(module, nn.Conv2d):
        dilated, grouped = set(module.dilation) != {1}, module.groups != 1
        return not dilated and not grouped and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    padded = module.padding not in (0, (0, 0))
    return not padded and not module.ceil_mode and getattr(module, "dilation", 1) in (1, (1, 1))


def _window(module: "nn.MaxPool2d | nn.AvgPool2d") -> tuple[tuple[int, int], tuple[int, int]]:
    return pair(module.kernel_size), pair(module.stride)
