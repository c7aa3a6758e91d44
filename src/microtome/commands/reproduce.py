"""`microtome reproduce`: an experiment of the documents, run again, each claim beside what is measured."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checks import known
from ..console import Json, Quiet, print_json, progress_on

EXPERIMENTS = ("scratch",)
SQUEEZENET = "squeezenet1_0_imagenet.safetensors"


def reproduce(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"The experiment: {', '.join(EXPERIMENTS)}.")],
    images: Annotated[
        Path | None, typer.Option(help="A folder with train and val, cat and other; default: $MICROTOME_DATA/cats1200.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("reproduced-scratch"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training images.")] = None,
    side: Annotated[int | None, typer.Option(help="Pixels of a side, 16 or more.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order, dropout and what is held aside.")] = 0,
    squeezenet: Annotated[
        Path | None, typer.Option(metavar="WEIGHTS", help="ImageNet's; default: those in $MICROTOME_DATA, if there.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment of the documents again: train, measure with controls, say which claims hold."""
    known("Experiment", what, EXPERIMENTS, "Name one of them")
    from ..workflows.reproduce.data import default_folder
    from ..workflows.reproduce.scratch import reproduce as run
    from ..workflows.reproduce.training import Settings

    said: dict[str, Any] = {name: value for name, value in (("epochs", epochs), ("side", side)) if value is not None}
    folder = default_folder() if images is None else images
    made = run(
        folder, out, Settings(seed=seed, **said), squeezenet=squeezenet or _shared(), progress=progress_on(quiet)
    )
    if json_:
        print_json({"out": str(out), "seed": seed,
                    "claims": [vars(claim) for claim in made.claims]})  # fmt: skip
        return
    for claim in made.claims:
        typer.echo(f"{claim.verdict}: {claim.claim}\n    {claim.measured}")
    typer.echo(f"Table: {out / 'claims.md'}")


def _shared() -> Path | None:
    """SqueezeNet's weights among the shared data, if they are there."""
    path = Path(os.environ.get("MICROTOME_DATA", "")) / SQUEEZENET
    return path if path.is_file() else None
