"""The section of the page of claims, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....progress import duration
from ..claims import Claim, table
from .profiles import MOVED, RAW
from .rules import CONSISTENT, MARGIN

Numbers = Mapping[str, Any]
TITLE = "## What the first layer learns (Chowers & Weiss 2023; reproduction by Chadha & Sahu)"
HOW = (
    f"Verdicts follow from the numbers. A likeness of profiles holds if every pair reaches {CONSISTENT} both in the "
    "weights as they are and less the initial ones, and in part if it is only beyond chance; a fit holds if every "
    "network reaches that bar, beats random filters (99%) and the curve of the first steps; freezing is harmless if a "
    f"loss of more than {100 * MARGIN:.0f} points can be ruled out. Intervals are 95%: of correlations by drawing "
    "axes again, of accuracies by drawing seeds and images of each, else by drawing filters or networks. Intervals "
    "over axes say nothing about other trainings; that is seen from the pairs side by side, of which none began with "
    "the same first layer."
)


def page(claims: Sequence[Claim], numbers: Numbers) -> list[str]:
    """What was done, the claims, and the tables behind them."""
    return [TITLE, "", *_settings(numbers), "", *table(claims), "", HOW, "", *_nets(numbers["profiles"]), "",
            *_responses(numbers["responses"]), ""]  # fmt: skip


def _settings(numbers: Numbers) -> list[str]:
    of, about = numbers["settings"], numbers["about"]
    words = " --full" if of["full"] else ""
    schedule = (
        "the published schedule: VGG11 with batch norm, all images, no momentum"
        if of["full"] else
        "Different from the paper, for the sake of time: VGG11's widths are a quarter and less behind the 64 filters "
        "of the first layer, its two hidden layers and their dropout are left out, momentum lets few steps go far, and "
        "images are few"
    )  # fmt: skip
    return [
        f"Repeat it with `microtome reproduce first-layer{words} --seed {of['seed']} --seeds {of['seeds']}`: "
        f"{about['networks']} networks, {about['images']:,} images to learn from and {about['held_out']:,} held out,",
        f"{about['recipe']}; true labels, or the same permuted. {schedule}.",
        f"Axes are those of all {about['patches']:,} patches of 3 x 3 pixels of the training images, as networks see "
        f"them. Trainings took {duration(about['seconds'])} of one core each after the other, "
        f"{about['seconds'] / about['networks']:.0f} s a network.",
        "The formula has no factor 1 / eta²: it does not come out of the paper's derivation, nor out of gradient "
        "descent; for one rate it is a constant.",
        *about["warnings"],
    ]


def _nets(of: Numbers) -> list[str]:
    header = ("network", "labels", "training images learnt", "held out", "weights gone", "fit r, learnt", "fit r, raw",
              "along the deviation", "R2, learnt", "s [interval]", "top", "whitened axes")  # fmt: skip
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for net in of["nets"]:
        moved, low_high = net[MOVED], net[MOVED]["s_interval"]
        top = int(np.argmax(moved["energy"][-1]))
        cells = [f"{net['network']}, seed {net['seed']}", net["labels"], f"{net['training']:.0%}",
                 f"{net['right']:.1%}", f"{net['movement'][-1]:.2f}", f"{moved['r'][-1]:.3f}",
                 f"{net[RAW]['r'][-1]:.3f}", f"{moved['r_deviation'][-1]:.2f}", f"{moved['r2'][-1]:.2f}",
                 f"{moved['s'][-1]:.2f} [{low_high[0]:.2f}, {low_high[1]:.2f}]", f"axis {top}",
                 f"{moved['whitened'][-1]:.0f}"]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return ["Network by network (axes count from 0; s in 1 / variance):", "", *lines]


def _responses(of: Numbers) -> list[str]:
    header = ("pair", "pairs", "r of profiles, raw", "linear CKA of the filters' answers",
              "behind the rectifier, unbiased")  # fmt: skip
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name, found in of.items():
        cells = [name, str(len(found["r"])), *(_spread(found[kind]) for kind in ("r", "filters", "passed"))]
        lines.append(f"| {' | '.join(cells)} |")
    return ["Likeness of answers beside that of profiles, least to largest of the pairs; what any filters share is "
            "seen from the untrained ones:", "", *lines]  # fmt: skip


def _spread(values: Any) -> str:
    found = np.asarray(values)
    return f"{found.min():.2f} to {found.max():.2f}" if len(found) else ""
