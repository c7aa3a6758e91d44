"""The rest of a network trained around a stand-in, on a copy."""

import copy
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import NotApplicable
from ..model import Model
from ..parts.linear_layers import LinearLayer
from ..recording.calls import first_tensor
from .replacing import Replacing, run
from .standing_in import StandIn

RATE, BATCH = 3e-4, 32  # of Adam, as for a network that has been trained already


def retrained(
    model: Model, layer: LinearLayer, stand_in: StandIn, images: Tensor, targets: np.ndarray, steps: int, seed: int = 0
) -> Model:
    """A copy of the network, all of whose other weights have learnt for some steps with the stand-in in its place.

    Batch norms keep their running statistics. Shapes: images (n, C, H, W), normalised; targets (n, ...), classes.
    Raises: NotApplicable if it cannot be copied.
    """
    try:
        module = copy.deepcopy(model.module).eval()
    except (RuntimeError, TypeError) as error:
        raise NotApplicable(f"{model.name} cannot be copied ({error})", "Training around a stand-in needs a copy",
                            "Leave fine_tune at 0") from error  # fmt: skip
    found, listener = replace(model, module=module), Replacing(model.sites, layer, stand_in)
    generator, axis = torch.Generator().manual_seed(seed), model.sites[model.sites.output].channel_axis
    wanted = torch.from_numpy(targets.astype(np.int64))
    with torch.inference_mode(False), torch.enable_grad():
        for parameter in module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
        for _ in range(steps):
            chosen = torch.randint(len(images), (min(BATCH, len(images)),), generator=generator)
            output = first_tensor(run(module, images[chosen], len(chosen), listener))
            assert output is not None, "sites are found by running"
            loss = F.cross_entropy(output.movedim(axis, 1), wanted[chosen].to(output.device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return found
