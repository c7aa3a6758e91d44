"""What the states would be if it made no difference which filter of the earlier layer feeds which channel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...checks import at_least
from ...errors import UsageError
from .cone_set import ConeSet
from .states import Combined, Covering, Mode, State, check_successive, counts_of, seed_rule, states

DRAWS = 100


@dataclass(frozen=True, kw_only=True)
class Null:
    """Counts of states, as they are and with the earlier filters shuffled. Shapes: observed (8,), drawn (R, 8)."""

    observed: np.ndarray
    drawn: np.ndarray

    @property
    def items(self) -> int:
        """How many states were counted."""
        return int(self.observed.sum())

    @property
    def frequency(self) -> np.ndarray:
        """Of each state as it is. Shapes: (8,)."""
        return self.observed / max(1, self.items)

    @property
    def mean(self) -> np.ndarray:
        """The mean frequency over shuffles. Shapes: (8,)."""
        return self.drawn.mean(0) / max(1, self.items)

    @property
    def std(self) -> np.ndarray:
        """The standard deviation of the frequencies over shuffles. Shapes: (8,)."""
        return self.drawn.std(0, ddof=1) / max(1, self.items)

    @property
    def z(self) -> np.ndarray:
        """How many standard deviations a frequency is from the mean over shuffles. Shapes: (8,).

        0 where shuffling changes nothing and the frequency is the same, infinite where it is another one.
        """
        apart = self.observed - self.drawn.mean(0)
        spread = self.drawn.std(0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(apart == 0, 0.0, apart / spread)

    @classmethod
    def pooled(cls, parts: Sequence["Null"]) -> "Null":
        """Of several pairs of layers together, shuffled at the same time.

        Raises: UsageError for none, and for different numbers of shuffles.
        """
        if len({len(part.drawn) for part in parts}) != 1:
            raise UsageError(
                f"There are nulls of {sorted({len(part.drawn) for part in parts})} shuffles",
                "Pairs of layers are pooled shuffle by shuffle",
                "Shuffle each pair of layers as often",
            )
        observed, drawn = ([getattr(part, name) for part in parts] for name in ("observed", "drawn"))
        return cls(observed=np.sum(observed, axis=0), drawn=np.sum(drawn, axis=0))


def permutation_null(
    later: ConeSet, earlier: ConeSet, mode: Mode = "seed", draws: int = DRAWS, seed: int | Sequence[int] = 0
) -> Null:
    """States counted with each filter of the earlier layer at its channel, and at one drawn at random.

    Mode exact decides every pair anew for each shuffle. Another seed for every pair of layers makes their shuffles
    independent: (seed, place).
    Shapes: slices (O, C) and (C, P).
    Raises: UsageError for layers that do not fit, and fewer than 2 draws.
    """
    check_successive(later, earlier)
    at_least("The number of shuffles", draws, 2)
    return Null(
        observed=counts_of(states(later, earlier, mode)),
        drawn=np.array([counts_of(each) for each in _shuffled(later, earlier, mode, draws, seed)]),
    )


def _shuffled(
    later: ConeSet, earlier: ConeSet, mode: Mode, draws: int, seed: int | Sequence[int]
) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    orders = (random.permutation(len(earlier.biases)) for _ in range(draws))
    if mode == "seed":  # the rule takes two numbers of each filter, which are worked out once
        out, into = Combined.of(later), Covering.of(earlier)
        for order in orders:
            yield seed_rule(out, Covering(lowest=into.lowest[order], widest=into.widest[order]))
    else:
        for order in orders:
            yield states(later, earlier[order], mode)


def rank_chance(inputs: int) -> np.ndarray:
    """The frequencies of states that openings in random order give in mode seed with biases of 0.

    OUT is wider than the widest of as many as there are inputs once in inputs + 1 times. Shapes: -> (8,).
    """
    found = np.zeros(len(State))
    found[State.OUT_PARTIAL_IN] = 1 / (inputs + 1)
    found[State.OUT_FULL_IN] = inputs / (inputs + 1)
    return found
