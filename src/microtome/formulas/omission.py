"""Whether a layer could be left out, judged by how right a network is with something else in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .proportions import wilson_interval

Kind = Literal["copy", "1x1", "identity", "mean"]
SLIGHT = 0.03  # lost, of all answers: no more than this counts as able to go
CLEAR = 0.10  # by which a stand-in has to beat what could have done as well
ALIKE = 0.6  # mean copy score from which a layer replicates its input
SIMPLEST: tuple[Kind, ...] = ("identity", "copy", "1x1")  # stand-ins, the simplest first
FEWEST = 10  # images, for a verdict


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One layer: its mean copy score, and how right the network is on each of n images by stand-in, (n,) each."""

    copy_score: float
    shares: Mapping[Kind, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """In words; `able` to go; the simplest stand-in that does, or else the best, and the share of answers lost."""

    words: str
    able: bool
    kind: Kind
    lost: float


def verdicts(original: np.ndarray, trials: Mapping[str, Trial]) -> dict[str, Verdict]:
    """What holds of each layer beside the others.

    A layer replicates its input if its copy score is 0.6 or more and copies lose 3 points or less, 10 points less than
    the median of the other layers' copies. Any stand-in has to beat the layer's mean activation by 10 points: a layer
    whose mean does nearly as well does little, and that is another thing. Shapes: original (n,).
    """
    return {layer: _verdict(original, trial, [other for name, other in trials.items() if name != layer])
            for layer, trial in trials.items()}  # fmt: skip


def _verdict(original: np.ndarray, trial: Trial, others: list[Trial]) -> Verdict:
    losses = {kind: float((original - share).mean()) for kind, share in trial.shares.items()}
    tried = [each for each in SIMPLEST if each in losses]
    able = [each for each in tried if losses[each] <= SLIGHT and losses["mean"] - losses[each] >= CLEAR]
    kind = able[0] if able else min(tried, key=lambda each: losses[each])
    lost = losses[kind]

    def verdict(words: str, able: bool = False) -> Verdict:
        return Verdict(words=words, able=able, kind=kind, lost=lost)

    if len(original) < FEWEST:
        return verdict("too few images to say")
    if original.mean() < CLEAR:
        return verdict("not to be said: it is hardly ever right as it is")
    if losses["mean"] <= SLIGHT:
        return verdict("does little: its mean is enough")
    if lost > SLIGHT:
        return verdict("needed")
    if not able:
        return verdict("does little: hardly more than its mean")
    beside = [float((original - each.shares["copy"]).mean()) for each in others]
    if (trial.copy_score >= ALIKE and "copy" in able
            and (not beside or float(np.median(beside)) - losses["copy"] >= CLEAR)):  # fmt: skip
        return verdict("replicates its input", able=True)
    return verdict("a 1x1 map is enough" if kind == "1x1" else "could be left out", able=True)


def in_words(shares: np.ndarray) -> str:
    """A mean share with its 95% interval by Wilson, "62% [55, 68]". Shapes: (n,) in 0..1."""
    if not len(shares):
        return "–"
    low, high = wilson_interval(shares.sum(), np.array(len(shares)))
    return f"{shares.mean():.0%} [{100 * float(low):.0f}, {100 * float(high):.0f}]"
