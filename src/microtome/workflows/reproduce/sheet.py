"""The pictures: how the training went, and reconstructions through both networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ...figures import new_figure
from ...formulas.rendering import rendered
from ...store import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = 256  # of the palette of a picture for a page


@dataclass(frozen=True, kw_only=True)
class Column:
    """One layer: its title, maps (rows, 3, H, W), and the shares in their strongest tenth (rows,)."""

    title: str
    maps: np.ndarray
    shares: np.ndarray


def draw_curve(history: Mapping[str, Sequence[float]], commonest: float) -> "Figure":
    """Loss and accuracies, epoch by epoch."""
    figure = new_figure(1, 2, size=(9.0, 3.4))
    left, right = figure.axes
    epochs = np.arange(1, len(history["loss"]) + 1)
    left.plot(epochs, history["loss"], label="NumPy")
    left.plot(epochs, history["loss_torch"], "--", label="PyTorch, same weights, batches, masks")
    left.set_ylabel("training loss (with dropout)")
    right.plot(epochs, history["validation"], label="validation")
    right.plot(epochs, history["aside"], label="held aside of the training images")
    right.axhline(commonest, color="0.6", linewidth=1)
    right.set_ylabel("accuracy (grey: commonest class)")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.legend(fontsize=8)
    return figure


def draw_sheet(small: Sequence[Column], large: Sequence[Column], photographs: np.ndarray | None = None) -> "Figure":
    """Rows are cats, columns layers from the first to the deepest: the small network, then the large one.

    Shapes: photographs (rows, 3, side, side) uint8, or None to leave them out.
    """
    rows, beside = len(small[0].maps), int(photographs is not None)
    columns = beside + len(small) + len(large)
    figure = new_figure(rows, columns, size=(1.25 * columns, 1.5 * rows + 0.8))
    grid = np.array(figure.axes).reshape(rows, columns)
    for row in range(rows):
        if photographs is not None:
            _show(grid[row, 0], photographs[row].transpose(1, 2, 0), "")
        for place, column in enumerate([*small, *large]):
            share = column.shares[row]
            words = "nothing is left" if np.isnan(share) else f"{share:.0%}"
            _show(grid[row, beside + place], rendered(column.maps[row][None])[0], words)
            if not row:
                grid[0, beside + place].set_title(column.title, fontsize=8)
    figure.suptitle("Strongest map of each layer, led back by a deconvnet; below: share of energy in the strongest "
                    "tenth of the area (flat: 10%). Grey is 0, each in its own scale", fontsize=8)  # fmt: skip
    return figure


def write_png(figure: "Figure", path: Path, colours: int = 0) -> None:
    """A figure as a PNG, with a palette of so many colours, which keeps it small; 0 for all there are."""
    stream, small = BytesIO(), BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    drawn = Image.open(stream).convert("RGB")
    (drawn.quantize(colours) if colours else drawn).save(small, format="png", optimize=True)
    write_bytes(path, small.getvalue())


def _show(axes: "Axes", picture: np.ndarray, below: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(below, fontsize=8)
