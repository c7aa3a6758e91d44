"""The linear network that the formula is derived for, on mosaics of independent patches and on the pictures themselves.

With global average pooling it learns from the average patch of each image. On mosaics of patches from anywhere that
follows the variances of single patches, as the derivation supposes; on pictures it does not.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ....formulas.correlation import cross_correlation
from ....formulas.linear_network import (
    Averages,
    average_patches,
    energy_in_quadrature,
    filters_after,
    gap_profile,
    grown,
    independence,
)  # fmt: skip
from ....formulas.profile_fit import STABLE, predicted_after
from ....formulas.spectrum import Basis
from .pairs import r_of, rows_correlation

PATCHES = 100  # of a mosaic
MOSAICS = 10_000
FILTERS = 16
STEPS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 100_000_000)
SIGMAS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # of the initial weights
TRAINED = 64  # images of the network that is really trained, on all of them at every step
DESCENT = 40  # steps of it
PERMUTED = 200  # times that labels are dealt out anew
RATE = 0.25  # of the largest that is stable, along the steepest axis of average patches


def measure_linear(pixels: np.ndarray, labels: np.ndarray, basis: Basis, draws: int, seed: int) -> dict[str, Any]:
    """The formula beside what is learnt of mosaics and pictures, at every number of steps.

    Shapes: pixels (N, 3, H, W) as the network sees them, labels (N,).
    """
    random = np.random.default_rng(seed)
    kernel = basis.shape[1:]
    average = average_patches(pixels, (kernel[0], kernel[1]))
    average = average - average.mean(0)
    classes = one_against_all(labels)
    count = int(np.prod([side - size + 1 for side, size in zip(pixels.shape[2:], kernel, strict=True)]))
    some = random.permutation(len(pixels))[:TRAINED]
    mosaics = averages_of_mosaics(pixels, basis, random)
    second = Averages.of(average, np.zeros((len(average), 0))).second
    return {
        "steps": list(STEPS), "patches": PATCHES, "mosaic_count": MOSAICS, "images": len(pixels), "draws": draws,
        "mosaics": _beside(mosaics, random.standard_normal((draws, MOSAICS)), basis, PATCHES, None),
        "pictures": _beside(average, random.standard_normal((draws, len(average))), basis, count, classes),
        "independence": independence(second, basis, count),
        "labels": labels_and_patches(average, classes, basis, random),
        "descent": descent(pixels[some], basis, seed),
    }  # fmt: skip


def one_against_all(labels: np.ndarray) -> np.ndarray:
    """1 for its class and 0 for all others, less the mean. Shapes: (N,) -> (N, classes)."""
    found = (labels[:, None] == np.unique(labels)).astype(np.float64)
    return found - found.mean(0)


def averages_of_mosaics(pixels: np.ndarray, basis: Basis, random: np.random.Generator) -> np.ndarray:
    """The average patch of mosaics, each of patches from anywhere in any picture. Shapes: -> (N, D), mean 0."""
    count, channels, height, width = pixels.shape
    _, rows, columns = basis.shape
    found = np.zeros((MOSAICS, rows, columns, channels))
    down, right = np.arange(rows)[:, None], np.arange(columns)

    def drawn(below: int) -> np.ndarray:
        return np.asarray(random.integers(below, size=(MOSAICS, 1, 1)))

    for _ in range(PATCHES):
        image, top, left = drawn(count), drawn(height - rows + 1), drawn(width - columns + 1)
        found += pixels[image, :, top + down, left + right]
    flat = found.transpose(0, 3, 1, 2).reshape(MOSAICS, -1) / PATCHES
    return flat - flat.mean(0)


def _beside(
    average: np.ndarray, targets: np.ndarray, basis: Basis, patches: int, classes: np.ndarray | None
) -> dict[str, Any]:
    """What is learnt from random targets, and from the classes, beside the formulas, after so many steps.

    Shapes of what comes back: r, error (T,) of the root mean square over draws with the patches' formula, and single
    (T, draws) of each; averaged (T,) with that for average patches; slope (T,); classes (T,) with the patches'.
    """
    second = Averages.of(average, np.zeros((len(average), 0))).second
    rate = RATE * STABLE / np.linalg.eigvalsh(second)[-1]  # 2 K eta, the rate at which the mean filter moves
    axes, cross = slice(0, basis.rank), targets @ average / len(average)
    found: dict[str, list[Any]] = {name: [] for name in ("r", "error", "single", "averaged", "slope", "classes")}
    for steps in STEPS:
        energies = np.abs(learnt_along(cross, second, basis, rate, steps))[:, axes]
        measured = np.sqrt((energies**2).mean(0))
        # on average over what images have in common, a step for patches is a step for their averages
        theory = np.sqrt(patches / len(average)) * predicted_after(basis.variance, rate / patches, steps)[axes]
        found["r"].append(r_of(measured, theory))
        found["error"].append(np.sqrt((((measured - theory) / theory) ** 2).mean()))
        found["single"].append(rows_correlation(energies, np.broadcast_to(theory, energies.shape)))
        found["averaged"].append(r_of(measured, gap_profile(basis.axes, second, rate, steps)[axes]))
        found["slope"].append(np.polyfit(np.log(basis.deviation[axes]), np.log(measured), 1)[0])
        if classes is not None:
            own = np.sqrt((learnt_along(classes.T @ average / len(average), second, basis, rate, steps) ** 2).mean(0))
            found["classes"].append(r_of(own[axes], theory))
    return {name: np.array(values) for name, values in found.items()}


def learnt_along(cross: np.ndarray, second: np.ndarray, basis: Basis, rate: float, steps: int) -> np.ndarray:
    """K times the mean filter that each target makes of filters that began at 0, along the axes.

    Shapes: cross (T, D), mean of target times average patch; second (D, D) -> (T, D).
    """
    curvature, own = np.linalg.eigh(second)
    far = grown(np.maximum(curvature, 0.0), rate, steps)
    return np.asarray((cross @ own * far) @ (own.T @ basis.axes))


def labels_and_patches(
    average: np.ndarray, classes: np.ndarray, basis: Basis, random: np.random.Generator
) -> dict[str, Any]:
    """Correlation of each class with the average patch along each axis, and the same of permuted labels.

    Shapes of what comes back: r (classes, D); permuted, largest (draws,), root mean square and largest magnitude.
    """
    along = average @ basis.axes[:, : basis.rank]
    drawn = [cross_correlation(classes[random.permutation(len(classes))], along) for _ in range(PERMUTED)]
    return {"r": cross_correlation(classes, along), "permuted": np.sqrt([(each**2).mean() for each in drawn]),
            "largest": np.array([np.abs(each).max() for each in drawn])}  # fmt: skip


def descent(pixels: np.ndarray, basis: Basis, seed: int) -> dict[str, Any]:
    """A network of one convolution and global average pooling, really trained on pictures, from larger and smaller
    initial weights; how far its profile is from the one of filters that began at 0.

    Shapes of what comes back: sigmas (S,), residual (S,) and closed (S,) relative to the profile's length, the latter
    of the exact formula with the initial weights; learnt (S,), share of the squared profile that was not there before.
    """
    random = np.random.default_rng(seed)
    drawn = random.standard_normal((FILTERS, len(basis.variance)))
    targets = random.standard_normal(len(pixels))
    average = average_patches(pixels, (basis.shape[1], basis.shape[2]))
    averages = Averages.of(average, targets[:, None])
    rate = RATE / (FILTERS * np.linalg.eigvalsh(averages.second)[-1])
    nothing = gap_profile(basis.axes, averages.second, 2 * FILTERS * rate, DESCENT, averages.cross) / FILTERS
    found: dict[str, list[float]] = {"residual": [], "closed": [], "learnt": []}
    for sigma in SIGMAS:
        start = sigma * drawn
        trained = descended(pixels, targets, start.reshape(FILTERS, *basis.shape), rate)
        exact = filters_after(start, averages, rate, DESCENT)
        energy = np.sqrt(((trained @ basis.axes) ** 2).mean(0))
        quadrature = energy_in_quadrature(start, exact.mean(0), basis.axes)
        length = np.linalg.norm(nothing)
        found["residual"].append(float(np.linalg.norm(energy - nothing) / length))
        found["closed"].append(float(np.linalg.norm(energy - quadrature) / length))
        found["learnt"].append(float(1 - ((start @ basis.axes) ** 2).mean(0).sum() / (energy**2).sum()))
    return {"sigmas": np.array(SIGMAS), "steps": DESCENT, "filters": FILTERS,
            **{name: np.array(values) for name, values in found.items()}}  # fmt: skip


def descended(pixels: np.ndarray, targets: np.ndarray, start: np.ndarray, rate: float) -> np.ndarray:
    """The filters after gradient descent through a convolution, in float64. Shapes: start (K, C, kh, kw) -> (K, D)."""
    weights = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    seen, wanted = torch.from_numpy(pixels).double(), torch.from_numpy(targets)
    for _ in range(DESCENT):
        loss = ((F.conv2d(seen, weights).mean((2, 3)).sum(1) - wanted) ** 2).mean()
        (gradient,) = torch.autograd.grad(loss, [weights])
        with torch.no_grad():
            weights -= rate * gradient
    return weights.detach().flatten(1).numpy()
