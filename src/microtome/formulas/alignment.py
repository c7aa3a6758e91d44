"""How alike two layers answer to the same images, whatever their units and however many there are."""

import numpy as np

from ..errors import UsageError

FEWEST = 4  # images: the unbiased estimate divides by n - 3


def linear_cka(one: np.ndarray, other: np.ndarray, debiased: bool = False) -> float:
    """Centred kernel alignment with linear kernels: |X^T Y|^2 / (|X^T X| |Y^T Y|), 0 to 1; NaN of constant responses.

    It does not change if a layer's units are permuted, mixed by an orthogonal matrix or scaled together. With few
    images and many units it is near 1 for anything; `debiased`, the inner products are estimated without bias, so that
    layers that have nothing to do with each other are at 0 on average, and a little below half of the time.
    Shapes: (n, K1), (n, K2), the same images in both.
    Raises: UsageError for different numbers of images, and fewer than 4.
    Reference: Kornblith, Norouzi, Lee, Hinton, Similarity of neural network representations revisited (2019), section
    3; without bias, Song, Smola, Gretton, Bedo, Borgwardt, Feature selection via dependence maximization (2012).
    """
    if len(one) != len(other) or len(one) < FEWEST:
        raise UsageError(
            f"There are responses to {len(one)} and to {len(other)} images",
            f"Both layers answer to the same images, {FEWEST} or more",
            "Give the responses of both to all of the images",
        )
    x, y = _centred(one), _centred(other)
    of_x, of_y = _inner(x, x, debiased), _inner(y, y, debiased)
    if of_x <= 0 or of_y <= 0:  # constant, or without bias so noisy that no length is left
        return float("nan")
    return _inner(x, y, debiased) / float(np.sqrt(of_x * of_y))


def cka_of_filters(one: np.ndarray, other: np.ndarray, covariance: np.ndarray) -> float:
    """The same of the answers of two filter banks to patches of this covariance, without the patches.

    With W1, W2 the banks and C the covariance: |W1 C W2^T|^2 / (|W1 C W1^T| |W2 C W2^T|); NaN of filters of zeros.
    Shapes: (K1, D), (K2, D), (D, D).
    """
    first, second = one @ covariance, other @ covariance
    lengths = np.linalg.norm(first @ one.T) * np.linalg.norm(second @ other.T)
    return float(((first @ other.T) ** 2).sum() / lengths) if lengths > 0 else float("nan")


def _centred(responses: np.ndarray) -> np.ndarray:
    """Without the mean of each unit; a constant unit is 0. Shapes: (n, K)."""
    centred = responses - responses.mean(0, dtype=np.float64)
    return np.where(responses.max(0) == responses.min(0), 0.0, centred)  # of which rounding may leave something


def _inner(x: np.ndarray, y: np.ndarray, debiased: bool) -> float:
    """Inner product of two Gram matrices of centred rows, from the units' side.

    Without bias, the diagonals of the Gram matrices are left out. With centred rows all sums over their rows are then
    the negative diagonals, so that nothing of size n x n is needed.
    """
    whole = float(np.sum((x.T @ y) ** 2))
    if not debiased:
        return whole
    count = len(x)
    of_x, of_y = (x**2).sum(1), (y**2).sum(1)
    return whole - count / (count - 2) * float(of_x @ of_y) + float(of_x.sum() * of_y.sum()) / (count - 1) / (count - 2)
