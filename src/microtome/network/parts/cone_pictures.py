"""What a channel's cone is, drawn where it can be drawn: on a grid of three places, and of two."""

from typing import TYPE_CHECKING

import numpy as np

from ...figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTH = 2.4  # of the rays that are drawn
# Two cones on a grid of two places: where the outer one's apex lies on the line of equal values, and its half angle in
# degrees; the inner one's apex is at 0.7, its half angle 30. An angle above 90 opens the other way.
INNER = (0.7, 30.0)
SKETCHES = {
    "OUT_PARTIAL_IN": (1.3, 42.0), "OUT_FULL_IN": (1.3, 18.0), "IN_PARTIAL_OUT": (0.1, 18.0),
    "IN_FULL_OUT": (0.1, 42.0), "FACING": (1.9, 150.0), "DISJOINT": (-0.1, 150.0),
}  # fmt: skip


def circulant(kernel: np.ndarray) -> np.ndarray:
    """The matrix of a kernel as wide as its grid, which wraps around. Shapes: (n,) -> (n, n)."""
    return np.stack([np.roll(kernel, shift) for shift in range(len(kernel))])


def draw_cone(kernel: np.ndarray, bias: float) -> "Figure":
    """The cone on which a channel is on everywhere, for a kernel on a grid of three places: x with A x + b >= 0.

    Its planes are those on which the channel is 0 at one place, its edges those of two; its apex lies where all values
    are equal. Shapes: kernel (3,), of which no part of the spectrum is 0. Reference: Carlsson, Geometry of deep
    convolutional networks (2019).
    """
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

    matrix = circulant(np.asarray(kernel, np.float64))
    apex = np.full(3, -bias / matrix[0].sum())
    rays = np.linalg.inv(matrix)
    rays = apex + LENGTH * (rays / np.linalg.norm(rays, axis=0)).T
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(projection="3d")
    for place in range(3):
        facet = [apex, rays[place], rays[(place + 1) % 3]]
        axes.add_collection3d(Poly3DCollection([facet], alpha=0.25, facecolor=f"C{place}", edgecolor="0.3"))
    ends = np.array([apex.min() - 1.0, apex.max() + LENGTH])
    axes.plot(ends, ends, ends, color="black", ls="--", label="all values equal")
    axes.scatter(*apex, color="black", s=30, label="apex")
    for ray in rays:
        axes.plot(*np.stack([apex, ray]).T, color="0.3", lw=1)
    axes.set(xlabel="value at place 0", ylabel="place 1", zlabel="place 2", xlim=ends, ylim=ends, zlim=ends)
    axes.view_init(elev=18, azim=-52)
    axes.legend(loc="upper left", fontsize=7)
    return figure


def draw_states() -> "Figure":
    """How two cones on a grid of two places can lie: a panel for each state, inner blue, outer orange."""
    figure = new_figure(2, 3, size=(8.4, 5.6))
    for axes, (state, outer) in zip(figure.axes, SKETCHES.items(), strict=True):
        for (place, angle), colour, name in ((INNER, "C0", "in"), (outer, "C1", "out")):
            _wedge(axes, place, angle, colour, name)
        axes.plot([-3, 4], [-3, 4], color="black", ls="--", lw=0.8)
        axes.set(title=state, xlim=(-2, 3.4), ylim=(-2, 3.4), xticks=[], yticks=[], aspect="equal")
        axes.title.set_fontsize(9)
    figure.axes[0].legend(loc="lower right", fontsize=7)
    return figure


def _wedge(axes: "Axes", place: float, angle: float, colour: str, name: str) -> None:
    apex = np.array([place, place])
    sides = [
        apex + 6 * np.array([np.cos(turn), np.sin(turn)])
        for turn in np.radians(45 + (np.array([-angle, angle]) if angle < 90 else np.array([angle, -angle])))
    ]
    axes.fill(*np.stack([apex, *sides]).T, color=colour, alpha=0.35, label=name)
    axes.plot(*apex, marker="o", color=colour)
