"""What the document says of its network built by hand, beside what ours do."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....formulas.paired import paired_interval
from ..claims import Claim, percent, points
from ..verdicts import HOLDS, IN_PART, NOT, Verdict, share_of
from .handnet import BY_HAND, RANDOM, TWO
from .words import each

Numbers = Mapping[str, Any]
MUCH = 0.10  # of the answers, from which a network is called much worse
PAR, NEAR = 0.005, 0.02  # of the answers that it may have fewer to be called on par, and to be called nearly that
KEPT = 6 / 8  # of the filters that still look for what they were made for


def claims_of_handnet(numbers: Numbers) -> list[Claim]:
    """In the document's order."""
    return [_untrained(numbers), _tuned(numbers), _understood(numbers)]


def falls(of: Numbers, name: str, kind: str = "") -> list[dict[str, float]]:
    """How many more answers the network beside it has right, seed by seed, on the same images: with its interval."""
    found = []
    for seed in of["trained"]:
        lost, gained = (seed[name][f"{kind}{way}"] for way in ("lost", "gained"))
        low, high = paired_interval(np.array(lost), np.array(gained), of["tested"])
        found.append({"mean": (lost - gained) / of["tested"], "low": float(low), "high": float(high)})
    return found


def share(of: Numbers, hits: Sequence[int], digits: int = 1) -> str:
    """Accuracies, one a seed."""
    return each([100 * count / of["tested"] for count in hits], f"{{:.{digits}f}}%")


def _untrained(of: Numbers) -> Claim:
    seeds = of["trained"]
    raw = falls(of, TWO, "raw_")
    lines, noise = ([count for seed in seeds for count in seed["controls"][kind]] for kind in ("lines", "noise"))
    chosen = [seed[TWO]["by hand"] for seed in seeds]
    better = sum(count < min(chosen) for count in lines), sum(count < min(chosen) for count in noise)
    measured = (
        f"Eight lines, nine windows, a read-out in closed form from {of['prototypes']:,} images, nothing trained: "
        f"{share(of, chosen)} of {of['tested']:,} images held out, SimpleConvNet "
        f"{share(of, [seed['free'] for seed in seeds])}, which is {each([points(fall, 1) for fall in raw])} points "
        f"more. Control: with as many lines at random {share(of, [int(np.median(lines))])} (median of {len(lines)} "
        f"draws, {better[0]} of them below ours), with noise of their norm for kernels "
        f"{share(of, [int(np.median(noise))])} ({better[1]} of {len(noise)} below ours)"
    )
    much, worse = (all(fall["low"] > limit for fall in raw) for limit in (MUCH, 0.0))
    return Claim(claim="The network built by hand performs much worse (HandNet)", measured=measured,
                 verdict=HOLDS if much else IN_PART if worse else NOT)  # fmt: skip


def on_par(found: Sequence[Numbers]) -> Verdict:
    """Of falls, one a seed: it holds if none can be more than half a point, in part if none more than two."""
    highest = max(fall["high"] for fall in found)
    return HOLDS if highest <= PAR else IN_PART if highest <= NEAR else NOT


def _tuned(of: Numbers) -> Claim:
    seeds, found = of["trained"], {name: falls(of, name) for name in BY_HAND}
    best = min(BY_HAND, key=lambda name: max(fall["high"] for fall in found[name]))
    told = [f"{name} ({of['parameters'][name]:,} parameters) {share(of, [seed[name]['tuned'] for seed in seeds], 2)}, "
            f"{each([points(fall, 2) for fall in falls_])} points fewer" for name, falls_ in found.items()]  # fmt: skip
    measured = (
        f"Trained on the same images for as many steps ({of['epochs']} epochs), SimpleConvNet "
        f"({of['beside']:,} parameters) {share(of, [seed['free'] for seed in seeds], 2)}; fewer right answers on the "
        f"same images, seed by seed: {'; '.join(told)}. {TWO} with its read-out alone trained "
        f"{share(of, [seed[TWO]['read-out'] for seed in seeds])}. Control: lines at random, trained as {TWO}, "
        f"{share(of, [seed[RANDOM]['tuned'] for seed in seeds], 2)}. The verdict is of {best}: on par is half a point "
        f"fewer at most, in part two points"
    )
    return Claim(claim="After fine-tuning its accuracy is on par with SimpleConvNet's", measured=measured,
                 verdict=on_par(found[best]))  # fmt: skip


def _understood(of: Numbers) -> Claim:
    told, kept = [], []
    for name in BY_HAND:
        nets = [seed[name] for seed in of["trained"]]
        own = share_of(sum(net["kept"] for net in nets), sum(net["of"] for net in nets))
        chance = np.mean([net["kept_by_chance"] for net in nets])
        kept += [(net["kept"] / net["of"], net["kept_by_chance"] / net["of"]) for net in nets]
        told.append(f"{name} {each([net['kept'] for net in nets])} of {nets[0]['of']}, in all {percent(own)} (labels "
                    f"dealt out at random {chance:.1f})")  # fmt: skip
    turned = np.abs(np.concatenate([turns(seed[TWO]) for seed in of["trained"]]))
    measured = (
        f"How easy it is to understand cannot be measured. What can: every kernel is still a line, a spot or a window, "
        f"and of the lines these have the words that they were built from after the training: {'; '.join(told)}. Lines "
        f"of {TWO} turned by {np.median(turned):.0f} degrees (median; largest {turned.max():.0f}). SimpleConvNet has "
        f"{of['beside'] / of['parameters'][TWO]:.0f} times as many parameters"
    )
    above = all(share > 2 * chance for share, chance in kept)
    verdict = HOLDS if all(share >= KEPT for share, _ in kept) and above else IN_PART if above else NOT
    return Claim(claim="Its inner workings are easier to understand and explain", measured=measured, verdict=verdict)


def turns(net: Numbers) -> np.ndarray:
    """By how many degrees each line has turned, -90 to 90. Shapes: -> (U,)."""
    built, now = (np.asarray(net[when])[:, 0] for when in ("built", "now"))
    found: np.ndarray = (now - built + 90) % 180 - 90
    return found


def lines_of_handnet(of: Numbers) -> list[str]:
    """For the page: all networks side by side, and the lines of the first as built and now."""
    header = ("network", "parameters", "seed", "nothing trained", "read-out trained", "all trained",
              "SimpleConvNet's lead, points", "labels kept")  # fmt: skip
    out = [f"Networks built by hand, on {of['tested']:,} images held out (rate {of['rate']:g}):", "",
           f"| {' | '.join(header)} |", "|---" * len(header) + "|"]  # fmt: skip
    for name in (*BY_HAND, RANDOM):
        for seed, net, fall in zip(of["seeds"], (each_[name] for each_ in of["trained"]), falls(of, name), strict=True):
            read_out = share(of, [net["read-out"]], 2) if "read-out" in net else "–"
            parameters = of["parameters"].get(name, of["parameters"][TWO])
            raw, tuned = (share(of, [net[kind]], 2) for kind in ("by hand", "tuned"))
            out.append(f"| {name} | {parameters:,} | {seed} | {raw} | {read_out} | {tuned} | {points(fall, 2)} | "
                       f"{net['kept']} of {net['of']} |")  # fmt: skip
    net = of["trained"][0][TWO]
    out += ["", f"The lines of the first {TWO}, as built and after the training (degrees and pixels):", "",
            "| filter | built as | theta | turned by | offset | moved by | now |", "|---" * 7 + "|"]  # fmt: skip
    for place, (turned, built, now) in enumerate(zip(turns(net), net["built"], net["now"], strict=True)):
        out.append(f"| conv1:{place} | {net['asked'][place]} | {built[0]:.0f} | {turned:+.0f} | {built[1]:+.1f} | "
                   f"{now[1] - built[1]:+.1f} | {net['words'][place] or 'no words'} |")  # fmt: skip
    return out
