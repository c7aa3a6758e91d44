"""What all layers have in common: parameters, a way forward and a way back."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ..errors import UsageError

DTYPE = np.dtype(np.float32)


class Parameter:
    """An array that is learnt, and the gradient of the loss by it, None before the first way back."""

    def __init__(self, tensor: np.ndarray, requires_grad: bool = True) -> None:
        self.tensor, self.requires_grad = tensor, requires_grad
        self.gradient: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"Parameter{self.tensor.shape}"


class Layer:
    """One step of a network. A layer keeps what its way back needs, so `backward` belongs to the last `forward`.

    `name` is its own in a network; `training` says whether dropout drops and batch norm counts. `input_gradient` may be
    turned off for the first layer of a network, whose input nobody wants to change.
    """

    training = True
    input_gradient = True
    arguments: tuple[str, ...] = ()  # of the constructor, besides the name, kept as attributes: for files

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The output. Shapes: x (N, ...) -> (N, ...)."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """From the gradient by the output that by the input; those by the parameters are left in them.

        Shapes: dy as the last output -> as the last input.
        """
        raise NotImplementedError

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one image's output, from that of its input."""
        return in_shape

    def build_param(self, array: np.ndarray) -> Parameter:
        """An array as a parameter of this layer."""
        return Parameter(array)

    def parameters(self) -> dict[str, Parameter]:
        """What is learnt, by name, in the order of the constructor."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    def buffers(self) -> dict[str, np.ndarray]:
        """What is kept besides, but not learnt by gradients."""
        return {}

    def train(self) -> Self:
        """From now on it is training."""
        self.training = True
        return self

    def eval(self) -> Self:
        """From now on it is used: nothing is random, nothing is counted."""
        self.training = False
        return self

    @property
    def type(self) -> str:
        """The name of its class."""
        return type(self).__name__

    def settings(self) -> dict[str, Any]:
        """What its constructor was given, besides the name."""
        return {name: getattr(self, name) for name in self.arguments}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{self.type}({self.name!r}{', ' * bool(given)}{given})"


def generator(random: np.random.Generator | int | None) -> np.random.Generator:
    """A source of random numbers: the one given, or a new one from a seed, 0 unless given."""
    return random if isinstance(random, np.random.Generator) else np.random.default_rng(random or 0)


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of what may be one number for both."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def windows(length: int, size: int, stride: int, padding: int, layer: str) -> int:
    """How many windows fit along an axis.

    Raises: UsageError if none does.
    """
    count = (length + 2 * padding - size) // stride + 1
    if length + 2 * padding < size:
        raise UsageError(f"A window of {size} does not fit into {length} pixels with {padding} of padding ({layer})",
                         "A window is no larger than what it is moved over",
                         "Take a smaller window, or a larger image")  # fmt: skip
    return count


def taps(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The places in a window, row by row."""
    return ((row, column) for row in range(size[0]) for column in range(size[1]))


def expect(layer: Layer, x: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Do nothing if x has this shape behind the batch axis; None is any length.

    Raises: UsageError.
    """
    if x.ndim == len(shape) + 1 and all(want in (None, got) for want, got in zip(shape, x.shape[1:], strict=True)):
        return
    wanted = ", ".join("any" if length is None else str(length) for length in shape)
    raise UsageError(f"{layer.type} {layer.name!r} was given {x.shape}", f"It takes (images, {wanted})",
                     "Look at the layer before it, or at the data")  # fmt: skip
