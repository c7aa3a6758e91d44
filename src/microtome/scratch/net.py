"""Layers one after the other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from ..errors import UnknownName, UsageError
from .core import Layer, Parameter
from .files import arrays_of, read, write
from .layers import Dropout
from .optimisers import Optimiser
from .pooling import MaxPool2D

Kind = Literal["data", "gradient"]
Watch = Callable[[str, np.ndarray, Kind, Layer], None]


class Recorder:
    """Keeps what each layer gives: its output on the way forward, the gradient by its input on the way back."""

    def __init__(self) -> None:
        self.data: dict[str, np.ndarray] = {}
        self.gradient: dict[str, np.ndarray] = {}
        self.order: list[tuple[str, Kind]] = []

    def __call__(self, name: str, array: np.ndarray, kind: Kind, layer: Layer) -> None:
        """Called after each layer, in both directions."""
        (self.data if kind == "data" else self.gradient)[name] = array.copy()
        self.order.append((name, kind))


class Net:
    """Layers one after the other, each with a name of its own.

    `about` is what else there is to know, as JSON can hold it: class names, what images it takes.
    """

    def __init__(self, layers: Sequence[Layer], about: dict[str, Any] | None = None) -> None:
        self.layers, self.about = list(layers), dict(about or {})
        names = [layer.name for layer in self.layers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"Several layers are called {', '.join(twice)}", "A layer's name is its own",
                             "Name them apart")  # fmt: skip

    def forward(self, x: np.ndarray, return_indices: bool = False, watch: Watch | None = None) -> Any:
        """The output; with `return_indices` also, for each layer, the switches of a pool that hands them out, or None.

        `watch` is called with name, output, "data" and layer after each, such as a `Recorder`. Shapes: x (N, ...).
        """
        for layer in self.layers:
            x = layer.forward(x)
            if watch is not None:
                watch(layer.name, x, "data", layer)
        if not return_indices:
            return x
        return x, [layer.switches if isinstance(layer, MaxPool2D) and layer.return_index else None
                   for layer in self.layers]  # fmt: skip

    def backward(self, dy: np.ndarray, watch: Watch | None = None, input_gradient: bool = True) -> np.ndarray:
        """The gradient by the input, or, without `input_gradient`, nothing (which saves the first layer's last step).

        `watch` is called with name, the gradient by the layer's input, "gradient" and layer after each.
        """
        for place, layer in reversed(list(enumerate(self.layers))):
            layer.input_gradient, before = input_gradient or place > 0, layer.input_gradient
            dy = layer.backward(dy)
            layer.input_gradient = before
            if watch is not None:
                watch(layer.name, dy, "gradient", layer)
        return dy

    def __call__(self, x: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.forward(x)
        return found

    def update(self, optimiser: Optimiser) -> None:
        """One step of all parameters against their gradients."""
        optimiser.step(self.parameters().values())

    def layer(self, name: str) -> Layer:
        """The layer of this name. Raises: UnknownName."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(each.name for each in self.layers)
        raise UnknownName(f"Layer {name!r} does not exist", f"There are: {known}", "Name one of them")

    def __getitem__(self, name: str) -> Layer:
        return self.layer(name)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def parameters(self) -> dict[str, Parameter]:
        """What is learnt, by layer and name: `fc_1.weight`."""
        return {f"{layer.name}.{name}": each for layer in self.layers for name, each in layer.parameters().items()}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of everything that is kept: parameters and buffers by name."""
        return {name: array.copy() for name, array in arrays_of(self.layers).items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> Self:
        """Take these numbers, in this network's own precision.

        Raises: UsageError if names or shapes are others; then nothing is changed.
        """
        mine = arrays_of(self.layers)
        wrong = sorted(set(mine) ^ set(state)) or [name for name in mine if mine[name].shape != state[name].shape]
        if wrong:
            raise UsageError(f"The state does not fit at {', '.join(wrong[:4])}",
                             f"It holds {len(mine)} arrays by the names and shapes of `state_dict`",
                             "Take the state of a network with the same layers")  # fmt: skip
        for name, array in mine.items():
            array[...] = state[name]
        return self

    def count(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.tensor.size for parameter in self.parameters().values())

    def shapes(self, in_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shape of one image behind each layer."""
        found = {}
        for layer in self.layers:
            in_shape = found[layer.name] = layer.out_shape(in_shape)
        return found

    def train(self) -> Self:
        """All layers are training."""
        for layer in self.layers:
            layer.train()
        return self

    def eval(self) -> Self:
        """All layers are used: nothing is random."""
        for layer in self.layers:
            layer.eval()
        return self

    def astype(self, dtype: type | np.dtype[np.floating]) -> Self:
        """Its parameters and buffers in another precision, in place."""
        for layer in self.layers:
            for name, value in vars(layer).items():
                if isinstance(value, Parameter):
                    value.tensor = value.tensor.astype(dtype)
                elif name in layer.buffers():
                    setattr(layer, name, value.astype(dtype))
        return self

    def seed(self, random: np.random.Generator) -> Self:
        """All dropouts draw from one source."""
        for layer in self.layers:
            if isinstance(layer, Dropout):
                layer.random = random
        return self

    def export(self, path: str | Path) -> Path:
        """Write it as a .tnn file: see `files.write`."""
        return write(path, self.layers, self.about)


def load(path: str | Path) -> Net:
    """Read a network from a .tnn file, ready to be used: see `files.read`."""
    return Net(*read(path))
