import inspect
import re

import pytest

from microtome import errors
from microtome.errors import MicrotomeError, RunFailed, UsageError

TREE = re.compile(r"^([│ ├└─]*)(\w+) {2,}(.+)$", re.MULTILINE)  # branches, name, meaning


def every_error() -> list[type[MicrotomeError]]:
    return [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, MicrotomeError)]


def drawn() -> dict[str, str]:
    """Every name in the docstring's tree with the name that it hangs from."""
    above: list[str] = []
    parents = {}
    for branches, name, _meaning in TREE.findall(errors.__doc__ or ""):
        depth = len(branches) // 4
        above = [*above[:depth], name]
        parents[name] = above[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    assert drawn() == {error.__name__: error.__base__.__name__ for error in every_error()}


@pytest.mark.parametrize("error", every_error())
def test_every_error_says_given_allowed_and_next_step(error: type[MicrotomeError]) -> None:
    caught = error("Limit is 0", "It must be 1 or more.", "Give a larger number")
    assert str(caught) == "Limit is 0. It must be 1 or more. Give a larger number."
    assert (caught.given, caught.allowed, caught.next_step) == (
        "Limit is 0", "It must be 1 or more.", "Give a larger number",
    )  # fmt: skip


@pytest.mark.parametrize("error", every_error())
def test_wrong_use_exits_with_two_and_failed_work_with_one(error: type[MicrotomeError]) -> None:
    assert error.exit_code == (2 if issubclass(error, UsageError) else 1)


def test_wrong_use_and_failed_work_are_kept_apart() -> None:
    assert not [error for error in every_error() if issubclass(error, UsageError) and issubclass(error, RunFailed)]
