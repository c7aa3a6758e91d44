"""Pools: the largest or the mean of each window."""

import numpy as np

from .core import Layer, expect, pair, taps, windows


class _Pool2D(Layer):
    """Windows of `size`, moved by `stride` (by default the size); what is left over at the end is not looked at.

    Shapes: x (N, C, H, W) -> (N, C, H', W') with H' = floor((H - size) / stride) + 1.
    """

    arguments: tuple[str, ...] = ("in_shape", "size", "stride")

    def __init__(
        self, name: str, in_shape: tuple[int, int, int], size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name)
        self.in_shape, self.size = (in_shape[0], in_shape[1], in_shape[2]), pair(size)
        self.stride = self.size if stride is None else pair(stride)
        self.out_shape(self.in_shape)

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        rows = windows(in_shape[1], self.size[0], self.stride[0], 0, self.name)
        return in_shape[0], rows, windows(in_shape[2], self.size[1], self.stride[1], 0, self.name)

    def tap(self, x: np.ndarray, i: int, j: int) -> np.ndarray:
        """What stands at one place of all windows, a view. Shapes: x (N, C, H, W) -> (N, C, H', W')."""
        _, rows, columns = self.out_shape(x.shape[1:])
        (down, right) = self.stride
        return x[:, :, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]


class MaxPool2D(_Pool2D):
    """The largest of each window; of equal ones the first, row by row. What was not the largest gets no gradient.

    With `return_index`, a network's forward pass hands out the switches: where in its plane each one was.
    """

    arguments = ("in_shape", "size", "stride", "return_index")

    def __init__(
        self, name: str, in_shape: tuple[int, int, int], size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None, return_index: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name, in_shape, size, stride)
        self.return_index = return_index

    def forward(self, x: np.ndarray) -> np.ndarray:
        expect(self, x, (self.in_shape[0], None, None))
        self.shape = x.shape
        first, *others = taps(self.size)
        y = self.tap(x, *first).copy()
        self.winner = np.zeros(y.shape, np.min_scalar_type(len(others)))  # which place of its window
        for number, place in enumerate(others, 1):
            value = self.tap(x, *place)
            self.winner[value > y] = number
            np.maximum(y, value, out=y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = np.zeros(self.shape, dy.dtype)
        for number, place in enumerate(taps(self.size)):
            self.tap(dx, *place)[:] += dy * (self.winner == number)  # windows that overlap add up
        return dx

    @property
    def switches(self) -> np.ndarray:
        """Where in its plane each maximum was: row times width plus column. Shapes: (N, C, H', W') int64."""
        _, _, rows, columns = self.winner.shape
        row = np.arange(rows)[:, None] * self.stride[0] + self.winner // self.size[1]
        column = np.arange(columns) * self.stride[1] + self.winner % self.size[1]
        return (row * self.shape[3] + column).astype(np.int64)


class AvgPool2D(_Pool2D):
    """The mean of each window."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        expect(self, x, (self.in_shape[0], None, None))
        self.shape = x.shape
        first, *others = taps(self.size)
        y = self.tap(x, *first).copy()
        for place in others:
            y += self.tap(x, *place)
        y /= len(others) + 1
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx, share = np.zeros(self.shape, dy.dtype), dy / (self.size[0] * self.size[1])
        for place in taps(self.size):
            self.tap(dx, *place)[:] += share
        return dx
