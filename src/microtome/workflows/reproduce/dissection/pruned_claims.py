"""What the document says of pruning, each beside what was measured, and the table of rounds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..claims import Claim
from ..verdicts import HOLDS, IN_PART, NOT, UNKNOWN, Verdict
from .words import each, networks

Numbers = Mapping[str, Any]
CLOSE = 1.0  # points below the network as it came that still count as recovered
NAMES = {"criteria": "by criteria", "magnitude": "smallest weights", "random": "at random"}


def claims_of_pruned(of: Numbers) -> list[Claim]:
    """Both of them."""
    return [_recovers(of), _criteria(of)]


def _accuracy(of: Numbers, when: str, arm: str = "criteria") -> np.ndarray:
    """Accuracy of every network after every round, in percent. Shapes: -> (networks, rounds + 1)."""
    return np.array([100 * np.asarray(net[when])[net["arms"].index(arm), :, 0] for net in of["networks"]])


def _recovers(of: Numbers) -> Claim:
    before, after = _accuracy(of, "before"), _accuracy(of, "after")
    drops, lost = (after[:, :-1] - before[:, 1:]), after[:, :1] - after[:, 1:]
    slight, recovered = bool((drops.max(0) <= CLOSE).all()), bool((lost.max(0) <= CLOSE).all())
    small = np.flatnonzero(drops.mean(0) <= CLOSE)
    costs = ", ".join(f"{drop:.2f}" for drop in drops.mean(0))
    told = (f"Mean over {networks(len(before))}: removing costs {costs} points in "
            f"rounds 1 to {of['rounds']} (at most {CLOSE:g} in {len(small)} of them), and after retraining "
            f"{', '.join(f'{v:.2f}%' for v in after.mean(0)[1:])} are answered rightly, of "
            f"{after[:, 0].mean():.2f}% at first; the last network by network "
            f"{each(list(after[:, -1]), '{:.2f}%')}; control: as many random channels cost "
            f"{', '.join(f'{d:.1f}' for d in _drops(of, 'random'))} points, and end at "
            f"{each(list(_accuracy(of, 'after', 'random')[:, -1]), '{:.2f}%')}")  # fmt: skip
    verdict: Verdict = HOLDS if slight and recovered else IN_PART if recovered else NOT
    return Claim(claim="Pruned in rounds to 13,618 parameters, its accuracy drops slightly each time and quickly "
                 "recovers", measured=told, verdict=verdict)  # fmt: skip


def _drops(of: Numbers, arm: str) -> np.ndarray:
    return (_accuracy(of, "after", arm)[:, :-1] - _accuracy(of, "before", arm)[:, 1:]).mean(0)


def _criteria(of: Numbers) -> Claim:
    apart = {arm: np.array([np.asarray(net["apart"])[net["arms"].index(arm)] for net in of["networks"]])
             for arm in ("random", "magnitude")}  # fmt: skip
    first = _accuracy(of, "before")[:, 1] - _accuracy(of, "before", "random")[:, 1]
    told = (f"Right after the first removal {each(list(first), '{:+.1f}')} points above random channels. After "
            f"{of['rounds']} rounds with retraining, difference to random channels on the same images "
            f"{_each(apart['random'])}, control: to the smallest weights {_each(apart['magnitude'])}")  # fmt: skip
    better = [bool(low > 0) for _, low, _ in apart["random"]]
    also = [bool(low > 0) for _, low, _ in apart["magnitude"]]
    worse = [bool(high < 0) for _, _, high in apart["random"]]
    verdict = (HOLDS if all(better) and all(also) else IN_PART if all(better) or (first > 0).all() and not any(worse)
               else NOT if all(worse) else UNKNOWN)  # fmt: skip
    return Claim(claim="Channels that hardly vary, look like noise, have a plain superstimulus or respond to all "
                 "are the ones to remove", measured=told, verdict=verdict)  # fmt: skip


def _each(apart: np.ndarray) -> str:
    return "; ".join(f"{value:+.2f} [{low:+.2f}, {high:+.2f}]" for value, low, high in apart)


def rounds_table(of: Numbers) -> list[str]:
    """Markdown: every round, means over the networks, accuracy right after removing and after retraining."""
    nets: Sequence[Numbers] = of["networks"]
    first = nets[0]
    arms = [arm for arm in NAMES if arm in first["arms"]]
    header = ["round", "parameters", "multiply-adds",
              *(f"{NAMES[arm]}, {when}" for arm in arms for when in ("cut", "retrained"))]  # fmt: skip
    lines = [f"The wide network ({of['base']}), pruned in {of['rounds']} rounds with {of['epochs']} epoch of "
             f"retraining after each and {of['last']} more after the last; accuracy on {first['images']:,} images, "
             f"mean over {networks(len(nets))} (least and largest in brackets):", "",
             f"| {' | '.join(header)} |", "|---" * len(header) + "|"]  # fmt: skip
    for number in range(of["rounds"] + 1):
        cells = [str(number), f"{int(np.asarray(first['parameters'])[0, number]):,}",
                 f"{np.asarray(first['macs'])[0, number] / 1e6:.2f} M"]  # fmt: skip
        for arm in arms:
            for when in ("before", "after"):
                values = _accuracy(of, when, arm)[:, number]
                cells.append(f"{values.mean():.2f}% [{values.min():.2f}, {values.max():.2f}]")
        lines.append(f"| {' | '.join(cells)} |")
    return lines
