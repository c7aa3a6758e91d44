"""The command line's words for images: options that commands share, and lines that they print."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..progress import Progress

if TYPE_CHECKING:
    from ..images.collection import Images  # with torch, which would make --help slow

SKIPPED_SHOWN = 3  # images that could not be read, by name

SOURCES = (
    "A folder (one folder in it for each class), digits (1,797 that come with scikit-learn), mnist:DIR, "
    "fashionmnist:DIR, cifar10:DIR, npz:FILE, or file:FILE.py:FACTORY (a function of yours that makes a data set)."
)
Source = Annotated[str, typer.Argument(help=SOURCES)]
Split = Annotated[
    Literal["train", "test"], typer.Option(help="Which part of mnist:, fashionmnist: or cifar10: is taken.")
]
Classes = Annotated[Path | None, typer.Option(help="A JSON file that maps folders to class names or numbers.")]
Strict = Annotated[
    bool, typer.Option("--strict/--no-strict", help="Refuse images that cannot be read, instead of skipping them.")
]
Download = Annotated[bool, typer.Option("--download", help="Let torchvision fetch mnist:, fashionmnist:, cifar10:.")]
Decoders = Annotated[int, typer.Option(help="Threads that decode images while the network works.")]


def say_images(images: "Images", progress: Progress) -> None:
    """Say what was opened."""
    progress.say(f"{len(images):,} images from {images.source}; {images.labelling}")
    for note in images.notes:
        progress.say(f"note: {note}")


def say_broken(broken: Mapping[str, str]) -> None:
    """Print how many images were left out because they cannot be read, and the first of them."""
    if broken:
        shown = ", ".join(f"{name} ({reason})" for name, reason in list(broken.items())[:SKIPPED_SHOWN])
        more = ", ..." if len(broken) > SKIPPED_SHOWN else ""
        images = "image" if len(broken) == 1 else "images"
        typer.echo(f"skipped {len(broken):,} {images} that cannot be read: {shown}{more}")
