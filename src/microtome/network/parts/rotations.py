"""Every activation of a network, and by how much it turns what the images send through it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ...formulas.rotation import angle_of, turn_of_energies
from ...images.collection import Images
from ...statistics import Energies, PairEnergies, Predictions, Rows, Statistic
from ...statistics.confusion import PredictionsAnswer
from ...statistics.energies import EnergiesAnswer
from ..backward.rectifiers import KIND_OF
from ..model import Model
from ..recording.measure import measure
from ..recording.recorder import Probe
from ..recording.sites import Sites
from ..recording.untouched import untouched

# Activations beside the rectifiers; softmax and gates mix channels, and are none.
OTHERS = {word: kind for kind in ("Tanh", "Sigmoid", "Hardsigmoid", "Softsign", "LogSigmoid")
          for word in (kind, kind.lower(), f"{kind.lower()}_")}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Turned:
    """What one activation does to some images.

    Shapes: before, after, apart (n, C) energies of its input, its output and their difference; means (n, C) of its
    output over positions. Of a ReLU, what it loses is what is apart.
    """

    kind: str
    before: np.ndarray
    after: np.ndarray
    apart: np.ndarray
    means: np.ndarray

    def angle(self, channels: np.ndarray | None = None) -> np.ndarray:
        """By how much each image is turned in some channels, by default all. Shapes: flags (n, C) -> (n,) radians."""
        sums = (each.sum(1) if channels is None else (each * channels).sum(1) for each in self._energies)
        return self._angle(*sums)

    @property
    def by_channel(self) -> np.ndarray:
        """By how much all images together are turned in each channel. Shapes: (C,) radians."""
        return self._angle(*(each.sum(0) for each in self._energies))

    @property
    def log_gain(self) -> np.ndarray:
        """Logarithm of the share of its length that each image keeps. Shapes: (n,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.after.sum(1) / self.before.sum(1)) / 2)

    @property
    def _energies(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.before, self.after, self.apart

    def _angle(self, before: np.ndarray, after: np.ndarray, apart: np.ndarray) -> np.ndarray:
        return angle_of(after, apart) if self.kind == "ReLU" else turn_of_energies(before, after, apart).angle


def activation_sites(sites: Sites) -> dict[str, str]:
    """The kind of every activation that gives a row an image, by site, in the order in which they run."""
    kinds = {**KIND_OF, **OTHERS}
    return {site.name: kinds[site.operation] for site in sites.values() if site.operation in kinds and site.batched}


def statistics_of(sites: Sites, images: int) -> dict[str, tuple[tuple[str, ...], Statistic]]:
    """What has to be measured, where, by a name of its own: energies and mean outputs of each activation, and answers.

    A ReLU's energies follow from its input alone, so that nothing has to be kept until its output is there.
    """
    found: dict[str, tuple[tuple[str, ...], Statistic]] = {
        "answers": ((sites.output,), Predictions(k=1))
    }  # fmt: skip
    for site, kind in activation_sites(sites).items():
        pair = (f"{site}:in", site)
        found[f"energies {site}"] = (pair[:1], Energies(images=images)) if kind == "ReLU" else (
            pair, PairEnergies(images=images))  # fmt: skip
        found[f"means {site}"] = ((site,), Rows(what="mean", images=images))
    return found


def turned(sites: Sites, answers: Mapping[str, object]) -> tuple[dict[str, Turned], PredictionsAnswer]:
    """What `statistics_of` asked for, in order, with the network's answers to the same images."""
    found = {}
    index = np.zeros(0, np.int64)
    for site, kind in activation_sites(sites).items():
        seen, rows = answers[f"energies {site}"], answers[f"means {site}"]
        index = seen.index  # type: ignore[attr-defined]
        if isinstance(seen, EnergiesAnswer):
            energies = {"before": seen.kept + seen.lost, "after": seen.kept, "apart": seen.lost}
        else:
            energies = {name: getattr(seen, name) for name in ("before", "after", "apart")}
        found[site] = Turned(kind=kind, means=rows.values, **energies)  # type: ignore[attr-defined]
    said = answers["answers"]
    assert isinstance(said, PredictionsAnswer)
    chosen = np.searchsorted(said.index, index)
    return found, PredictionsAnswer(index=index, label=said.label[chosen], classes=said.classes[chosen],
                                    probability=said.probability[chosen])  # fmt: skip


def turned_by(model: Model, images: Images, places: np.ndarray) -> tuple[dict[str, Turned], PredictionsAnswer]:
    """The same of any model, measured here. Shapes: places (n,) of the images, ascending."""
    wanted = statistics_of(model.sites, len(images))
    probes = [Probe(tuple(map(model.sites.address, where)), statistic) for where, statistic in wanted.values()]
    home = next((parameter.device for parameter in model.module.parameters()), torch.device("cpu"))
    with untouched(model.module):
        found = measure(model, images, probes, places=places, device=home)
    return turned(model.sites, {name: each.compute() for name, each in zip(wanted, found, strict=True)})
