"""Convolution as one sparse matrix W*: y = W* x. Its transpose is the deconvolution."""

import numpy as np
from scipy.sparse import csr_array

from ..errors import UsageError
from .core import pair, windows

Pair = tuple[int, int]


def _entries(
    shape: tuple[int, int, int], w: tuple[int, ...], stride: Pair
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every entry of W* that is no structural zero: its row, its column, and which number of the filters it is.

    Many entries are the same number of a filter: this is weight sharing.
    """
    (channels, height, width), (filters, _, high, wide) = shape, w
    rows, columns = (height - high) // stride[0] + 1, (width - wide) // stride[1] + 1
    k, v, u, c, i, j = np.indices((filters, rows, columns, channels, high, wide), np.int32, sparse=True)
    row = (k * rows + v) * columns + u
    column = (c * height + v * stride[0] + i) * width + u * stride[1] + j
    number = ((k * channels + c) * high + i) * wide + j
    full = np.broadcast_shapes(row.shape, column.shape, number.shape)
    return tuple(np.broadcast_to(part, full).ravel() for part in (row, column, number))  # type: ignore[return-value]


def unroll(w: np.ndarray, in_shape: tuple[int, int, int], stride: int | Pair = 1, padding: int | Pair = 0) -> csr_array:
    """W*: what a convolution does to one image, written in one row.

    Shapes: w (K, C, h, w), in_shape (C, H, W) -> (K H' W', C H W), sparse. What the padding would add is left out.
    Raises: UsageError if the filters do not fit the image.
    """
    if w.ndim != 4 or len(in_shape) != 3 or w.shape[1] != in_shape[0]:
        raise UsageError(f"Filters {w.shape} were given for an image {tuple(in_shape)}",
                         "Filters are (filters, channels, rows, columns), the image (channels, rows, columns)",
                         "Give both the same channels; one grey filter f is f[None, None]")  # fmt: skip
    (down, right), (above, before) = pair(stride), pair(padding)
    channels, height, width = in_shape
    padded = (channels, height + 2 * above, width + 2 * before)
    row, column, number = _entries(padded, w.shape, (down, right))
    c, y, x = np.unravel_index(column, padded)
    inside = (y >= above) & (y < above + height) & (x >= before) & (x < before + width)
    column = np.ravel_multi_index((c[inside], y[inside] - above, x[inside] - before), in_shape)
    rows = windows(height, w.shape[2], down, above, "unroll")
    outputs = w.shape[0] * rows * windows(width, w.shape[3], right, before, "unroll")
    return csr_array((w.ravel()[number[inside]], (row[inside], column)), shape=(outputs, int(np.prod(in_shape))))


def forward(x: np.ndarray, w: np.ndarray, stride: Pair) -> np.ndarray:
    """Shapes: x (N, C, H, W), padded already; w (K, C, h, w) -> (N, K, H', W')."""
    shape = x.shape[1:]
    rows, columns = (x.shape[2] - w.shape[2]) // stride[0] + 1, (x.shape[3] - w.shape[3]) // stride[1] + 1
    y = unroll(w, (shape[0], shape[1], shape[2]), stride) @ x.reshape(len(x), -1).T
    return np.ascontiguousarray(y.T).reshape(len(x), len(w), rows, columns)


def backward(
    x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: Pair, input_gradient: bool = True
) -> tuple[np.ndarray | None, np.ndarray]:
    """Dx = W*^T dy; dw sums dW* = dy x^T over the entries that are the same number of a filter.

    The whole dW* would fill the zeros of W* and pull shared weights apart, so only the entries that there are are made.
    """
    shape = (x.shape[1], x.shape[2], x.shape[3])
    row, column, number = _entries(shape, w.shape, stride)
    flat_x, flat_dy = x.reshape(len(x), -1), dy.reshape(len(dy), -1)
    products = sum(dy_[row] * x_[column] for dy_, x_ in zip(flat_dy, flat_x, strict=True))
    dw = np.bincount(number, weights=products, minlength=w.size).astype(w.dtype).reshape(w.shape)
    if not input_gradient:
        return None, dw
    dx = unroll(w, shape, stride).T @ flat_dy.T
    return np.ascontiguousarray(dx.T).reshape(x.shape), dw
