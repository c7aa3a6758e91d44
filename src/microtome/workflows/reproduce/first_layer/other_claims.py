"""What the documents say across data sets, and what is seen of networks that others have trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..claims import Claim
from .pairs import told
from .profiles import MOVED, RAW
from .rules import CONSISTENT, of_axes, of_fit, of_likeness, of_several

Numbers = Mapping[str, Any]


def claims_of_others(numbers: Numbers) -> list[Claim]:
    """Those that could be measured: of pretrained networks first, then of other data sets."""
    pretrained, elsewhere = numbers["pretrained"], numbers["elsewhere"]["sets"]
    found = [_pretrained(pretrained)]
    if pretrained["nets"]:
        found.append(_pretrained_fit(pretrained))
    if elsewhere:
        found += [_same_axes(elsewhere), _trained_elsewhere(numbers["profiles"], elsewhere)]
    return found


def _pretrained(of: Numbers) -> Claim:
    alike = of["alike"]
    control = f"; control: random filters {of['chance']['q975']:.2f} in 2.5% of pairs" if alike["n"] else ""
    pairs = ", ".join(f"{name.replace(' ', ' and ')} {r:.2f}"
                      for name, r in zip(alike["names"], alike["r"], strict=True))  # fmt: skip
    measured = f"r, weights as they are (the initial ones are not known): {told(alike)} ({pairs}){control}"
    return Claim(claim="Networks that others trained to the end agree too (at least 0.8)",
                 measured=measured if alike["n"] else "Their weights are not here",
                 verdict=of_likeness([alike], of["chance"]["q975"] if alike["n"] else 0.0))  # fmt: skip


def _pretrained_fit(of: Numbers) -> Claim:
    parts, verdicts = [], []
    for name, net in of["nets"].items():
        scales = net["scales"]
        by = ", ".join(f"{scale} {found['r']:.2f}" for scale, found in scales.items())
        raw = scales["raw"]
        rows, columns = net["shape"][1:]
        parts.append(f"{name} ({raw['filters']} filters of {rows} x {columns}) {by} (null 99% {raw['null'][2]:.2f}, "
                     f"p {raw['p']:.3f}, along the deviation alone {raw['r_deviation']:.2f}, s {raw['s']:.2g} "
                     f"[{raw['s_interval'][0]:.2g}, {raw['s_interval'][1]:.2g}], R2 {raw['r2']:.2f})")  # fmt: skip
        verdicts.append(of_fit([raw["r"]], [raw["null"][2]], [raw["r_deviation"]]))
    return Claim(claim=f"The formula predicts their profiles (ImageNet .90 in the paper; our bar is {CONSISTENT})",
                 measured=f"r of the best fit by scale of the filters: {'; '.join(parts)}. The verdict is by the "
                 "weights as they are", verdict=of_several(verdicts))  # fmt: skip


def _same_axes(of: Numbers) -> Claim:
    parts, verdicts = [], []
    for name, found in of.items():
        overlap, shared = np.asarray(found["overlap"]), np.asarray(found["shared"])
        moved = found["same"][MOVED]
        verdicts.append(of_axes(np.asarray(moved["pooled"]), moved["turned"][1], shared))
        parts.append(f"{name}: axes along those of the same number {np.median(overlap):.2f} (median), "
                     f"{np.median(shared):.2f} with groups of nearly equal variance; of the same colour "
                     f"{found['kinds']:.0%}; the same filters' profiles on both sets of axes r "
                     f"{np.mean(moved['r']):.2f}, pooled {np.mean(moved['pooled']):.2f} (weights as they are "
                     f"{np.mean(found['same'][RAW]['pooled']):.2f}); control: axes at random "
                     f"{moved['turned'][0]:.2f}, {moved['turned'][1]:.2f} in 2.5%")  # fmt: skip
    return Claim(claim="Patches of other data sets have the same axes, and filters the same profile on them",
                 measured=". ".join(parts), verdict=of_several(verdicts))  # fmt: skip


def _trained_elsewhere(profiles: Numbers, of: Numbers) -> Claim:
    chance = max(each["q975"] for each in profiles["chance"].values())
    parts, kinds = [], []
    for name, found in of.items():
        trained = found["trained"]
        if not trained[MOVED]["n"]:
            continue
        kinds += [trained[MOVED], trained[RAW]]
        parts.append(f"{name} ({trained['labels']} labels, {np.mean(trained['training']):.0%} of the training images "
                     f"learnt): less the initial weights {told(trained[MOVED])}, as they are "
                     f"{told(trained[RAW])}")  # fmt: skip
    measured = (
        f"r on the axes of the first set: {'; '.join(parts)}; control: random filters {chance:.2f} in 2.5% of pairs"
    )
    return Claim(claim="Networks that learn from other data sets have the same profile (at least 0.8)",
                 measured=measured if parts else "No network was trained on another set",
                 verdict=of_likeness(kinds, chance))  # fmt: skip
