"""The convolutional layer, over three back ends that give the same numbers."""

from typing import Literal, Protocol

import numpy as np

from ..errors import UsageError
from . import conv_direct, conv_gemm, conv_unrolled
from .core import DTYPE, Layer, expect, generator, pair, windows

Backend = Literal["direct", "unrolled", "gemm"]


class Convolves(Protocol):
    """What a back end does; x is padded already."""

    def forward(self, x: np.ndarray, w: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
        """Shapes: x (N, C, H, W), w (K, C, h, w) -> (N, K, H', W')."""
        ...

    def backward(
        self, x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: tuple[int, int], input_gradient: bool = True
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """The gradients by x and w. Shapes: dy (N, K, H', W')."""
        ...


BACKENDS: dict[str, Convolves] = {"direct": conv_direct, "unrolled": conv_unrolled, "gemm": conv_gemm}


class Conv2D(Layer):
    """Filters moved over an image: cross-correlation, the filters are not flipped.

    `backend` is "direct" (the definition, to read), "unrolled" (one sparse matrix) or "gemm" (fast).
    Shapes: in_shape (C, H, W); x (N, C, H, W), weight (n_filter, C, h_filter, w_filter), bias (n_filter,)
    -> y (N, n_filter, H', W') with H' = floor((H + 2 padding - h_filter) / stride) + 1.
    """

    arguments = ("in_shape", "n_filter", "h_filter", "w_filter", "stride", "padding", "bias_there", "backend")

    def __init__(
        self, name: str, in_shape: tuple[int, int, int], n_filter: int, h_filter: int, w_filter: int,
        stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0, bias_there: bool = True,
        backend: Backend = "gemm", random: np.random.Generator | int | None = None,
        dtype: np.dtype[np.floating] = DTYPE,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.in_shape: tuple[int, int, int] = (in_shape[0], in_shape[1], in_shape[2])
        self.n_filter, self.h_filter, self.w_filter = n_filter, h_filter, w_filter
        self.stride, self.padding, self.bias_there = pair(stride), pair(padding), bias_there
        if backend not in BACKENDS:
            raise UsageError(f"Back end {backend!r} does not exist", f"There are {', '.join(BACKENDS)}", "Name one")
        self.backend = backend
        self.out_shape(self.in_shape)  # so that what does not fit is said here
        random = generator(random)
        scale = np.sqrt(1 / (in_shape[0] * h_filter * w_filter))
        filters = random.standard_normal((n_filter, in_shape[0], h_filter, w_filter)) * scale
        self.weight = self.build_param(filters.astype(dtype))
        if bias_there:
            self.bias = self.build_param((random.standard_normal(n_filter) * scale).astype(dtype))

    def forward(self, x: np.ndarray) -> np.ndarray:
        expect(self, x, (self.in_shape[0], None, None))
        self.padded = padded(x, self.padding)
        y = BACKENDS[self.backend].forward(self.padded, self.weight.tensor, self.stride)
        if self.bias_there:
            y += self.bias.tensor[:, None, None]
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dy = np.ascontiguousarray(dy)
        if self.bias_there:
            self.bias.gradient = dy.sum((0, 2, 3))
        dx, self.weight.gradient = BACKENDS[self.backend].backward(
            self.padded, self.weight.tensor, dy, self.stride, self.input_gradient
        )
        return np.zeros(0, dy.dtype) if dx is None else cropped(dx, self.padding)

    def transposed(self, y: np.ndarray, in_shape: tuple[int, int, int] | None = None) -> np.ndarray:
        """W*^T y, the deconvolution: what the way back does to a gradient, without the bias and without any memory.

        Shapes: y (N, n_filter, H', W') -> (N, *in_shape), by default the layer's own.
        """
        channels, height, width = self.in_shape if in_shape is None else in_shape
        (above, before), weight = self.padding, self.weight.tensor
        empty = np.zeros((len(y), channels, height + 2 * above, width + 2 * before), y.dtype)
        dx, _ = BACKENDS[self.backend].backward(empty, weight, np.ascontiguousarray(y), self.stride)
        assert dx is not None  # it is wanted
        return cropped(dx, self.padding)

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        rows = windows(in_shape[1], self.h_filter, self.stride[0], self.padding[0], self.name)
        return self.n_filter, rows, windows(in_shape[2], self.w_filter, self.stride[1], self.padding[1], self.name)


def padded(x: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """Zeros all around. Shapes: (N, C, H, W) -> (N, C, H + 2 rows, W + 2 columns)."""
    if padding == (0, 0):
        return np.ascontiguousarray(x)
    images, channels, height, width = x.shape
    out = np.zeros((images, channels, height + 2 * padding[0], width + 2 * padding[1]), x.dtype)
    cropped(out, padding)[:] = x
    return out


def cropped(x: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """Without the padding, a view. Shapes: (N, C, H + 2 rows, W + 2 columns) -> (N, C, H, W)."""
    rows, columns = padding
    return x[:, :, rows : x.shape[2] - rows, columns : x.shape[3] - columns]
