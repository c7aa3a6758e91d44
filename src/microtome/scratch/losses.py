"""How wrong a batch of answers is, and the gradient by them."""

from typing import Literal

import numpy as np

from ..errors import UsageError


def softmax_cross_entropy(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over the batch of -log of the probability that softmax gives the true class.

    Shapes: predicted (N, K) logits; truth (N,) classes, or (N, K) shares that sum to 1 -> loss, gradient (N, K).
    Raises: UsageError for classes that do not exist.
    """
    shares = truth if truth.ndim == 2 else one_hot(truth, predicted.shape[1], predicted.dtype)
    shifted = predicted - predicted.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    loss = -(shares * logs).sum(1, dtype=np.float64).mean()
    return float(loss), (np.exp(logs) * shares.sum(1, keepdims=True) - shares) / predicted.dtype.type(len(predicted))


def mean_squared_error(
    predicted: np.ndarray, truth: np.ndarray, reduction: Literal["mean", "sum", "half_sum"] = "mean"
) -> tuple[float, np.ndarray]:
    """The mean, the sum, or half the sum of the squared differences, and its gradient.

    Half the sum is what makes the gradient the plain difference. Shapes: both the same -> loss, gradient of that shape.
    """
    if predicted.shape != truth.shape:
        raise UsageError(f"Answers have shape {predicted.shape}, the truth {truth.shape}",
                         "They are compared one by one", "Give both the same shape")  # fmt: skip
    difference = predicted - truth
    factor = {"mean": 1 / max(1, predicted.size), "sum": 1.0, "half_sum": 0.5}[reduction]
    return factor * float(np.square(difference, dtype=np.float64).sum()), difference * (2 * factor)


def one_hot(labels: np.ndarray, classes: int, dtype: np.dtype[np.floating] | type = np.float32) -> np.ndarray:
    """1 at each one's class, 0 elsewhere. Shapes: (N,) -> (N, classes). Raises: UsageError."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UsageError(f"Labels go from {labels.min()} to {labels.max()}", f"There are classes 0 to {classes - 1}",
                         "Give the last layer as many outputs as there are classes")  # fmt: skip
    out = np.zeros((len(labels), classes), dtype)
    out[np.arange(len(labels)), labels] = 1
    return out
