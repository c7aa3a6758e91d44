"""What the documents say of trained first layers, each beside what was measured and its control."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..claims import Claim, points
from ..verdicts import beaten, mean_of
from .linear_claims import claims_of_linear
from .other_claims import claims_of_others
from .pairs import told
from .profiles import MOVED, RAW
from .rules import (
    CONSISTENT,
    of_fit,
    of_growth,
    of_harmless,
    of_likeness,
    of_peaks,
    of_several,
    of_unlikeness,
    of_whitening,
)
from .settings import RANDOM, TRUE

Numbers = Mapping[str, Any]
GROWS = "More iterations bring more energy, and the profile further on its way to whitening"
WORDS = {RAW: "weights as they are", MOVED: "less the initial ones"}


def claims_of(numbers: Numbers) -> list[Claim]:
    """All of them, in the order of the document."""
    profiles, others = numbers["profiles"], claims_of_others(numbers)
    return [
        _alike("Networks that differ in their initial weights learn the same energy profile (correlation at least "
               "0.8; .99 in the paper)", profiles, "seeds", ["seeds residual", "seeds random"]),
        _alike("So do networks of other architectures (at least 0.8; VGG11 beside ResNet18 .87 in the paper)",
               profiles, "residual", ["depth"]),
        *others[:1], _begun(profiles), _peaks(numbers["peaks"]), _harmless(numbers["frozen"]),
        _depth(numbers["frozen"]),
        _alike("Networks that learn random labels have the same profile (.90 in the paper)", profiles, "labels",
               ["labels residual"]),
        _fit(profiles), _growth(numbers["growth"]), _whitens(profiles), *claims_of_linear(numbers["linear"]),
        *others[1:],
    ]  # fmt: skip


def _nets(of: Numbers, network: str | None = None, labels: str | None = None) -> list[Numbers]:
    return [net for net in of["nets"] if network in (None, net["network"]) and labels in (None, net["labels"])]


def _chance(of: Numbers) -> float:
    """The 97.5% point of what banks of random filters correlate, of those with the fewest filters."""
    return max(each["q975"] for each in of["chance"].values())


def _alike(claim: str, of: Numbers, name: str, more: list[str]) -> Claim:
    kinds = [of["pairs"][kind][name] for kind in (MOVED, RAW)]
    parts = [f"{WORDS[kind]} {_with_rest(of['pairs'][kind][name])}" for kind in (MOVED, RAW)]
    beside = [f"{each.replace(' ', ', ')}: {told(of['pairs'][MOVED][each])} and raw {told(of['pairs'][RAW][each])}"
              for each in more if of["pairs"][MOVED][each]["n"]]  # fmt: skip
    control = (f"control: random filters {_chance(of):.2f} in 2.5% of pairs; initial weights of the same networks "
               f"{told(of['begun']['each other'])}")  # fmt: skip
    return Claim(claim=claim, measured=". ".join(["r, " + "; ".join(parts), *beside, control]),
                 verdict=of_likeness(kinds, _chance(of)))  # fmt: skip


def _with_rest(of: Numbers) -> str:
    if not of["n"]:
        return "not measured"
    return f"{told(of)} (without the first axis {np.mean(of['rest']):.2f}, by ranks {np.mean(of['rank']):.2f})"


def _begun(of: Numbers) -> Claim:
    kinds = [of["begun"][labels] for labels in (TRUE, RANDOM)]
    movement = np.array([net["movement"][-1] for net in of["nets"]])
    measured = (f"r of weights as they are with those that the training began with: true labels {told(kinds[0])}, "
                f"random {told(kinds[1])}; weights have gone {movement.min():.2f} to {movement.max():.2f} of their "
                f"initial length; control: random filters {_chance(of):.2f} in 2.5% of pairs")  # fmt: skip
    return Claim(claim="A trained profile has nothing left of the initial one (-.13 ± .18, with random labels "
                 ".03 ± .22 in the paper)", measured=measured, verdict=of_unlikeness(kinds, _chance(of)))  # fmt: skip


def _peaks(of: Numbers) -> Claim:
    parts, true = [], np.array([labels == TRUE for labels in of["labels"]])
    by_chance = np.stack([np.asarray(of["chance"][str(count)])[:, 1] for count in of["filters"]])[true]
    for kind in (MOVED, RAW):
        hump, low, tops = (np.asarray(of[kind][name])[true] for name in ("hump", "low", "tops"))
        by = [f"{name} {np.exp(hump[:, place].mean()):.2f} (at least {np.exp(low[:, place].min()):.2f}; top at "
              f"{_range(tops[:, place], '.2f')} cycles a pixel)" for place, name in enumerate(of["names"])]  # fmt: skip
        peak, frequency = (np.asarray(of[kind][name])[true] for name in ("peak", "frequency"))
        parts.append(f"{WORDS[kind]}: {', '.join(by)}; the largest of all at axes {_range(peak, 'd')} (from 0), "
                     f"{_range(frequency, '.2f')} cycles a pixel")  # fmt: skip
    limits = ", ".join(f"{np.exp(value):.2f}" for value in by_chance.max(0))
    measured = (f"Energy along the middle third of each colour's axes, by frequency, over the larger of the lower and "
                f"upper third, mean over {true.sum()} networks with true labels, and the lowest end of their "
                f"intervals. {'. '.join(parts)}. Control: random filters reach {limits} in 2.5% of banks")  # fmt: skip
    verdicts = [of_peaks(np.asarray(of[kind]["low"])[true], np.asarray(of[kind]["high"])[true], by_chance)
                for kind in (MOVED, RAW)]  # fmt: skip
    return Claim(claim="Sensitivity peaks at intermediate spatial frequencies", measured=measured,
                 verdict=of_several(verdicts))  # fmt: skip


def _range(values: np.ndarray, form: str = "d") -> str:
    if not len(values):
        return "not known"
    low, high = f"{values.min():{form}}", f"{values.max():{form}}"
    return low if low == high else f"{low} to {high}"


def _harmless(of: Numbers) -> Claim:
    parts = [f"{name} ({', '.join(f'{a:.1%} and {b:.1%}' for a, b in zip(net['free'], net['fixed'], strict=True))}) "
             f"{points(net, 1)}" for name, net in of["nets"].items()]  # fmt: skip
    none = of["none"]
    measured = (f"Accuracy on {none['n']:,} images held out, first layer learning and fixed, seed by seed, and the "
                f"difference in points: {'; '.join(parts)}; control: with no convolution that learns "
                f"{points(none, 1)}. Margin 2 points, verdict by the deepest network")  # fmt: skip
    return Claim(claim="A network whose first layer stays at its random initial weights is no worse", measured=measured,
                 verdict=of_harmless(of["nets"][of["deepest"]], none))  # fmt: skip


def _depth(of: Numbers) -> Claim:
    measured = (f"From the shallowest network to the deepest the difference changes by {points(of['trend'], 1)} points "
                f"({', '.join(f'{name} {points(net, 1)}' for name, net in of['nets'].items())})")  # fmt: skip
    return Claim(claim="What freezing costs vanishes with depth", measured=measured,
                 verdict=beaten(of["trend"], []))  # fmt: skip


def _fit(of: Numbers) -> Claim:
    parts, verdicts = [], []
    for kind in (MOVED, RAW):
        r = [net[kind]["r"][-1] for net in of["nets"]]
        null = [of["null"][str(net["filters"])][2] for net in of["nets"]]
        trivial = [net[kind]["r_deviation"][-1] for net in of["nets"]]
        verdicts.append(of_fit(r, null, trivial))
        by = [f"{_range(np.array([n[kind]['r'][-1] for n in _nets(of, labels=labels)]), '.2f')} with {labels} labels"
              for labels in (TRUE, RANDOM) if _nets(of, labels=labels)]  # fmt: skip
        parts.append(f"{WORDS[kind]} r {' and '.join(by)} (the first steps' curve, along the patches' deviation, "
                     f"{_range(np.array(trivial), '.2f')}; without the first axis "
                     f"{_range(np.array([n[kind]['r_rest'][-1] for n in of['nets']]), '.2f')}; R2 "
                     f"{_range(np.array([n[kind]['r2'][-1] for n in of['nets']]), '.2f')}; p at most "
                     f"{max(n[kind]['p'] for n in of['nets']):.3f})")  # fmt: skip
    by_chance = "; ".join(f"{count} filters {', '.join(f'{q:.2f}' for q in quantiles)}"
                          for count, quantiles in of["null"].items())  # fmt: skip
    measured = (f"Best fits to {len(of['nets'])} networks: {'. '.join(parts)}. Control: fits to random filters, "
                f"median, 95% and 99%: {by_chance}")  # fmt: skip
    return Claim(claim="The formula for linear networks predicts the profile: correlated, though not exactly matched "
                 f"(.94 in the paper; our bar is {CONSISTENT})",
                 measured=measured, verdict=of_several(verdicts))  # fmt: skip


def _growth(of: Numbers) -> Claim:
    energy, s, walks = (mean_of(np.asarray(of[name])) for name in ("energy", "s", "walks"))
    factors = np.asarray(of["factor"])
    if not energy["n"]:
        return Claim(claim=GROWS, measured="Too few steps to tell", verdict=of_growth(energy, s, walks))
    by = [f"{_range(factors[np.array(of['labels']) == labels], '.1f')} with {labels} labels"
          for labels in (TRUE, RANDOM) if labels in of["labels"]]  # fmt: skip
    measured = (f"Rank correlation with the step, mean over {energy['n']} networks: energy of what is learnt "
                f"{_number(energy)}, s of the fit {_number(s)}; from a tenth of the steps to the end s grows by a "
                f"factor {' and '.join(by)}; control: s of filters that walk at random {_number(walks)}")  # fmt: skip
    return Claim(claim=GROWS,
                 measured=measured, verdict=of_growth(energy, s, walks))  # fmt: skip


def _number(of: Numbers) -> str:
    return f"{of['mean']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"


def _whitens(of: Numbers) -> Claim:
    nets = of["nets"]
    first, last = (np.array([net["rank_out"][place] for net in nets]) for place in (0, -1))
    slopes, begun = np.array([net["moved_above"] for net in nets]), np.array([net["above"][0] for net in nets])
    known = ~np.isnan(slopes) & ~np.isnan(begun)
    gained = [net["gained"] for net in nets]
    measured = (f"Answers of the filters are spread over {_range(first, '.1f')} axes at first and {_range(last, '.1f')}"
                f" at the end (the patches themselves {nets[0]['rank_in']:.1f}; white would be {of['rank']}), a gain "
                f"of at least {min(low for low, _ in gained):.2f} in every network by 95% intervals; slope of log e "
                f"by log lambda above the top, -1 if white, of what is learnt {_range(slopes[known], '.2f')}, below "
                f"it {_range(np.array([net['moved_below'] for net in nets]), '.2f')}; control: initial weights "
                f"{_range(begun[known], '.2f')}")  # fmt: skip
    return Claim(claim="The first layer approximately whitens its input", measured=measured,
                 verdict=of_whitening(gained, begun[known], slopes[known]))  # fmt: skip
