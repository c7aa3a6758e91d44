"""A run: a folder with the results of one look, and small pictures of the images that they refer to.

run.json                what was looked at, how, with which versions; layers; skipped analyses; which files belong to it
results/NAME-*.safetensors   one result each
images/sheet-*.webp     display images, many a sheet; images/index-*.json says where each lies
answers/                what has been measured, so that going on and adding cost only what is new
plan.json               what the look was asked for, written before anything is measured

Files are named by a hash of their contents and run.json is written last: what is not named in it does not count.
"""

import hashlib
import io
import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..analyses import Registry, registry
from ..analysis import Result
from ..cards import Card, Crops
from ..errors import BadRun
from ..images.collection import Images
from ..network.model import Model
from ..network.specimen import Specimen
from ..store import SUFFIX, read_tree, tree_bytes, write_bytes, write_json

if TYPE_CHECKING:
    from .runner import Outcome

FORMAT = 3
SHEET_SIDE = 1024  # pixels; larger sheets are slow to decode on phones
CRISP_SIDE = 64  # images up to this side are kept without loss
VERSIONS = ("microtome", "torch", "torchvision", "numpy", "pillow", "scikit-learn")
ENTRIES = {
    "model": dict, "others": dict, "images": dict | None, "layers": list, "fingerprints": dict, "analyses": list,
    "skipped": dict, "seconds": dict, "settings": dict, "files": dict,
}  # fmt: skip
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # of a file in the run's folder: no way out of it


@dataclass(frozen=True)
class Run:
    """A folder with what a look found. Results are read when asked for: `run["activity"]`."""

    folder: Path
    registry: Registry

    @cached_property
    def info(self) -> dict[str, Any]:
        """What stands in run.json."""
        info = {"others": {}} | read_description(self.folder / "run.json")
        wrong = [name for name, kind in ENTRIES.items() if not isinstance(info.get(name), kind)]
        if wrong:
            raise BadRun(f"The run.json of run {self.folder.name} has no proper {', '.join(wrong)}",
                         "It must be what this program wrote", "Look again")  # fmt: skip
        names = [*info["files"].values(), info.get("image_index") or "none"]
        if not all(isinstance(name, str) and PLAIN_NAME.fullmatch(name) for name in names):
            raise BadRun(f"Run {self.folder.name} names files outside of its folder", "A run is self-contained",
                         "Do not trust this run")  # fmt: skip
        return info

    @property
    def names(self) -> list[str]:
        """Names of the analyses whose results can be read."""
        return [name for name in self.info["analyses"] if name in self.registry]

    def __getitem__(self, name: str) -> Result:
        if name not in self.names:
            raise BadRun(f"Run {self.folder.name} has no result {name!r}", f"There are: {', '.join(self.names)}",
                         "Add it with `microtome look ... --analyses`")  # fmt: skip
        return self._result(name, self.info["files"][name])

    def _result(self, name: str, file: str) -> Result:
        tree = read_tree(self.folder / "results" / file)
        try:
            return self.registry[name].result.from_state(tree)
        except (TypeError, ValueError, KeyError) as error:
            raise BadRun(
                f"The result {name!r} of run {self.folder.name} does not fit its analysis ({error})",
                "A result holds what its class says", f"Look again with `--analyses {name}`",
            ) from error  # fmt: skip

    @property
    def results(self) -> dict[str, Result]:
        """All results by name."""
        return {name: self[name] for name in self.names}

    @cached_property
    def image_index(self) -> dict[str, Any] | None:
        """Where the images lie: names of `sheets` and, by place in the set, [sheet, left, top], label and id."""
        name = self.info.get("image_index")
        if name is None:
            return None
        try:
            found: dict[str, Any] = json.loads((self.folder / "images" / name).read_text())
            if not all(PLAIN_NAME.fullmatch(sheet) for sheet in found["sheets"]):
                raise ValueError("sheets outside of the folder")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRun(f"The images of run {self.folder.name} cannot be read ({type(error).__name__})",
                         "A run holds images/index-*.json", "Look again") from error  # fmt: skip
        return found

    def report(self, out: Path | None = None) -> Path:
        """Write the pages (by default into the run's own folder) and return the path of index.html."""
        from ..report.build import build_report

        return build_report(self, out or self.folder)

    def export(self, out: str | Path | None = None, **options: Any) -> Path:
        """Write tables, arrays and figures and return their folder; `mt.export` says which options there are."""
        from ..workflows.export import export

        return export(self, out, **options).folder


def open_run(folder: str | Path, plugins: Iterable[Path] = ()) -> Run:
    """Open a run's folder.

    Raises: BadRun.
    """
    run = Run(Path(folder), registry(plugins))
    _ = run.info
    refuse_links(run.folder)
    return run


def refuse_links(folder: Path) -> None:
    """Make sure that nothing in a run's folder leads out of it.

    Raises: BadRun.
    """
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if links:
        raise BadRun(f"Run {folder.name} holds a link, {links[0].relative_to(folder)}",
                     "A run is self-contained", "Do not trust this run, or copy what the link points to")  # fmt: skip


def read_description(path: Path) -> dict[str, Any]:
    """What stands in a run's run.json or plan.json.

    Raises: BadRun if it is not there, cannot be read, or has another format.
    """
    folder = path.parent
    if path.name == "run.json" and not path.exists() and (folder / "plan.json").exists():
        raise BadRun(f"The run in {str(folder)!r} is not finished", "A report needs a finished run",
                     "Run the same `microtome look` again: it goes on where it stopped")  # fmt: skip
    try:
        info = json.loads(path.read_text())
        found = info["format"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadRun(
            f"Folder {str(folder)!r} is no run ({type(error).__name__})",
            f"A run is a folder with a readable {path.name}",
            "Make one with `microtome look MODEL IMAGES -o FOLDER`",
        ) from error
    if found != FORMAT:
        raise BadRun(
            f"Run {folder.name} has format {found!r}", f"This version reads format {FORMAT}",
            "Open it with the version of microtome that stands in its run.json",
        )  # fmt: skip
    return dict(info)


def write_run(folder: Path, specimen: Specimen, outcome: "Outcome", analyses: Registry, how: Mapping[str, Any]) -> Run:
    """Add results to a run, or begin one; run.json is written last, and then what it no longer names is removed."""
    before = read_description(folder / "run.json") if (folder / "run.json").exists() else {}
    if before.get("fingerprints") != fingerprints(specimen):
        before = {}  # what is there speaks of fewer images
    files: dict[str, str] = dict(before.get("files", {}))
    for name, result in outcome.results.items():
        content = tree_bytes(result.to_state())
        files[name] = f"{name}-{_hash(content)}"
        write_bytes(folder / "results" / f"{files[name]}{SUFFIX}", content)
    index = None
    if specimen.images is not None:
        run = Run(folder, analyses)
        kept = {name: run._result(name, file) for name, file in files.items() if name in analyses}
        wanted = _referred(card for result in kept.values() for card in result.cards())
        index = write_images(folder / "images", specimen.images, wanted)
    write_json(folder / "run.json", _describe(specimen, outcome, how, before) | {"files": files, "image_index": index})
    _remove_unnamed(folder, files, index)
    return Run(folder, analyses)


def write_images(folder: Path, images: Images, places: np.ndarray) -> str:
    """Display images of these places as WebP sheets, with an index, whose name is the answer."""
    _, height, width = images.shape
    columns, rows = max(1, SHEET_SIDE // width), max(1, SHEET_SIDE // height)
    crisp = max(height, width) <= CRISP_SIDE
    where: dict[str, list[int]] = {}
    sheets: list[str] = []
    for number, start in enumerate(range(0, len(places), columns * rows)):
        chosen = places[start : start + columns * rows]
        used = -(-len(chosen) // columns)
        picture = np.zeros((used * height, min(columns, len(chosen)) * width, 3), np.uint8)
        for slot, place in enumerate(chosen):
            top, left = slot // columns * height, slot % columns * width
            picture[top : top + height, left : left + width] = images[int(place)].transpose(1, 2, 0)
            where[str(int(place))] = [number, left, top]
        content = webp(picture, lossless=crisp)
        sheets.append(f"sheet-{_hash(content)}.webp")
        write_bytes(folder / sheets[-1], content)
    index = {
        "height": height, "width": width, "crisp": crisp, "where": where, "sheets": sheets,
        "sheet_columns": columns, "sheet_rows": rows,
        "ids": {key: images.ids[int(key)] for key in where},
        "labels": {key: int(images.labels[int(key)]) for key in where},
    }  # fmt: skip
    name = f"index-{_hash(json.dumps(index).encode())}.json"
    write_json(folder / name, index)
    return name


def _remove_unnamed(folder: Path, files: Mapping[str, str], index: str | None) -> None:
    named = {f"{file}{SUFFIX}" for file in files.values()}
    if index is not None:
        named |= {index, *json.loads((folder / "images" / index).read_text())["sheets"]}
    for path in [*(folder / "results").glob("*"), *(folder / "images").glob("*")]:
        if path.is_file() and not path.name.startswith(".") and path.name not in named:
            path.unlink(missing_ok=True)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def webp(picture: np.ndarray, lossless: bool) -> bytes:
    """A picture (H, W, 3) uint8 as the bytes of a WebP file."""
    stream = io.BytesIO()
    # without loss, quality and method are effort alone: none costs a tenth of the time and a tenth more space
    effort = {"quality": 0, "method": 0} if lossless else {"quality": 82, "method": 2}
    Image.fromarray(picture).save(stream, "WEBP", lossless=lossless, **effort)
    return stream.getvalue()


def _referred(cards: Iterable[Card]) -> np.ndarray:
    found = [np.unique(card.content.index) for card in cards if isinstance(card.content, Crops)]
    places = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return places[places >= 0]


def fingerprints(specimen: Specimen) -> dict[str, str]:
    """What tells a model and a set of images from others; and the models beside it, if there are any."""
    images = specimen.images.fingerprint if specimen.images is not None else "none"
    beside = {"others": " ".join(f"{name} {model.fingerprint}" for name, model in specimen.others.items())}
    return {"weights": specimen.model.fingerprint, "images": images} | (beside if specimen.others else {})


def _about(model: Model) -> dict[str, Any]:
    return {
        "name": model.name, "source": model.source, "weights": model.weights, "parameters": model.parameters,
        "preprocessing": str(model.preprocessing), "preprocessing_from": model.preprocessing_from,
        "notes": list(model.notes), "macs": sum(site.macs for site in model.sites.layers),
    }  # fmt: skip


def _describe(
    specimen: Specimen, outcome: "Outcome", how: Mapping[str, Any], before: Mapping[str, Any]
) -> dict[str, Any]:
    model, images = specimen.model, specimen.images
    return {
        "format": FORMAT,
        "model": _about(model) | {"classes": specimen.classes},
        "others": {name: _about(other) for name, other in specimen.others.items()},
        "images": None if images is None else {
            "source": images.source, "count": len(images), "labelling": images.labelling, "notes": list(images.notes),
            "class_names": list(model.class_names or images.class_names),
            "broken": (before.get("images") or {}).get("broken", {}) | images.broken,
        },
        "layers": [
            {"name": site.name, "operation": site.operation, "units": site.units, "shape": list(site.shape),
             "read": site.read, "parameters": site.parameters, "macs": site.macs}
            for site in specimen.layers
        ],
        "fingerprints": fingerprints(specimen),
        "analyses": list(dict.fromkeys([*before.get("analyses", ()), *outcome.results])),
        "skipped": {name: why for name, why in before.get("skipped", {}).items() if name not in outcome.results}
        | outcome.skipped,
        "seconds": before.get("seconds", {}) | {name: round(value, 2) for name, value in outcome.seconds.items()},
        "passes": outcome.passes,
        "effort": specimen.effort,
        "seed": specimen.seed,
        "versions": {name: metadata.version(name) for name in VERSIONS} | {"python": platform.python_version()},
        **how,
        "settings": before.get("settings", {}) | how.get("settings", {}),
    }  # fmt: skip
