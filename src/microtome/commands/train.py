"""`microtome train`: a network of the zoo."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..console import Device, Json, Quiet, print_json, progress_on
from ..image_options import Decoders, Download, Source, Strict, say_broken


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="zoo:NAME")],
    images: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")] = Path("net.safetensors"),
    test: Annotated[str | None, typer.Option(help="Test images; default: the source's own, else a quarter.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    optimizer: Annotated[Literal["adam", "sgd"] | None, typer.Option(help="AdamW, or SGD with momentum.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of SGD.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    schedule: Annotated[
        Literal["cosine", "step", "constant"] | None, typer.Option(help="Of the learning rate.")
    ] = None,
    shift: Annotated[int | None, typer.Option(help="Shift images by up to so many pixels.")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror half of the images.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    strict: Strict = False,
    download: Download = False,
    decoders: Decoders = 2,
    device: Device = "auto",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network of the zoo, by its own recipe unless options say otherwise; print its accuracy on new images."""
    import dataclasses

    from ..workflows.train import recipe_of, train_zoo

    said: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "rate": rate, "momentum": momentum,
        "weight_decay": weight_decay, "schedule": schedule, "shift": shift, "flip": flip, "seed": seed,
    }  # fmt: skip
    recipe = dataclasses.replace(recipe_of(model), **{name: value for name, value in said.items() if value is not None})
    progress = progress_on(quiet)
    progress.say(f"recipe: {recipe}")
    made = train_zoo(model, images, recipe, test=test, out=out, device=device, progress=progress, strict=strict,
                     download=download, decoders=decoders)  # fmt: skip
    low, high = made.interval
    if json_:
        print_json({"weights": str(out), "accuracy": made.accuracy, "interval": [low, high],
                     "held_out": made.tested, "broken": made.broken, "epoch": made.trained.best + 1,
                     "epochs": recipe.epochs, "seed": seed,
                     "loss": made.trained.loss.tolist(), "validation": made.trained.validation.tolist()})  # fmt: skip
        return
    say_broken(made.broken)
    typer.echo(f"{made.accuracy:.2%} [{low:.2%}, {high:.2%}] of {made.tested:,} images not seen in training; "
               f"epoch {made.trained.best + 1} of {recipe.epochs}, chosen on validation images")  # fmt: skip
    typer.echo(f"Weights: {out}")
