"""What the turns of an activation have to do with how sure a network is, and with whether it is right."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...formulas.association import rank_association, told_apart
from ...formulas.correlation import rank_correlation
from ...formulas.dominant import as_many_others, axis_angle, dominant_channels
from .rotations import Turned

# What is looked at in each image. All but the whole map's angle need a reference: other images than they are judged on.
WAYS = ("whole", "dominant", "others", "common", "outside", "axis", "class axis")
NUMBERS = ("rho", "low", "high", "within", "partial", "p", "errors")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The images and what the network says to them, and which of them are the reference.

    Shapes: predicted (n,) classes; confidence (n,); wrong (n,) flags, empty without labels; reference (n,) flags.
    """

    predicted: np.ndarray
    confidence: np.ndarray
    wrong: np.ndarray
    reference: np.ndarray
    classes: int
    share: float
    draws: int
    seed: int


def sets_of(turned: Turned, asked: Asked) -> np.ndarray:
    """The dominant channels of each class, by the energy that the activation lets through. Shapes: (K, C) flags."""
    some = asked.reference
    return dominant_channels(turned.after[some], asked.predicted[some], asked.classes, asked.share)


def values_of(turned: Turned, asked: Asked) -> dict[str, np.ndarray]:
    """For each way one number an image. Shapes: (n,) each, NaN where there is nothing to tell it by.

    whole, dominant, others, common: the angle of the map; of the dominant channels of the predicted class, of the
    rest, and of those that dominate over all classes. outside: share of the energy behind the activation that the
    dominant channels do not hold. axis, class axis: angle of the channels' means to the mean direction of all images,
    and of those of the predicted class.
    """
    sets, everyone = sets_of(turned, asked), np.zeros(len(asked.predicted), int)
    own = sets[asked.predicted]  # (n, C)
    common = dominant_channels(turned.after[asked.reference], everyone[asked.reference], 1, asked.share)[everyone]
    with np.errstate(invalid="ignore", divide="ignore"):
        outside = (turned.after * ~own).sum(1) / turned.after.sum(1)
    return {
        "whole": turned.angle(), "dominant": turned.angle(own), "common": turned.angle(common),
        "others": np.where(own.any(1), turned.angle(~own), np.nan), "outside": np.where(own.any(1), outside, np.nan),
        "axis": axis_angle(turned.means, everyone, asked.reference),
        "class axis": axis_angle(turned.means, asked.predicted, asked.reference),
    }  # fmt: skip


def judged(values: Mapping[str, np.ndarray], turned: Turned, asked: Asked) -> dict[str, np.ndarray]:
    """How each goes with confidence, on the images that are no reference. Shapes: by way (7,), see `NUMBERS`.

    partial is given the length of the activation's input; errors how often, of a wrong and a right answer, the wrong
    one has the larger value. "random" (draws,) are the correlations of sets of as many channels.
    """
    length = turned.before.sum(1)
    found = {way: associated(each, asked, length) for way, each in values.items()}
    random, sets, some = np.random.default_rng(asked.seed), sets_of(turned, asked), ~asked.reference
    drawn = [turned.angle(as_many_others(sets, random)[asked.predicted])[some] for _ in range(asked.draws)]
    sure = asked.confidence[some]
    found["random"] = np.array([rank_correlation(each[known], sure[known])
                                for each in drawn for known in [np.isfinite(each)]])  # fmt: skip
    return found


def associated(values: np.ndarray, asked: Asked, length: np.ndarray | None = None) -> np.ndarray:
    """One quantity beside confidence and errors, on the images that are no reference. Shapes: (n,) -> (7,)."""
    some = ~asked.reference
    held = rank_association(values[some], asked.confidence[some], groups=asked.predicted[some],
                            control=None if length is None else length[some], seed=asked.seed)  # fmt: skip
    errors = told_apart(values[some], asked.wrong[some]) if len(asked.wrong) else np.nan
    return np.array([held.rho, held.low, held.high, held.within, held.partial, held.p, errors])
