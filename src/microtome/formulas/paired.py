"""How sure a change of a share is, where the same things were judged before and after."""

import numpy as np

from .proportions import NORMAL_95

HALVINGS = 60  # of an interval of length 2: beyond the precision of a number


def paired_interval(
    lost: np.ndarray, gained: np.ndarray, trials: int, deviations: float = NORMAL_95
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a fall, (lost - gained) / trials, by the score test; it has a length where nothing changed too.

    Shapes: lost, gained (...) numbers of things that were right before only, and after only -> low and high (...).
    Units: `deviations` is the two-sided point of the standard normal distribution. No trials give -1 and 1.
    Reference: Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design (1998), equations 13 to 16.
    """
    lost, gained = (np.asarray(each, np.float64) for each in (lost, gained))
    if trials < 1:
        return np.full(lost.shape, -1.0), np.full(lost.shape, 1.0)
    middle = (lost - gained) / trials
    return (_end(lost, gained, trials, middle, -np.ones_like(middle), deviations),
            _end(lost, gained, trials, middle, np.ones_like(middle), deviations))  # fmt: skip


def _end(
    lost: np.ndarray, gained: np.ndarray, trials: int, inside: np.ndarray, outside: np.ndarray, deviations: float
) -> np.ndarray:
    """Where the score reaches `deviations` between a fall that it allows and one that is the largest possible."""
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        allowed = np.abs(_score(lost, gained, trials, middle)) <= deviations
        inside, outside = np.where(allowed, middle, inside), np.where(allowed, outside, middle)
    found: np.ndarray = (inside + outside) / 2
    return found


def _score(lost: np.ndarray, gained: np.ndarray, trials: int, fall: np.ndarray) -> np.ndarray:
    """How many standard deviations what was seen lies from what a fall lets expect."""
    linear = -lost - gained + (2 * trials - lost + gained) * fall
    constant = -gained * fall * (1 - fall)
    back = (np.sqrt(np.maximum(linear**2 - 8 * trials * constant, 0)) - linear) / (4 * trials)
    spread = np.sqrt(np.maximum(trials * (2 * back + fall * (1 - fall)), 0))
    away = lost - gained - trials * fall
    return np.divide(away, spread, out=np.where(away == 0, 0.0, np.copysign(np.inf, away)), where=spread > 0)
