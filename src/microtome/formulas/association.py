"""How two quantities of the same images go together, by rank: how closely, how surely, and for what reason."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from ..errors import UsageError
from .correlation import rank_correlation, ranks

DRAWS = 1000
FEWEST = 8  # of fewer images a rank correlation is close to 1 by chance too often
NEGLIGIBLE = 0.2  # rank correlations below say nothing about a single image, however sure they are


@dataclass(frozen=True, kw_only=True)
class Association:
    """Spearman's correlation, its 95% interval, and the same within groups and given what else differs.

    within is the mean over groups, each by its number of images; partial that of what the ranks of the controls leave;
    p is two-sided, of the correlation alone. NaN where it cannot be told, or was not asked for.
    """

    rho: float
    low: float
    high: float
    within: float
    partial: float
    p: float
    images: int


def rank_association(
    values: np.ndarray,
    target: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    control: np.ndarray | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Association:
    """How closely values go with a target; images of which one of them is not known are left out.

    The interval is that of as many images drawn again with replacement, with the ranks of the whole set.
    Shapes: values, target (n,); groups (n,) whole numbers, as of classes; control (n,) or (n, m).
    Raises: UsageError for lengths that differ.
    Reference: Spearman (1904); Efron, Bootstrap methods: another look at the jackknife (1979).
    """
    controls = np.zeros((len(target), 0)) if control is None else np.asarray(control, np.float64)
    controls = controls.reshape(len(controls), -1)
    _check_lengths(values, target, controls, target if groups is None else groups)
    known = np.isfinite(values) & np.isfinite(target) & np.isfinite(controls).all(1)
    values, target, controls = values[known], target[known], controls[known]
    rho = rank_correlation(values, target)
    if np.isnan(rho) or len(values) < FEWEST:
        return Association(**dict.fromkeys(("rho", "low", "high", "within", "partial", "p"), np.nan),
                           images=len(values))  # fmt: skip
    low, high = _interval(ranks(values), ranks(target), draws, seed)
    return Association(
        rho=rho, low=low, high=high, p=_chance(rho, len(values)), images=len(values),
        within=np.nan if groups is None else _within(values, target, groups[known]),
        partial=partial_rank_correlation(values, target, controls) if controls.shape[1] else np.nan,
    )  # fmt: skip


def partial_rank_correlation(values: np.ndarray, target: np.ndarray, control: np.ndarray) -> float:
    """Spearman's correlation of what is left of both when the ranks of the controls are taken out of their ranks.

    Shapes: (n,), (n,), (n, m) -> NaN where nothing but rounding is left of one.
    Reference: Conover, Practical nonparametric statistics (1999), section 5.4.
    """
    given = np.column_stack([np.ones(len(values)), *(ranks(column) for column in control.T)])
    table = np.column_stack([ranks(values), ranks(target)])
    left = table - given @ np.linalg.lstsq(given, table, rcond=None)[0]
    lengths = np.linalg.norm(left, axis=0)
    if (lengths <= 1e-9 * np.linalg.norm(table, axis=0)).any():
        return float("nan")
    return float(left[:, 0] @ left[:, 1] / lengths.prod())


def told_apart(values: np.ndarray, kind: np.ndarray) -> float:
    """How often an image of the kind has the larger value of two, one of the kind and one not; ties count half.

    0.5 says nothing; NaN without images of both kinds. Images of unknown value are left out.
    Shapes: values (n,), kind (n,) flags. Reference: Mann, Whitney (1947); the area under the ROC curve.
    """
    known = np.isfinite(values)
    values, kind = values[known], kind[known]
    some, others = int(kind.sum()), int((~kind).sum())
    if not some or not others:
        return float("nan")
    return float((ranks(values)[kind].sum() - some * (some + 1) / 2) / (some * others))


def _interval(one: np.ndarray, other: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """Pearson's correlation of the ranks over drawn images, by how often each was drawn."""
    one, other = one - one.mean(), other - other.mean()
    drawn = np.random.default_rng(seed).multinomial(len(one), np.full(len(one), 1 / len(one)), size=draws) / len(one)
    first, second, both, square, other_square = (
        drawn @ np.stack([one, other, one * other, one**2, other**2], axis=1)
    ).T  # fmt: skip
    spread = (square - first**2) * (other_square - second**2)
    found = (both - first * second)[spread > 0] / np.sqrt(spread[spread > 0])
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def _within(values: np.ndarray, target: np.ndarray, groups: np.ndarray) -> float:
    found, weights = [], []
    for group in np.unique(groups):
        member = groups == group
        rho = rank_correlation(values[member], target[member])
        if member.sum() >= FEWEST and not np.isnan(rho):
            found.append(rho)
            weights.append(member.sum())
    return float(np.average(found, weights=weights)) if found else float("nan")


def _chance(rho: float, count: int) -> float:
    """How often ranks that do not go together correlate as much, by Student's distribution."""
    if abs(rho) >= 1 - 1e-15:
        return 0.0
    freedom = count - 2
    return float(2 * stdtr(freedom, -abs(rho) * np.sqrt(freedom / (1 - rho**2))))


def _check_lengths(values: np.ndarray, *others: np.ndarray) -> None:
    if any(len(other) != len(values) for other in others):
        lengths = ", ".join(str(len(each)) for each in (values, *others))
        raise UsageError(f"Values, target, controls and groups have the lengths {lengths}",
                         "All are of the same images, one entry each", "Choose the same images of all")  # fmt: skip
