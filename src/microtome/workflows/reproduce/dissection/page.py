"""The section of the page of claims, in Markdown."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..claims import Claim, percent, table
from ..verdicts import mean_of
from .handnet_claims import lines_of_handnet
from .networks import FIRST, SECOND
from .pruned_claims import rounds_table
from .rows import WEAK

TITLE = "## The small network for digits, dissected (Explainable MNIST classification, 2020)"
HOW = (
    "Verdicts follow from the numbers: what lies above its control with all of its interval holds; what is true, but "
    "of networks without training or at random as well, holds in part; what contains its control cannot be told. "
    "Whether a layer could be left out is said by the analysis `omission`: 3 points lost at most, 10 fewer than with "
    "its mean. "
    "Intervals are 95%: Wilson's for shares, else bootstrap over units, images or untrained networks. Units of one "
    "network are not independent; how far trainings differ is seen from the networks side by side."
)


def page(claims: Sequence[Claim], numbers: dict[str, Any]) -> list[str]:
    """What was done, the claims, and the tables behind them; numbers from 1 as in the document, and ours from 0."""
    return [TITLE, "", *_settings(numbers), "", *table(claims), "", HOW, "", *_filters(numbers), "",
            *_rows(numbers["rows"]), "", *_layers(numbers), "",
            *rounds_table(numbers["pruned"]), "", *lines_of_handnet(numbers["handnet"]), ""]  # fmt: skip


def _settings(numbers: dict[str, Any]) -> list[str]:
    of, about = numbers["settings"], numbers["about"]
    accuracies = ", ".join(f"{100 * a['mean']:.2f}% [{100 * a['low']:.2f}, {100 * a['high']:.2f}]"
                           for a in about["accuracy"])  # fmt: skip
    return [
        f"Repeat it with `microtome reproduce dissection --seed {of['seed']} --seeds {of['seeds']}`: "
        f"{len(about['seeds'])} networks of the document's last widths ({about['parameters']:,} parameters),",
        f"each trained for {of['epochs']} epochs on {about['learning']:,} images (a tenth of them to choose the epoch; "
        f"AdamW at {of['rate']:g}, batches of {of['batch_size']}), seeds {', '.join(map(str, about['seeds']))}:",
        f"{accuracies} of {about['held_out']:,} images held out. Different: the document's network was pruned to these "
        "widths from a larger one in seven rounds;",
        "ours are trained in them. So its channels are others, and what is checked is what it says of them, not which "
        "number has which pattern. It gives no accuracy and no settings of training.",
    ]  # fmt: skip


def _filters(numbers: dict[str, Any]) -> list[str]:
    of, sets = numbers["filters"]["trained"][0], numbers["filters"]["sets"][0]
    lines = [f"conv1 of the first network (directions covered: {', '.join(map(str, sets['covered']))}; angles count "
             "from horizontal, x to the right, y up: 45 is /):", "",
             "| document's number | ours | label | also | p | confidence |", "|---|---|---|---|---|---|"]  # fmt: skip
    for place, words in enumerate(of["words"]):
        label = words or f"no words (nearest: {of['nearest'][place]})"
        lines.append(f"| conv1_{place + 1} | {FIRST}:{place} | {label} | {of['second'][place]} | {of['p'][place]:.4f} "
                     f"| {of['confidence'][place]:.2f} |")  # fmt: skip
    return lines


def _rows(of: dict[str, Any]) -> list[str]:
    unit, first = of["unit"], of["tables"][0]
    share, rho = np.asarray(first["share"])[unit], np.asarray(first["rho"])[unit]
    on_picture = {row["channel"]: row for row in of["sheet"]["rows"]}
    lines = [f"conv2_{unit + 1} ({SECOND}:{unit}) of the first network, which answers most to lines at slope 135, on "
             f"`{of['picture']}` (the first 0 held out) and over {of['measured']} images:", "",
             "| row | ours | what it does on the picture | share there | share over the images | correlation with its "
             "input | so |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in range(len(share)):
        here = on_picture[row]
        there = here["covariance_share"]
        so = ("weak" if abs(share[row]) < WEAK / len(share) else "passed on" if rho[row] >= 0.5
              else "negated" if rho[row] <= -0.5 else "another pattern")  # fmt: skip
        lines.append(f"| {row + 1} | {FIRST}:{row} | {here['words']} | {'–' if there is None else f'{there:.0%}'} | "
                     f"{share[row]:.0%} | {rho[row]:+.2f} | {so} |")  # fmt: skip
    document = ("The document's reading of its conv2_3, by eye on one picture: row 8 by far the most significant, 4 "
                "the next, 3 and 5 negated, 7 weak, 1, 2 and 6 ignored.")  # fmt: skip
    return [*lines, "", document]


def _layers(numbers: dict[str, Any]) -> list[str]:
    header = ("network", "layer", "copy score", "R², 1x1", "as it is", "copies", "1x1 map", "its mean", "verdict")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for seed, found in zip(numbers["about"]["seeds"], numbers["layers"]["trained"], strict=True):
        of = found["omission"]
        for layer, each in of["layers"].items():
            cells = [_before_after(each, kind) for kind in ("copy", "1x1")]
            lines.append(f"| seed {seed} | {layer} | {each['copy']:.2f} | {each['r2']:.2f} | "
                         f"{percent(mean_of(np.asarray(of['original'])))} | {cells[0]} | {cells[1]} | "
                         f"{np.mean(each['raw']['mean']):.0%} | {each['after']} |")  # fmt: skip
    steps = numbers["layers"]["trained"][0]["omission"]["steps"]
    words = (f"Accuracy with each convolution replaced, before and after {steps} steps of training of the rest on "
             "images that are not tested (as it is: without these steps):")  # fmt: skip
    return [words, "", *lines, "", *_duality(numbers["layers"])]


def _before_after(of: dict[str, Any], kind: str) -> str:
    raw = percent(mean_of(np.asarray(of["raw"][kind])))
    return raw if kind not in of["tuned"] else f"{raw}, then {percent(mean_of(np.asarray(of['tuned'][kind])))}"


def _duality(of: dict[str, Any]) -> list[str]:
    names = ("pattern", "position", "interaction")
    lines = [f"| layer | {' | '.join(names)} | untrained: {' | untrained: '.join(names)} |", "|---" * 7 + "|"]
    for layer in of["trained"][0]["duality"]["shares"]:
        cells = []
        for nets in (of["trained"], [of["untrained"]]):
            cells += [percent(mean_of(np.concatenate([np.asarray(net["duality"]["shares"][layer][name])
                                                      for net in nets]))) for name in names]  # fmt: skip
        lines.append(f"| {layer} | {' | '.join(cells)} |")
    return ["What the response to short bars depends on, mean over the units of all networks, beside one untrained "
            "network:", "", *lines]  # fmt: skip


__all__ = ("HOW", "TITLE", "page")
