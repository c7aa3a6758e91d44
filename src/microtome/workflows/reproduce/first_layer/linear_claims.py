"""What the documents say of the linear network, each beside what was measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..claims import Claim
from .rules import of_independence, of_limit, of_theorem, of_vanishing

Numbers = Mapping[str, Any]


def claims_of_linear(of: Numbers) -> list[Claim]:
    """All four."""
    return [_theorem(of), _residual(of["descent"]), _limit(of), _labels(of["labels"])]


def each(values: np.ndarray, form: str = ".2f") -> str:
    """Numbers one after the other."""
    return ", ".join(f"{value:{form}}" for value in np.asarray(values))


def _theorem(of: Numbers) -> Claim:
    mosaics, pictures = of["mosaics"], of["pictures"]
    single, shown = np.asarray(mosaics["single"]).mean(1), np.asarray(pictures["single"]).mean(1)
    steps = ", ".join(f"{count:.0e}" for count in of["steps"])
    measured = (f"r after {steps} steps. Mosaics of {of['patches']} patches from anywhere: root mean square over "
                f"{of['draws']:,} sets of random labels {each(mosaics['r'], '.4f')} (relative error at most "
                f"{max(mosaics['error']):.1%}, no constant fitted); of one set of labels, mean {each(single)}. "
                f"Pictures themselves: {each(pictures['r'])}, of one set {each(shown)}, with the classes as "
                f"labels {each(pictures['classes'])}; control, the same formula with average patches in the place of "
                f"patches: {each(pictures['averaged'], '.4f')}. Variance of average patches over what independent "
                f"patches would have, first five axes: {each(np.asarray(of['independence'])[:5], '.3g')}")  # fmt: skip
    return Claim(claim="The profile of a linear network is c (1 - (1 - eta lambda²)^t) / lambda", measured=measured,
                 verdict=of_theorem(np.asarray(mosaics["r"]), single, np.asarray(pictures["r"])))  # fmt: skip


def _residual(of: Numbers) -> Claim:
    residual, sigmas = np.asarray(of["residual"]), np.asarray(of["sigmas"])
    measured = (f"A convolution of {of['filters']} filters with average pooling, trained for {of['steps']} steps of "
                f"gradient descent on pictures: distance of its profile from that without initial weights, over its "
                f"length, {each(residual, '.2g')} with initial deviations of {each(sigmas, '.0e')}; control: from the "
                f"exact formula with these weights at most {max(of['closed']):.0e}")  # fmt: skip
    return Claim(claim="What depends on the initial weights vanishes with their variance", measured=measured,
                 verdict=of_vanishing(residual, np.asarray(of["closed"])))  # fmt: skip


def _limit(of: Numbers) -> Claim:
    mosaics, pictures = (np.asarray(of[name]["slope"]) for name in ("mosaics", "pictures"))
    measured = (f"Slope of log e by log lambda (1 along the input, -1 white), after the same steps: mosaics "
                f"{each(mosaics)}; pictures {each(pictures)}")  # fmt: skip
    return Claim(claim="With infinitely many iterations a linear network whitens", measured=measured,
                 verdict=of_limit(float(mosaics[-1]), float(pictures[-1])))  # fmt: skip


def _labels(of: Numbers) -> Claim:
    r, permuted, largest = (np.asarray(of[name]) for name in ("r", "permuted", "largest"))
    size = np.sqrt((r**2).mean())
    measured = (f"Correlation of one class against all with the average patch along an axis, {r.shape[0]} classes by "
                f"{r.shape[1]} axes: root mean square {size:.3f}, {size / permuted.mean():.1f} times that of permuted "
                f"labels, largest {np.abs(r).max():.2f}; control: permuted labels {permuted.mean():.3f}, "
                f"{np.quantile(permuted, 0.975):.3f} in 2.5% of draws, largest {np.median(largest):.2f}")  # fmt: skip
    return Claim(claim="Labels and patches are uncorrelated (the paper's premise; \"around 0\" in its figure)",
                 measured=measured, verdict=of_independence(r, permuted))  # fmt: skip
