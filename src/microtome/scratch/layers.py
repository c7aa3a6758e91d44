"""Layers without windows: linear, rectifier, dropout, flatten, softmax."""

import numpy as np

from .core import DTYPE, Layer, expect, generator


class Linear(Layer):
    """y = x w + b.

    Shapes: x (N, input_dim), weight (input_dim, output_dim), bias (output_dim,) -> y (N, output_dim).
    """

    arguments = ("input_dim", "output_dim", "bias_there")

    def __init__(
        self, name: str, input_dim: int, output_dim: int, bias_there: bool = True,
        random: np.random.Generator | int | None = None, dtype: np.dtype[np.floating] = DTYPE,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.input_dim, self.output_dim, self.bias_there = input_dim, output_dim, bias_there
        random = generator(random)
        scale = np.sqrt(1 / input_dim)
        self.weight = self.build_param((random.standard_normal((input_dim, output_dim)) * scale).astype(dtype))
        if bias_there:
            self.bias = self.build_param((random.standard_normal(output_dim) * scale).astype(dtype))

    def forward(self, x: np.ndarray) -> np.ndarray:
        expect(self, x, (self.input_dim,))
        self.x = x
        y = x @ self.weight.tensor
        return y + self.bias.tensor if self.bias_there else y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.weight.gradient = self.x.T @ dy
        if self.bias_there:
            self.bias.gradient = dy.sum(0)
        return (
            dy @ self.weight.tensor.T
        )  # the transpose: without it, and with as many inputs as outputs, nobody notices

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.output_dim,)


class ReLU(Layer):
    """What is positive; the rest is 0. At 0 the gradient is 0."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.positive


class Flatten(Layer):
    """Every image in one row, in C order: channel, row, column."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.shape = x.shape
        return x.reshape(len(x), int(np.prod(x.shape[1:])))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy.reshape(self.shape)

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (int(np.prod(in_shape)),)


class Dropout(Layer):
    """In training each number is dropped with probability p, and what is kept is divided by 1 - p; else nothing.

    `mask`, if set, is taken instead of a random one: True (or 1) is kept.
    """

    arguments = ("p",)

    def __init__(self, name: str, p: float = 0.5, random: np.random.Generator | int | None = None) -> None:
        super().__init__(name)
        self.p, self.random = p, generator(random)
        self.mask: np.ndarray | None = None
        self.factor: np.ndarray | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        if not self.training:
            self.factor = None
            return x
        kept = self.random.random(x.shape, np.float32) >= self.p if self.mask is None else self.mask
        self.factor = kept.astype(x.dtype) / x.dtype.type(1 - self.p) if self.p < 1 else np.zeros_like(x)
        return x * self.factor

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy if self.factor is None else dy * self.factor


class Softmax(Layer):
    """Probabilities: positive, with a sum of 1 along the last axis. Training needs none: its loss holds one."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        raised = np.exp(x - x.max(-1, keepdims=True))
        self.y = raised / raised.sum(-1, keepdims=True)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return self.y * (dy - (dy * self.y).sum(-1, keepdims=True))
