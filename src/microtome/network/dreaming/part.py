"""Some of the pictures that are asked for, which climb together."""

from dataclasses import dataclass

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
        kept = self.asked
        channels = tuple(channel for channel, _ in self.rows[:: self.each])
        return Objective(site=kept.site, channels=channels, where=kept.where, sign=kept.sign, diversity=kept.diversity)
