"""What a forward pass could change about a network, written down so that it can be put back.

Networks cache tensors, count their calls, keep running means, or set a weight anew at every call. All of that is put
back: attributes, the contents of containers, buffers and hooks. Weights are put back as they were stored, and are not
copied: a network that writes into the memory of its own weights in eval mode is the one thing that is not undone.
"""

from collections import deque
from collections.abc import Iterable
from operator import is_
from types import NoneType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ...errors import BadModel

CONTAINERS = (dict, list, set, deque)
PLAIN = frozenset([bool, int, float, str, NoneType])  # most attributes: they hold nothing, and cannot change


class Snapshot:
    """A module as it is now; `restore` makes it so again. `parts` are all modules in it, itself first.

    Raises: BadModel if the module has parameters without a shape, which its first call would make for good.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parts = list(module.modules())
        parameters = list({id(each): each for part in self.parts for each in part.parameters(recurse=False)}.values())
        if any(map(is_lazy, parameters)):
            lazy = next(name for name, parameter in module.named_parameters() if is_lazy(parameter))
            raise BadModel(
                f"Parameter {lazy!r} of {type(module).__name__} has no shape yet",
                "A network that is looked at has all its weights, and comes back as it was",
                "Call it once on an image of yours, then look",
            )
        self._attributes = [(part, dict(vars(part))) for part in self.parts]
        self._contents: list[tuple[Any, list[Any], list[Any]]] = []
        self._empty: list[Any] = []  # most containers: nearly no module has hooks
        self._tensors: list[tuple[Tensor, Tensor]] = []
        self._gradients = [(each, each.grad) for each in parameters]
        stored = [each for pair in self._gradients for each in pair if each is not None]
        # a detached tensor keeps the memory at hand, wherever the tensor itself is moved
        self._stored = [(each, each.detach(), each.requires_grad) for each in stored]
        self._take(value for _, attributes in self._attributes for value in attributes.values())

    def _take(self, values: Iterable[Any]) -> None:
        """Write down containers, however nested, and the tensors in them."""
        waiting = list(values)
        known = {id(parameter) for parameter, *_ in self._stored}
        while waiting:
            here = waiting.pop()
            if type(here) in PLAIN or id(here) in known:
                continue
            known.add(id(here))
            if isinstance(here, CONTAINERS):
                if not len(here):
                    self._empty.append(here)
                    continue
                self._contents.append((here, *_listed(here)))
            if isinstance(here, dict):
                waiting += here.values()
            elif isinstance(here, (*CONTAINERS, tuple)):
                waiting += here
            elif isinstance(here, Tensor):
                self._tensors.append((here, here.detach().clone()))

    def restore(self) -> None:
        """Put everything back that is no longer as it was."""
        for part, attributes in self._attributes:
            now = vars(part)
            if len(now) != len(attributes) or not all(map(is_, now, attributes)):
                for name in now.keys() - attributes.keys():
                    del now[name]
            now.update(attributes)
        for container in self._empty:
            if len(container):
                container.clear()
        for container, contents, values in self._contents:
            if not _holds(container, contents, values):
                container.clear()
                if isinstance(container, dict):
                    container.update(zip(contents, values, strict=True))
                else:
                    (container.update if isinstance(container, set) else container.extend)(contents)
        for tensor, memory, requires_grad in self._stored:
            if tensor.device != memory.device or tensor.data_ptr() != memory.data_ptr():
                tensor.data = memory
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad = requires_grad
        for parameter, gradient in self._gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient
        for tensor, numbers in self._tensors:
            if not tensor.is_meta and not torch.equal(tensor, numbers):
                with torch.inference_mode(tensor.is_inference()):  # such a tensor cannot be written outside
                    tensor.copy_(numbers)


def _listed(container: Any) -> tuple[list[Any], list[Any]]:
    """What a container holds, in order: the keys and the values of a dictionary."""
    return list(container), list(container.values()) if isinstance(container, dict) else []


def _holds(container: Any, contents: list[Any], values: list[Any]) -> bool:
    """Whether a container still holds the same objects, in the same order."""
    if len(container) != len(contents) or not all(map(is_, container, contents)):
        return False
    return not isinstance(container, dict) or all(map(is_, container.values(), values))
