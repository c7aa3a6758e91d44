"""`microtome reproduce`: an experiment of the documents, run again, each claim beside what is measured."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checks import known
from ..errors import UsageError
from .console import Json, Quiet, print_json, progress_on

EXPERIMENTS = ("scratch", "dissection", "first-layer")
SQUEEZENET = "squeezenet1_0_imagenet.safetensors"
OWN = {
    "side": ("scratch",),
    "squeezenet": ("scratch",),
    "seeds": ("dissection", "first-layer"),
    "full": ("first-layer",),
}  # options of some experiments alone
What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="scratch (cats, by a network in NumPy: Yao 2020), dissection (what each channel of a small network "
        "for digits does: Explainable MNIST classification, 2020) or first-layer (what the first layer learns, "
        "whatever the labels: Chowers & Weiss 2023).",
    ),
]
Images = Annotated[
    str | None,
    typer.Option(
        help="scratch: a folder with train and val, cat and other; default: $MICROTOME_DATA/cats1200. "
        "dissection: mnist:DIR or digits; default: mnist:$MICROTOME_DATA. "
        "first-layer: a folder with train and test, a folder a class; default: $MICROTOME_DATA/cifar10."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write; default: reproduced-WHAT.")]
Seeds = Annotated[
    int | None,
    typer.Option(min=1, help="dissection, first-layer: how many networks of a kind, each from a seed of its own."),
]
Full = Annotated[
    bool,
    typer.Option("--full", help="first-layer: the published schedule, networks and images; hours, with a GPU."),
]
Squeezenet = Annotated[
    Path | None,
    typer.Option(
        metavar="WEIGHTS",
        help="scratch: SqueezeNet's weights for ImageNet; default: those in $MICROTOME_DATA, if there.",
    ),
]


def reproduce(
    what: What,
    images: Images = None,
    out: Out = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training images.")] = None,
    side: Annotated[int | None, typer.Option(help="scratch: side of an image in pixels, 16 or more.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order, dropout and of which images are held aside.")] = 0,
    seeds: Seeds = None,
    squeezenet: Squeezenet = None,
    full: Full = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a published experiment again: train, measure with controls, say which of its claims hold (docs/claims.md)."""
    known("Experiment", what, EXPERIMENTS, "Name one of them")
    given = {"side": side, "squeezenet": squeezenet, "seeds": seeds, "full": full or None}
    for name, owners in OWN.items():
        if given[name] is not None and what not in owners:
            raise UsageError(f"--{name} was given to {what}", f"It belongs to {' and '.join(owners)}", "Leave it out")
    out = out or Path(f"reproduced-{what}")
    said: dict[str, Any] = {"seed": seed} | {
        name: value for name, value in (("epochs", epochs), ("side", side), ("seeds", seeds)) if value is not None
    }
    progress = progress_on(quiet)
    if what == "first-layer":
        made = _first_layer(images, out, said | {"full": full}, progress)
    else:
        made = (_scratch(images, out, said, squeezenet, progress) if what == "scratch"
                else _dissection(images, out, said, progress))  # fmt: skip
    if json_:
        print_json({"out": str(out), "seed": seed,
                    "claims": [vars(claim) for claim in made.claims]})  # fmt: skip
        return
    for claim in made.claims:
        typer.echo(f"{claim.verdict}: {claim.claim}\n    {claim.measured}")
    typer.echo(f"Table: {out / 'claims.md'}")


def _scratch(images: str | None, out: Path, said: dict[str, Any], squeezenet: Path | None, progress: Any) -> Any:
    from ..workflows.reproduce.data import default_folder
    from ..workflows.reproduce.scratch import reproduce as run
    from ..workflows.reproduce.training import Settings

    folder = default_folder() if images is None else Path(images)
    return run(folder, out, Settings(**said), squeezenet=squeezenet or _shared(), progress=progress)


def _dissection(images: str | None, out: Path, said: dict[str, Any], progress: Any) -> Any:
    from ..workflows.reproduce.dissection.experiment import reproduce as run
    from ..workflows.reproduce.dissection.networks import Settings, default_images

    return run(default_images() if images is None else images, out, Settings(**said), progress)


def _first_layer(images: str | None, out: Path, said: dict[str, Any], progress: Any) -> Any:
    from ..workflows.reproduce.first_layer.data import default_folder
    from ..workflows.reproduce.first_layer.experiment import reproduce as run
    from ..workflows.reproduce.first_layer.settings import settings_of

    return run(default_folder() if images is None else Path(images), out, settings_of(**said), progress)


def _shared() -> Path | None:
    """SqueezeNet's weights among the shared data, if they are there."""
    path = Path(os.environ.get("MICROTOME_DATA", "")) / SQUEEZENET
    return path if path.is_file() else None
