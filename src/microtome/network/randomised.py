"""The same network with its weights shuffled: what a claim about trained weights has to beat."""

import copy
from dataclasses import replace

import torch

from ..errors import NotApplicable
from .model import Model


def randomised(model: Model, seed: int = 0) -> Model:
    """A copy whose parameters are permuted, each tensor within itself: the same numbers, another order.

    Buffers, such as the running statistics of BatchNorm, stay. Reference: Adebayo et al. 2018, Sanity Checks for
    Saliency Maps. The model itself is not touched.
    Raises: NotApplicable if it cannot be copied.
    """
    try:
        module = copy.deepcopy(model.module)
    except (RuntimeError, TypeError) as error:  # a network that keeps tensors of its last pass
        raise NotApplicable(f"{model.name} cannot be copied ({error})", "A control with shuffled weights needs a copy",
                            "Give the network as it was built, before its first pass") from error  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return replace(model, module=module, weights=f"{model.weights}, shuffled (seed {seed})")
