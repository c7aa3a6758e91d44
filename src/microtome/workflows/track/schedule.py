"""When a network is looked at while it learns: often at the beginning, and within a share of the time."""

import math
import statistics
from collections import deque
from dataclasses import dataclass

from ...checks import at_least
from ...errors import UsageError

SIXTEENTH = 16  # snapshots are a sixteenth of the way apart: most happens early, and 1,000 steps make 93, a million 207
SHARE = 0.05  # of the training time that is spent on looking, unless one says otherwise
KNOWN = 3  # steps whose time is known, before which nothing is foreseen: the first are slow
RECENT = 101  # steps that say how long those to come take


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Steps at which a snapshot is wanted, and the share of all time that snapshots may take.

    Wanted is every step at first, later one in as many as make a sixteenth of those that are behind; or every `every`.
    Where it is known how many `steps` there will be, early snapshots may use time that is still to come.
    Raises: UsageError for a share that is none, or fewer than one step.
    """

    share: float = SHARE
    every: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"The share of the training time is {self.share:g}", "It is above 0 and at most 1",
                             f"Give for instance {SHARE:g}, or leave it out")  # fmt: skip
        for name, count in (("every", self.every), ("steps", self.steps)):
            if count is not None:
                at_least(name, count, 1)

    def following(self, step: int) -> int:
        """The first wanted step after this one."""
        if self.every is not None:
            return (step // self.every + 1) * self.every
        wanted = 0
        while wanted <= step:
            wanted += max(1, wanted // SIXTEENTH)
        return wanted

    def affords(self, step: int, *, cost: float, spent: float, elapsed: float, pace: float) -> bool:
        """Whether one more snapshot, and then the last one, stay within the share if each takes `cost`.

        The last one is thought of because it is taken whatever the time, and the training may end right now. `pace` is
        the time of a step, NaN if it is not known. Units: seconds.
        """
        needed = spent + 2 * cost
        now = self.share * (elapsed + 2 * cost)
        if self.steps is None or step >= self.steps or math.isnan(pace):
            return needed <= now
        whole = elapsed + (self.steps - step) * pace  # without the snapshots to come: rather too little
        return needed <= max(now, self.share * whole * self._due(step, self.steps))

    def _due(self, step: int, steps: int) -> float:
        """Share of all snapshots that are wanted up to a step."""
        return step / steps if self.every is not None else math.log1p(step) / math.log1p(steps)


class Pace:
    """How long a step of a training takes, without snapshots: the median of recent ones, as a few are slow."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._left: float | None = None

    def arrived(self, now: float, steps: int) -> None:
        """So many steps are done since the tracker was left."""
        if self._left is not None and steps > 0:
            self._recent.append((now - self._left) / steps)

    def left(self, now: float) -> None:
        """The training goes on."""
        self._left = now

    @property
    def seconds(self) -> float:
        """Of a step; NaN while too few are known."""
        return statistics.median(self._recent) if len(self._recent) >= KNOWN else math.nan
