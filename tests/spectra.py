"""Patches as they are in photographs: variances as measured, axes and images as needed."""

import numpy as np

# Variances along the principal axes of 3 x 3 patches of CIFAR-10, rounded: 6,000 JPEG images, ImageNet normalisation.
CIFAR = np.array([
    25.5, 2.12, 1.75, 1.39, 0.423, 0.334, 0.293, 0.249, 0.0845, 0.0771, 0.0364, 0.0237, 0.0224, 0.0117, 0.00839,
    0.00148, 0.00146, 9.76e-4, 7.44e-4, 6.99e-4, 5.27e-4, 2.27e-4, 2.19e-4, 1.35e-4, 1.31e-4, 1.23e-4, 7.71e-5,
])  # fmt: skip
SHAPE = (3, 3, 3)


def turned(size: int, seed: int = 0) -> np.ndarray:
    """An orthogonal matrix at random. Shapes: -> (size, size)."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def covariance(variance: np.ndarray = CIFAR, seed: int = 0) -> np.ndarray:
    """A covariance with these variances along axes at random. Shapes: (D,) -> (D, D)."""
    axes = turned(len(variance), seed)
    return (axes * variance) @ axes.T
