"""Small checks that word their errors in one way."""

import difflib
from collections.abc import Iterable

from .errors import UnknownName, UsageError

SHOWN_CHOICES = 12  # a longer list hides the one that was meant


def closest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that looks most like `name`, or None if none does."""
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


def known(kind: str, name: str, choices: Iterable[str], next_step: str) -> str:
    """`name` itself if it is one of `choices`.

    Raises: UnknownName, with the choices and the closest one.
    """
    options = list(choices)
    if name in options:
        return name
    meant = closest(name, options)
    shown = ", ".join(options[:SHOWN_CHOICES]) + (
        f" and {len(options) - SHOWN_CHOICES} more" if len(options) > SHOWN_CHOICES else ""
    )
    raise UnknownName(
        f"{kind} {name!r} does not exist",
        f"There are: {shown or 'none'}",
        f"Did you mean {meant!r}? {next_step}" if meant else next_step,
    )


def at_least(what: str, value: int, smallest: int) -> int:
    """`value` itself if it is not smaller than `smallest`.

    Raises: UsageError, with the value.
    """
    if value >= smallest:
        return value
    raise UsageError(f"{what} is {value}", f"It must be {smallest} or more", f"Give {what} a larger number")
