"""`microtome look` and `microtome merge`: run analyses over a network and images."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .console import (
    MODEL_HELP,
    Device,
    Json,
    Plugins,
    Quiet,
    TrustPickle,
    TrustRun,
    print_json,
    progress_on,
    say_findings,
)  # fmt: skip
from .image_options import SOURCES, Classes, Decoders, Download, Split, Strict, say_broken

RunFolder = Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write; default: runs/MODEL-IMAGES.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A setting of an analysis, ANALYSIS.SETTING=VALUE, as `microtome analyses` lists them; may be repeated.",
    ),
]
Effort = Annotated[
    Literal["quick", "normal", "full"],
    typer.Option(help="How much work the expensive analyses may do: how many images and units they choose."),
]
Units = Annotated[
    list[str] | None,
    typer.Option(
        help="Units that the expensive analyses must not leave out, such as conv2:3 or 'layer1.*'; may be repeated."
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        help="I/N (from 0): do one of N parts of the work, for several processes on one run; `microtome merge` then "
        "joins them. auto: take I and N from Slurm or torchrun."
    ),
]
Pages = Annotated[bool, typer.Option(help="Write the report's pages.")]
Questions = Annotated[
    str,
    typer.Option(help="Which questions to ask: names with commas between, or all (`microtome analyses` lists them)."),
]


def look(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP}; or the folder of a run to go on with.")],
    images: Annotated[str | None, typer.Argument(help=SOURCES)] = None,
    out: RunFolder = None,
    analyses: Questions = "all",
    set_: Settings = None,
    plugin: Plugins = None,
    effort: Effort = "normal",
    units: Units = None,
    classes: Classes = None,
    split: Split = "test",
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    limit: Annotated[int, typer.Option(help="At most so many images, drawn in proportion to classes; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images in a batch; 0: chosen automatically.")] = 0,
    device: Device = "auto",
    amp: Annotated[bool, typer.Option("--amp", help="Run the network in mixed precision, on a GPU.")] = False,
    shard: Shard = None,
    trust_pickle: TrustPickle = False,
    trust_run: TrustRun = False,
    report: Pages = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at a network with a set of images: run analyses, write a report. The same command goes on after a kill."""
    from ..workflows.look import Call, Ways
    from ..workflows.look import look as run_look

    sources = {name.rstrip("_"): context.get_parameter_source(name) for name in context.params}
    given = [name for name in Call.__annotations__ if getattr(sources.get(name), "name", "") == "COMMANDLINE"]
    asked = Call(
        model=model, images=images, analyses=analyses, set=tuple(set_ or ()), plugin=tuple(map(str, plugin or ())),
        effort=effort, classes=str(classes) if classes else None, split=split, strict=strict, limit=limit, seed=seed,
        amp=amp, units=tuple(units or ()),
    )  # fmt: skip
    ways = Ways(
        batch_size=batch_size or None, device=device, decoders=decoders, download=download,
        trust_pickle=trust_pickle, trust_run=trust_run, progress=progress_on(quiet),
    )  # fmt: skip
    try:
        found = run_look(asked, given, ways, out=out, shard=shard)
    except KeyboardInterrupt:
        typer.secho("Interrupted. What was measured is kept: the same command goes on from there.", err=True)
        raise typer.Exit(1) from None
    _say(found, report, json_)


def merge(
    run: Annotated[Path, typer.Argument(help="The run's folder that they worked in.")],
    decoders: Decoders = 2,
    trust_pickle: TrustPickle = False,
    trust_run: TrustRun = False,
    report: Pages = True,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Join what the processes of `microtome look --shard` did; say what is left to do, or write the report."""
    from ..workflows.look import Ways
    from ..workflows.look import merge as run_merge

    ways = Ways(device="cpu", decoders=decoders, trust_pickle=trust_pickle, trust_run=trust_run,
                progress=progress_on(quiet))  # fmt: skip
    _say(run_merge(run, ways), report, json_)


def _say(found: Any, report: bool, json_: bool) -> None:
    from ..api import Stage

    if isinstance(found, Stage):
        if json_:
            print_json({"run": str(found.folder), "stage": found.number, "missing": found.missing})
            return
        typer.echo(f"Stage {found.number}: {'; '.join(found.missing)}")
        typer.echo(f"Once all shards of it are done: microtome merge {found.folder}")
        return
    page = found.report() if report else None
    broken = found.info["images"]["broken"]
    if json_:
        print_json({"run": str(found.folder), "report": str(page) if page else None, "skipped": found.info["skipped"],
                    "broken": broken,
                    "findings": [vars(f) for r in found.results.values() for f in r.findings()]})  # fmt: skip
        return
    say_findings(found)
    for name, why in found.info["skipped"].items():
        typer.echo(f"skipped {name}: {why}")
    say_broken(broken)
    typer.echo(f"Report: {page}" if page else f"Run: {found.folder}")
