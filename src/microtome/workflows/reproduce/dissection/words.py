"""How numbers of several networks are told."""

from collections.abc import Sequence
from typing import Any


def each(values: Sequence[Any], form: str = "{}") -> str:
    """One value a network: "8, 8 and 7"; once if all are told alike."""
    told = [form.format(value) for value in values]
    return told[0] if len(set(told)) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def networks(count: int) -> str:
    """So many of them."""
    return f"{count} networks" if count > 1 else "one network"
