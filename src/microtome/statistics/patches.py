"""What is known of the patches under a kernel: their mean and their covariance."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..errors import RunFailed

FEWEST = 2  # patches: one has no covariance


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Mean and covariance of all patches, flattened like a filter: channels, then rows, then columns.

    `exact` says whether every patch of every image has been counted, or some windows drawn of each.

    Shapes: mean (D,), covariance (D, D) about the mean, with the 1/count convention, float64; shape (C, kh, kw) with
    D = C kh kw; count of patches, of that many images.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int
    images: int
    shape: tuple[int, int, int]
    exact: bool

    @property
    def method(self) -> str:
        """How they were counted: "bands" (all of them) or "windows" (some, drawn)."""
        return "bands" if self.exact else "windows"

    @property
    def rounding(self) -> float:
        """The size below which an eigenvalue of the covariance is nothing but rounding, of sums or of float32 pixels.

        Sums of squares are taken about zero, in float64: they keep 16 digits of mean² + variance, so that what remains
        of a variance is off by about 2e-16 (1 + mean² / variance) of it.
        """
        squares = self.mean**2 + np.diag(self.covariance)
        return float(len(self.mean) * np.finfo(np.float64).eps * squares.sum())

    @classmethod
    def of_sums(
        cls, products: np.ndarray, total: np.ndarray, *, count: int, images: int, shape: tuple[int, int, int],
        exact: bool,
    ) -> Self:  # fmt: skip
        """From sums over patches: of themselves (D,), and of their products by themselves (D, D).

        Raises: RunFailed for fewer than two patches.
        """
        if count < FEWEST:
            raise RunFailed(
                f"{count} patch was seen, in {images} image", f"A covariance needs {FEWEST} patches or more",
                "Give more images, or larger ones",
            )  # fmt: skip
        mean, second = total / count, products / count
        covariance = (second + second.T) / 2 - mean[:, None] * mean[None, :]
        return cls(mean=mean, covariance=covariance, count=count, images=images, shape=shape, exact=exact)
