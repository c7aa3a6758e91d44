"""What answers and logits say of units that were silenced one by one: what was lost, how surely, in which classes."""

import numpy as np

from .correlation import rank_correlation
from .paired import paired_interval
from .proportions import two_sided

DRAWS = 400  # of the rank correlation's interval
FEWEST_COMPARED = 10  # units whose ranks say something
FEWEST_PER_CLASS = 5  # images of which something is told


def losses(before: np.ndarray, after: np.ndarray, among: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of right answers that is lost net, and its 95% interval, wider if a unit is picked among several.

    Shapes: before (n,), after (m, n) whether answers are right -> (m,), low and high (m,).
    Reference: Dunn, Multiple comparisons among means (1961), for the widening.
    """
    lost, gained = (before & ~after).sum(1), (~before & after).sum(1)
    ends = paired_interval(lost, gained, len(before), two_sided(0.05 / max(1, among)))
    return (lost - gained) / max(1, len(before)), *ends


def ranked(falls: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many random units, others than the unit itself, have smaller falls, and how many there are.

    Shapes: falls (m,), drawn (m,) bool -> (m,), (m,).
    """
    return ((falls[None] < falls[:, None]) & drawn[None]).sum(1), drawn.sum() - drawn.astype(int)


def movers(moved: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes whose logits move most, and by how much. Shapes: moved (m, K) -> (m, k) twice, k at most `count`."""
    chosen = np.argsort(-moved, axis=1, kind="stable")[:, :count]
    return chosen, np.take_along_axis(moved, chosen, 1)


def falls_by_class(label: np.ndarray, fall: np.ndarray) -> list[tuple[int, float, int]]:
    """Of the classes with enough images: class, mean fall of its own logit on its own images, how many; those that
    lose most first.

    Shapes: label, fall (n,).
    """
    counts = {int(k): int((label == k).sum()) for k in np.unique(label)}
    found = [(k, float(fall[label == k].mean()), n) for k, n in counts.items() if n >= FEWEST_PER_CLASS]
    return sorted(found, key=lambda each: -each[1])


def recalls(label: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Of the classes with enough images and another recall than before: class, hits before and after, images; those
    that lose most first.

    Shapes: label, before, after (n,), whether answers are right.
    """
    found = []
    for label_of in np.unique(label):
        member = label == label_of
        pair = int(before[member].sum()), int(after[member].sum())
        if member.sum() >= FEWEST_PER_CLASS and pair[0] != pair[1]:
            found.append((int(label_of), *pair, int(member.sum())))
    return sorted(found, key=lambda each: (each[2] - each[1]) / each[3])


def agreement(estimates: list[np.ndarray], measured: list[np.ndarray], seed: int = 0) -> np.ndarray:
    """How well estimates rank what was measured: Spearman's correlation, its 95% interval, by drawing units with
    replacement, and the same of estimates that are shuffled within their layers.

    Shapes: one array a layer, (m,) each, NaN where there is no estimate -> (4,); units with no effect by both say
    nothing and are left out; of a few units nothing is told (NaN).
    """
    random = np.random.default_rng(seed)
    mixed = np.concatenate([random.permutation(part) for part in estimates] or [np.zeros(0)])
    one, other = (np.concatenate([*part, np.zeros(0)]) for part in (estimates, measured))
    kept = telling(one, other)
    if kept.sum() < FEWEST_COMPARED:
        return np.full(4, np.nan)
    one, drawn = one[kept], random.integers(max(1, kept.sum()), size=(DRAWS, kept.sum()))
    other_kept = other[kept]
    again = np.array([rank_correlation(one[some], other_kept[some]) for some in drawn])
    shuffled = telling(mixed, other)
    low, high = np.nanquantile(again, (0.025, 0.975)) if np.isfinite(again).any() else (np.nan, np.nan)
    return np.array([rank_correlation(one, other_kept), low, high, rank_correlation(mixed[shuffled], other[shuffled])])


def telling(estimate: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Where there is an estimate, and an effect by it or by the measurement. Shapes: (m,), (m,) -> (m,) bool."""
    return ~np.isnan(estimate) & ((estimate != 0) | (measured != 0))
