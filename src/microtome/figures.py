"""Arrays to pictures, by rules that hold everywhere: 0 is the middle of a signed map, one scale a row unless said."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .formulas.rendering import largest, to_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ends and middle of the diverging map: blue, near-white, orange; told apart with every common colour blindness.
BLUE, MIDDLE, ORANGE = np.array([33, 102, 172.0]), np.array([247, 247, 247.0]), np.array([179, 88, 6.0])

LEVELS = 127  # steps of colour on either side of 0; they grow with the root of the value, or most maps would look empty
PALEST, COVERING = 0.35, 0.85  # of a grey picture under colours: its black, and how much the strongest colour covers


def signed_to_colour(maps: np.ndarray, per: int = 1) -> np.ndarray:
    """Signed numbers as colours: blue below 0, orange above, both full at the largest magnitude.

    Shapes: maps (..., h, w) -> (..., h, w, 3) uint8; the first `per` axes have a scale of their own each. A map of
    zeros comes out in the middle colour.
    """
    scaled = maps / largest(maps, per)
    strength = np.abs(scaled)[..., None]
    ends = np.where(scaled[..., None] < 0, BLUE, ORANGE)
    colour = MIDDLE + (ends - MIDDLE) * strength
    return np.clip(np.round(colour), 0, 255).astype(np.uint8)


def to_levels(maps: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """Signed numbers as steps of colour, which take little room; full from `scale` on. Shapes: (...) -> (...) int8."""
    return np.round(np.sign(maps) * np.sqrt(np.minimum(np.abs(maps) / scale, 1)) * LEVELS).astype(np.int8)


def levels_to_colour(levels: np.ndarray) -> np.ndarray:
    """Steps of colour as colours. Shapes: (...) int8 -> (..., 3) uint8."""
    table = signed_to_colour(np.arange(-LEVELS, LEVELS + 1)[None], per=0)[0]
    return np.asarray(table[levels.astype(np.int64) + LEVELS])


def signed_to_rgb(maps: np.ndarray, per: int = 1) -> np.ndarray:
    """Three signed maps as the three colours of a picture, 0 as middle grey.

    Shapes: maps (..., 3, h, w) -> (..., h, w, 3) uint8; the first `per` axes have a scale of their own each.
    """
    return to_rgb(maps / largest(maps, per))


def folded(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows of numbers broken into lines like text, padded with 0. Shapes: (U, n) -> (U, ceil(n / width), width)."""
    units, length = rows.shape
    lines = -(-length // width)
    padded = np.zeros((units, lines * width), rows.dtype)
    padded[:, :length] = rows
    return padded.reshape(units, lines, width)


def columns_of(count: int, tallness: float = 1.0) -> int:
    """Columns of a sheet about as wide as high, with as few empty places in its last line as possible.

    `tallness` is the height of one picture in its widths.
    """
    square = max(1, math.ceil(math.sqrt(count * tallness)))
    allowed = range(min(count, square), min(count, math.floor(1.5 * square)) + 1)
    return min(allowed, key=lambda columns: (-count % columns, columns))


def sheet(pictures: np.ndarray, columns: int, gap: int = 1, background: int = 255) -> np.ndarray:
    """Pictures side by side. Shapes: (n, h, w, 3) uint8 -> one picture (H, W, 3)."""
    count, height, width, _ = pictures.shape
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    out = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), background, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        out[top : top + height, left : left + width] = picture
    return out


def short(value: float) -> str:
    """A number with three significant digits, for captions: 7750, 12.3, 0.0461."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7.0, 4.0)) -> "Figure":
    """A matplotlib Figure with axes, outside pyplot: nothing is shown and nothing has to be closed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    figure.subplots(rows, columns)
    return figure


def through_layers(values: Mapping[str, np.ndarray], label: str) -> "Figure":
    """A number of every unit, layer by layer: the median unit, and the middle 80% of them.

    Shapes: values by layer (U,), NaN for not known.
    """
    figure = new_figure(size=(max(5.0, 0.3 * len(values)), 3.6))
    axes, depth = figure.axes[0], np.arange(len(values))
    known = [numbers[~np.isnan(numbers)] for numbers in (np.asarray(each, np.float64) for each in values.values())]
    low, middle, high = np.array([np.quantile(n, (0.1, 0.5, 0.9)) if len(n) else [np.nan] * 3 for n in known]).T
    axes.fill_between(depth, low, high, alpha=0.25, label="middle 80% of units")
    axes.plot(depth, middle, marker="o", label="median unit")
    axes.set_xticks(depth, list(values), rotation=90, fontsize=7)
    axes.set_ylabel(label)
    axes.legend()
    return figure


def as_pixels(figure: "Figure", dpi: int = 120) -> np.ndarray:
    """A figure drawn. Shapes: -> (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def grey(picture: np.ndarray) -> np.ndarray:
    """A picture without its colours. Shapes: (1 or 3, H, W) uint8 -> (H, W) in 0..1."""
    weights = np.array([0.299, 0.587, 0.114]) if len(picture) == 3 else np.ones(1)  # ITU-R BT.601
    return np.tensordot(weights, picture.astype(np.float64), 1) / 255


def show_picture(axes: "Axes", picture: np.ndarray) -> None:
    """A picture without ticks. Shapes: (1 or 3, H, W) uint8."""
    axes.imshow(np.broadcast_to(np.moveaxis(picture, 0, -1), (*picture.shape[1:], 3)))
    axes.set_axis_off()


def coloured(pictures: np.ndarray) -> np.ndarray:
    """Pictures of one channel or three with their colours last. Shapes: (..., C, h, w) -> (..., h, w, 3)."""
    shown = pictures if pictures.shape[-3] == 3 else np.repeat(pictures[..., :1, :, :], 3, -3)
    return np.moveaxis(shown, -3, -1)


def square(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture at a given size, small ones with their pixels as squares. Shapes: (h, w, 3) -> (side, side, 3)."""
    rows, columns = (np.arange(side) * length // side for length in picture.shape[:2])
    return picture[rows][:, columns]


def captioned(pictures: Sequence[Sequence[np.ndarray]], captions: Sequence[Sequence[str]], title: str) -> "Figure":
    """Rows of pictures, each with a line over it ("a · b" is two); shorter rows leave room. Shapes: (h, w, 3)."""
    columns = max(map(len, pictures))
    figure = new_figure(len(pictures), columns, size=(max(3.0, 1.9 * columns), 0.5 + 2.0 * len(pictures)))
    grid = np.array(figure.axes).reshape(len(pictures), columns)
    for axes in figure.axes:
        axes.set_axis_off()
    for row, (found, words) in enumerate(zip(pictures, captions, strict=True)):
        for axes, picture, caption in zip(grid[row], found, words, strict=False):
            axes.imshow(picture)
            axes.set_title(caption.replace(" · ", "\n"), fontsize=6)
    figure.suptitle(title, fontsize=9)
    return figure


def show_over(axes: "Axes", picture: np.ndarray, values: np.ndarray, label: str) -> None:
    """Numbers over the grey picture, with a colour bar: orange above 0, blue below, pale and grey at 0.

    Colours cover the more the further from 0, on the bar as on the picture. Shapes: (1 or 3, H, W) uint8, (H, W).
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    largest = float(np.abs(values).max()) or 1.0
    low = -largest if values.min() < 0 else 0.0
    under = PALEST + (1 - PALEST) * grey(picture)  # (H, W)
    axes.imshow(_tinted(values / largest, under))
    axes.set_axis_off()
    bar = ListedColormap(_tinted(np.linspace(low / largest, 1, 256)[None], np.full((1, 256), 0.75))[0])
    shown = ScalarMappable(Normalize(low, largest), bar)
    axes.get_figure().colorbar(shown, ax=axes, shrink=0.8, label=label)  # type: ignore[union-attr]


def _tinted(share: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Shapes: share (H, W) in -1..1, under (H, W) in 0..1 -> (H, W, 3) in 0..1."""
    ends = np.where(share[..., None] < 0, BLUE, ORANGE) / 255
    strength = COVERING * np.abs(share)[..., None]
    mixed: np.ndarray = under[..., None] * (1 - strength) + ends * strength
    return mixed
