"""The pictures: filters in words, the directions they cover in the frame of their angles, who feeds whom."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....figures import new_figure, signed_to_colour
from .directions import DIRECTIONS, direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Found = Mapping[str, Any]
APART = 2.2  # degrees between lines of filters of the same angle, or they would hide each other
NEAR = 0.45  # of the half circle's radius: where its lines begin


def draw_filters(found: Found) -> "Figure":
    """Every filter with its words, p and confidence; numbers count from 1 as the document's, from 0 as ours."""
    kernels = np.asarray(found["kernels"])
    columns = min(4, len(kernels))
    rows = -(-len(kernels) // columns)
    figure = new_figure(rows, columns, size=(2.9 * columns, 2.5 * rows + 0.5))
    for axes in figure.axes:
        axes.set_axis_off()
    for number, (axes, picture) in enumerate(zip(figure.axes, signed_to_colour(kernels), strict=False)):
        axes.imshow(picture, interpolation="nearest")
        words = found["words"][number] or f"(no words)\nnearest: {found['nearest'][number]}"
        second = f"\nalso {found['second'][number]}" if found["second"][number] else ""
        axes.set_title(f"conv1_{number + 1} (conv1:{number})\n{words}{second}\np {found['p'][number]:.3f}, confidence "
                       f"{found['confidence'][number]:.2f}", fontsize=7)  # fmt: skip
    figure.supxlabel("Orange above 0, blue below, each filter in its own scale. neg(...): its absence excites more.",
                     fontsize=7)  # fmt: skip
    return figure


def draw_directions(trained: Sequence[Found], seeds: Sequence[int]) -> "Figure":
    """A half circle a network: each labelled filter as a line at its angle, the four directions as the frame."""
    figure = new_figure(1, len(trained), size=(3.6 * len(trained) + 0.4, 3.0))
    for axes, found, seed in zip(figure.axes, trained, seeds, strict=True):
        _frame(axes)
        named = [number for number, words in enumerate(found["words"]) if direction(words) is not None]
        alike: dict[float, list[int]] = {}
        for number in named:
            alike.setdefault(float(found["theta"][number]) % 180, []).append(number)
        for theta, numbers in alike.items():
            for place, number in enumerate(numbers):
                angle = np.deg2rad(theta + APART * (place - (len(numbers) - 1) / 2))
                colour = f"C{DIRECTIONS.index(int(direction(found['words'][number]) or 0))}"
                axes.plot(*np.outer((np.cos(angle), np.sin(angle)), (NEAR, 1)), color=colour, linewidth=2)
            at = np.deg2rad(theta)
            axes.text(1.04 * np.cos(at), 1.06 * np.sin(at), ", ".join(str(number + 1) for number in numbers),
                      ha=_side(float(np.cos(at))), va="center" if np.sin(at) < 0.5 else "bottom",
                      fontsize=8)  # fmt: skip
        left = len(found["words"]) - len(named)
        axes.set_title(f"seed {seed}: {len(named)} filters with a direction, {left} without", fontsize=8)
    figure.supxlabel("Each line is a filter of conv1 at the angle of its pattern (numbers from 1), coloured by the\n"
                     "named direction that is nearest; equal angles are drawn side by side. x to the right, y up.",
                     fontsize=7)  # fmt: skip
    return figure


def _side(right: float) -> str:
    """Where a text stands beside a point of the circle."""
    return "center" if abs(right) < 0.2 else "left" if right > 0 else "right"


def _frame(axes: "Axes") -> None:
    """Half a circle with the four directions, and the axes that angles count from."""
    around = np.linspace(0, np.pi, 91)
    axes.plot(np.cos(around), np.sin(around), color="0.8", linewidth=1)
    axes.annotate("", (0.27, 0), (0, 0), arrowprops={"arrowstyle": "->", "color": "0.4"})
    axes.annotate("", (0, 0.27), (0, 0), arrowprops={"arrowstyle": "->", "color": "0.4"})
    axes.text(0.3, 0, "x", fontsize=7, va="center", color="0.4")
    axes.text(0, 0.3, "y", fontsize=7, ha="center", color="0.4")
    for angle in (*DIRECTIONS, 180):
        at = np.deg2rad(angle)
        axes.plot(*np.outer((np.cos(at), np.sin(at)), (NEAR, 1)), ":", color="0.8", linewidth=1, zorder=0)
        axes.text(1.42 * np.cos(at), 1.36 * np.sin(at), f"{angle % 180}°", fontsize=8, ha="center", va="center",
                  color="0.4")  # fmt: skip
    axes.set(xlim=(-1.6, 1.6), ylim=(-0.15, 1.5), aspect="equal")
    axes.set_axis_off()


def draw_shares(table: Found, unit: int) -> "Figure":
    """Who feeds whom: one line a channel of conv2, one column a channel of conv1; the one that is read is marked."""
    share = np.asarray(table["share"])
    figure = new_figure(size=(0.45 * share.shape[1] + 2.6, 0.28 * len(share) + 1.4))
    axes = figure.axes[0]
    axes.imshow(signed_to_colour(share[None])[0], interpolation="nearest", aspect="auto")
    for row, column in np.ndindex(share.shape):
        axes.text(column, row, f"{100 * share[row, column]:.0f}", ha="center", va="center", fontsize=6)
    axes.set_xticks(range(share.shape[1]), [str(number + 1) for number in range(share.shape[1])], fontsize=7)
    axes.set_yticks(range(len(share)), [f"conv2_{number + 1}" + (" ←" if number == unit else "")
                                        for number in range(len(share))], fontsize=7)  # fmt: skip
    axes.set(xlabel="channel of conv1, from 1", title="percent of the variance of a channel\nof conv2 that each adds")
    axes.title.set_fontsize(8)
    return figure
