"""What analyses show: cards of a few kinds. An analysis knows its cards and no HTML; the page knows the kinds and no
analysis.

Cards about units are columnar: one card a layer whose arrays have a leading axis of U units, never one card a unit.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Section = Literal["headline", "sees", "dreams", "made of", "feeds", "numbers"]
Topic = Literal["well", "units", "decisions", "trust", "further"]

# What a reader of the first page wants to know, in this order; every analysis answers to one of these.
TOPICS: dict[Topic, str] = {
    "well": "Is it well?",
    "units": "What do its units look for?",
    "decisions": "What carries its decisions?",
    "trust": "How far can the pictures be trusted?",
    "further": "What else was asked?",
}


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph; on unit cards one string a unit."""

    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a header; `links` are addresses on the page, one a row ("" for none)."""

    header: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    links: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Parts of the images looked at.

    Shapes: index (..., k) places in the image set, -1 for none; boxes (..., k, 4) top, left, bottom, right in pixels
    of the display image; captions one a crop, as nested tuples or empty.
    """

    index: np.ndarray
    boxes: np.ndarray
    captions: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=str))


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures made by an analysis.

    Shapes: pixels (..., k, h, w, 3) uint8; captions k, of units (U, k) where they differ: None where a unit has no
    picture. `crisp` pictures are enlarged without smoothing; those that need not be `exact` are stored smaller, as
    photographs are.
    """

    pixels: np.ndarray
    captions: tuple[str, ...] | tuple[tuple[str | None, ...], ...] = ()
    crisp: bool = True
    exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars or lines over a common axis.

    Shapes: x B texts, or numbers (..., B); each series a name and numbers (..., B); `band` is the interval of a
    control, (2, B), drawn behind. On unit cards the leading axis of numbers is the unit. Of lines, `from_zero` says
    whether 0 is on the axis at all events, `log` which axes ("x", "y", "xy") are logarithmic; what is not above 0 is
    left out there, but for "1+x", on which x begins at 0 as steps do.
    """

    kind: Literal["bars", "lines"]
    x: np.ndarray
    series: tuple[tuple[str, np.ndarray], ...]
    x_label: str
    y_label: str
    band: np.ndarray | None = None
    from_zero: bool = True
    log: Literal["", "x", "y", "xy", "1+x"] = ""


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A matrix of numbers as colours. Shapes: values (R, C); sequential from 0, or diverging around 0 if `signed`."""

    values: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_label: str
    column_label: str
    signed: bool = False


@dataclass(frozen=True, kw_only=True)
class Units:
    """Units to go on to, with a number each. Shapes: unit (..., k) int, -1 for none; value (..., k); all in `layer`."""

    layer: str
    unit: np.ndarray
    value: np.ndarray
    value_label: str


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Of every unit some others, a row each, that lead on to them; with words, numbers and small pictures.

    Shapes: layer (U, k) places in `layers`; unit (U, k), -1 for none to lead on to; words U tuples of k texts, "" for
    no row; values (U, k, m) under m `headings`; pixels (U, k, p, h, w, 3) uint8 under p `pictures`; index (U,), the
    image of the set that the pictures are of, -1 for none.
    """

    layers: tuple[str, ...]
    layer: np.ndarray
    unit: np.ndarray
    words: tuple[tuple[str, ...], ...]
    headings: tuple[str, ...]
    values: np.ndarray
    pictures: tuple[str, ...] = ()
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    index: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """Connections between units, drawn layer by layer.

    Shapes: layers are columns from left to right; source, target (n, 2) place in `layers` and unit, -1 for a unit that
    cannot be told; value (n,), how much a connection does, the width of its line.
    """

    layers: tuple[str, ...]
    source: np.ndarray
    target: np.ndarray
    value: np.ndarray
    value_label: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One small picture of every unit of a layer.

    Shapes: pixels (U, h, w, 3) uint8; lost (U,), a share in 0..1 of each, NaN for unknown. `index` is the place in
    the image set of the image that they were made of, -1 for none.
    """

    pixels: np.ndarray
    caption: str
    index: int = -1
    lost: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Sheets:
    """Contact sheets of a layer: its page shows them whole, a unit's page the unit's own pictures, in the section."""

    views: tuple[Sheet, ...]


def ranked(values: np.ndarray, name: str, unit: str) -> Chart:
    """Bars of the units of a layer in order of a value, the largest first. Shapes: values (U,)."""
    return Chart(kind="bars", x=np.arange(1, len(values) + 1), series=((name, np.sort(values)[::-1]),),
                 x_label="rank of the unit", y_label=unit)  # fmt: skip


Content = Text | Table | Crops | Pictures | Chart | Heat | Units | Rows | Circuit | Sheets


@dataclass(frozen=True, kw_only=True)
class Card:
    """One thing to look at.

    Without a layer it belongs to the network; with one to that layer, or, if `per_unit`, to each of its units, in a
    section of the unit page. `control` is what could have refuted it. Of a unit's picture cards the page takes the
    one with the largest `telling` for the layer's grid. The pictures of a card that names another in `below` stand
    below those of that card, rank by rank, where the unit has such a card.
    """

    title: str
    how_to_read: str
    content: Content
    layer: str = ""
    per_unit: bool = False
    section: Section = "numbers"
    control: str = ""
    telling: int = 0
    below: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence worth reading first: its number, how consequential it is (0..1), where the evidence is, and what
    the same number is where nothing is to be found.
    """

    sentence: str
    number: float
    weight: float
    link: str
    control: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """One value a unit, by which the grid sorts and the network map colours.

    Shapes: values maps layers to (U,) numbers (NaN: not known), or to (U,) texts. `good` says which way is good.
    """

    name: str
    values: dict[str, np.ndarray]
    how_to_read: str
    good: Literal["high", "low", "neither"] = "neither"
    kind: Literal["number", "share", "flag", "text"] = "number"


@dataclass(frozen=True, kw_only=True)
class Series:
    """A quantity that is followed while a network learns: what one moment adds to its curves.

    Shapes: values by line, which is a layer or another word: a number, or the lower quartile, median and upper quartile
    of the layer's units (3,). NaN: not known.
    """

    name: str
    values: dict[str, float | np.ndarray]
    how_to_read: str

    @classmethod
    def of(cls, column: Column) -> "Series":
        """A column of numbers, by layer: quartiles over units; of a flag, the share of units that have it."""
        how = column.how_to_read
        if column.kind == "flag":
            shares = {layer: float(np.mean(values)) for layer, values in column.values.items()}
            return cls(name=column.name, values=dict(shares), how_to_read=f"Share of a layer's units. {how}")
        found = {layer: _quartiles(values) for layer, values in column.values.items()}
        return cls(name=column.name, values=dict(found), how_to_read=f"The median unit of a layer. {how}")


def _quartiles(values: np.ndarray) -> np.ndarray:
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return np.quantile(known, (0.25, 0.5, 0.75)) if len(known) else np.full(3, np.nan)


def layer_link(layer: str, query: str = "") -> str:
    """The address of a layer page, optionally sorted or filtered, such as "dead=1"."""
    return f"#/layer/{layer}" + (f"?{query}" if query else "")


def unit_link(layer: str, unit: int) -> str:
    """The address of a unit page."""
    return f"#/unit/{layer}/{unit}"


def card_link(title: str) -> str:
    """The address of a network card on the first page."""
    return "#/card/" + "".join(letter if letter.isalnum() else "-" for letter in title.lower())
