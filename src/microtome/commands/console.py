"""What the commands share: their common options, and how they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

MODEL_HELP = "torchvision:NAME, timm:NAME, zoo:NAME, file:PATH.py:FACTORY, with weights ...@WEIGHTS; or NET.tnn"
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
TrustPickle = Annotated[
    bool,
    typer.Option("--trust-pickle", help="Weights may be a pickle, which runs what is in it. Only if you trust it."),
]
TrustRun = Annotated[bool, typer.Option("--trust-run", help="Run the Python files that a run names, if it does.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file with an analysis of yours.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]


def progress_on(quiet: bool) -> Any:
    """Progress on the error stream, or none."""
    from ..progress import Silent, Terminal

    return Silent() if quiet else Terminal()


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    typer.echo(json.dumps(value, indent=1, default=str))


def print_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Columns under a header, numbers to the right."""
    texts = [tuple(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) for row in rows]
    widths = [max(len(line[place]) for line in (header, *texts)) for place in range(len(header))]
    numeric = [
        bool(rows) and all(isinstance(row[place], int) or not row[place] for row in rows)
        for place in range(len(header))
    ]
    for line in (header, *texts):
        cells = (cell.rjust(w) if n else cell.ljust(w) for cell, w, n in zip(line, widths, numeric, strict=True))
        typer.echo("  ".join(cells).rstrip())


def say_model(opened: Any, say: Callable[[str], None]) -> None:
    """Say what was opened."""
    say(f"{opened.name}: {opened.weights}; {opened.preprocessing} ({opened.preprocessing_from})")
    for note in opened.notes:
        say(f"note: {note}")


def say_findings(run: Any) -> None:
    """Print what is worth reading first."""
    found = sorted((f for result in run.results.values() for f in result.findings()), key=lambda f: -f.weight)
    for finding in found[:10]:
        typer.echo(f"- {finding.sentence} ({finding.control})")
