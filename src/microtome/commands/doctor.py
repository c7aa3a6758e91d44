"""`microtome doctor`: what works on a network, and what to know before looking at it."""

from typing import Annotated

import typer

from .console import Device, Json, ModelArgument, Plugins, Quiet, TrustPickle, print_json, progress_on
from .image_options import SOURCES


def doctor(
    model: ModelArgument,
    images: Annotated[str | None, typer.Argument(help=f"To try other preprocessing on. {SOURCES}")] = (None),
    limit: Annotated[int, typer.Option(help="At most so many images; 0: all. Of more than 200, 200 are drawn.")] = 0,
    plugin: Plugins = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw of images.")] = 0,
    device: Device = "auto",
    trust_pickle: TrustPickle = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Examine a network: which analyses fit, what is odd about it, whether its preprocessing looks right."""
    from ..api import open_images
    from ..network.open import open_model
    from ..workflows.doctor import doctor as examine

    opened = open_model(model, trust_pickle=trust_pickle)
    found = None if images is None else open_images(images, opened)
    found = found.limit(limit, seed) if found is not None and limit else found
    progress = progress_on(quiet)
    diagnosis = examine(opened, found, plugins=plugin or (), seed=seed, device=device, progress=progress)
    if json_:
        print_json(diagnosis.to_dict())
        return
    for line in diagnosis.lines():
        typer.echo(line)
