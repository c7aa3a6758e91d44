"""The same network with its weights shuffled: what a claim about trained weights has to beat."""

import copy
from dataclasses import replace

import torch

from .model import Model


def randomised(model: Model, seed: int = 0) -> Model:
    """A copy whose parameters are permuted, each tensor within itself: the same numbers, another order.

    Buffers, such as the running statistics of BatchNorm, stay. Reference: Adebayo et al. 2018, Sanity Checks for
    Saliency Maps. The model itself is not touched.
    """
    module = copy.deepcopy(model.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return replace(model, module=module, weights=f"{model.weights}, shuffled (seed {seed})")
