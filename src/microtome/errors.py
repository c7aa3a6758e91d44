"""Every error that microtome raises on purpose, as one tree.

MicrotomeError              the root: what was given, what is allowed, what to do next
├── UsageError              exit code 2: the call was wrong, nothing was started
│   ├── UnknownName         a site, unit, analysis, model or scheme that does not exist ("did you mean ...")
│   ├── BadModel            a model or its weights cannot be opened or do not fit
│   ├── BadImages           an image source cannot be opened or does not fit the model
│   └── BadRun              a folder is not a run, or a run of something else
└── RunFailed               exit code 1: the work was started and could not be finished
    ├── NotApplicable       an analysis cannot say anything about this specimen; the run goes on without it
    ├── CannotRemove        channels that cannot be taken out of a network; it stays as it was
    ├── ModelFailed         the network itself raised
    └── CallOrderChanged    the network did something else than when its sites were found
"""

from typing import ClassVar


class MicrotomeError(Exception):
    """The root. Its text is always three sentences: what was given, what is allowed, what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, given: str, allowed: str, next_step: str) -> None:
        super().__init__(f"{given.rstrip('.')}. {allowed.rstrip('.')}. {next_step.rstrip('.')}.")
        self.given, self.allowed, self.next_step = given, allowed, next_step


class UsageError(MicrotomeError):
    """The call was wrong; nothing was started."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that does not exist."""


class BadModel(UsageError):
    """A model or its weights cannot be opened or do not fit."""


class BadImages(UsageError):
    """An image source cannot be opened or does not fit the model."""


class BadRun(UsageError):
    """A folder is not a run, or a run of something else."""


class RunFailed(MicrotomeError):
    """The work was started and could not be finished."""


class NotApplicable(RunFailed):
    """An analysis cannot say anything about this specimen; the run goes on without it."""


class CannotRemove(RunFailed):
    """Channels that cannot be taken out of a network; it stays as it was."""


class ModelFailed(RunFailed):
    """The network itself raised."""


class CallOrderChanged(RunFailed):
    """The network did something else than when its sites were found."""
