"""`microtome train`: a network of the zoo, or one from scratch."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import UsageError
from ..progress import Progress
from .console import Device, Json, Quiet, print_json, progress_on
from .image_options import Decoders, Download, Source, Strict, say_broken

Test = Annotated[
    str | None,
    typer.Option(
        help="Images to test on, a source as above; default: the test part of the source, else a quarter of it."
    ),
]
TrackOption = Annotated[
    str, typer.Option(help="Follow it while it learns, by these analyses: first_layer,activity; NAME-track beside OUT.")
]
Probe = Annotated[int, typer.Option(help="Validation images that it is followed on.")]
TrackShare = Annotated[float, typer.Option(help="Share of the training time that following may take.")]


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="zoo:NAME, or scratch:NAME (in NumPy).")],
    images: Source,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write; default: net.safetensors, or net.tnn for scratch."),
    ] = None,
    test: Test = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a batch.")] = None,
    optimizer: Annotated[Literal["adam", "sgd"] | None, typer.Option(help="AdamW, or SGD with momentum.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    momentum: Annotated[float | None, typer.Option(help="Momentum of SGD.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    schedule: Annotated[
        Literal["cosine", "step", "constant"] | None, typer.Option(help="How the learning rate falls.")
    ] = None,
    shift: Annotated[int | None, typer.Option(help="Shift training images at random by up to so many pixels.")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror half of the training images.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first weights and of the order of images.")] = 0,
    track: TrackOption = "",
    probe: Probe = 200,
    track_share: TrackShare = 0.05,
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    device: Device = "auto",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network, by its own recipe unless options say otherwise; print its accuracy on new images."""
    said: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "rate": rate, "momentum": momentum,
        "weight_decay": weight_decay, "schedule": schedule, "shift": shift, "flip": flip,
    }  # fmt: skip
    said = {name: value for name, value in said.items() if value is not None}
    opening: dict[str, Any] = {"strict": strict, "download": download, "decoders": decoders}
    if model.startswith("scratch:"):
        if track:
            raise UsageError(f"--track was given for {model}", "Networks of torch are followed while they learn",
                             "Leave it out, or train a network of the zoo")  # fmt: skip
        _in_numpy(model, images, said, seed, test, out or Path("net.tnn"), opening, progress_on(quiet), json_)
    else:
        said, opening = said | {"seed": seed}, opening | {"device": device}
        following = (track, probe, track_share)
        _in_torch(model, images, said, test, out or Path("net.safetensors"), opening, following, progress_on(quiet),
                  json_)  # fmt: skip


def _in_torch(
    model: str, images: str, said: dict[str, Any], test: str | None, out: Path, opening: dict[str, Any],
    following: tuple[str, int, float], progress: Progress, as_json: bool,
) -> None:  # fmt: skip
    import dataclasses

    from ..workflows.train import Track, recipe_of, train_zoo

    recipe = dataclasses.replace(recipe_of(model), **said)
    progress.say(f"recipe: {recipe}")
    names, probe, share = following
    track = Track(analyses=tuple(names.split(",")), out=out.with_name(f"{out.stem}-track"), probe=probe, share=share)
    made = train_zoo(model, images, recipe, test=test, out=out, progress=progress, track=track if names else None,
                     **opening)  # fmt: skip
    page = made.history.report() if made.history is not None else None
    low, high = made.interval
    if as_json:
        print_json({"weights": str(out), "accuracy": made.accuracy, "interval": [low, high],
                     "held_out": made.tested, "broken": made.broken, "epoch": made.trained.best + 1,
                     "epochs": recipe.epochs, "seed": recipe.seed,
                     "loss": made.trained.loss.tolist(), "validation": made.trained.validation.tolist(),
                     **({"track": str(page), "findings": _told(made.history)} if page else {})})  # fmt: skip
        return
    say_broken(made.broken)
    typer.echo(f"{made.accuracy:.2%} [{low:.2%}, {high:.2%}] of {made.tested:,} images not seen in training; "
               f"epoch {made.trained.best + 1} of {recipe.epochs}, chosen on validation images")  # fmt: skip
    typer.echo(f"Weights: {out}")
    if page is not None:
        for sentence in _told(made.history):
            typer.echo(f"- {sentence}")
        typer.echo(f"While it learnt: {page}")


def _told(history: Any) -> list[str]:
    """What a training that was followed has to say, its time first."""
    return [f"{finding.sentence} ({finding.control})" for finding in history["history"].findings()]


def _in_numpy(
    model: str, images: str, said: dict[str, Any], seed: int, test: str | None, out: Path, opening: dict[str, Any],
    progress: Progress, as_json: bool,
) -> None:  # fmt: skip
    import dataclasses

    from ..workflows.train_scratch import recipe_of, train_scratch

    recipe = recipe_of(model)
    known = {field.name for field in dataclasses.fields(recipe)}
    strange = [name for name in said if name not in known]
    if strange:
        raise UsageError(f"--{strange[0].replace('_', '-')} was given for {model}",
                         "Networks from scratch learn by SGD at a constant rate, from images as they are",
                         "Leave it out, or train a network of the zoo")  # fmt: skip
    recipe = dataclasses.replace(recipe, **said)
    progress.say(f"recipe: SGD at {recipe.rate}, momentum {recipe.momentum}, weight decay {recipe.weight_decay}, "
                 f"{recipe.epochs} epochs in batches of {recipe.batch_size}, seed {seed}")  # fmt: skip
    made = train_scratch(model, images, recipe, seed=seed, test=test, out=out, progress=progress, **opening)
    low, high = made.interval
    if as_json:
        print_json({"weights": str(out), "accuracy": made.accuracy, "interval": [low, high], "held_out": made.tested,
                    "trained_on": made.trained_on, "broken": made.broken, "seconds": made.seconds, "seed": seed,
                    "epochs": [vars(epoch) for epoch in made.epochs]})  # fmt: skip
        return
    say_broken(made.broken)
    typer.echo(f"{made.accuracy:.2%} [{low:.2%}, {high:.2%}] of {made.tested:,} images not seen in training, after "
               f"{recipe.epochs} epochs of {made.trained_on:,} in {made.seconds:.0f} s (one seed, {seed})")  # fmt: skip
    typer.echo(f"Network: {out}")
