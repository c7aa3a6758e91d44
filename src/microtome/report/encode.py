"""Cards as the page reads them: plain JSON, and sprite sheets for pictures."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..cards import Card, Chart, Circuit, Column, Crops, Heat, Pictures, Rows, Sheets, Table, Text, Units
from ..figures import columns_of, sheet
from ..runs.run import webp
from ..store import write_bytes

DIGITS = 4  # significant digits of a number on the page
BETWEEN = 150  # grey of the lines between the pictures of a contact sheet


def encode_card(card: Card, sprites: Path) -> dict[str, Any]:
    """One card as JSON; pictures go into a sprite sheet named `sprites`.webp."""
    content = ENCODERS[type(card.content)](card.content, sprites)
    about: dict[str, Any] = {"title": card.title, "how": card.how_to_read, "control": card.control}
    if card.per_unit or isinstance(card.content, Sheets):
        about |= {"section": card.section, "telling": card.telling, "layer": card.layer,
                  "below": card.below}  # fmt: skip
    return about | content


def encode_column(column: Column, layers: list[str]) -> dict[str, Any]:
    """One column as JSON, values by layer in the order of `layers`; null for a layer without."""
    values = [numbers(column.values[layer]) if layer in column.values else None for layer in layers]
    return {"name": column.name, "how": column.how_to_read, "good": column.good, "kind": column.kind, "values": values}


def numbers(values: Any) -> Any:
    """Arrays as nested lists, numbers rounded to a few significant digits, what is no number as null."""
    if isinstance(values, np.ndarray | np.generic):
        return numbers(values.tolist())
    if isinstance(values, (list, tuple)):
        return [numbers(value) for value in values]
    if isinstance(values, float):
        return float(f"{values:.{DIGITS}g}") if math.isfinite(values) else None
    return values


def _text(content: Text, _sprites: Path) -> dict[str, Any]:
    return {"kind": "text", "lines": list(content.lines)}


def _table(content: Table, _sprites: Path) -> dict[str, Any]:
    rows = [numbers(row) for row in content.rows]
    return {"kind": "table", "header": list(content.header), "rows": rows, "links": list(content.links)}


def _crops(content: Crops, _sprites: Path) -> dict[str, Any]:
    return {"kind": "crops", "index": content.index.tolist(), "boxes": content.boxes.tolist(),
            "captions": content.captions.tolist()}  # fmt: skip


def _pictures(content: Pictures, sprites: Path) -> dict[str, Any]:
    *lead, each, height, width, _ = content.pixels.shape
    flat = content.pixels.reshape(-1, height, width, 3)
    columns = max(1, math.ceil(math.sqrt(len(flat) * height / width)))
    path = sprites.with_suffix(".webp")
    write_bytes(path, webp(sheet(flat, columns, gap=0), lossless=content.exact))
    return {"kind": "pictures", "sprite": path.name, "height": height, "width": width, "columns": columns,
            "each": each, "captions": list(content.captions), "crisp": content.crisp}  # fmt: skip


def _sheets(content: Sheets, sprites: Path) -> dict[str, Any]:
    """One file for all views, below each other; where each lies, and how many pictures a line it has."""
    made, views = [], []
    top = 0
    for view in content.views:
        units, height, width, _ = view.pixels.shape
        columns = columns_of(units, height / width)
        made.append(sheet(view.pixels, columns, background=BETWEEN))
        lost = None if view.lost is None or np.isnan(view.lost).all() else numbers(np.round(view.lost, 3))
        views.append({"top": top, "height": height, "width": width, "columns": columns, "caption": view.caption,
                      "image": view.index, "lost": lost})  # fmt: skip
        top += len(made[-1])
    picture = np.full((top, max(part.shape[1] for part in made), 3), BETWEEN, np.uint8)
    for part, place in zip(made, views, strict=True):
        picture[place["top"] : place["top"] + len(part), : part.shape[1]] = part
    path = sprites.with_suffix(".webp")
    write_bytes(path, webp(picture, lossless=True))
    return {"kind": "sheets", "sprite": path.name, "units": len(content.views[0].pixels), "views": views}


def _chart(content: Chart, _sprites: Path) -> dict[str, Any]:
    series = [{"name": name, "y": numbers(y)} for name, y in content.series]
    return {"kind": content.kind, "x": numbers(content.x), "series": series, "x_label": content.x_label,
            "y_label": content.y_label, "band": numbers(content.band),
            "from_zero": content.from_zero, "log": content.log}  # fmt: skip


def _heat(content: Heat, _sprites: Path) -> dict[str, Any]:
    return {"kind": "heat", "values": numbers(content.values), "rows": list(content.rows),
            "columns": list(content.columns), "row_label": content.row_label, "column_label": content.column_label,
            "signed": content.signed}  # fmt: skip


def _units(content: Units, _sprites: Path) -> dict[str, Any]:
    return {"kind": "units", "layer": content.layer, "unit": content.unit.tolist(), "value": numbers(content.value),
            "label": content.value_label}  # fmt: skip


def _rows(content: Rows, sprites: Path) -> dict[str, Any]:
    """Words are kept once each, and the tiles of all rows in one sprite, those of a unit side by side."""
    texts = list(dict.fromkeys(text for row in content.words for text in row))
    place = {text: number for number, text in enumerate(texts)}
    about: dict[str, Any] = {
        "kind": "rows", "layers": list(content.layers), "layer": content.layer.tolist(), "unit": content.unit.tolist(),
        "texts": texts, "words": [[place[text] for text in row] for row in content.words],
        "headings": list(content.headings), "values": numbers(content.values), "pictures": list(content.pictures),
        "index": content.index.tolist(),
    }  # fmt: skip
    if not content.pictures:
        return about
    units, rows, each, height, width, _ = content.pixels.shape
    columns = rows * each * max(1, math.isqrt(max(1, units // (rows * each))))
    path = sprites.with_suffix(".webp")
    flat = content.pixels.reshape(-1, height, width, 3)
    write_bytes(path, webp(sheet(flat, columns, gap=0), lossless=True))
    return about | {"sprite": path.name, "height": height, "width": width, "columns": columns, "crisp": True}


def _circuit(content: Circuit, _sprites: Path) -> dict[str, Any]:
    source, target = content.source.tolist(), content.target.tolist()
    return {"kind": "circuit", "layers": list(content.layers), "source": source, "target": target,
            "value": numbers(content.value), "label": content.value_label}  # fmt: skip


ENCODERS: dict[type, Callable[[Any, Path], dict[str, Any]]] = {
    Text: _text, Table: _table, Crops: _crops, Pictures: _pictures, Chart: _chart, Heat: _heat, Units: _units,
    Rows: _rows, Circuit: _circuit, Sheets: _sheets,
}  # fmt: skip
