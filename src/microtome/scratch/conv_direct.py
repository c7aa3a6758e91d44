"""Convolution as it is defined, one output at a time: to read, and to check the fast ones.

Cross-correlation, as in all networks: the filter is not flipped. y[n, k, v, u] is the sum over c, i, j of
w[k, c, i, j] x[n, c, v s + i, u s + j].
"""

import numpy as np

Pair = tuple[int, int]


def forward(x: np.ndarray, w: np.ndarray, stride: Pair) -> np.ndarray:
    """Shapes: x (N, C, H, W), padded already; w (K, C, h, w) -> (N, K, H', W')."""
    images, _, height, width = x.shape
    filters, _, high, wide = w.shape
    rows, columns = (height - high) // stride[0] + 1, (width - wide) // stride[1] + 1
    y = np.zeros((images, filters, rows, columns), x.dtype)
    for n in range(images):
        for k in range(filters):
            for v in range(rows):
                for u in range(columns):
                    top, left = v * stride[0], u * stride[1]
                    y[n, k, v, u] = (x[n, :, top : top + high, left : left + wide] * w[k]).sum()
    return y


def backward(
    x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: Pair, input_gradient: bool = True
) -> tuple[np.ndarray | None, np.ndarray]:
    """The gradients by the padded x, None if it is not wanted, and by w. Shapes: dy (N, K, H', W')."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    high, wide = w.shape[2:]
    for n, k, v, u in np.ndindex(*dy.shape):
        top, left = v * stride[0], u * stride[1]
        window = np.s_[n, :, top : top + high, left : left + wide]
        dw[k] += dy[n, k, v, u] * x[window]
        dx[window] += dy[n, k, v, u] * w[k]
    return dx if input_gradient else None, dw
