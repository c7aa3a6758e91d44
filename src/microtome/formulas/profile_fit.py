"""The energy profile that theory predicts of a linear network, how well one fits, and how well it fits by chance.

Gradient descent at rate h for t steps brings a share 1 - (1 - h lambda^2)^t of what there is to learn along an axis of
variance lambda^2; of the rest only s = h t can be known. The amplitude is c (1 - exp(-s lambda^2)) / lambda: along
lambda at first, along 1 / lambda (whitening) in the end, with a bump between them that moves to the right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from .spectrum import rank

PEAK = 1.2564312086261697  # s lambda^2 at the top of the bump: exp(x) = 1 + 2 x
EARLY = 2.5  # s lambda_1^2 below which the predicted profile is nearly along lambda, whatever s is
STABLE = 2.0  # h lambda^2 from which on gradient descent diverges
FEWEST = 3  # directions: through two values any two curves correlate 1 or -1
GRID = 600  # values of s that are tried, evenly on a logarithmic scale
EDGES = (1e-2, 1e1)  # s lambda_1^2 at the lower end, s lambda_D^2 at the upper: lambda to 0.5%, 1 / lambda to 0.005%
GOLDEN = (np.sqrt(5) - 1) / 2
REFINED = 36  # steps of a golden section: from the grid's step down to 1e-8 of s, below which r is the same
DRAWS = 1000


def learnt_share(rate: np.ndarray, steps: int) -> np.ndarray:
    """How much is learnt of what there is to learn after gradient descent: 1 - (1 - h)^t, also where h is tiny.

    Shapes: rate (...), h = learning rate times curvature, 0 <= h < 2 -> (...).
    Raises: UsageError if gradient descent diverges.
    """
    if rate.max(initial=0.0) >= STABLE:
        raise UsageError(
            f"Learning rate times curvature is {rate.max():.3g} along the steepest axis",
            f"Gradient descent converges below {STABLE:g}",
            "Choose a smaller learning rate",
        )
    slow = rate < 1
    exact = -np.expm1(steps * np.log1p(-np.where(slow, rate, 0.0)))
    return np.where(slow, exact, 1 - (1 - rate) ** steps)


def predicted_profile(variance: np.ndarray, s: float | np.ndarray) -> np.ndarray:
    """The predicted profile but for its constant: (1 - exp(-s lambda^2)) / lambda, 0 where nothing varies.

    Shapes: variance (D,), s () or (S,) -> (D,) or (S, D).
    Units: s in 1 / variance; learning rate times steps, but for constants of the network.
    Reference: Chowers and Weiss, What do CNNs learn in the first layer and why? (2023), theorem 4.1, without its
    factor 1 / eta^2, which does not come out of its derivation.
    """
    return -np.expm1(-np.asarray(s)[..., None] * variance) * _inverse(np.sqrt(variance))


def predicted_after(variance: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """The same after a number of steps of gradient descent: (1 - (1 - h lambda^2)^t) / lambda.

    Shapes: variance (D,) -> (D,).
    Raises: UsageError if gradient descent diverges at this rate h.
    """
    return learnt_share(rate * variance, steps) * _inverse(np.sqrt(variance))


def _inverse(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, 1 / np.where(values > 0, values, 1.0), 0.0)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The predicted profile that correlates best with one that was measured.

    r is Pearson's; r2 = 1 - |e - c p|^2 / |e - mean e|^2 also sees an offset, which r does not. r_deviation is the
    correlation with lambda alone (what the first steps give), r_rest that of the fit without the first axis. `edge`: s
    lies at an end of what was tried. `early`: the profile is still so nearly along lambda that s cannot be known.

    Shapes: predicted (D,) c p(s), 0 where nothing varies; whitened, the number of axes before the peak.
    """

    s: float
    c: float
    r: float
    r2: float
    r_deviation: float
    r_rest: float
    whitened: int
    predicted: np.ndarray
    edge: bool
    early: bool

    @property
    def peak_variance(self) -> float:
        """At which variance the fitted curve has its top; axes of more variance are whitened."""
        return PEAK / self.s


def fit_profile(energy: np.ndarray, variance: np.ndarray) -> Fit:
    """The s whose predicted profile correlates best with a measured one, over the axes along which patches vary.

    Shapes: energy, variance (D,), variance in falling order.
    Raises: UsageError for other shapes, energies that are not finite, and fewer than 3 axes with variance.
    """
    axes = _usable(energy, variance)
    seen, varying = energy[:axes].astype(np.float64), variance[:axes]
    best, found, edge = _best(seen[None], varying)
    s = float(best[0])
    shape = predicted_profile(varying, s)
    c = float(shape @ seen / (shape @ shape))
    spread = ((seen - seen.mean()) ** 2).sum()
    return Fit(
        s=s, c=c, r=float(found[0]), edge=bool(edge[0]), early=bool(s * varying[0] < EARLY),
        r2=float(1 - ((seen - c * shape) ** 2).sum() / spread) if spread > 0 else float("nan"),
        r_deviation=_r(seen, np.sqrt(varying)), r_rest=_r(seen[1:], shape[1:]),
        whitened=int((varying > PEAK / s).sum()), predicted=c * predicted_profile(variance, s) * _first(axes, variance),
    )  # fmt: skip


def s_interval(squares: np.ndarray, variance: np.ndarray, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """The 95% interval of the fitted s, by drawing as many filters again with replacement; NaN of a single filter.

    Shapes: squares (K, D) of the filters' projections on the axes; variance (D,).
    Raises: UsageError like fit_profile. Reference: Efron, Bootstrap methods: another look at the jackknife (1979).
    """
    axes = _usable(np.sqrt(squares.mean(0)), variance)
    count = len(squares)
    if count < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws) / count
    best, _, _ = _best(np.sqrt(drawn @ squares[:, :axes]), variance[:axes])
    low, high = np.quantile(best, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Null:
    """How well the formula fits filters that learnt nothing. Shapes: r (draws,) of the best fits, rising."""

    r: np.ndarray

    def quantile(self, share: float) -> float:
        """The r that this share of the random banks stays below."""
        return float(np.quantile(self.r, share))

    def p_value(self, r: float) -> float:
        """How often random banks fit as well; never 0, because the bank in question counts as one of them."""
        return (1 + int((self.r >= r).sum())) / (1 + len(self.r))


def null_of_fits(filters: int, variance: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Null:
    """Best fits to banks of random filters. Not 0 on average, because s is chosen to fit.

    Normal weights of one variance are the same along any orthonormal axes, so the axes are not needed: K e_i^2 is
    chi-squared with K degrees of freedom, for each axis on its own. Scale does not matter to r.
    Shapes: variance (D,). Raises: UsageError like fit_profile.
    """
    axes = _usable(variance, variance)
    energies = np.sqrt(np.random.default_rng(seed).chisquare(filters, (draws, axes)))
    return Null(r=np.sort(_best(energies, variance[:axes])[1]))


def _usable(energy: np.ndarray, variance: np.ndarray) -> int:
    """How many axes a fit can use: those with variance."""
    if energy.shape != variance.shape or not np.isfinite(energy).all():
        raise UsageError(
            f"The energies have shape {energy.shape}, and {(~np.isfinite(energy)).sum()} of them are not finite",
            f"There is a finite one for each of the {len(variance)} axes",
            "Take the energies along the same axes as the variances, and look for NaN in the weights",
        )
    axes = rank(variance)
    if axes < FEWEST:
        raise UsageError(
            f"The patches vary along {axes} of {len(variance)} axes",
            f"A profile can be fitted along {FEWEST} axes or more",
            "Give more images, or images that are not all of one colour",
        )
    return axes


def _first(axes: int, variance: np.ndarray) -> np.ndarray:
    return np.arange(len(variance)) < axes


def _standard(rows: np.ndarray) -> np.ndarray:
    """With mean 0 and length 1; constant ones are 0. Shapes: (..., D)."""
    centred = rows - rows.mean(-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.where(length > 0, centred / np.where(length > 0, length, 1.0), 0.0)


def _r(one: np.ndarray, other: np.ndarray) -> float:
    return float(_standard(one) @ _standard(other))


def _best(energies: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best s of each profile, its r, and whether it lies at an end. Shapes: (M, D), (D,) -> three of (M,)."""
    tried = np.log(np.geomspace(EDGES[0] / variance[0], EDGES[1] / variance[-1], GRID))
    wanted = _standard(energies)
    place = np.argmax(wanted @ _standard(predicted_profile(variance, np.exp(tried))).T, axis=1)

    def r(log_s: np.ndarray) -> np.ndarray:
        return np.clip((wanted * _standard(predicted_profile(variance, np.exp(log_s)))).sum(1), -1.0, 1.0)

    low, high = tried[np.maximum(place - 1, 0)], tried[np.minimum(place + 1, GRID - 1)]
    log_s, found = _highest(r, low, high)
    return np.exp(log_s), found, (place == 0) | (place == GRID - 1)


def _highest(
    of: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where a function with one top between two ends is highest, by golden section, for many at once. Shapes: (M,)."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    for _ in range(REFINED):
        falls = at_left >= at_right
        low, high = np.where(falls, low, left), np.where(falls, right, high)
        new = np.where(falls, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        at_new = of(new)
        left, right = np.where(falls, new, right), np.where(falls, left, new)
        at_left, at_right = np.where(falls, at_new, at_right), np.where(falls, at_left, at_new)
    return np.where(at_left >= at_right, left, right), np.maximum(at_left, at_right)
