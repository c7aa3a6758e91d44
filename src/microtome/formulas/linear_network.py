"""What gradient descent makes of a linear convolutional network with global average pooling, in closed form.

The network answers y^ = V W p, p the average patch of an image, W its K filters, V a fixed readout, and descends on
L = mean over images of |y - y^|^2. Only A = mean of p p^T and B = mean of y p^T enter. That the filters follow the
variances of single patches holds where the patches of an image have nothing to do with each other; then A is their
covariance divided by their number J.

Reference: Chowers and Weiss, What do CNNs learn in the first layer and why? (2023), appendix A. Its constants are
corrected here: the filters' profile has no factor 1 / eta^2, a step moves the mean filter at rate h = 2 K eta, and what
they begin with is added to what they learn in quadrature.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from .profile_fit import learnt_share, predicted_after
from .spectrum import Basis

HALF_NORMAL = np.sqrt(2 / np.pi)  # mean over root mean square of |x|, x normal


@dataclass(frozen=True, kw_only=True)
class Averages:
    """All that such a network learns from. Shapes: second (D, D), mean of p p^T; cross (T, D), mean of y p^T."""

    second: np.ndarray
    cross: np.ndarray

    @classmethod
    def of(cls, patches: np.ndarray, targets: np.ndarray) -> "Averages":
        """Of average patches and what is to be answered. Shapes: patches (N, D), targets (N, T)."""
        points = patches.astype(np.float64)
        return cls(second=points.T @ points / len(points), cross=targets.astype(np.float64).T @ points / len(points))


def average_patches(images: np.ndarray, kernel: tuple[int, int], stride: int = 1) -> np.ndarray:
    """The mean over all windows that lie inside an image, flattened in the order of a kernel's weights.

    The average over positions of a convolution without padding is the filter times this patch.
    Shapes: images (N, C, H, W), kernel (kh, kw) -> (N, C kh kw), float64.
    Raises: UsageError for a kernel larger than the images.
    """
    rows, columns = (extent - size for extent, size in zip(images.shape[2:], kernel, strict=True))
    if min(rows, columns) < 0:
        raise UsageError(
            f"The kernel has {kernel[0]} x {kernel[1]} pixels, and the images {images.shape[2]} x {images.shape[3]}",
            "A window has to lie inside the image",
            "Give larger images",
        )
    found = np.empty((*images.shape[:2], *kernel))
    for y, x in np.ndindex(kernel):
        seen = images[:, :, y : y + rows + 1 : stride, x : x + columns + 1 : stride]
        found[:, :, y, x] = seen.mean((2, 3), dtype=np.float64)
    return found.reshape(len(images), -1)


def grown(curvature: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """How far a weight has gone along a constant gradient of 1: (1 - (1 - h a)^t) / a, h t where a is 0.

    Shapes: curvature (...), none below 0 -> (...). Raises: UsageError if gradient descent diverges at this rate h.
    """
    share = learnt_share(rate * curvature, steps)
    return np.where(curvature > 0, share / np.where(curvature > 0, curvature, 1.0), rate * steps)


def filters_after(
    start: np.ndarray, averages: Averages, rate: float, steps: int, readout: np.ndarray | None = None
) -> np.ndarray:
    """The filters after steps of gradient descent on all images: exactly, whatever the images and targets are.

    The gradient is 2 (V^T V W A - V^T B): along the axes of A and of V^T V every weight goes its own way.
    Shapes: start (K, D); readout V (T, K), ones for one target without -> (K, D).
    Units: rate, the learning rate eta itself.
    Raises: UsageError if gradient descent diverges.
    """
    if readout is None:
        readout = np.ones((1, len(start)))
    gains, mixing = _eigen(readout.T @ readout)
    curvature, axes = _eigen(averages.second)
    product = np.outer(gains, curvature)
    begun, pulled = mixing.T @ start @ axes, mixing.T @ readout.T @ averages.cross @ axes
    left = 1 - learnt_share(2 * rate * product, steps)
    return mixing @ (left * begun + grown(product, 2 * rate, steps) * pulled) @ axes.T


def energy_in_quadrature(start: np.ndarray, mean_filter: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The profile of filters that all learn the same: e_i^2 = variance over k of u_i . w_k(0) + (u_i . mean filter)^2.

    So it is with one target and equal readouts, at every step: filters keep their distances.
    Shapes: start (K, D), mean_filter (D,), axes (D, D) of columns u_i -> (D,).
    """
    return np.sqrt((start @ axes).var(0) + (mean_filter @ axes) ** 2)


def gap_profile(
    axes: np.ndarray, second: np.ndarray, rate: float, steps: int, cross: np.ndarray | None = None
) -> np.ndarray:
    """The profile of filters that began at 0, of any images: sqrt(u_i^T f A f u_i) with f = (I - (I - h A)^t) A^-1.

    That is the root mean square over targets at random, of deviation s and one of K filters each, in units of
    s / (K sqrt(N)). With `cross`, it is that of these targets, in units of 1 / K: |u_i . f b|, root mean square over
    targets with K filters each.
    Shapes: axes (D, D) of columns u_i, second (D, D), cross (T, D) -> (D,).
    Units: rate h = 2 K eta.
    Raises: UsageError if gradient descent diverges.
    """
    curvature, own = _eigen(second)
    far, turned = grown(curvature, rate, steps), axes.T @ own
    if cross is None:
        return np.sqrt(turned**2 @ (far**2 * curvature))
    return np.sqrt((((cross @ own) * far @ turned.T) ** 2).mean(0))


def independent_profile(
    variance: np.ndarray, rate: float, steps: int, patches: int, images: int, filters: int, deviation: float = 1.0
) -> np.ndarray:
    """The same where the J patches of an image are independent, in absolute value: root mean square over targets at
    random of deviation s, c (1 - (1 - h lambda^2)^t) / lambda with h = 2 K eta / J and c = s sqrt(J / N) / K.

    One set of targets alone scatters around it: |x| of a normal x, mean 0.80 and deviation 0.60 of the root mean
    square, however many images there are.
    Shapes: variance (D,) of the patches -> (D,). Units: rate, the learning rate eta itself.
    Raises: UsageError if gradient descent diverges.
    """
    scale = deviation * np.sqrt(patches / images) / filters
    return scale * predicted_after(variance, 2 * filters * rate / patches, steps)


def independence(second: np.ndarray, basis: Basis, patches: int) -> np.ndarray:
    """How far images are from having independent patches: J u_i^T A u_i / lambda_i^2, 1 if they are.

    Shapes: second (D, D) of average patches without their mean, over J patches each -> (D,), NaN without variance.
    """
    along = np.einsum("di,de,ei->i", basis.axes, second, basis.axes, optimize=True)
    varies = np.arange(len(along)) < basis.rank
    return np.where(varies, patches * along / np.where(varies, basis.variance, 1.0), np.nan)


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, none below 0, and eigenvectors."""
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values, 0.0), vectors
