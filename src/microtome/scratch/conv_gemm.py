"""Convolution as matrix products, a strip of output rows at a time: fast, and in little memory.

The windows of a whole image written out (im2col) take as many times its memory as the filter has places. Here only
those of a strip are, about a cache full: rows of the output, or whole images where they are small. On the way back the
strips are written out again instead of being kept.
"""

from collections.abc import Iterator

import numpy as np

from .core import taps

Pair = tuple[int, int]
STRIP = 1 << 18  # numbers of a strip: 1 MB of float32, about a cache of the second level
NARROWEST = 400  # columns of a strip: narrower products are slow


class _Strips:
    """Cuts the work of a convolution into strips, and writes out their windows."""

    def __init__(self, x: np.ndarray, w: tuple[int, ...], stride: Pair) -> None:
        self.x, self.stride = x, stride
        self.images, channels, height, width = x.shape
        self.channels, self.size = channels, (w[2], w[3])
        self.rows, self.columns = (height - w[2]) // stride[0] + 1, (width - w[3]) // stride[1] + 1
        self.deep = channels * w[2] * w[3]
        lines = max(1, min(self.rows, max(STRIP // (self.deep * self.columns), -(-NARROWEST // self.columns))))
        self.lines = -(-self.rows // -(-self.rows // lines))  # strips of an image are about equally high
        whole = self.lines == self.rows
        self.together = max(1, min(self.images, STRIP // (self.deep * self.rows * self.columns))) if whole else 1
        self.buffer = self.empty()

    def empty(self) -> np.ndarray:
        """Room for the windows of a strip."""
        return np.empty(self.together * self.deep * self.lines * self.columns, self.x.dtype)

    def room(self, buffer: np.ndarray, images: int, lines: int) -> np.ndarray:
        """The beginning of such room. Shapes: -> (images, C, h, w, lines, W')."""
        shape = (images, self.channels, *self.size, lines, self.columns)
        return buffer[: int(np.prod(shape))].reshape(shape)

    def __iter__(self) -> Iterator[tuple[slice, slice, int, int]]:
        """Images, flat output places, first output row, and number of output rows of each strip."""
        for first in range(0, self.images, self.together):
            for top in range(0, self.rows, self.lines):
                lines = min(self.lines, self.rows - top)
                yield (slice(first, min(first + self.together, self.images)),
                       slice(top * self.columns, (top + lines) * self.columns), top, lines)  # fmt: skip

    def tap(self, padded: np.ndarray, images: slice, i: int, j: int, top: int, lines: int) -> np.ndarray:
        """What stands at one place of all windows of a strip. Shapes: -> (images, C, lines, W'), a view."""
        down, right = self.stride
        first, last = top * down + i, (top + lines - 1) * down + i + 1
        return padded[images, :, first:last:down, j : j + (self.columns - 1) * right + 1 : right]

    def written_out(self, images: slice, top: int, lines: int) -> np.ndarray:
        """The windows of a strip. Shapes: -> (images, C h w, lines W')."""
        count = images.stop - images.start
        room = self.room(self.buffer, count, lines)
        for i, j in taps(self.size):
            room[:, :, i, j] = self.tap(self.x, images, i, j, top, lines)
        return room.reshape(count, self.deep, lines * self.columns)


def forward(x: np.ndarray, w: np.ndarray, stride: Pair) -> np.ndarray:
    """Shapes: x (N, C, H, W), padded already; w (K, C, h, w) -> (N, K, H', W')."""
    flat = w.reshape(len(w), -1)
    if _pointwise(w, stride):
        return np.matmul(flat, x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])).reshape(len(x), len(w), *x.shape[2:])
    strips = _Strips(x, w.shape, stride)
    y = np.empty((len(x), len(w), strips.rows * strips.columns), x.dtype)
    for images, places, top, lines in strips:
        np.matmul(flat, strips.written_out(images, top, lines), out=y[images, :, places])
    return y.reshape(len(x), len(w), strips.rows, strips.columns)


def backward(
    x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: Pair, input_gradient: bool = True
) -> tuple[np.ndarray | None, np.ndarray]:
    """The gradients by the padded x, None if it is not wanted, and by w. Shapes: dy (N, K, H', W').

    By x there are two ways: add up the gradients by the windows, or convolve dy with the flipped filters. The first
    costs the adding, for each input channel; the second a convolution whose windows are those of dy.
    """
    flat, flat_dy = w.reshape(len(w), -1), dy.reshape(*dy.shape[:2], dy.shape[2] * dy.shape[3])
    if _pointwise(w, stride):
        flat_x = x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
        dw = np.matmul(flat_dy, flat_x.transpose(0, 2, 1)).sum(0).reshape(w.shape)
        return np.matmul(flat.T, flat_dy).reshape(x.shape) if input_gradient else None, dw
    adding = input_gradient and (w.shape[1] < w.shape[0] or stride != (1, 1))
    strips = _Strips(x, w.shape, stride)
    dw, dx = np.zeros_like(flat), np.zeros_like(x) if adding else None
    for images, places, top, lines in strips:
        windows, part = strips.written_out(images, top, lines), flat_dy[images, :, places]
        for each, of in zip(part, windows, strict=True):
            dw += each @ of.T
        if dx is not None:  # the windows are used up: their room takes the gradients by them
            np.matmul(flat.T, part, out=windows)
            room = strips.room(strips.buffer, len(part), lines)
            for i, j in taps(strips.size):
                strips.tap(dx, images, i, j, top, lines)[:] += room[:, :, i, j]
    if input_gradient and not adding:
        dx = forward(_framed(dy, (w.shape[2] - 1, w.shape[3] - 1)), _flipped(w), (1, 1))
    return dx, dw.reshape(w.shape)


def _pointwise(w: np.ndarray, stride: Pair) -> bool:
    return w.shape[2:] == (1, 1) and stride == (1, 1)


def _flipped(w: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def _framed(x: np.ndarray, frame: Pair) -> np.ndarray:
    """Zeros all around. Shapes: (N, C, H, W) -> (N, C, H + 2 rows, W + 2 columns)."""
    return np.pad(x, ((0, 0), (0, 0), (frame[0],) * 2, (frame[1],) * 2))
