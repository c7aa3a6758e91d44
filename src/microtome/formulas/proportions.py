"""Proportions with intervals, and how well probabilities agree with them."""

from statistics import NormalDist

import numpy as np

NORMAL_95 = 1.959963984540054  # the 97.5% point of the standard normal distribution
DRAWS = 500  # of a bootstrap: the ends of a 95% interval are then good to a tenth of its length
SIMULATIONS = 200  # of a perfectly calibrated network with the same confidences


def wilson_interval(hits: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95% interval of a proportion. Shapes: (...), (...) -> low and high (...); no trials give 0 and 1.

    Reference: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    hits, trials = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    n = np.maximum(trials, 1)
    share, z = hits / n, NORMAL_95
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 of n and n of n the ends are exactly 0 and 1, which rounding must not miss
    low = np.where(hits <= 0, 0.0, np.clip(middle - half, 0, 1))
    high = np.where(hits >= trials, 1.0, np.clip(middle + half, 0, 1))
    return np.where(trials > 0, low, 0.0), np.where(trials > 0, high, 1.0)


def two_sided(alpha: float) -> float:
    """The point of the standard normal distribution beyond which, on both sides together, lies a share `alpha`."""
    return NormalDist().inv_cdf(1 - alpha / 2)


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, mean confidence and share of correct answers in equal bins of confidence.

    Shapes: (n,), (n,) -> counts, confidence, accuracy (bins,), NaN where a bin is empty.
    Reference: Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks (2017), section 2.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins).astype(np.float64)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (confidence, correct.astype(np.float64))]
    filled = counts > 0
    means = [np.divide(total, counts, out=np.full(bins, np.nan), where=filled) for total in sums]
    return counts, means[0], means[1]


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """Mean distance between confidence and accuracy over the bins of `reliability`, weighted by their images.

    Reference: Guo et al. (2017), equation 3.
    """
    counts, sure, right = reliability(confidence, correct, bins)
    filled = counts > 0
    return float((counts[filled] * np.abs(sure[filled] - right[filled])).sum() / counts.sum())


def calibrated_error(confidence: np.ndarray, bins: int, seed: int) -> np.ndarray:
    """Middle and 95% point of the calibration error of a network that is right as often as it says.

    By simulation, because the error of a finite set of images is never 0. Shapes: (n,) -> (2,).
    """
    random = np.random.default_rng(seed)
    drawn = [
        expected_calibration_error(confidence, random.random(len(confidence)) < confidence, bins)
        for _ in range(SIMULATIONS)
    ]
    return np.quantile(drawn, (0.5, 0.95))


def calibration_apart(confidence: np.ndarray, correct: np.ndarray, bins: int, seed: int) -> np.ndarray:
    """How much larger the second's calibration error is, with its 95% interval over draws of the same images.

    Shapes: confidence, correct (2, n) -> (3,). Reference: Efron, Bootstrap methods: another look at the jackknife
    (1979), with the basic interval, because a resampled calibration error is too large on average.
    """
    images = confidence.shape[1]
    random = np.random.default_rng(seed)

    def difference(chosen: np.ndarray) -> float:
        errors = [expected_calibration_error(c[chosen], r[chosen], bins)
                  for c, r in zip(confidence, correct, strict=True)]  # fmt: skip
        return errors[1] - errors[0]

    middle = difference(np.arange(images))
    drawn = [difference(random.integers(images, size=(images,))) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return np.array([middle, 2 * middle - high, 2 * middle - low])


def images_per_class(labels: np.ndarray) -> float:
    """The median number of images of the classes that have any. Shapes: labels (N,), below 0 where unknown."""
    counts = np.bincount(labels[labels >= 0])
    return float(np.median(counts[counts > 0]))


def percent_of(flags: np.ndarray) -> str:
    """Which share is true, with its 95% interval, in words: "81.3% [79.5, 82.9]". Shapes: (n,), n at least 1."""
    low, high = wilson_interval(flags.sum(), np.array(len(flags)))
    return f"{flags.mean():.1%} [{100 * float(low):.1f}, {100 * float(high):.1f}]"


def counted(flags: np.ndarray) -> str:
    """How many of how many are true, with the interval of their share, in words. Shapes: (n,)."""
    low, high = wilson_interval(flags.sum(), np.array(len(flags)))
    return f"{int(flags.sum())} of {len(flags)} ({float(low):.0%} to {float(high):.0%})"
