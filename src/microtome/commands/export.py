"""`microtome export`: a run as tables, arrays and figures."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .console import Json, Plugins, print_json


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write; default: RUN/export.")] = None,
    format: Annotated[str, typer.Option(help="csv, json, npz: some of them, with commas between.")] = "csv,json,npz",
    figures: Annotated[Literal["svg", "pdf", "png", "none"], typer.Option(help="The format of figures.")] = "svg",
    analyses: Annotated[str, typer.Option(help="Names with commas between, or all.")] = "all",
    plugin: Plugins = None,
    json_: Json = False,
) -> None:
    """Write what a run found as tables, arrays and figures for other programs."""
    from ..runs.run import open_run
    from ..workflows.export import export as write

    opened = open_run(run, plugin or ())
    made = write(opened, out, formats=[name.strip() for name in format.split(",")], figures=figures,
                 analyses=analyses.split(","))  # fmt: skip
    if json_:
        print_json({"run": str(run), "export": str(made.folder), "files": dict(made.files)})
        return
    for name, about in made.files.items():
        typer.echo(f"{name}: {about.partition('. ')[0].rstrip('.')}")
    typer.echo(f"Export: {made.folder}")
