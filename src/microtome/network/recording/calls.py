"""Follow a forward pass call by call, without touching the model's code or its results.

A *call* is what torch.fx would draw as one node: a leaf module at work (anything of torch.nn but containers), or a
torch function called outside a leaf. Modules are seen through hooks, functions through a `TorchFunctionMode`; so
functional ReLUs, additions and slices are calls like any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Operators as torch sees them, beside the names that torch.fx gives them.
OPERATOR_NAMES = {
    "add_": "add", "radd": "add", "iadd": "add", "sub_": "sub", "rsub": "sub", "isub": "sub",
    "mul_": "mul", "rmul": "mul", "imul": "mul", "div": "truediv", "div_": "truediv", "rdiv": "truediv",
    "rtruediv": "truediv", "itruediv": "truediv", "rpow": "pow", "ifloordiv": "floordiv", "rfloordiv": "floordiv",
    "get": "getattr",
}  # fmt: skip


# Modules of torch.nn that only call others; torch.fx opens Sequential alone, but a wrapper as one node shows nothing.
OPENED = (nn.Sequential, nn.DataParallel, nn.parallel.DistributedDataParallel)


class Call(NamedTuple):
    """One call: the module path of the leaf, or of the container in which the function was called."""

    path: str
    operation: str
    leaf: bool

    @property
    def base(self) -> str:
        """The name before repeated calls are numbered."""
        if self.leaf:
            return self.path
        return f"{self.path}.{self.operation}" if self.path else self.operation


class Listener:
    """Told of every call; what it returns from `after` goes on in place of the call's output.

    While it is told, `calling` holds the module or function that is called, and its arguments by place and by name.
    """

    calling: tuple[Any, tuple[Any, ...], dict[str, Any]] = (None, (), {})

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        """Called with the arguments, before the operation may overwrite them."""

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        """Called with the output; returns it, or something to take its place."""
        return output

    def leave(self, path: str, output: Any) -> None:
        """Called when the container at `path` has returned."""


def is_leaf(module: nn.Module) -> bool:
    """Whether torch.fx would draw this module as one node; composite torchvision blocks are opened."""
    home = type(module).__module__
    if home.startswith(("torch.nn", "torch.ao.nn")):
        return not isinstance(module, OPENED)
    return home.startswith("torchvision.ops") and next(module.children(), None) is None


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor in a nested value, or None."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
        return value[0]
    return next(tensors_in(value), None)


def replaced(value: Any, old: Tensor, new: Tensor) -> Any:
    """A nested value with one of its tensors replaced by another."""
    if isinstance(value, dict):
        return type(value)((key, replaced(item, old, new)) for key, item in value.items())
    if isinstance(value, (tuple, list)):
        items = [replaced(item, old, new) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return new if value is old else value


class Following(TorchFunctionMode):
    """While entered, tells `listener` of every call of `module` in this thread; afterwards no hook is left.

    Where a network runs often and much is done in between, `hooked` leaves the hooks and `running` does the rest.
    """

    def __init__(self, module: nn.Module, listener: Listener) -> None:
        super().__init__()
        self.module, self.listener = module, listener
        self._handles: list[Any] = []
        self._quiet: Any = None  # entered while a leaf is at work
        self.restart()

    def restart(self) -> None:
        """Forget where the last forward pass stood (it may have been broken off)."""
        self._listen()
        self._containers: list[str] = []
        self._arguments: list[tuple[Any, ...]] = []  # of the leaves being called, innermost last

    def __enter__(self) -> Self:
        self._hook()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        self._listen()
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        self._unhook()

    @contextmanager
    def hooked(self) -> Iterator[Self]:
        """Modules are followed; functions only while `running`, so that what is done in between costs nothing."""
        self._hook()
        try:
            yield self
        finally:
            self._unhook()

    @contextmanager
    def running(self) -> Iterator[None]:
        """One forward pass inside `hooked`, which may be broken off."""
        super().__enter__()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            self.restart()
            super().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _hook(self) -> None:
        for path, module in self.module.named_modules():
            if is_leaf(module):
                self._hook_leaf(module, Call(path, type(module).__name__, True))
            else:
                self._hook_container(module, path)

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _listen(self) -> None:
        """Let torch tell of functions again, after a leaf."""
        if self._quiet is not None:
            self._quiet.__exit__(None, None, None)
            self._quiet = None

    def _hook_leaf(self, module: nn.Module, call: Call) -> None:
        def enter(called: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            arguments = (*args, *kwargs.values())
            self._arguments.append(arguments)
            if len(self._arguments) == 1:
                self.listener.calling = called, args, kwargs
                # neither what the listener does nor what goes on inside a leaf is a call: torch need not ask
                self._quiet = torch._C.DisableTorchFunction()
                self._quiet.__enter__()
                self.listener.before(call, arguments)

        def leave(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
            replaced = output
            if len(self._arguments) == 1:
                replaced = self.listener.after(call, self._arguments[-1], output)
                self._listen()
            self._arguments.pop()
            return None if replaced is output else replaced

        self._handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        self._handles.append(module.register_forward_hook(leave))

    def _hook_container(self, module: nn.Module, path: str) -> None:
        def enter(_module: nn.Module, _args: tuple[Any, ...]) -> None:
            self._containers.append(path)

        def leave(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
            self._containers.pop()
            if not self._arguments:
                self.listener.leave(path, output)

        self._handles.append(module.register_forward_pre_hook(enter))
        self._handles.append(module.register_forward_hook(leave))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One torch function: a call if it runs in a container of the module and takes and returns tensors."""
        kwargs = kwargs or {}
        if self._arguments or not self._containers:  # inside a leaf, or outside the model
            return func(*args, **kwargs)
        arguments = (*args, *kwargs.values())
        if first_tensor(arguments) is None:
            return func(*args, **kwargs)
        call = Call(self._containers[-1], function_name(func), False)
        self._arguments.append(arguments)  # what the listener itself does is no call
        self.listener.calling = func, args, kwargs
        try:
            self.listener.before(call, arguments)
            output = func(*args, **kwargs)
            if first_tensor(output) is None:
                return output
            return self.listener.after(call, arguments, output)
        finally:
            self._arguments.pop()


def function_name(function: Any) -> str:
    """The name of a torch function as torch.fx writes it: `x + y`, `x += y` and `torch.add` are all "add"."""
    name = getattr(function, "__name__", type(function).__name__)
    bare = name[2:-2] if name.startswith("__") and name.endswith("__") else name
    if name == "div" and isinstance(function, type(torch.div)):
        return "div"  # torch.div(x, y), not x / y
    return OPERATOR_NAMES.get(bare, bare)
