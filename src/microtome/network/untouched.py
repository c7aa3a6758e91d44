"""Use a model and hand it back as it was: mode of every module, device, gradient mode, random state."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..errors import UsageError


def choose_device(module: nn.Module, wish: str = "auto") -> torch.device:
    """The device to work on: where the model lies if that is an accelerator, else a GPU if there is one.

    Raises: UsageError if the one wished for cannot be used.
    """
    if wish != "auto":
        try:
            device = torch.device(wish)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(
                f"Device {wish!r} cannot be used on this machine",
                "A device is auto, cpu, cuda, cuda:1, mps, ... as far as this machine has it", "Leave --device out",
            ) from error  # fmt: skip
        return device
    here = next((p.device for p in module.parameters()), torch.device("cpu"))
    return torch.device("cuda") if here.type == "cpu" and torch.cuda.is_available() else here


@contextmanager
def untouched(module: nn.Module, device: torch.device | None = None) -> Iterator[nn.Module]:
    """`module` in eval mode, on `device`, without gradients; afterwards everything is as before, errors or not."""
    training = [(part, part.training) for part in module.modules()]
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    moves = device is not None and device.type != home.type
    with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(enabled=True):
        try:
            if moves:
                module.to(device)
            for part, _ in training:
                part.training = False
            yield module
        finally:
            for part, mode in training:
                part.training = mode
            if moves:
                module.to(home)
