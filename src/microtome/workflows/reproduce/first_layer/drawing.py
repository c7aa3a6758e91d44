"""The pictures: profiles beside the formula, true beside random labels, s by step, freezing by depth, frequencies."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....figures import new_figure
from ....formulas.patch_frequency import Colours, frequencies, frequency_response
from .architectures import DEEP, DEPTHS, RESIDUAL
from .profiles import MOVED, RAW
from .settings import RANDOM, TRUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = Mapping[str, Any]
COLOUR = {TRUE: "C0", RANDOM: "C1"}
TITLES = {MOVED: "what is learnt (weights less the initial ones)", RAW: "weights as they are"}


def draw_profiles(of: Numbers) -> "Figure":
    """Energy by axis: networks with true and random labels, ResNet20, the formula's best fit, and random filters."""
    figure = new_figure(1, 2, size=(10.0, 3.8))
    for axes, kind in zip(figure.axes, (MOVED, RAW), strict=True):
        for network, labels, style in ((DEEP, TRUE, "-"), (DEEP, RANDOM, "-"), (RESIDUAL, TRUE, ":")):
            _lines(axes, of, kind, network, labels, style)
        first = _of(of, DEEP, TRUE)[0]
        predicted = np.asarray(first[kind]["predicted"])
        axes.plot(predicted / np.max(first[kind]["energy"][-1]), "k--", linewidth=1,
                  label=f"formula, r {first[kind]['r'][-1]:.2f}")  # fmt: skip
        if kind == RAW:
            begun = np.stack([net[kind]["energy"][0] / np.max(net[kind]["energy"][-1]) for net in _of(of, DEEP, TRUE)])
            axes.fill_between(np.arange(begun.shape[1]), begun.min(0), begun.max(0), color="0.85",
                              label="initial weights")  # fmt: skip
        axes.set_title(TITLES[kind], fontsize=9)
        axes.set_xlabel("axis of the patches, largest variance first")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7)
    figure.axes[0].set_ylabel("energy, of the largest")
    return figure


def _of(of: Numbers, network: str, labels: str) -> list[Numbers]:
    return [net for net in of["nets"] if net["network"] == network and net["labels"] == labels]


def _lines(axes: "Axes", of: Numbers, kind: str, network: str, labels: str, style: str) -> None:
    for number, net in enumerate(_of(of, network, labels)):
        energy = np.asarray(net[kind]["energy"][-1])
        axes.plot(energy / energy.max(), style, color=COLOUR[labels] if network == DEEP else "C2", linewidth=1.2,
                  label=None if number else f"{network}, {labels} labels")  # fmt: skip


def draw_steps(of: Numbers) -> "Figure":
    """The best fit's s and the energy of what is learnt, by step, and how far answers are spread."""
    figure = new_figure(1, 3, size=(11.0, 3.4))
    words = ("s of the best fit", "energy of what is learnt", "axes over which answers are spread")
    for axes, title in zip(figure.axes, words, strict=True):
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("step")
    seen = set()
    for net in of["nets"]:
        if net["network"] not in (DEEP, RESIDUAL):
            continue
        style = "-" if net["network"] == DEEP else ":"
        name = f"{net['network']}, {net['labels']} labels"
        label = None if name in seen else name
        seen.add(name)
        steps = np.asarray(net["steps"])
        total = np.square(net[MOVED]["energy"]).sum(1)
        for axes, values in zip(figure.axes, (net[MOVED]["s"], total, net["rank_out"]), strict=True):
            axes.plot(steps[1:], np.asarray(values)[1:], style, color=COLOUR[net["labels"]], label=label)
    for axes in figure.axes:
        axes.set_xscale("log")
    for axes in figure.axes[:2]:
        axes.set_yscale("log")
    figure.axes[0].legend(fontsize=7)
    return figure


def draw_frozen(of: Numbers) -> "Figure":
    """Accuracy held out by epoch, first layer learning and fixed, one panel a depth."""
    figure = new_figure(1, len(of["nets"]), size=(10.0, 3.2))
    for axes, (name, net) in zip(figure.axes, of["nets"].items(), strict=True):
        curves = np.asarray(net["curves"])
        for seeds, colour, label in zip(curves, ("C0", "C3"), ("first layer learns", "first layer fixed"), strict=True):
            for number, curve in enumerate(seeds):
                axes.plot(net["epochs"], curve, color=colour, linewidth=1.1, label=None if number else label)
        if name == of["deepest"]:
            for number, curve in enumerate(np.asarray(of["none"]["curves"])[1]):
                axes.plot(net["epochs"], curve, ":", color="0.4", label=None if number else "no convolution learns")
        axes.set_title(f"{DEPTHS[name]} convolutions: {100 * net['mean']:+.1f} points [{100 * net['low']:+.1f}, "
                       f"{100 * net['high']:+.1f}]", fontsize=9)  # fmt: skip
        axes.set_xlabel("epoch")
        axes.legend(fontsize=7)
    low, high = (pick(axes.get_ylim()[place] for axes in figure.axes) for place, pick in ((0, min), (1, max)))
    for axes in figure.axes:
        axes.set_ylim(low, high)
    figure.axes[0].set_ylabel("accuracy held out")
    return figure


def draw_frequencies(banks: Mapping[str, np.ndarray], colours: Colours) -> "Figure":
    """Mean squared gain for gratings of every frequency, a row a network and a column a colour axis.

    Each network in its own scale, the same for its colours. Shapes: banks (K, C, kh, kw) by name.
    """
    figure = new_figure(len(banks), len(colours.names), size=(1.9 * len(colours.names) + 1.2, 1.75 * len(banks) + 0.8))
    grid = np.array(figure.axes).reshape(len(banks), -1)
    for row, (name, bank) in enumerate(banks.items()):
        response = frequency_response(bank, colours)
        for axes, picture in zip(grid[row], response, strict=True):
            axes.imshow(picture, vmin=0, vmax=response.max(), extent=(-0.5, 0.5, 0.5, -0.5), cmap="viridis")
            axes.set_xticks([-0.5, 0, 0.5] if row == len(banks) - 1 else [])
            axes.set_yticks([])
        grid[row, 0].set_ylabel(name, fontsize=7)
    for axes, name in zip(grid[0], colours.names, strict=True):
        axes.set_title(name, fontsize=8)
    figure.supxlabel("cycles a pixel, across; down alike", fontsize=8)
    return figure


def rings(response: np.ndarray, count: int = 8) -> np.ndarray:
    """Mean response by the length of the frequency, up to 1/2. Shapes: (C, side, side) -> (C, count)."""
    down, right = frequencies(response.shape[1], centred=True)
    ring = np.minimum((np.hypot(down, right) * 2 * count).astype(int), count)
    return np.stack([response[:, ring == place].mean(1) for place in range(count)], axis=1)


def draw_rings(banks: Mapping[str, np.ndarray], colours: Colours) -> "Figure":
    """The same by the length of the frequency alone, a panel a colour axis, each network over its mean."""
    figure = new_figure(1, len(colours.names), size=(3.4 * len(colours.names), 3.2))
    for name, bank in banks.items():
        response = frequency_response(bank, colours)
        of = rings(response) / response.mean()
        middles = (np.arange(of.shape[1]) + 0.5) / (2 * of.shape[1])
        for axes, line in zip(figure.axes, of, strict=True):
            axes.plot(middles, line, marker=".", label=name)
    for axes, name in zip(figure.axes, colours.names, strict=True):
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("cycles a pixel")
    figure.axes[0].set_ylabel("squared gain, over its mean")
    figure.axes[-1].legend(fontsize=7)
    return figure


def draw_linear(of: Numbers, sequence: Sequence[str] = ("mosaics", "pictures")) -> "Figure":
    """How well the formula does by the number of steps: on average, of one set of labels, and for average patches."""
    figure = new_figure(1, len(sequence), size=(9.0, 3.2))
    for axes, name in zip(figure.axes, sequence, strict=True):
        single = np.asarray(of[name]["single"])
        low, middle, high = np.quantile(single, (0.05, 0.5, 0.95), axis=1)
        axes.fill_between(of["steps"], low, high, alpha=0.25, label="one set of labels, middle 90%")
        axes.plot(of["steps"], middle, color="C0", linewidth=0.8)
        axes.plot(of["steps"], of[name]["r"], "k.-", label="root mean square over sets")
        axes.plot(of["steps"], of[name]["averaged"], "C2--", label="formula for average patches")
        axes.set_xscale("log")
        axes.set_ylim(-0.2, 1.05)
        axes.set_title({"mosaics": "mosaics of independent patches", "pictures": "pictures"}[name], fontsize=9)
        axes.set_xlabel("steps")
        axes.legend(fontsize=7, loc="lower left")
    figure.axes[0].set_ylabel("r with the formula")
    return figure
