"""Progress of long work: what is being done, how fast, how long still."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Where a run says what it is doing."""

    def say(self, line: str) -> None:
        """Print one line."""
        ...

    @contextmanager
    def bar(self, title: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Show a bar of `total` units, `done` of them before; call what it gives with the number of further ones."""
        ...


class Silent:
    """Says nothing."""

    def say(self, line: str) -> None: ...

    @contextmanager
    def bar(self, title: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        yield lambda count: None


class Terminal:
    """Rich bars with rate and time left, on the error stream so that output can be piped."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        from rich import progress

        parts = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*parts, console=self.console) as shown:
            task = shown.add_task(title, total=total, completed=done, rate="")

            def advance(count: int) -> None:
                shown.advance(task, count)
                speed = shown.tasks[0].speed
                shown.update(task, rate=f"{speed:.0f} {unit}/s" if speed else "")

            yield advance


def duration(seconds: float) -> str:
    """A time in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
