"""What the commands share: their common options, and how they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

MODEL_HELP = (
    "torchvision:NAME, timm:NAME, zoo:NAME (small networks of ours) or file:PATH.py:FACTORY (a function of yours that "
    "makes one), each with weights as NAME@FILE, else random; or NET.tnn, from `microtome train scratch:NAME`"
)
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
TrustPickle = Annotated[
    bool,
    typer.Option(
        "--trust-pickle", help="Let weights be a pickle: loading one runs code that is in it. Only if you trust it."
    ),
]
TrustRun = Annotated[
    bool,
    typer.Option(
        "--trust-run",
        help="When going on with a run: let it load the Python files it was made with (plugins, file: sources).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file with an analysis of yours.")]
Device = Annotated[
    str, typer.Option(help="Where the network runs: auto (a GPU if there is one), cpu, cuda, cuda:1, ...")
]


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
