"""The second route back to the pixels: rectifiers are swapped while the network runs, and no graph is looked at."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

import microtome as mt

RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "deconvnet": lambda x, g: g.clamp(min=0),
    "guided": lambda x, g: g.clamp(min=0) * (x > 0),
    "gradient": lambda x, g: g * (x > 0),
}


class Swapped(TorchFunctionMode):
    """Every rectifier that is called becomes a function with a backward pass of its own; `count` says how many."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.count = 0

        class Rectify(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, x: Tensor, top: float) -> Tensor:
                context.save_for_backward(x)
                context.top = top
                return x.clamp(0, top)

            @staticmethod
            def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
                (x,) = context.saved_tensors
                inside = torch.where(x < context.top, x, -1.0)  # a ReLU6 passes nothing above 6
                return RULES[method](inside, gradients[0]), None

        self.rectify = Rectify

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in ("relu", "relu_", "hardtanh", "relu6"):
            return func(*args, **kwargs)
        self.count += 1
        made = self.rectify.apply(args[0].clone(), 6.0 if name in ("hardtanh", "relu6") else math.inf)
        return args[0].copy_(made) if kwargs.get("inplace") or name == "relu_" else made


def second_route(model: mt.Model, x: Tensor, method: str, convolution: str = "") -> tuple[Tensor, tuple[int, ...], int]:
    """What the strongest unit of the first image, as a seed, becomes: the map, the unit, how many were swapped.

    The unit is one of a convolution, or without its name of the output. Rules know the seed's sign.
    """
    leaf = x.clone().requires_grad_()
    kept: list[Tensor] = []
    if convolution:
        layer = model.module.get_submodule(convolution)
        handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output.clone()))
    with Swapped(method) as swapped:
        output = model.module(leaf.clone())
    if convolution:
        handle.remove()
        (output,) = kept
    place = torch.unravel_index(output[0].argmax(), output[0].shape)
    unit = (0, *(int(axis) for axis in place))
    (found,) = torch.autograd.grad(output[unit], leaf, output[unit].detach())
    return found, unit, swapped.count
