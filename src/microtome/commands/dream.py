"""`microtome dream`: pictures that excite a unit or a class, grown from noise."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .console import Json, ModelArgument, Quiet, progress_on
from .image_options import SOURCES, Decoders, Split

UNITS_HELP = "A unit, LAYER:CHANNEL or LAYER:CHANNEL@ROW,COLUMN; may be repeated."
IMAGES_HELP = f"Images to take colours from and to compare with. {SOURCES}"
Class = Annotated[list[str] | None, typer.Option("--class", help="A class, by name or number; may be repeated.")]
At = Annotated[
    str | None,
    typer.Option(
        metavar="ROW,COLUMN",
        help="The place on the map where the units are to fire; default: anywhere, in a first layer the middle.",
    ),
]
Steps = Annotated[int | None, typer.Option(help="Steps of the optimiser; default: by the size of the picture.")]


def dream(
    model: ModelArgument,
    unit: Annotated[list[str] | None, typer.Option(metavar="UNIT", help=UNITS_HELP)] = None,
    class_: Class = None,
    images: Annotated[str | None, typer.Option(help=IMAGES_HELP)] = None,
    split: Split = "test",
    limit: Annotated[int, typer.Option(help="At most so many images; 0: all.")] = 0,
    n: Annotated[int, typer.Option("--n", help="Pictures of each unit, grown to be unlike each other.")] = 1,
    negative: Annotated[bool, typer.Option("--negative", help="Also grow the picture that silences it most.")] = False,
    at: At = None,
    steps: Steps = None,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    decoders: Decoders = 2,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The PNG to write.")] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Grow pictures that excite units or classes more than any image does."""
    asked = [*(unit or ()), *(f"class:{name}" for name in class_ or ())]
    if not asked:
        raise UsageError("dream was not told what to grow a picture for", "It takes --unit UNIT and --class CLASS",
                         "`microtome sites MODEL` lists the layers")  # fmt: skip
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"The picture is to be written to {out.name!r}", "It is a PNG file", "Write -o NAME.png")
    from ..api import open_images
    from ..network.open import open_model
    from ..sheets.explanation import parse_position
    from ..sheets.superstimulus import superstimuli

    opened = open_model(model)
    seen = open_images(images, opened, split=split, decoders=decoders) if images else None
    seen = seen.limit(limit) if seen is not None and limit else seen
    found = superstimuli(
        opened, asked, images=seen, n=n, negative=negative, at=parse_position(at) if at else None, steps=steps,
        seed=seed, progress=progress_on(quiet or json_),
    )  # fmt: skip
    target = out or (None if json_ else Path(f"dream-{re.sub(r'[^a-zA-Z0-9.]+', '-', '-'.join(asked[:2]))}.png"))
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        found.plot().savefig(target, dpi=150)
    if json_:
        typer.echo(json.dumps(found.numbers() | {"figure": str(target) if target else None}, indent=1))
        return
    for line in [*found.sentences(), f"Figure: {target}"]:
        typer.echo(line)
