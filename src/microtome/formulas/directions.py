"""Whether points lie about one direction from the origin: a cone whose apex is 0."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from ..checks import at_least
from ..errors import UsageError

SHUFFLES = 200  # so that a two-sided p-value can be as small as .01
WIDEST = 0.95  # the share of the points that lies within the half-angle


def check_points(points: np.ndarray) -> np.ndarray:
    """The points in float64.

    Raises: UsageError if they are no table of at least one finite row.
    """
    values = np.asarray(points, np.float64)
    if values.ndim == 2 and values.size and np.isfinite(values).all():
        return values
    what = f"of shape {values.shape}" + (" with NaN or infinity" if not np.isfinite(values).all() else "")
    raise UsageError(f"The points are {what}", "Points are a table of finite numbers, (n, d)", "Give one row a point")


def unit_rows(points: np.ndarray) -> np.ndarray:
    """Rows of length 1; those of zeros, which have no direction, are left out. Shapes: (n, d) -> (m, d), float64."""
    values = check_points(points)
    largest = np.abs(values).max(1, keepdims=True)
    scaled = values[largest[:, 0] > 0] / largest[largest[:, 0] > 0]  # squares of tiny numbers would be lost
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class Directions:
    """How far the directions of points agree.

    Shapes: axis (d,), the mean direction; NaN where there is none.
    Units: degrees; half_angle holds 95% of the points, median half of them.
    """

    points: int
    resultant: float  # length of the mean of unit vectors: 1 if all are one direction, about n ** -0.5 if none
    axis: np.ndarray
    half_angle: float
    median_angle: float

    @property
    def concentration(self) -> float:
        """Kappa of the von Mises-Fisher distribution with this resultant, roughly.

        Reference: Banerjee et al., Clustering on the unit hypersphere (2005), equation 4.4.
        """
        r, d = self.resultant, len(self.axis)
        return r * (d - r**2) / (1 - r**2) if r < 1 else float("inf")

    @property
    def rayleigh(self) -> float:
        """p-value of so large a resultant if directions were uniform: n d R^2 follows chi-squared of d.

        Reference: Mardia and Jupp, Directional statistics (2000), section 10.4.1.
        """
        d = len(self.axis)
        return float(chi2.sf(self.points * d * self.resultant**2, d))


def directions(points: np.ndarray) -> Directions:
    """The mean direction of points as seen from 0, and the angles to it. Shapes: (n, d). Raises: UsageError."""
    units = unit_rows(points)
    width = np.shape(points)[1]
    mean = units.mean(0) if len(units) else np.full(width, np.nan)
    length = float(np.linalg.norm(mean)) if len(units) else 0.0
    if length < 1e-12:  # opposite points cancel: there is no axis
        nothing = float("nan")
        return Directions(points=len(units), resultant=length, axis=np.full(width, np.nan),
                          half_angle=nothing, median_angle=nothing)  # fmt: skip
    found = angles_to(units, mean)
    return Directions(points=len(units), resultant=length, axis=mean / length,
                      half_angle=float(np.quantile(found, WIDEST)), median_angle=float(np.median(found)))  # fmt: skip


def angles_to(points: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angle of every point to an axis, both as seen from 0; NaN where either has no direction.

    Shapes: (n, d), (d,) or an axis a point (n, d) -> (n,). Units: degrees.
    Reference: Kahan, How futile are mindless assessments of roundoff (2006), section 12.
    """
    one, other = _scaled(np.asarray(points, np.float64)), _scaled(np.asarray(axis, np.float64))
    apart, together = np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1)
    return np.degrees(2 * np.arctan2(apart, together))


def own_angles(points: np.ndarray) -> np.ndarray:
    """Angle of every point to the mean direction of all. Shapes: (n, d) -> (n,). Units: degrees. Raises: UsageError."""
    return angles_to(points, directions(points).axis)


def _scaled(values: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.where(lengths > 0, lengths, np.nan))


def shuffled_resultants(
    points: np.ndarray, draws: int = SHUFFLES, seed: int | tuple[int, ...] = 0, within: bool = False
) -> np.ndarray:
    """Resultants after the entries of the table have changed places: its values stay, its directions do not.

    `within` columns only: then what every column is by itself stays too, such as its mean.
    Shapes: (n, d) -> (draws,). Raises: UsageError for fewer than 1 draw.
    """
    at_least("The number of draws", draws, 1)
    values = check_points(points).astype(np.float32)  # half the memory to move; the resultant is good to 1e-6
    random = np.random.default_rng(seed)
    found = np.empty(draws)
    for place in range(draws):
        random.permuted(values, axis=0 if within else None, out=values)
        lengths = np.linalg.norm(values, axis=1)
        weights = np.divide(1.0, lengths, out=np.zeros(len(values)), where=lengths > 0)
        found[place] = np.linalg.norm(weights @ values) / max(1, int(np.count_nonzero(lengths)))
    return found


def two_sided(value: float, drawn: np.ndarray) -> tuple[float, float]:
    """p-values of so small and so large a value among those that were drawn, each counted twice for looking both ways.

    Shapes: drawn (B,). Reference: Phipson and Smyth, Permutation p-values should never be zero (2010).
    """
    low, high = (1 + np.sum(drawn <= value)), (1 + np.sum(drawn >= value))
    return float(min(1.0, 2 * low / (1 + len(drawn)))), float(min(1.0, 2 * high / (1 + len(drawn))))
