"""The document's claims about its small network, each beside what was measured and its control."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..claims import Claim, percent, points
from ..verdicts import HOLDS, IN_PART, NOT, beaten, difference_of, mean_of, of_chance, of_labels, share_of
from .directions import DIRECTIONS
from .handnet_claims import claims_of_handnet
from .networks import FIRST, SECOND, THIRD
from .pruned_claims import claims_of_pruned
from .row_claims import LIMIT, claims_of_rows
from .words import each, networks

Numbers = Mapping[str, Any]
ALLOWED = 0.10  # of the filters of untrained networks may get words
REPLICATES = "replicates its input"
STANDING_IN = {"copy": "copies of one input channel each", "1x1": "the best 1x1 map"}
SHARES = ("pattern", "position", "interaction")


def claims_of(numbers: Numbers) -> list[Claim]:
    """All of them, in the document's order."""
    filters, layers = numbers["filters"], numbers["layers"]
    return [_words(filters), _repeats(filters), _directions(filters), *claims_of_rows(numbers["rows"]),
            _omitted(layers), _duality(layers), *claims_of_pruned(numbers["pruned"]),
            *claims_of_handnet(numbers["handnet"])]  # fmt: skip


def _words(of: Numbers) -> Claim:
    counts = [sum(map(bool, found["words"])) for found in of["trained"]]
    own = share_of(sum(counts), of["units"] * len(counts))
    control, alone = mean_of(np.array(of["untrained"])), mean_of(np.array(of["untrained_alone"]))
    sure = np.concatenate([found["confidence"] for found in of["trained"]])
    measured = (f"{each(counts)} of {of['units']} filters of {networks(len(counts))} get words beside random filters, "
                f"in all {percent(own)}, median confidence {np.median(sure):.2f}; control: of {control['n']} untrained "
                f"networks {percent(control)} of the filters, {percent(alone)} if each is judged by itself at "
                f"5%")  # fmt: skip
    return Claim(claim="Every filter of conv1 detects a pattern that can be named: a line, or one side of it",
                 measured=measured, verdict=of_labels(own, control, ALLOWED))  # fmt: skip


def _repeats(of: Numbers) -> Claim:
    sets = of["sets"]
    measured = (f"Labels that another filter of the network has as well, counted from the second: "
                f"{each([s['repeats'] for s in sets])}; control: as many random filters that pass for a pattern have "
                f"{each([s['filters_repeats'] for s in sets], '{:.1f}')} on average, and as many repeats or more in "
                f"{each([s['as_many_repeats'] for s in sets], '{:.0%}')} of sets")  # fmt: skip
    verdict = of_chance([s["repeats"] > 0 for s in sets], [s["as_many_repeats"] for s in sets], LIMIT)
    return Claim(claim="Some patterns repeat (3 and 6, 4 and 7)", measured=measured, verdict=verdict)


def _directions(of: Numbers) -> Claim:
    sets = of["sets"]
    true = [len(s["covered"]) == len(DIRECTIONS) for s in sets]
    chance = [max(s["angles_all"], s["filters_all"]) for s in sets]
    named = "; ".join(", ".join(map(str, s["covered"])) or "none" for s in sets)
    measured = (f"Directions of {each([s['directed'] for s in sets])} labelled filters, network by network: {named}. "
                f"Control: as many angles at random cover all four in {each([s['angles_all'] for s in sets], '{:.0%}')}"
                f" of sets, as many random filters that pass for a pattern in "
                f"{each([s['filters_all'] for s in sets], '{:.0%}')}")  # fmt: skip
    if any(true) and max(chance) > LIMIT:
        measured += ": to cover all four says little, chance does it often"
    return Claim(claim="The filters of conv1 span the directions 0, 45, 90 and 135", measured=measured,
                 verdict=of_chance(true, chance, LIMIT))  # fmt: skip


def _omitted(of: Numbers) -> Claim:
    nets, beside = [found["omission"] for found in of["trained"]], of["untrained"]["omission"]["layers"]
    own = np.concatenate([net["original"] for net in nets])
    told = [f"{layer}: {_stand_ins(layer, nets, beside[layer])}" for layer in (SECOND, THIRD)]
    chosen = [[net["layers"][layer] for layer in (SECOND, THIRD)] for net in nets]
    copies = [any(layer["after"] == REPLICATES for layer in layers) for layers in chosen]
    able = [any(layer["able"] for layer in layers) for layers in chosen]
    measured = (f"Accuracy {percent(mean_of(own), 1)} on {len(own) // len(nets)} images held out, in "
                f"{networks(len(nets))}. {'. '.join(told)}{_lost(nets)}")  # fmt: skip
    return Claim(claim="One convolution can be omitted, because it replicates its input", measured=measured,
                 verdict=HOLDS if all(copies) else IN_PART if any(able) else NOT)  # fmt: skip


def _lost(nets: Sequence[Numbers]) -> str:
    """How many points copies lose once the rest has learnt, and how many fewer in conv2 than in conv3, per image."""
    layers = [net["layers"] for net in nets]
    if not all("copy" in each_[layer]["tuned"] for each_ in layers for layer in (SECOND, THIRD)):
        return ""
    lost = {layer: np.concatenate([net["original"] - net["layers"][layer]["tuned"]["copy"] for net in nets])
            for layer in (SECOND, THIRD)}  # fmt: skip
    return (
        f". After the training copies lose {points(mean_of(lost[SECOND]), 1)} points in conv2's place and "
        f"{points(mean_of(lost[THIRD]), 1)} in conv3's, difference {points(mean_of(lost[THIRD] - lost[SECOND]), 1)}"
    )


def _stand_ins(layer: str, nets: Sequence[Numbers], beside: Numbers) -> str:
    found = [net["layers"][layer] for net in nets]
    told = []
    for kind in (kind for kind in STANDING_IN if all(kind in f["raw"] for f in found)):
        words = f"{STANDING_IN[kind]} {each([np.mean(f['raw'][kind]) for f in found], '{:.1%}')}"
        if all(kind in f["tuned"] for f in found):
            tuned = each([np.mean(f["tuned"][kind]) for f in found], "{:.1%}")
            words += f", after {nets[0]['steps']} steps of training {tuned}"
        told.append(words)
    return (f"copy score {each([f['copy'] for f in found], '{:.2f}')} (shuffled weights "
            f"{each([f['copy_shuffled'] for f in found], '{:.2f}')}, untrained {beside['copy']:.2f}); accuracy with "
            f"{'; '.join(told)}; control, its mean {each([np.mean(f['raw']['mean']) for f in found], '{:.0%}')}; "
            f"verdict: {each([f['after'] for f in found])}")  # fmt: skip


def unit_shares(layer: str, name: str, nets: Sequence[Numbers]) -> np.ndarray:
    """Of all units of a layer of some networks, one after the other."""
    return np.concatenate([np.asarray(net["duality"]["shares"][layer][name]) for net in nets])


def _duality(of: Numbers) -> Claim:
    trained, untrained, bars = of["trained"], [of["untrained"]], of["trained"][0]["duality"]
    told = []
    for layer in (FIRST, SECOND, THIRD):
        shares = (percent(mean_of(unit_shares(layer, name, trained))) for name in SHARES)
        told.append(f"{layer} {' / '.join(shares)}")
    there, first = unit_shares(THIRD, "position", trained), mean_of(unit_shares(FIRST, "pattern", trained))
    other = unit_shares(THIRD, "position", untrained)
    deeper, beyond = difference_of(there, unit_shares(FIRST, "position", trained)), difference_of(there, other)
    measured = (f"Of the response to short bars at {bars['angles']} angles in {bars['grid']} x {bars['grid']} places, "
                f"what depends on pattern / position / both together, mean over the units of "
                f"{networks(len(trained))}: {'; '.join(told)}. Position in conv3 is {points(deeper)} points above "
                f"conv1; control: {points(beyond)} above an untrained conv3, "
                f"{percent(mean_of(other))}")  # fmt: skip
    return Claim(claim="The same building blocks detect patterns (conv1) and the location of patterns (conv3)",
                 measured=measured, verdict=beaten(deeper, [beyond]) if first["low"] > 0.5 else NOT)  # fmt: skip
