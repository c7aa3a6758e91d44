"""Some of the pictures that are asked for, which climb together."""

from dataclasses import dataclass, replace

from .objective import Objective


@dataclass(frozen=True)
class Part:
    """Some pictures that climb together: of which channels, how many a channel, and where they begin."""

    asked: Objective
    rows: tuple[tuple[int, int], ...]
    each: int
    seed: int
    attempt: int

    @property
    def objective(self) -> Objective:
        """The objective of these channels alone, one entry `each` rows."""
        return replace(self.asked, channels=tuple(channel for channel, _ in self.rows[:: self.each]))

    @property
    def next_objective(self) -> Objective:
        """For every one of these channels the one that was asked for after it, the first after the last."""
        asked = self.asked.channels
        following = dict(zip(asked, (*asked[1:], asked[0]), strict=True))
        return replace(self.asked, channels=tuple(following[channel] for channel in self.objective.channels))
