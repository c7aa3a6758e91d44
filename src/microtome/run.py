"""A run: a folder with the results of one look, and small pictures of the images that they refer to.

run.json             what was looked at, how, with which versions; layers; skipped analyses
results/NAME.json    one result each, its arrays in NAME.safetensors beside it
images/sheet-N.webp  display images, many a sheet; images/index.json says where each lies
"""

import io
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .analyses import Registry, registry
from .analysis import Result
from .cards import Card, Crops
from .errors import BadRun
from .images import Images
from .network.specimen import Specimen
from .store import read_tree, write_bytes, write_json, write_tree

if TYPE_CHECKING:
    from .runner import Outcome

FORMAT = 1
SHEET_SIDE = 1024  # pixels; larger sheets are slow to decode on phones
CRISP_SIDE = 64  # images up to this side are kept without loss
VERSIONS = ("microtome", "torch", "torchvision", "numpy", "pillow", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A folder with what a look found. Results are read when asked for: `run["activity"]`."""

    folder: Path
    registry: Registry

    @cached_property
    def info(self) -> dict[str, Any]:
        """What stands in run.json."""
        try:
            info: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise BadRun(
                f"Folder {str(self.folder)!r} is no run ({type(error).__name__})",
                "A run is a folder with a readable run.json", "Make one with `microtome look MODEL IMAGES -o FOLDER`",
            ) from error  # fmt: skip
        if info.get("format") != FORMAT:
            raise BadRun(
                f"Run {self.folder.name} has format {info.get('format')!r}", f"This version reads format {FORMAT}",
                "Open it with the version of microtome that stands in its run.json",
            )  # fmt: skip
        return info

    @property
    def names(self) -> list[str]:
        """The analyses that have a result here and can be read."""
        return [name for name in self.info["analyses"] if name in self.registry]

    def __getitem__(self, name: str) -> Result:
        if name not in self.names:
            raise BadRun(f"Run {self.folder.name} has no result {name!r}", f"There are: {', '.join(self.names)}",
                         "Add it with `microtome look ... --analyses`")  # fmt: skip
        return self.registry[name].result.from_state(read_tree(self.folder / "results" / name))

    @property
    def results(self) -> dict[str, Result]:
        """All results by name."""
        return {name: self[name] for name in self.names}

    @cached_property
    def image_index(self) -> dict[str, Any]:
        """Where the images lie: `sheets` and, by place in the set, [sheet, left, top], label and id."""
        found: dict[str, Any] = json.loads((self.folder / "images" / "index.json").read_text())
        return found

    def report(self, out: Path | None = None) -> Path:
        """Write the pages (by default into the run's own folder) and return the path of index.html."""
        from .report.build import build_report

        return build_report(self, out or self.folder)


def open_run(folder: str | Path, plugins: Iterable[Path] = ()) -> Run:
    """Open a run's folder.

    Raises: BadRun.
    """
    run = Run(Path(folder), registry(plugins))
    _ = run.info
    return run


def check_free(folder: Path, specimen: Specimen) -> None:
    """Refuse a folder that holds a run of another model or other images.

    Raises: BadRun.
    """
    if not (folder / "run.json").exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise BadRun(f"Folder {str(folder)!r} is not empty and no run", "A run needs a folder of its own",
                         "Choose another folder with -o")  # fmt: skip
        return
    there, here = Run(folder, {}).info["fingerprints"], _fingerprints(specimen)
    if there != here:
        what = " and ".join(name for name in here if here[name] != there.get(name))
        raise BadRun(f"Folder {str(folder)!r} holds a run with other {what}", "A run has one model and one image set",
                     "Choose another folder with -o, or remove this one")  # fmt: skip


def write_run(folder: Path, specimen: Specimen, outcome: "Outcome", analyses: Registry, how: Mapping[str, Any]) -> Run:
    """Write results, images and run.json, in this order: a folder with run.json is whole."""
    for name, result in outcome.results.items():
        write_tree(folder / "results" / name, result.to_state())
    if specimen.images is not None:
        wanted = _referred(card for result in outcome.results.values() for card in result.cards())
        write_images(folder / "images", specimen.images, wanted)
    write_json(folder / "run.json", _describe(specimen, outcome, how))
    return Run(folder, analyses)


def write_images(folder: Path, images: Images, places: np.ndarray) -> None:
    """Display images of these places as WebP sheets, with an index."""
    _, height, width = images.shape
    columns, rows = max(1, SHEET_SIDE // width), max(1, SHEET_SIDE // height)
    crisp = max(height, width) <= CRISP_SIDE
    where: dict[str, list[int]] = {}
    for number, start in enumerate(range(0, len(places), columns * rows)):
        chosen = places[start : start + columns * rows]
        used = -(-len(chosen) // columns)
        picture = np.zeros((used * height, min(columns, len(chosen)) * width, 3), np.uint8)
        for slot, place in enumerate(chosen):
            top, left = slot // columns * height, slot % columns * width
            picture[top : top + height, left : left + width] = images[int(place)].transpose(1, 2, 0)
            where[str(int(place))] = [number, left, top]
        write_bytes(folder / f"sheet-{number}.webp", webp(picture, lossless=crisp))
    write_json(folder / "index.json", {
        "height": height, "width": width, "crisp": crisp, "where": where,
        "sheet_columns": columns, "sheet_rows": rows,
        "ids": {key: images.ids[int(key)] for key in where},
        "labels": {key: int(images.labels[int(key)]) for key in where},
    })  # fmt: skip


def webp(picture: np.ndarray, lossless: bool) -> bytes:
    """A picture (H, W, 3) uint8 as the bytes of a WebP file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", lossless=lossless, quality=82, method=2)
    return stream.getvalue()


def _referred(cards: Iterable[Card]) -> np.ndarray:
    found = [np.unique(card.content.index) for card in cards if isinstance(card.content, Crops)]
    places = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return places[places >= 0]


def _fingerprints(specimen: Specimen) -> dict[str, str]:
    images = specimen.images.fingerprint if specimen.images is not None else "none"
    return {"weights": specimen.model.fingerprint, "images": images}


def _describe(specimen: Specimen, outcome: "Outcome", how: Mapping[str, Any]) -> dict[str, Any]:
    model, images = specimen.model, specimen.images
    return {
        "format": FORMAT,
        "model": {
            "name": model.name, "source": model.source, "weights": model.weights, "parameters": model.parameters,
            "preprocessing": str(model.preprocessing), "preprocessing_from": model.preprocessing_from,
            "classes": specimen.classes, "macs": sum(site.macs for site in specimen.layers),
        },
        "images": None if images is None else {
            "source": images.source, "count": len(images), "labelling": images.labelling, "notes": list(images.notes),
            "class_names": list(model.class_names or images.class_names), "broken": images.broken,
        },
        "layers": [
            {"name": site.name, "operation": site.operation, "units": site.units, "shape": list(site.shape),
             "read": site.read, "parameters": site.parameters, "macs": site.macs}
            for site in specimen.layers
        ],
        "fingerprints": _fingerprints(specimen),
        "analyses": list(outcome.results),
        "skipped": outcome.skipped,
        "seconds": {name: round(value, 2) for name, value in outcome.seconds.items()},
        "passes": outcome.passes,
        "effort": specimen.effort,
        "seed": specimen.seed,
        "versions": {name: metadata.version(name) for name in VERSIONS} | {"python": platform.python_version()},
        **how,
    }  # fmt: skip
