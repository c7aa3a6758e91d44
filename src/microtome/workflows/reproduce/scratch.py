"""`microtome reproduce scratch`: the experiment of the document on a network from scratch, with controls.

Document 004: Yao, Implementing Deconvolution to Visualize and Understand Convolutional Neural Networks (2020),
sections 6 to 6.3.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadModel
from ...progress import Progress, Silent
from ...store import write_bytes, write_json
from .claims import HOW, Claim, as_numbers, claims_of, number, percent, table
from .concentration import FIELD, MAP, SEVERAL, UNIT, reconstructions, rectified
from .data import CAT, Cats, read_cats
from .larger import CONVOLUTIONS, STAGES
from .measuring import Measured, columns_of, measure
from .sheet import COLOURS, Column, draw_curve, draw_sheet, write_png
from .training import OURS, Settings, Trained, train_twins

COLUMNS, ROWS = 5, 4  # of the sheet: layers of each network, and cats
LAYERS = (
    "Layer by layer, over the validation cats, the share of energy in the strongest tenth of the area (even over the "
    "field: what a unit would have that is excited alike by all it sees; edges: the map's correlation with the edges "
    "of the image):"
)
TITLE = "## The network from scratch (Yao 2020)"


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """The claims, all numbers, and the folder in which they are."""

    out: Path
    claims: tuple[Claim, ...]
    numbers: dict[str, Any]


def reproduce(
    images: Path, out: Path, settings: Settings | None = None, *, squeezenet: Path | None = None,
    progress: Progress | None = None,
) -> Reproduced:  # fmt: skip
    """Train (or take from `out` what was trained there with these settings), measure, and write the table of claims.

    Writes claims.md, claims.json, curve.png, sheet.png, reconstructions.png (without photographs), net.tnn, twin.tnn.
    Raises: BadImages, BadModel.
    """
    settings, progress = settings or Settings(), progress or Silent()
    if squeezenet is not None and not squeezenet.is_file():
        raise BadModel(f"There is no file {squeezenet.name!r}", "SqueezeNet's weights are a .safetensors file",
                       "Check the path, or leave --squeezenet out")  # fmt: skip
    cats = read_cats(images, settings.side, settings.aside, settings.seed)
    progress.say(f"{len(cats.train):,} images to train on, {len(cats.aside)} held aside, {len(cats.validation)} to "
                 f"validate on, {settings.side} x {settings.side}")  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    trained = train_twins(cats, settings, out, progress)
    measured = measure(cats, trained, settings, squeezenet, COLUMNS, ROWS, progress)
    numbers = measured.numbers | {"settings": asdict(settings), "parameters": trained.net.count(),
                                  "images": _counts(cats), "history": trained.history}  # fmt: skip
    claims = claims_of(numbers)
    write_bytes(out / "claims.md", "\n".join(page(claims, numbers)).encode())
    write_json(out / "claims.json", _plain({"claims": as_numbers(claims)} | numbers))
    _draw(out, cats, trained, measured, settings)
    return Reproduced(out=out, claims=tuple(claims), numbers=numbers)


def page(claims: list[Claim], numbers: dict[str, Any]) -> list[str]:
    """The section of the page of claims, in Markdown."""
    return [TITLE, "", *_settings(numbers), "", *table(claims), "", HOW, "", LAYERS, "", *_layers(numbers["focus"]), ""]


def _settings(numbers: dict[str, Any]) -> list[str]:
    of, images = numbers["settings"], numbers["images"]
    initial = (
        "normal weights of variance 2 / inputs and biases 0 (1 / inputs, as in the listings, halves the signal at "
        "each rectifier)"
        if of["initial"] == "he"
        else "normal weights and biases of variance 1 / inputs"
    )
    seconds = sum(numbers["history"]["seconds"])
    return [
        f"Repeat it with `microtome reproduce scratch --seed {of['seed']}`: {images['train']} training images, "
        f"{images['aside']} held aside of them,",
        f"{images['validation']} validation images; one seed. As in the document: four blocks of 2, 2, 3 and 3 "
        f"convolutions, three linear layers, dropout .5,",
        f"pixels / 255, batches of {of['batch_size']}, SGD with momentum {of['momentum']:g}. Different: "
        f"{of['side']} x {of['side']} pixels instead of 224 x 224 and {numbers['parameters']:,} numbers",
        f"instead of 68 million (time: {seconds / 60:.0f} minutes for both trainings), {of['epochs']} epochs (the "
        f"document does not say), a learning rate of {of['lr']:g} instead",
        f"of 0.001, and {initial}. The default learning rate and epochs were found in short trials by",
        "the loss on training images; the number of epochs is fixed, and nothing is chosen on the validation images.",
    ]  # fmt: skip


def _layers(of: dict[str, Any]) -> list[str]:
    """Share of energy in the strongest tenth of the area, by layer, kind and network."""
    cells = [("trained", MAP), ("initial", MAP), ("shuffled", MAP), ("trained", UNIT), ("initial", UNIT),
             ("shuffled", UNIT), ("trained", SEVERAL), ("trained", FIELD)]  # fmt: skip
    header = ["layer", "field", "even over the field", *(kind if name == "trained" else f"{kind}, {name}"
                                                         for name, kind in cells), "edges"]  # fmt: skip
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for layer in of["layers"]:
        row = [layer, str(of["fields"][layer]), f"{of['even'][layer]['mean']:.0%}"]
        row += [percent(of["shares"][name][kind][layer]) for name, kind in cells]
        row.append(number(of["edges"]["trained"][layer]))
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _draw(out: Path, cats: Cats, trained: Trained, measured: Measured, settings: Settings) -> None:
    write_png(draw_curve(trained.history, measured.numbers["answers"]["commonest"]), out / "curve.png")
    seen = cats.validation.of(CAT)
    images = seen.images[:ROWS]
    names = rectified(trained.net)
    chosen = [names[place] for place in columns_of(len(names), COLUMNS)]
    shares = measured.focus["trained"].shares
    small = [Column(title=f"small network\n{layer}", maps=maps, shares=shares[layer][MAP])
             for layer, _, maps, _ in reconstructions(trained.net, images, chosen)]  # fmt: skip
    large = []
    if measured.larger is not None:
        of = measured.larger
        large = [Column(title=f"SqueezeNet\nconv {STAGES[site]} of {CONVOLUTIONS}", maps=of.maps[MAP][site],
                        shares=of.shares[MAP][site]) for site in of.sites]  # fmt: skip
    write_png(draw_sheet(small, large, images), out / "sheet.png")
    write_png(draw_sheet(small, large), out / "reconstructions.png", COLOURS)


def _counts(cats: Cats) -> dict[str, int]:
    return {"train": len(cats.train), "aside": len(cats.aside), "validation": len(cats.validation)}


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number is null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, (float, np.floating)) and not np.isfinite(value) else value


__all__ = ("OURS", "Reproduced", "reproduce")
