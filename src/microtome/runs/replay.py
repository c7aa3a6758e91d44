"""One analysis on its way through its steps."""

from typing import Any

from ..analysis import Analysis, Request, Result
from ..errors import NotApplicable, UsageError
from ..network.specimen import Specimen


class Replay:
    """An analysis on its way: the request it waits for, or its result.

    It runs from the top every time and is fed what is known already: so a look that was broken off goes on where it
    stopped, and nothing of an analysis itself is ever stored.
    """

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.request: Request | None = None
        self.result: Result | None = None
        self.skipped = ""
        self._steps: Any = None

    def begin(self, specimen: Specimen) -> None:
        """Start it; it runs to its first request."""
        try:
            started = self.analysis.steps(specimen)
        except NotApplicable as error:
            self.skipped = str(error)
            return
        if isinstance(started, Result):
            self.result = started
        else:
            self._steps = started
            self.send(None)

    def send(self, answer: Any) -> None:
        """Hand out the answer to the last request; it runs to the next."""
        self.request = None
        try:
            self.request = self._expect(self._steps.send(answer), Request)
        except StopIteration as stop:
            self.result = self._expect(stop.value, Result)
        except NotApplicable as error:
            self.skipped = str(error)

    def _expect(self, value: Any, kind: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise UsageError(
            f"The steps of analysis {self.analysis.name} gave {type(value).__name__}",
            "Every yield is a Pass or Jobs, and the return is a Result", "Mend the steps of this analysis",
        )  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask."""
        return self.result is not None or bool(self.skipped)
