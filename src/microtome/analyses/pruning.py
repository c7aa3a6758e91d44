"""Which channels could go: four criteria as ranks, what each is worth to the loss, and what does the same."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..analysis import Analysis, Jobs, Limit, Pass, Request, Result, Steps, each, setting, unread_layers
from ..cards import Card, Column, Finding, Table, Text, layer_link
from ..checks import at_least, known
from ..formulas.correlation import rank_correlation
from ..formulas.pruning import IMPORTANT, REASONS, TWIN, Measured, percentile
from ..formulas.selectivity import sparseness
from ..formulas.stimuli import curated
from ..network.responses import responses
from ..network.specimen import Specimen
from ..network.trials.effects import Surgeon, parts_of
from ..network.trials.silencing import before_the_logits
from ..network.trials.silencing_plan import images_together
from ..statistics import MeanMap, Taylor

TITLE = "What could go"
IMPORTANCE = ("taylor", "ablation")
SHUFFLES = 200  # of importance within layers, for the correlation that comes out by chance
ByLayer = dict[str, np.ndarray]


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The loss of every image, 0 for one without a label. Shapes: (N, K), (N,) -> (N,)."""
    return F.cross_entropy(outputs, labels, reduction="none", ignore_index=-1)


@dataclass(frozen=True, kw_only=True)
class PruningResult(Result):
    """Everything by layer, U its units.

    `by` says how importance was measured, on `judged` images: to first order (taylor), or by silencing (ablation).
    Shapes: see `formulas.pruning.Measured`, whose arrays these are, (U,) each.
    """

    by: str
    images: int
    judged: int
    std: ByLayer
    active: ByLayer
    noise: ByLayer
    contrast: ByLayer
    stimuli: ByLayer
    maps: ByLayer
    importance: ByLayer
    redundancy: ByLayer
    twin: ByLayer

    def of(self, layer: str) -> Measured:
        """What is known of a layer's units."""
        return Measured(**{name: getattr(self, name)[layer] for name in Measured.__dataclass_fields__})

    def findings(self) -> list[Finding]:
        units = sum(map(len, self.std.values()))
        candidates = {layer: self._candidates(layer) for layer in self.std}
        total, most = sum(candidates.values()), max(candidates, key=lambda layer: candidates[layer])
        rho, chance = self.agreement()
        return [Finding(
            sentence=f"{total:,} of {units:,} units are condemned by a criterion and not among the important half "
            f"of their layer, {candidates[most]:,} of them in {most}; `microtome prune` measures what removing costs",
            number=total, weight=min(0.6, 0.2 + total / max(1, units)), link=layer_link(most, "sort=keep"),
            control=_beside(rho, chance),
        )]  # fmt: skip

    def agreement(self) -> tuple[float, float]:
        """Rank correlation of criteria and importance, ranks within layers, and its 95% point by chance."""
        layers = [(self.of(layer).keep, percentile(self.importance[layer])) for layer in self.std]
        keep, importance = (np.concatenate(each) for each in zip(*layers, strict=True))
        known = ~np.isnan(importance)
        random = np.random.default_rng(0)
        chance = [
            rank_correlation(keep[known], np.concatenate([random.permutation(each) for _, each in layers])[known])
            for _ in range(SHUFFLES)
        ]
        beside = np.array(chance)[~np.isnan(chance)]
        return rank_correlation(keep[known], importance[known]), (
            float(np.quantile(beside, 0.95)) if len(beside) else float("nan")
        )

    def _candidates(self, layer: str) -> int:
        of = self.of(layer)
        return int((np.any(list(of.flags().values()), axis=0) & ~of.spared).sum())

    def columns(self) -> list[Column]:
        return [
            Column(name="keep", values={k: self.of(k).keep for k in self.std}, good="high",
                   how_to_read="Mean rank in its layer by four criteria: how much it varies, how unlike noise its "
                   "filter is, how much there is to see in its superstimulus, how selective it is; 0 the first to go."),
            Column(name="importance", values=self.importance, good="high",
                   how_to_read=f"{self._what()[0].upper()}{self._what()[1:]}."),
        ]  # fmt: skip

    def _what(self) -> str:
        """What importance is, in words."""
        what = ("how far the loss would move to first order if it were 0" if self.by == "taylor" else
                "by how much the loss rises when it is replaced by its mean")  # fmt: skip
        return f"{what}, mean over {self.judged:,} images"

    def cards(self) -> list[Card]:
        rows: list[tuple[str | int | float, ...]] = []
        for layer in self.std:
            of = self.of(layer)
            counts = {name: int(flags.sum()) for name, flags in of.flags().items()}
            rows.append((layer, len(of.std), *counts.values(), int(of.spared.sum()), self._candidates(layer)))
        rho, chance = self.agreement()
        table = Card(
            title=TITLE, content=Table(header=("layer", "units", *REASONS, "too important", "could go"),
                                       rows=tuple(rows), links=tuple(layer_link(k) for k in self.std)),
            how_to_read="How many units each criterion condemns; a unit may be condemned by several. Too important: "
            f"the half of the layer with the largest importance ({self._what()}), unless another unit does the same "
            f"(r > {TWIN}).",
            control=f"Looking like noise is not being unimportant: {_beside(rho, chance)}. `microtome prune` removes "
            "such units for real, beside as many random ones.",
        )  # fmt: skip
        return [table, *map(self._unit_card, self.std)]

    def _unit_card(self, layer: str) -> Card:
        of = self.of(layer)
        keep, spared, among = of.keep, of.spared, percentile(of.importance)
        lines = []
        for unit in range(len(keep)):
            stays = "it is among the important half and stays" if spared[unit] else "it could go"
            lines.append(f"Rank {keep[unit]:.0%}: {of.reason(unit)}. By importance above {among[unit]:.0%} of the "
                         f"layer: {stays}.")  # fmt: skip
        return Card(
            title="Could it go?", layer=layer, per_unit=True, section="numbers", content=Text(lines=tuple(lines)),
            how_to_read="Its mean rank among the layer's units by four criteria (0% is the first to go), what speaks "
            f"most against it, and how important it is: {self._what()}.",
            control=f"Units above {IMPORTANT:.0%} by importance are not removed, unless they have a twin.",
        )  # fmt: skip


def _beside(rho: float, chance: float) -> str:
    """The criteria's agreement with importance in words."""
    if np.isnan(rho) or np.isnan(chance):
        return "all units are alike by the criteria or by importance to the loss, so the two cannot be compared"
    return (f"rank correlation of these criteria with importance to the loss {rho:.2f}; with importance shuffled "
            f"within layers below {chance:.2f} in 95 of 100")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pruning(Analysis):
    """Which channels could go, and what speaks against it?"""

    topic = "well"
    result = PruningResult
    requires = ("activity", "twins", "labels", "superstimuli")

    importance: str = setting("taylor", help="taylor: to first order, on all images; ablation: each unit silenced")
    ablation_images: int = setting(128, help="labelled images, at most, that ablation measures the loss on")
    patterns: int = setting(30, help="curated stimuli that selectivity is measured over; 0: none")

    def check(self, specimen: Specimen) -> None:
        specimen.need_images(self.name)
        specimen.need_labels()
        known("Importance", self.importance, IMPORTANCE, "Set pruning.importance to one of them")
        at_least("pruning.ablation_images", self.ablation_images, 1)

    def limits(self, specimen: Specimen) -> list[Limit]:
        return unread_layers(specimen)

    def steps(self, specimen: Specimen) -> Steps:
        self.check(specimen)
        reading = specimen.reading()
        images = specimen.need_images(self.name)
        importance, judged = yield from self._importance(specimen, reading)
        where = yield Pass(maps=each(reading, MeanMap()))
        layers = tuple(reading) if self.patterns else ()
        asked = yield Jobs(key="answers to curated stimuli", items=layers,
                           function=lambda some: [_answers(specimen, reading[layer], self.patterns) for layer in some],
                           words="answers to curated stimuli")  # fmt: skip
        stimuli = {layer: sparseness(found) for layer, found in zip(layers, asked, strict=True)}
        found = {layer: _of_layer(specimen, layer, importance[layer], where["maps"][layer],
                                  stimuli.get(layer)) for layer in reading}  # fmt: skip
        by_name: dict[str, ByLayer] = {name: {layer: of[name] for layer, of in found.items()}
                                       for name in Measured.__dataclass_fields__}  # fmt: skip
        return PruningResult(by=self.importance, images=len(images) - len(images.broken), judged=judged, **by_name)

    def _importance(
        self, specimen: Specimen, reading: Mapping[str, str]
    ) -> Generator[Request, Any, tuple[ByLayer, int]]:  # fmt: skip
        """Of every unit, and on how many images; NaN behind the logits, where nothing can be silenced before them."""
        images = specimen.need_images(self.name)
        if self.importance == "taylor":
            answers = yield Pass(importance=each(reading, Taylor()), loss=cross_entropy)
            return answers["importance"], len(images) - len(images.broken)
        where = before_the_logits(specimen.model, reading)
        units = {layer: tuple(range(specimen.sites[layer].units)) for layer in where}
        means, surgeon = specimen.results["activity"].mean, Surgeon(specimen=specimen, where=where)
        order = np.argsort(images.hashes, kind="stable")
        places = images.readable(order[images.labels[order] >= 0], self.ablation_images)
        found = yield Jobs(
            key=f"loss with each unit silenced, {len(places)} images",
            items=parts_of(places, images_together(specimen.sites, where)),
            function=lambda some: [surgeon.losses(part, units, means) for part in some],
        )  # fmt: skip
        rises = {k: np.concatenate([part["after"][k] - part["before"] for part in found], 1).mean(1) for k in where}
        unknown = {k: np.full(specimen.sites[k].units, np.nan) for k in reading}
        return unknown | rises, len(places)


def _answers(specimen: Specimen, site: str, count: int) -> np.ndarray:
    """The largest answer of every unit to each stimulus, at least 0. Shapes: -> (C, count)."""
    preprocessing = specimen.model.preprocessing
    pictures = torch.from_numpy(curated(preprocessing.size, preprocessing.channels)[:count])
    axis = specimen.sites[site].channel_axis

    def largest(tensor: Tensor) -> Tensor:
        moved = tensor.movedim(axis, 1)
        return moved.reshape(*moved.shape[:2], -1).amax(2).clamp(min=0)

    return responses(specimen.model, preprocessing.normalise(pictures), site, largest).T


def _of_layer(
    specimen: Specimen, layer: str, importance: np.ndarray, mean_map: np.ndarray, stimuli: np.ndarray | None
) -> Mapping[str, Any]:
    """All that is known of a layer's units, from this analysis and those that it requires."""
    results, unknown = specimen.results, np.full(len(importance), np.nan)
    activity, twins, labels, grown = (results[name] for name in Pruning.requires)
    contrast = unknown.copy()
    if layer in grown.units:
        contrast[grown.units[layer]] = np.where(grown.dead[layer], 0.0, grown.contrast[layer])
    single = len(importance) < 2
    return {
        "std": activity.std[layer], "active": activity.active[layer], "noise": labels.p.get(layer, unknown),
        "contrast": contrast, "stimuli": unknown if stimuli is None else stimuli,
        "maps": sparseness(mean_map) if mean_map.shape[1] > 1 else unknown, "importance": importance,
        "redundancy": unknown if single else twins.correlation[layer][:, 0],
        "twin": np.full(len(importance), -1) if single else twins.twin[layer][:, 0],
    }  # fmt: skip
