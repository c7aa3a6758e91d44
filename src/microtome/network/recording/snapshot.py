"""What a forward pass could change about a network, written down so that it can be put back.

Networks cache tensors, count their calls, keep running means, or set a weight anew at every call. All of that is put
back: attributes, the contents of containers, buffers and hooks. Weights are put back as they were stored, and are not
copied: a network that writes into the memory of its own weights in eval mode is the one thing that is not undone.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ...errors import BadModel

CONTAINERS = (dict, list, set, deque)


class Snapshot:
    """A module as it is now; `restore` makes it so again.

    Raises: BadModel if the module has parameters without a shape, which its first call would make for good.
    """

    def __init__(self, module: nn.Module) -> None:
        lazy = [name for name, parameter in module.named_parameters() if is_lazy(parameter)]
        if lazy:
            raise BadModel(
                f"Parameter {lazy[0]!r} of {type(module).__name__} has no shape yet",
                "A network that is looked at has all its weights, and comes back as it was",
                "Call it once on an image of yours, then look",
            )
        self._attributes = [(part, dict(vars(part))) for part in module.modules()]
        self._contents: list[tuple[Any, list[Any]]] = []
        self._tensors: list[tuple[Tensor, Tensor]] = []
        self._gradients = [(each, each.grad) for each in module.parameters()]
        stored = [each for pair in self._gradients for each in pair if each is not None]
        # a detached tensor keeps the memory at hand, wherever the tensor itself is moved
        self._stored = [(each, each.detach(), each.requires_grad) for each in stored]
        self._take(attributes for _, attributes in self._attributes)

    def _take(self, values: Iterator[Any]) -> None:
        """Write down containers, however nested, and the tensors in them."""
        waiting = list(values)
        known = {id(parameter) for parameter, *_ in self._stored}
        while waiting:
            here = waiting.pop()
            if id(here) in known:
                continue
            known.add(id(here))
            if isinstance(here, Tensor):
                self._tensors.append((here, here.detach().clone()))
            elif isinstance(here, CONTAINERS):
                self._contents.append((here, _listed(here)))
            if isinstance(here, (*CONTAINERS, tuple)):
                waiting += here.values() if isinstance(here, dict) else here

    def restore(self) -> None:
        """Put everything back that is no longer as it was."""
        for part, attributes in self._attributes:
            now = vars(part)
            for name in now.keys() - attributes.keys():
                del now[name]
            now.update(attributes)
        for container, contents in self._contents:
            if not _same(_listed(container), contents):
                container.clear()
                (container.extend if isinstance(container, (list, deque)) else container.update)(contents)
        for tensor, memory, requires_grad in self._stored:
            if tensor.device != memory.device or tensor.data_ptr() != memory.data_ptr():
                tensor.data = memory
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad = requires_grad
        for parameter, gradient in self._gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient
        for tensor, values in self._tensors:
            if not tensor.is_meta and not torch.equal(tensor, values):
                with torch.inference_mode(tensor.is_inference()):  # such a tensor cannot be written outside
                    tensor.copy_(values)


def _listed(container: Any) -> list[Any]:
    """What a container holds, in order: pairs for a dictionary."""
    return list(container.items() if isinstance(container, dict) else container)


def _same(some: list[Any], others: list[Any]) -> bool:
    """Whether two lists hold the same objects, or pairs of the same objects."""

    def who(each: Any) -> Any:
        return tuple(map(id, each)) if isinstance(each, tuple) else id(each)

    return list(map(who, some)) == list(map(who, others))
