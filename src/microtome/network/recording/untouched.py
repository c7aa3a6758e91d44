"""Use a model and hand it back as it was: its state, the mode of every module, the caller's modes, random state."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn

from ...errors import UsageError
from .snapshot import Snapshot


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
    """`module` in eval mode, on `device`, without gradients; afterwards everything is as before, errors or not.

    Raises: BadModel for a module with parameters that have no shape yet.
    """
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    device = device or home
    with torch.inference_mode(False), torch.no_grad(), _no_autocast(device), _random_states(device):
        before = Snapshot(module)
        try:
            if device.type != home.type:
                module.to(device)
            for part in before.parts:
                part.training = False
            yield module
        finally:
            try:
                before.restore()
            except BaseException:
                before.restore()  # an interrupt may come right here, and putting back twice does no harm
                raise


@contextmanager
def _no_autocast(device: torch.device) -> Iterator[None]:
    """What is found must not depend on whether the caller computes in mixed precision."""
    with ExitStack() as stack:
        if torch.amp.is_autocast_available(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        yield


@contextmanager
def _random_states(device: torch.device) -> Iterator[None]:
    """Whatever draws random numbers in a forward pass: the caller's go on where they stood."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - networks draw from it
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
