"""`microtome report`: the pages of a run."""

from pathlib import Path
from typing import Annotated

import typer

from .console import Json, Plugins, print_json


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write; default: the run's folder.")] = None,
    plugin: Plugins = None,
    json_: Json = False,
) -> None:
    """Write the pages of a run again."""
    from ..runs.run import open_run

    page = open_run(run, plugin or ()).report(out)
    if json_:
        print_json({"run": str(run), "report": str(page)})
        return
    typer.echo(f"Report: {page}")
