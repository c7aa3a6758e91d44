"""The drawings of the tutorial "A network from scratch, in NumPy".

The page calls these functions with what it has computed itself, so a drawing cannot show anything else. As a script it
executes the page and writes its PNG files beside it:

    python docs/tutorials/draw_scratch.py
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microtome.figures import ORANGE, new_figure, signed_to_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from microtome.scratch import Net, Reconstruction

HERE = Path(__file__).parent
PAGE = HERE / "scratch.md"
HUES = ("#f6c99b", "#9dc3e6", "#b7d7a8", "#d5b8e0")  # of the numbers of a filter
PLAIN, EMPTY, LINE = "#ffffff", "#f2f2f2", "#999999"


def blocks(page: Path = PAGE) -> list[tuple[str, str | None]]:
    """The Python of a page, block by block, each with the text that it must print, None if none follows it."""
    found = re.findall(r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```\n)?", page.read_text(), re.S | re.M)
    return [(code, text or None) for code, text in found]


def draw_unrolled(matrix: np.ndarray, image: np.ndarray) -> "Figure":
    """W* times an image written in one column; every number of the filter has its colour.

    Shapes: matrix (outputs, pixels), image (pixels,).
    """
    figure = new_figure(size=(7.2, 4.2))
    (axes,) = figure.axes
    outputs, pixels = matrix.shape
    hues = {0.0: EMPTY} | dict(zip(np.unique(matrix[matrix != 0]), HUES, strict=False))
    top = (pixels - outputs) / 2
    _cells(axes, matrix, 0, top, "W*", np.vectorize(lambda value: hues.get(value, PLAIN))(matrix))
    _cells(axes, image[:, None], pixels + 2, 0, "x")
    _cells(axes, (matrix @ image)[:, None], pixels + 5, top, "y")
    middle = pixels / 2
    for at, sign in ((pixels + 1, "×"), (pixels + 4, "=")):
        axes.text(at, middle, sign, ha="center", va="center", fontsize=16)
    under = top + outputs + 0.6
    labels = ((pixels / 2, under, "W*: one row for each place of the filter"), (pixels + 2.5, pixels + 0.6, "image"),
              (pixels + 5.5, under, "output"))  # fmt: skip
    for at, below, words in labels:
        axes.text(at, below, words, ha="center", va="center", fontsize=10)
    _clear(axes, (-0.2, pixels + 6.2), (pixels + 1.1, -0.2))
    axes.set_aspect("equal")
    return figure


def draw_grids(grids: Mapping[str, np.ndarray], marked: Mapping[str, np.ndarray] | None = None) -> "Figure":
    """Small arrays side by side, each under its name; where `marked` of the same name is true, cells are coloured.

    Shapes: each (H, W).
    """
    figure = new_figure(1, len(grids), size=(1.9 * len(grids), 2.3))
    for axes, (name, array) in zip(figure.axes, grids.items(), strict=True):
        chosen = (marked or {}).get(name, np.zeros(array.shape, bool))
        _cells(axes, array, 0, 0, name, np.where(chosen, HUES[0], PLAIN))
        height, width = array.shape
        side = max(3.0, height, width)
        _clear(axes, (width / 2 - side / 2 - 0.1, width / 2 + side / 2 + 0.1),
               (height / 2 + side / 2 + 0.1, height / 2 - side / 2 - 0.1))  # fmt: skip
        axes.set_aspect("equal")
        axes.set_title(name, fontsize=10)
    return figure


def draw_network(net: "Net", in_shape: tuple[int, ...]) -> "Figure":
    """A bar for the image and for each layer, as high as its output has numbers, with shapes and what is learnt."""
    figure = new_figure(size=(9.4, 3.6))
    (axes,) = figure.axes
    shapes = {"image": in_shape, **net.shapes(in_shape)}
    learnt = {"image": 0, **{each.name: sum(p.tensor.size for p in each.parameters().values()) for each in net}}
    for place, (name, shape) in enumerate(shapes.items()):
        size = int(np.prod(shape))
        height = np.log10(size)
        axes.bar(place, height, 0.86, color=HUES[0] if learnt[name] else HUES[1], edgecolor=LINE, gid=f"size:{name}")
        words = "×".join(map(str, shape))
        axes.text(place, height + 0.12, words, ha="center", fontsize=8, gid=f"shape:{name}")
        axes.text(place, -0.3, name, ha="center", va="center", fontsize=8)
        if learnt[name]:
            axes.text(place, -0.75, f"{learnt[name]:,}", ha="center", va="center", fontsize=8, gid=f"learnt:{name}")
        if place:
            axes.annotate("", (place - 0.42, 0.3), (place - 0.58, 0.3), arrowprops={"arrowstyle": "->", "lw": 1})
    axes.text(-0.55, -0.75, "learnt:", ha="left", va="center", fontsize=8)
    _clear(axes, (-0.6, len(shapes) - 0.4), (-1.0, 5.2))
    axes.set_title(f"Numbers that each layer gives (bars on a log scale); {net.count():,} are learnt (orange layers)",
                   fontsize=10)  # fmt: skip
    return figure


STEPS = {
    "Train": ("digits with labels", "Learner.fit", "weights that make\nthe loss small"),
    "Evaluate": ("digits held out", "Learner.evaluate", "share answered right,\nbeside chance"),
    "Interpret": ("one unit, some digits", "deconvnet", "what reached the unit,\nbeside untrained weights"),
}


def draw_workflow() -> "Figure":
    """Train, evaluate, interpret: what goes in, what does it, what comes out."""
    from matplotlib.patches import FancyBboxPatch

    figure = new_figure(size=(8.2, 2.7))
    (axes,) = figure.axes
    for place, (name, (given, call, found)) in enumerate(STEPS.items()):
        left = place * 3.2
        axes.add_patch(FancyBboxPatch((left, 0.7), 2.4, 1.9, boxstyle="round,pad=0.08", fc=HUES[place], ec=LINE))
        middle = left + 1.2
        axes.text(middle, 2.38, name, ha="center", va="center", fontsize=12, weight="bold")
        axes.text(middle, 1.98, f"in: {given}", ha="center", va="center", fontsize=9)
        axes.text(middle, 1.58, f"by: mts.{call}", ha="center", va="center", fontsize=9, family="monospace")
        axes.text(middle, 1.08, f"out: {found}", ha="center", va="center", fontsize=9)
        if place:
            axes.annotate("", (left - 0.1, 1.65), (left - 0.7, 1.65), arrowprops={"arrowstyle": "->", "lw": 1.5})
    axes.annotate("", (1.2, 0.6), (7.6, 0.6), arrowprops={"arrowstyle": "->", "lw": 1.2, "color": LINE,
                                                          "connectionstyle": "bar,fraction=-0.06"})  # fmt: skip
    axes.text(4.4, -0.12, "change one thing, and again", ha="center", va="center", fontsize=9, color="#555555")
    _clear(axes, (-0.15, 8.95), (-0.3, 2.75))
    return figure


def draw_squares(digits: np.ndarray, found: Mapping[str, "Reconstruction"], side: int) -> "Figure":
    """For each network: the digits with the square that the unit sees, that square, and its reconstruction.

    Shapes: digits (N, 1, H, W) in 0..1; each reconstruction's maps likewise; the squares are `side` pixels wide.
    """
    from matplotlib.patches import Rectangle

    figure = new_figure(3 * len(found), len(digits), size=(1.0 * len(digits) + 1.2, 3.1 * len(found)))
    panels = np.array(figure.axes).reshape(len(found), 3, len(digits))
    for rows, (name, made) in zip(panels, found.items(), strict=True):
        for number, (row, column) in enumerate(made.place):
            window = np.s_[row : row + side, column : column + side]
            whole, seen, back = rows[:, number]
            whole.imshow(digits[number, 0], cmap="gray", vmin=0, vmax=1)
            box = (column - 0.5, row - 0.5)
            whole.add_patch(Rectangle(box, side, side, fill=False, ec=tuple(ORANGE / 255), lw=1.6))
            seen.imshow(digits[number, 0][window], cmap="gray", vmin=0, vmax=1)
            back.imshow(signed_to_colour(made.maps[number, 0][window]))
            for axes in rows[:, number]:
                axes.set_xticks([])
                axes.set_yticks([])
        words = (f"{name}\nunit {made.unit}", "what it\nsees", "led back")
        for axes, word in zip(rows[:, 0], words, strict=True):
            axes.set_ylabel(word, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def draw_wholes(digits: np.ndarray, found: Mapping[str, "Reconstruction"]) -> "Figure":
    """Digits, and below them what each network's reconstructions are. Shapes: digits (N, 1, H, W) in 0..1."""
    figure = new_figure(1 + len(found), len(digits), size=(1.0 * len(digits) + 1.2, 1.05 * (1 + len(found))))
    panels = np.array(figure.axes).reshape(1 + len(found), len(digits))
    words = ("digit", *(f"{name}\nunit {made.unit}" for name, made in found.items()))
    for axes, digit in zip(panels[0], digits[:, 0], strict=True):
        axes.imshow(digit, cmap="gray", vmin=0, vmax=1)
    for row, made in zip(panels[1:], found.values(), strict=True):
        for axes, map_ in zip(row, made.maps[: len(digits), 0], strict=True):
            axes.imshow(signed_to_colour(map_))
    for axes, word in zip(panels[:, 0], words, strict=True):
        axes.set_ylabel(word, rotation=0, ha="right", va="center", fontsize=9)
    for axes in figure.axes:
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def save(figure: "Figure", name: str) -> None:
    """Write a drawing into the folder where one is, as a small PNG without date or version."""
    figure.savefig(name, dpi=100, metadata={"Software": None})


def _cells(
    axes: "Axes", array: np.ndarray, left: float, top: float, name: str, faces: np.ndarray | None = None
) -> None:
    """The numbers of an array in boxes of one unit, row 0 on top, with the colours given. Shapes: faces as array."""
    from matplotlib.patches import Rectangle

    for (row, column), value in np.ndenumerate(array):
        face = PLAIN if faces is None else str(faces[row, column])
        axes.add_patch(Rectangle((left + column, top + row), 1, 1, fc=face, ec=LINE, lw=0.8))
        axes.text(left + column + 0.5, top + row + 0.5, f"{value:g}", ha="center", va="center", fontsize=10,
                  color="#bbbbbb" if face == EMPTY else "black", gid=f"{name}:{row},{column}")  # fmt: skip


def _clear(axes: "Axes", x: Sequence[float], y: Sequence[float]) -> None:
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.set_axis_off()


if __name__ == "__main__":
    names: dict[str, object] = {}
    with contextlib.chdir(HERE):
        for code, _ in blocks():
            exec(compile(code, PAGE.name, "exec"), names)
