"""A forward pass written down: every call, whether it overwrote its input, and a fingerprint of what came out."""

import hashlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .calls import Call, Following, Listener, first_tensor


class Step(NamedTuple):
    """One call of a forward pass, as it happened."""

    call: Call
    in_place: bool
    digest: bytes


class _Witness(Listener):
    """Writes down the calls in their order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._version = 0

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        tensor = first_tensor(arguments)
        self._version = tensor._version if tensor is not None else 0

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is not None:
            in_place = tensor is first_tensor(arguments) and tensor._version != self._version
            self.steps.append(Step(call, in_place, _digest(tensor)))
        return output


def witness(module: nn.Module, images: Tensor) -> tuple[Step, ...]:
    """Run `module` once, in eval mode, and write down every step. Shapes: images (N, C, H, W), prepared."""
    listener = _Witness()
    with torch.no_grad(), Following(module, listener):
        module(images)
    return tuple(listener.steps)


def _digest(tensor: Tensor) -> bytes:
    content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.blake2b(content.tobytes(), digest_size=16).digest()
