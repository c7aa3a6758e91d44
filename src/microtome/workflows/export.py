"""What a run found, as files that other programs read: tables, arrays, figures, and a manifest that lists them.

manifest.json         every file with a sentence, every array with its shape
findings.csv, .json   the findings of all analyses
NAME/units.csv, .json one row a unit: layer, unit, one column each
NAME/arrays.npz       every array of the result; nested names are joined with "/"
NAME/facts.json       its numbers and texts, by the same names
NAME/figure.svg       its most telling picture (or .pdf, .png)
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from ..analysis import Result
from ..checks import known
from ..errors import UsageError
from ..runs.run import Run, open_run
from ..store import write_bytes, write_json

Format = Literal["csv", "json", "npz"]
Figures = Literal["svg", "pdf", "png", "none"]
FORMATS: tuple[Format, ...] = ("csv", "json", "npz")
FIGURES: tuple[Figures, ...] = ("svg", "pdf", "png", "none")
KIND = "microtome export"  # by which a folder is known as one
UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file knows: the same bytes whenever it is written


@dataclass(frozen=True)
class Export:
    """A folder with what was exported, and the sentence about each of its files."""

    folder: Path
    files: Mapping[str, str]


@dataclass(frozen=True)
class _Writer:
    """Writes files into the folder, whole or not at all, and remembers what each is."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, name: str, content: bytes, about: str) -> None:
        write_bytes(self.folder / name, content)
        self.files[name] = about


def export(
    run: Run | str | Path,
    out: str | Path | None = None,
    *,
    formats: Iterable[str] = FORMATS,
    figures: str = "svg",
    analyses: Iterable[str] = ("all",),
) -> Export:
    """Write tables, arrays and figures of a run into a folder, by default `export` inside the run's.

    An earlier export there is replaced; any other folder that is not empty is refused.
    Raises: UsageError, BadRun; UnknownName for a format or an analysis.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    wanted = [known("Format", name, FORMATS, "Name some of them, with commas between") for name in formats]
    known("Figure format", figures, FIGURES, "Choose one of them")
    names = _chosen(opened, analyses)
    folder = opened.folder / "export" if out is None else Path(out)
    _clear(folder)
    writer = _Writer(folder)
    results = {name: opened[name] for name in names}
    _write_findings(writer, results, wanted)
    for name, result in results.items():
        _write_result(writer, name, result, wanted, figures)
    info = opened.info
    write_json(folder / "manifest.json", {
        "kind": KIND, "run": opened.folder.name, "model": info.get("model"), "images": info.get("images"),
        "versions": info.get("versions"), "formats": wanted, "figures": figures,
        "files": [{"path": path, "about": about} for path, about in writer.files.items()], "arrays": writer.arrays,
    })  # fmt: skip
    return Export(folder, {**writer.files, "manifest.json": "This list."})


def _chosen(run: Run, analyses: Iterable[str]) -> list[str]:
    wanted = [name.strip() for name in analyses]
    for name in wanted:
        known("Result", name, ("all", *run.names), f"Run {run.folder.name} has no other results")
    return [name for name in run.names if "all" in wanted or name in wanted]


def _clear(folder: Path) -> None:
    """Remove the files of an earlier export, so that none of another look stays; refuse any other folder."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        ours = isinstance(manifest, dict) and manifest.get("kind") == KIND
        listed = [PurePosixPath(entry["path"]) for entry in manifest["files"]] if ours else []
    except (OSError, ValueError, KeyError, TypeError):
        ours, listed = False, []
    if not ours:
        raise UsageError(f"{str(folder)!r} is not empty and no export", "An export needs a folder of its own",
                         "Choose another folder with -o")  # fmt: skip
    for path in listed:
        inside = (folder / path).resolve().is_relative_to(folder.resolve())
        if inside and not path.is_absolute() and ".." not in path.parts:
            (folder / path).unlink(missing_ok=True)


def _write_findings(writer: _Writer, results: Mapping[str, Result], formats: list[str]) -> None:
    rows = [{"analysis": name, **asdict(f)} for name, result in results.items() for f in result.findings()]
    about = "The findings of all analyses: sentence, number, weight (0..1, how consequential), where to look, control."
    if "csv" in formats:
        header = ("analysis", "sentence", "number", "weight", "link", "control")
        writer.write("findings.csv", as_csv([header, *([row[key] for key in header] for row in rows)]), about)
    if "json" in formats:
        plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
        writer.write("findings.json", _as_json(plain), about)


def _write_result(writer: _Writer, name: str, result: Result, formats: list[str], figures: str) -> None:
    header, rows = unit_rows(result)
    how = " ".join(f"{column.name}: {column.how_to_read}" for column in result.columns())
    flat = dict(flatten(result.to_state()))
    arrays = {key: value for key, value in flat.items() if isinstance(value, np.ndarray)}
    facts = {key: value for key, value in flat.items() if key not in arrays}
    meaning = " ".join((type(result).__doc__ or "").split())
    if rows and "csv" in formats:
        writer.write(f"{name}/units.csv", as_csv([header, *rows]), f"One row a unit. {how}")
    if rows and "json" in formats:
        table = [dict(zip(header, map(_plain, row), strict=True)) for row in rows]
        writer.write(f"{name}/units.json", _as_json(table), f"One object a unit. {how}")
    if "npz" in formats:
        writer.write(f"{name}/arrays.npz", as_npz(arrays), f"The arrays of the result. {meaning}")
        writer.arrays[name] = {k: {"shape": list(v.shape), "dtype": v.dtype.str} for k, v in arrays.items()}
    if "json" in formats:
        plain = {key: _plain(value) for key, value in facts.items()}
        writer.write(f"{name}/facts.json", _as_json(plain), f"Numbers and texts of the result. {meaning}")
    if figures != "none":
        about = " ".join((type(result).plot.__doc__ or "The most telling picture.").split())
        writer.write(f"{name}/figure.{figures}", as_figure(result, figures), about)


def unit_rows(result: Result) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The columns of a result as a table: its header, and one row a unit; NaN where a layer has no such column."""
    columns = result.columns()
    layers: dict[str, int] = {}
    for column in columns:
        layers.update({layer: len(values) for layer, values in column.values.items()})
    rows = [
        (layer, unit, *(column.values[layer][unit].item() if layer in column.values else float("nan")
                        for column in columns))
        for layer, units in layers.items() for unit in range(units)
    ]  # fmt: skip
    return ("layer", "unit", *(column.name for column in columns)), rows


def flatten(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested dictionaries, tuples and lists, with its keys joined by "/".

    A "/" (or "%") inside a key is written %2F (or %25). Lists of plain values are leaves, empty ones too.
    """
    if isinstance(tree, Mapping) and tree:
        items: Iterable[tuple[Any, Any]] = tree.items()
    elif isinstance(tree, (tuple, list)) and any(isinstance(v, (Mapping, tuple, list, np.ndarray)) for v in tree):
        items = enumerate(tree)
    else:
        yield name, tree
        return
    for key, value in items:
        word = str(key).replace("%", "%25").replace("/", "%2F")
        yield from flatten(value, f"{name}/{word}" if name else word)


def as_csv(rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows as a CSV file: numbers with every digit that they have, NaN as an empty cell."""
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\n")
    for row in rows:
        table.writerow([_cell(value) for value in row])
    return stream.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value
    return "" if value is None or value != value else repr(value)


def as_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as an .npz file, bit by bit; equal arrays give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            about = zipfile.ZipInfo(f"{name}.npy", FIRST_DATE)
            about.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(about, member.getvalue())
    return stream.getvalue()


def as_figure(result: Result, kind: str) -> bytes:
    """The result's picture as SVG, PDF or PNG; the same result gives the same bytes."""
    from matplotlib import rc_context

    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "microtome"}):
        result.plot().savefig(stream, format=kind, metadata=UNDATED[kind])
    return stream.getvalue()


def _plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinity, which it has not, as null and text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None if value != value else repr(value)
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _as_json(value: Any) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()
