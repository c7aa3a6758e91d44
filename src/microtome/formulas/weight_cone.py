"""Whether points form a cone anywhere in space: the spread across an axis grows along it, more than in a cloud.

Of the first three principal components each is taken for the axis once. T is the largest absolute rank correlation of
the place along it with the distance from it; nulls go through the same maximum, so nothing is left to correct.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import eigh
from scipy.stats import rankdata

from ..checks import at_least
from .directions import check_points

AXES = 3  # a cone is drawn in three dimensions
FEWEST = 32  # points; of 10, even a cloud reaches .75 once in 20 times
LEVEL = 0.01  # of the verdict, for both nulls
ENOUGH = 0.8  # power from which a test that finds nothing says something
DRAWS = 99  # the smallest p-value is then the verdict's level
SYNTHETIC_ANGLE, SYNTHETIC_NOISE = 35.0, 0.05  # the cone that the power is told for: half-angle in degrees, height 1
AT_ONCE = 1 << 22  # numbers drawn together

Verdict = Literal["cone", "no cone", "underpowered"]


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Points along their first three principal axes.

    Shapes: scores (n, k), k up to 3, largest variance first; variances all of them, largest first; outward (k,),
    +1 where the mean, as seen from 0, lies towards the axis's positive end.
    """

    scores: np.ndarray
    variances: np.ndarray
    outward: np.ndarray

    @property
    def explained(self) -> np.ndarray:
        """Share of the variance along each axis. Shapes: (k,)."""
        total = self.variances.sum()
        return np.asarray(self.variances[: self.scores.shape[1]] / (total if total > 0 else 1.0))


def principal(points: np.ndarray) -> Principal:
    """Centred points along their principal axes, from the smaller of the two products. Shapes: (n, d)."""
    values = check_points(points)
    mean = values.mean(0)
    centred = values - mean
    wide = len(values) <= values.shape[1]
    found, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    found, vectors = np.maximum(found[::-1], 0), vectors[:, ::-1]
    rank = int(np.sum(found > found[0] * 1e-12)) if found[0] > 0 else 0
    some = vectors[:, : min(AXES, rank)]
    scores = some * np.sqrt(found[: some.shape[1]]) if wide else centred @ some
    along = (centred.T @ some if wide else some).T @ mean
    return Principal(scores=scores, variances=found[:rank] / len(values), outward=np.where(along < 0, -1, 1))


def funnel(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T, and the signed rank correlation of place and distance for every axis.

    Shapes: scores (..., n, k) -> (...), (..., k); 0 for an axis along or across which nothing varies.
    Reference: Spearman, The proof and measurement of association between two things (1904).
    """
    squares = np.square(scores)
    if scores.shape[-1] < 2 or scores.shape[-2] < 3:
        return np.zeros(scores.shape[:-2]), np.zeros((*scores.shape[:-2], scores.shape[-1]))
    across = np.stack([np.delete(squares, axis, -1).sum(-1) for axis in range(scores.shape[-1])], -1)
    one, other = (rankdata(each, axis=-2) for each in (scores, across))
    one, other = (each - each.mean(-2, keepdims=True) for each in (one, other))
    size = np.sqrt(np.square(one).sum(-2) * np.square(other).sum(-2))
    found = np.divide((one * other).sum(-2), size, out=np.zeros(size.shape), where=size > 0)
    return np.abs(found).max(-1), found


def _leading(product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues of a symmetric matrix, which is overwritten, and their vectors."""
    size = len(product)
    if not size:
        return np.zeros(0), product
    found, vectors = eigh(product, subset_by_index=(max(0, size - AXES), size - 1), check_finite=False,
                          overwrite_a=True)  # fmt: skip
    return np.maximum(found, 0), vectors


def leading_scores(points: np.ndarray) -> np.ndarray:
    """Scores of centred points along their first three axes, in any order. Shapes: (n, d) -> (n, min(3, n, d))."""
    centred = points - points.mean(0)
    if len(points) > points.shape[1]:
        return np.asarray(centred @ _leading(centred.T @ centred)[1])
    found, vectors = _leading(centred @ centred.T)
    return np.asarray(vectors * np.sqrt(found))


def _tops(drawn: Iterator[np.ndarray], draws: int, each: int) -> np.ndarray:
    """T of every drawn table of scores, some of them ranked together. Shapes: -> (draws,)."""
    some = max(1, min(draws, AT_ONCE // max(1, each)))
    parts = [min(some, draws - start) for start in range(0, draws, some)]
    return np.concatenate([funnel(np.stack([next(drawn) for _ in range(part)]))[0] for part in parts])


def gauss_null(n: int, variances: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """T of as many Gaussian points with these variances along the axes. Shapes: variances (r,) -> (draws,)."""
    spread = np.sqrt(variances)

    def drawn() -> Iterator[np.ndarray]:
        while True:
            yield leading_scores(random.standard_normal((n, len(spread))) * spread)

    return _tops(drawn(), draws, n * AXES)


def shuffle_null(scores: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """T after each column of the scores has been put in a random order of its own. Shapes: (n, k) -> (draws,)."""

    def drawn() -> Iterator[np.ndarray]:
        while True:
            yield random.permuted(scores, axis=0)

    return _tops(drawn(), draws, scores.size)


def sign_null(points: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """T after every point has been kept or sent through 0 at random: norms stay, what all have in common goes.

    So only a cone on one side of 0 is larger than this. Shapes: (n, d) -> (draws,).
    """
    count = len(points)
    wide = count <= points.shape[1]
    product = points @ points.T if wide else points.T @ points

    def drawn() -> Iterator[np.ndarray]:
        while True:
            signs = random.choice((-1.0, 1.0), size=(count, 1))
            if wide:  # the same as leading_scores(points * signs), the large product worked out once
                turned = product * signs * signs.T
                means = turned.mean(0)
                found, vectors = _leading(turned - means - means[:, None] + means.mean())
                yield vectors * np.sqrt(found)
            else:
                mean = (signs.T @ points)[0] / count
                axes = _leading(product - count * np.outer(mean, mean))[1]
                yield points @ axes * signs - mean @ axes

    return _tops(drawn(), draws, count * AXES)


def norm_null(points: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """T of Gaussian points with the directions' mean and covariance, each stretched to the norm of one of the points.

    Says how much of T comes of points that are alike but for their lengths. Shapes: (n, d) -> (draws,).
    """
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    units = points / np.where(lengths > 0, lengths, 1.0)
    basis, spread, axes = np.linalg.svd(units - units.mean(0), full_matrices=False)
    mean = axes @ units.mean(0)
    rest = units.mean(0) - mean @ axes  # of the mean, what no axis of the points can say
    centre, spread = np.append(mean, np.linalg.norm(rest)), np.append(spread, 0.0) / np.sqrt(len(basis))

    def drawn() -> Iterator[np.ndarray]:
        while True:
            cloud = random.standard_normal((len(points), len(spread))) * spread + centre
            norms = np.linalg.norm(cloud, axis=1, keepdims=True)
            yield leading_scores(cloud * (lengths / np.where(norms > 0, norms, 1.0)))

    return _tops(drawn(), draws, len(points) * AXES)


def column_null(points: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """T after the entries of every column have changed places: how many are near 0 and how large the largest stays.

    Says how much of T comes of sparse columns with heavy tails. Shapes: (n, d) -> (draws,).
    """

    def drawn() -> Iterator[np.ndarray]:
        while True:
            yield leading_scores(random.permuted(points, axis=0))

    return _tops(drawn(), draws, len(points) * AXES)


def chance(value: float, drawn: np.ndarray) -> float:
    """p-value of so large a value among those drawn, which never is 0. Shapes: drawn (B,).

    Reference: Phipson and Smyth, Permutation p-values should never be zero (2010).
    """
    return float((1 + np.sum(drawn >= value)) / (1 + len(drawn)))


def synthetic_cone(n: int, random: np.random.Generator, half_angle: float = SYNTHETIC_ANGLE,
                   noise: float = SYNTHETIC_NOISE) -> np.ndarray:  # fmt: skip
    """Points inside a cone of height 1 about the first axis with its apex in 0, uniform in height and over each disc.

    Of points on its surface a cone of 35.26 degrees varies as much across as along, and principal axes miss its own.
    Shapes: -> (n, 3). Units: degrees.
    """
    height, turn = random.uniform(size=n), random.uniform(0, 2 * np.pi, n)
    radius = height * np.tan(np.radians(half_angle)) * np.sqrt(random.uniform(size=n))
    inside = np.stack([height, radius * np.cos(turn), radius * np.sin(turn)], 1)
    return np.asarray(inside + noise * random.standard_normal((n, 3)))


def power(n: int, threshold: float, draws: int, random: np.random.Generator) -> float:
    """How often a synthetic cone of n points has a T above a threshold."""

    def drawn() -> Iterator[np.ndarray]:
        while True:
            yield leading_scores(synthetic_cone(n, random))

    return float(np.mean(_tops(drawn(), draws, n * AXES) > threshold))


@dataclass(frozen=True, kw_only=True)
class ConeTest:
    """The test for a cone with a free apex.

    Shapes: scores (n, k) of the points along their principal axes, explained (k,) their shares of the variance,
    correlation (k,), signed, of place and distance; gauss, shuffle, sign (B,), the statistic under the nulls. `away`
    says whether it widens away from 0, `power` how often a cone of as many points would have been above the Gaussian
    null at the verdict's level.
    """

    scores: np.ndarray
    explained: np.ndarray
    correlation: np.ndarray
    statistic: float
    away: bool
    gauss: np.ndarray
    shuffle: np.ndarray
    sign: np.ndarray
    power: float

    @property
    def points(self) -> int:
        """How many there are."""
        return len(self.scores)

    @property
    def p_gauss(self) -> float:
        """p-value beside a cloud."""
        return chance(self.statistic, self.gauss)

    @property
    def p_shuffle(self) -> float:
        """p-value beside scores that have nothing to do with each other."""
        return chance(self.statistic, self.shuffle)

    @property
    def p_sign(self) -> float:
        """p-value beside points on both sides of 0."""
        return chance(self.statistic, self.sign)

    @property
    def verdict(self) -> Verdict:
        """A cone if neither cloud nor mirrored points reach it; where a cone would have been missed, underpowered."""
        if self.points < FEWEST:
            return "underpowered"
        if max(self.p_gauss, self.p_sign) <= LEVEL:
            return "cone"
        return "no cone" if self.power >= ENOUGH else "underpowered"


def cone_test(points: np.ndarray, draws: int = DRAWS, seed: int | tuple[int, ...] = 0) -> ConeTest:
    """Do points form a cone, wherever its apex is, more than a cloud of the same variances and on one side of 0?

    Shapes: (n, d).
    Raises: UsageError for a table that is none, fewer than 3 points, or too few draws for the verdict's level.
    Reference: own definition, after Tian, arXiv 2307.15090 (2023), which draws such cones and tests none.
    """
    values = check_points(points)
    at_least("The number of draws", draws, DRAWS)
    at_least("The number of points", len(values), AXES)
    random, found = np.random.default_rng(seed), principal(values)
    statistic, correlation = funnel(found.scores)
    gauss = gauss_null(len(values), found.variances, draws, random)
    threshold = float(np.quantile(gauss, 1 - LEVEL, method="higher"))
    axis = int(np.abs(correlation).argmax()) if len(correlation) else 0
    return ConeTest(
        scores=found.scores, explained=found.explained, correlation=correlation, statistic=float(statistic),
        away=bool(len(correlation) and correlation[axis] * found.outward[axis] > 0), gauss=gauss,
        shuffle=shuffle_null(found.scores, draws, random), sign=sign_null(values, draws, random),
        power=power(len(values), threshold, draws, random),
    )  # fmt: skip
