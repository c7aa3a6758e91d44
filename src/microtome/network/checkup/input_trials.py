"""Does a network like its input? The same images under the usual other value ranges, channel orders and normalisations.

Whether the given preprocessing is the right one is decided by what tells most: accuracy where there are labels, else
how far the input of the first BatchNorm lies from what it saw in training, else how sure the answers are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from ...formulas.proportions import NORMAL_95, wilson_interval
from ...images.collection import Images
from ...images.preprocessing import Preprocessing
from ...progress import Progress, Silent
from ...statistics import Firing, Moments, Predictions
from ...statistics.confusion import PredictionsAnswer
from ...statistics.moments import MomentsAnswer
from ..open import Model
from ..recording.addresses import Address
from ..recording.measure import measure
from ..recording.recorder import Probe
from ..recording.sites import Site, Sites
from ..recording.untouched import untouched
from ..specimen import Specimen

MOST_IMAGES = 200  # enough to tell 90% from 80%; more only costs time
FIRST_LAYERS = 3  # whose dead units are counted
Way = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std
NORMALISATIONS: dict[int, dict[str, Way]] = {  # by number of channels: what networks are usually given
    1: {"MNIST's mean and std": ((0.1307,), (0.3081,))},
    3: {"ImageNet's mean and std": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))},
}
BYTES = 1 / 255  # a std that turns 0..1 back into 0..255
TOLERATED = 0.1  # running standard deviations by which the mean of a few hundred images may be off by itself
SHARPEST = 4.0  # an input so many times larger makes any network sure, so its sureness says nothing

By = Literal["accuracy", "batch norm", "entropy"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the images gave under one preprocessing; NaN where it cannot be said.

    `entropy` of the answers is in bits; `mismatch` is the mean distance between what the first BatchNorm gets and its
    running mean, in running standard deviations; `dead` is the share of units of the first layers that never fire.
    """

    name: str
    images: int
    largest: float = 0.0  # input value
    accuracy: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    entropy: float = float("nan")
    entropy_half: float = float("nan")  # half of the 95% interval of its mean
    confidence: float = float("nan")
    mismatch: float = float("nan")
    dead: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class Trials:
    """All trials, the given preprocessing first, and what they say about it."""

    trials: tuple[Trial, ...]
    by: By

    @property
    def given(self) -> Trial:
        """The preprocessing that the network came with."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The best one by what decides; among equals the given one."""
        return min(self._comparable, key=lambda trial: -trial.accuracy if self.by == "accuracy" else self._cost(trial))

    @property
    def _comparable(self) -> list[Trial]:
        if self.by != "entropy":
            return list(self.trials)
        return [trial for trial in self.trials if trial.largest <= SHARPEST * self.given.largest]

    def _cost(self, trial: Trial) -> float:
        cost = trial.mismatch if self.by == "batch norm" else trial.entropy
        return float("inf") if np.isnan(cost) else cost

    def _as_good(self, other: Trial) -> bool:
        """Whether the given preprocessing cannot be told from a better one."""
        if self.by == "accuracy":
            return other.accuracy <= self.given.high
        if self.by == "batch norm":
            return self.given.mismatch <= other.mismatch + TOLERATED
        return self.given.entropy <= other.entropy + self.given.entropy_half

    @property
    def alike(self) -> list[Trial]:
        """Other preprocessings that these images cannot tell from the given one."""
        given, found = self.given, []
        for trial in self._comparable[1:]:
            if self.by == "accuracy":
                near = given.low <= trial.accuracy <= given.high
            elif self.by == "batch norm":
                near = abs(trial.mismatch - given.mismatch) <= TOLERATED
            else:
                near = abs(trial.entropy - given.entropy) <= given.entropy_half
            if near:
                found.append(trial)
        return found

    @property
    def verdict(self) -> Literal["looks right", "looks wrong", "cannot be decided"]:
        """Right if it is best or cannot be told from the best; undecided if nothing can be told from anything."""
        if not self._as_good(self.best):
            return "looks wrong"
        return "cannot be decided" if len(self.alike) == len(self._comparable) - 1 else "looks right"

    def sentence(self) -> str:
        """The verdict with its numbers, and what it rests on."""
        given, best = self.given, self.best
        decides = "" if self.by == "accuracy" else f"; without labels only {self._measure} decides, which is less"
        if self.verdict == "looks wrong":
            return f"The preprocessing looks wrong: {self._number(given)}, but {self._number(best)} with " \
                   f"{best.name}{decides}"  # fmt: skip
        if self.verdict == "cannot be decided":
            return f"Whether the preprocessing is right cannot be decided: {self._number(given)}, and no alternative " \
                   f"differs by more than chance{decides}"  # fmt: skip
        alike = ", ".join(trial.name for trial in self.alike)
        near = f"; {given.images} images cannot tell it from {alike}" if alike else ""
        return f"The preprocessing looks right: {self._number(given)}{near}{decides}"

    @property
    def _measure(self) -> str:
        return "the first BatchNorm" if self.by == "batch norm" else "how sure the answers are"

    def _number(self, trial: Trial) -> str:
        if self.by == "accuracy":
            return f"{trial.accuracy:.1%} right [{trial.low:.1%}, {trial.high:.1%}]"
        if self.by == "batch norm":
            return f"the first BatchNorm is off by {trial.mismatch:.2f} standard deviations"
        return f"answers with {trial.entropy:.2f} bits of entropy"


@dataclass(frozen=True)
class _Under:
    """The network with another preprocessing, as `measure` takes it."""

    module: nn.Module
    preprocessing: Preprocessing
    sites: Sites


def try_inputs(
    specimen: Specimen, device: torch.device | None = None, progress: Progress | None = None
) -> Trials | None:
    """Run some of the images through the network under every alternative; None if nothing could decide.

    The model comes back untouched. Raises: NotApplicable without images.
    """
    images = specimen.need_images("doctor")
    images = images.limit(MOST_IMAGES, specimen.seed) if len(images) > MOST_IMAGES else images
    few = replace(specimen, images=images)
    norm = _first_norm(specimen.model)
    by: By = "accuracy" if few.labelled else "batch norm" if norm else "entropy"
    if by == "entropy" and specimen.classes < 2:
        return None
    ways = list(alternatives(specimen.model.preprocessing, images))
    trials = []
    shown = (progress or Silent()).bar("preprocessing", len(ways), "alternatives")
    with untouched(specimen.model.module, device), shown as advance:
        for name, preprocessing, seen in ways:
            trials.append(_try(few, name, preprocessing, seen, norm, device))
            advance(1)
    return Trials(trials=tuple(trials), by=by)


def alternatives(given: Preprocessing, images: Images) -> Iterator[tuple[str, Preprocessing, Images]]:
    """Every preprocessing to try, the given one first: its name, and the images it is meant for.

    With blue first the normalised channels change places, so that each keeps its own mean and std.
    """
    ones = (1.0,) * given.channels
    halves = tuple(one / 2 for one in ones)
    zeros = tuple(0 * one for one in ones)
    small = tuple(BYTES * one for one in ones)
    ways: dict[str, Way] = {
        "the given preprocessing": (given.mean, given.std),
        **NORMALISATIONS.get(given.channels, {}),
        "mean 0.5, std 0.5 (-1..1)": (halves, halves),
        "no normalisation (0..1)": (zeros, ones),
        "no normalisation (0..255)": (zeros, small),
        "the given mean taken from 0..255": (given.mean, small),
    }
    kept: dict[Way, str] = {}
    for name, way in ways.items():
        kept.setdefault(way, name)  # the given one may be one of the others
    orders = ("", ", blue first") if given.channels == 3 else ("",)
    for order in orders:
        for (mean, std), name in kept.items():
            if not order:
                yield name, replace(given, mean=mean, std=std), images
            else:
                turned = replace(images, read=lambda place: images[place][::-1].copy(), _kept={}, _shuffled={})
                yield name + order, replace(given, mean=mean[::-1], std=std[::-1]), turned


def _try(
    specimen: Specimen, name: str, preprocessing: Preprocessing, images: Images, norm: Site | None,
    device: torch.device | None,
) -> Trial:  # fmt: skip
    model, sites = specimen.model, specimen.sites
    reading = [site.read or site.name for site in specimen.layers if sites[site.read or site.name].batched]
    wanted = {f"dead {site}": Probe((Address(site),), Firing()) for site in reading[:FIRST_LAYERS]}
    if specimen.classes > 1:
        wanted["predictions"] = Probe((Address(sites.output),), Predictions(k=specimen.classes))
    if norm is not None:
        wanted["norm"] = Probe((Address(norm.name, inputs=True),), Moments())
    found = measure(_Under(model.module, preprocessing, sites), images, list(wanted.values()), device=device)
    answers = {key: accumulator.compute() for key, accumulator in zip(wanted, found, strict=True)}
    shares = [answers[key].share for key in wanted if key.startswith("dead ")]
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, preprocessing.channels, 1, 1)
    trial = Trial(
        name=name, images=len(images), largest=float(preprocessing.normalise(ends).abs().max()),
        dead=float((np.concatenate(shares) == 0).mean()) if shares else float("nan"),
    )  # fmt: skip
    if norm is not None:
        trial = replace(trial, mismatch=_mismatch(model.module.get_submodule(norm.call.path), answers["norm"]))
    return _with_answers(trial, answers["predictions"], specimen.labelled) if specimen.classes > 1 else trial


def _first_norm(model: Model) -> Site | None:
    """The first BatchNorm that knows what it saw in training, and sees one row an image."""
    for site in model.sites.values():
        part = model.module.get_submodule(site.call.path) if site.call.leaf else None
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None and site.batched:
            return site
    return None


def _mismatch(norm: nn.Module, seen: MomentsAnswer) -> float:
    """How far a BatchNorm's input lies from what it saw in training, on average over its channels.

    Units: running standard deviations. Reference: the 2-Wasserstein distance of normal distributions with these means
    and standard deviations (Givens, Shortt 1984), which sees a wrong range as well as a wrong mean.
    """
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    running, variance = norm.running_mean.double().cpu().numpy(), norm.running_var.double().cpu().numpy()
    spread = np.sqrt(variance + norm.eps)
    return float((np.hypot(seen.mean - running, seen.std - spread) / spread).mean())


def _with_answers(trial: Trial, seen: PredictionsAnswer, labelled: bool) -> Trial:
    """The trial with accuracy, confidence and entropy of the answers."""
    logs = np.log2(seen.probability, out=np.zeros_like(seen.probability), where=seen.probability > 0)
    entropy = -(seen.probability * logs).sum(1)  # (n,)
    trial = replace(
        trial, entropy=float(entropy.mean()), confidence=float(seen.probability[:, 0].mean()),
        entropy_half=float(NORMAL_95 * entropy.std() / np.sqrt(len(entropy))),
    )  # fmt: skip
    if not labelled:
        return trial
    known = seen.label >= 0
    right = seen.classes[known, 0] == seen.label[known]
    low, high = wilson_interval(right.sum(), np.array(len(right)))
    return replace(trial, accuracy=float(right.mean()), low=float(low), high=float(high))
