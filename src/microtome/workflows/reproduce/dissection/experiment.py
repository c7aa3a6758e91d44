"""`microtome reproduce dissection`: the third document's reading of a small network for digits, with controls.

Document 002: Explainable MNIST classification: dissection of a ConvNet (2020).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ....progress import Progress, Silent
from ....runs.answers import VERSION
from ....runs.run import open_run
from ....sheets.dissection import dissect
from ....store import write_bytes, write_json
from ..claims import Claim, as_numbers
from ..parts import Parts, plain
from ..sheet import COLOURS, write_png
from .claims import claims_of
from .drawing import draw_directions, draw_filters, draw_shares
from .filters import measure_filters
from .handnet import measure_handnet
from .layers import measure_layers
from .networks import SECOND, Nets, Settings, trained_nets
from .page import page
from .pruned import measure_pruned
from .rows import measure_rows


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """The claims, all numbers, and the folder in which they are."""

    out: Path
    claims: tuple[Claim, ...]
    numbers: dict[str, Any]


def reproduce(images: str, out: Path, settings: Settings | None = None, progress: Progress | None = None) -> Reproduced:
    """Train (or take from `out` what was trained there like this), measure, and write the table of claims.

    `images` is what `microtome train` takes: mnist:DIR, or digits. Whatever has been measured is kept, so that a call
    that was broken off goes on. Writes claims.md, claims.json, the pictures, the networks, and a run of each in `runs`.
    Raises: BadImages, BadModel.
    """
    settings, progress = settings or Settings(), progress or Silent()
    out.mkdir(parents=True, exist_ok=True)
    nets = trained_nets(images, settings, out, progress)
    for net in nets.trained:
        progress.say(f"seed {net.seed}: {net.accuracy['mean']:.2%} of {net.accuracy['n']:,} images held out")
    key = {"version": VERSION, "settings": asdict(settings), "images": nets.mark,
           "networks": [net.model.fingerprint for net in nets.trained]}  # fmt: skip
    known = Parts(out / "parts", key, progress)
    numbers: dict[str, Any] = {
        "settings": asdict(settings), "about": _about(nets),
        "filters": known("filters", "filters of conv1 in words", lambda: measure_filters(nets, settings)),
        "rows": known("rows", "rows of conv2, one by one", lambda: measure_rows(nets, settings)),
        "layers": known("layers", "omission and duality", lambda: measure_layers(nets, settings, out, progress)),
        "pruned": known("pruned", "rounds of pruning", lambda: measure_pruned(images, settings, out, progress)),
        "handnet": known("handnet", "networks built by hand",
                         lambda: measure_handnet(nets, images, settings, out, progress)),
    }  # fmt: skip
    claims = claims_of(numbers)
    write_bytes(out / "claims.md", "\n".join(page(claims, numbers)).encode())
    write_json(out / "claims.json", plain({"claims": as_numbers(claims)} | numbers))
    _draw(out, nets, numbers)
    return Reproduced(out=out, claims=tuple(claims), numbers=numbers)


def _about(nets: Nets) -> dict[str, Any]:
    return {
        "learning": nets.learning, "held_out": len(nets.held_out), "seeds": [net.seed for net in nets.trained],
        "accuracy": [net.accuracy for net in nets.trained], "history": [net.history for net in nets.trained],
        "parameters": nets.trained[0].model.parameters,
    }  # fmt: skip


def _draw(out: Path, nets: Nets, numbers: dict[str, Any]) -> None:
    filters, rows, first = numbers["filters"]["trained"], numbers["rows"], nets.trained[0]
    sheet = dissect(first.model, rows["place"], f"{SECOND}:{rows['unit']}", images=nets.held_out)
    run = open_run(out / numbers["layers"]["trained"][0]["run"])
    figures = {
        "filters": draw_filters(filters[0]), "directions": draw_directions(filters, numbers["about"]["seeds"]),
        "dissection": sheet.plot(), "shares": draw_shares(rows["tables"][0], rows["unit"]),
        "omission": run["omission"].plot(), "duality": run["duality"].plot(),
    }  # fmt: skip
    for name, figure in figures.items():
        write_png(figure, out / f"{name}.png", COLOURS)


__all__ = ("Reproduced", "reproduce")
