"""Blur the pixels that a reconstruction calls strongest, and see how far what it reconstructs falls."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import NotApplicable
from ...formulas.perturbation import (
    blurred,
    edge_strength,
    middle_area,
    random_area,
    replaced,
    strength,
    strongest_area,
)
from ..backward.gradcam import default_site, grad_cam
from ..backward.rules import Method
from ..backward.tracing import going_back, tracing
from ..chosen_units import Seat
from ..classes import logits_site
from ..model import Model
from ..randomised import randomised
from ..recording.inputs import like_parameters
from ..responses import Pick, responses, unit_at
from ..specimen import Specimen

GRAD_CAM = "gradcam"  # for the network's answer alone: it explains classes
SHUFFLED = "deconvnet, weights shuffled"  # maps of a copy that has learnt nothing


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one image is tested for: a unit's position, and the box of pixels that it sees.

    Shapes: pixels (C, H, W), as of `Images.pixels`; box top, left, bottom, right, bottom and right excluded. `image` is
    its place in the set: random areas are drawn from it.
    """

    pixels: np.ndarray
    image: int
    channel: int
    place: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Pointing:
    """What is left of targets after areas are blurred.

    Shapes, n targets and q quantities of each (a unit's activation; a class's logit and probability): before, edges,
    middle (n, q); after, by the maps' name, (n, q); random, by the maps' name, (n, draws, q). `refused` says why
    there are no maps of a name.
    """

    before: np.ndarray
    edges: np.ndarray
    middle: np.ndarray
    after: dict[str, np.ndarray]
    random: dict[str, np.ndarray]
    refused: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Tests maps of one model; `draws` random areas stand beside each area. Units: sigma in longer sides.

    `control` gives the copy with shuffled weights; without it one is made.
    """

    model: Model
    methods: tuple[Method, ...]
    share: float
    draws: int
    sigma: float
    seed: int
    control: Callable[[], Model] | None = None

    @cached_property
    def shuffled(self) -> Model | str:
        """A copy with the numbers of every parameter in random order, or why it cannot be copied."""
        try:
            return self.control() if self.control else randomised(self.model, self.seed)
        except NotApplicable as error:
            return str(error)

    @cached_property
    def evidence_site(self) -> str:
        """Where Grad-CAM reads."""
        return default_site(self.model)

    def units(self, site: str, targets: Sequence[Target]) -> Pointing:
        """How far units fall at their positions."""
        where = self.model.sites[site]
        units = [unit_at(where, target.channel, target.place) for target in targets]
        images = self._normalised([target.pixels for target in targets])
        strengths, refused = self._strengths(images, site, units)
        return self.judged(site, targets, strengths, [activation_of(unit) for unit in units], refused)

    def answers(self, pixels: Sequence[np.ndarray], index: Sequence[int]) -> tuple[np.ndarray, Pointing]:
        """The class that each image is given, (n,), and how far its logit above the mean of all classes and its
        probability fall.
        """
        logits, images = logits_site(self.model), self._normalised(pixels)
        chosen = responses(self.model, images, logits, lambda row: row.argmax(1)).astype(int)
        whole = (0, 0, *self.model.preprocessing.size)
        targets = [
            Target(pixels=each, image=image, channel=int(answer), place=0, box=whole)
            for each, image, answer in zip(pixels, index, chosen, strict=True)
        ]
        strengths, refused = self._strengths(images, logits, [(int(answer),) for answer in chosen])
        try:
            heat = grad_cam(self.model, images, chosen.tolist(), self.evidence_site)
            strengths[GRAD_CAM] = heat.enlarged(self.model.preprocessing.size)
        except NotApplicable as error:
            refused[GRAD_CAM] = str(error)
        picks = [logit_and_probability(int(answer)) for answer in chosen]
        return chosen, self.judged(logits, targets, strengths, picks, refused)

    def judged(
        self, site: str, targets: Sequence[Target], strengths: Mapping[str, np.ndarray], picks: Sequence[Pick],
        refused: Mapping[str, str],
    ) -> Pointing:  # fmt: skip
        """How far what `picks` take of a site falls by maps of these strengths.

        Shapes: strengths by name (n, H, W), one map a target.
        """
        images = self._normalised([target.pixels for target in targets])
        left = [
            self._left(site, target, images[n], {name: of[n] for name, of in strengths.items()}, picks[n])
            for n, target in enumerate(targets)
        ]  # each (1 + 2 + sources * (1 + draws), q)
        values = np.stack(left)
        tested = values[:, 3:].reshape(len(targets), len(strengths), 1 + self.draws, values.shape[2])
        return Pointing(
            before=values[:, 0], edges=values[:, 1], middle=values[:, 2], refused=dict(refused),
            after={name: tested[:, place, 0] for place, name in enumerate(strengths)},
            random={name: tested[:, place, 1:] for place, name in enumerate(strengths)},
        )  # fmt: skip

    def _strengths(
        self, images: Tensor, site: str, units: Sequence[tuple[int, ...]]
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """By method, and of the shuffled copy; and why there are none."""
        strengths, refused = strengths_of(self.model, images, site, units, self.methods)
        if isinstance(self.shuffled, str):
            refused[SHUFFLED] = self.shuffled
        elif "deconvnet" in strengths:
            found, _ = strengths_of(self.shuffled, images, site, units, ("deconvnet",))
            strengths[SHUFFLED] = found["deconvnet"]
        return strengths, refused

    def _left(
        self, site: str, target: Target, image: Tensor, strengths: dict[str, np.ndarray], pick: Pick
    ) -> np.ndarray:
        """The quantities of one target: untouched, without edges, without the middle, then without each map's area
        and its random areas.
        """
        areas = torch.from_numpy(np.stack(self._areas(target, strengths))).to(image.device)
        changed = replaced(image[None], areas, blurred(image, self.sigma)[None])
        found = responses(self.model, torch.cat([image[None], changed]), site, pick)
        return found.reshape(len(found), -1)

    def _areas(self, target: Target, strengths: dict[str, np.ndarray]) -> list[np.ndarray]:
        top, left, bottom, right = target.box
        inside = slice(top, bottom), slice(left, right)
        # a target draws the same whatever is tested beside it
        random = np.random.default_rng([self.seed, target.image, target.channel, target.place])
        edges = edge_strength(target.pixels)
        areas = [strongest_area(edges[inside], self.share), middle_area((bottom - top, right - left), self.share)]
        for found in strengths.values():
            area = strongest_area(found[inside], self.share)
            areas += [area, *(random_area(area, random) for _ in range(self.draws))]
        placed = [np.zeros(edges.shape, bool) for _ in areas]
        for whole, area in zip(placed, areas, strict=True):
            whole[inside] = area
        return placed

    def _normalised(self, pixels: Iterable[np.ndarray]) -> Tensor:
        stacked = torch.from_numpy(np.stack(list(pixels)))
        home = next((each.device for each in self.model.module.parameters()), torch.device("cpu"))
        return self.model.preprocessing.normalise(stacked.to(home))


def strengths_of(
    model: Model, images: Tensor, site: str, units: Sequence[tuple[int, ...]], methods: Sequence[Method]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The strength of reconstructions of one unit an image, and why there are none by some methods.

    All images go back together, which is exact because images do not mix, from a seed of 1: the rules are positively
    homogeneous, so the order of pixels is that of any positive activation. A unit that does not fire has a map too.
    Shapes: images (n, C, H, W), normalised; a unit is its place in one image's tensor -> by method (n, H, W).
    """
    found, refused = dict[str, np.ndarray](), dict[str, str]()
    with tracing(model, like_parameters(images, model.module), site) as trace:
        seed = torch.zeros_like(trace.activation)
        for image, unit in enumerate(units):
            seed[image][unit] = 1
        for method in methods:
            try:
                with going_back(trace, method):
                    found[method] = strength(trace.back(seed).detach().double().cpu().numpy())
            except NotApplicable as error:
                refused[method] = str(error)
    return found, refused


def activation_of(unit: tuple[int, ...]) -> Pick:
    """What stands at a unit's place in each image's tensor."""
    where: tuple[Any, ...] = (slice(None), *unit)
    return lambda tensor: tensor[where]


def logit_and_probability(answer: int) -> Pick:
    """A class's logit above the mean of all, which are free up to a common constant, and its probability."""

    def pick(row: Tensor) -> Tensor:
        logits = row.double()
        return torch.stack([logits[:, answer] - logits.mean(1), torch.softmax(logits, 1)[:, answer]], 1)

    return pick


def tested_seats(specimen: Specimen, pointer: Pointer, site: str, seats: Sequence[Seat]) -> dict[str, Any]:
    """The fields of `Pointing` for units at a site on images of the set, and unit and index (n,); without a site for
    the class that the network gives each image.
    """
    units, index, places = np.array(seats).T
    images = specimen.need_images("A test of maps")
    pixels = [images.pixels(int(image)) for image in index]
    if not site:
        units, found = pointer.answers(pixels, index.tolist())
    else:
        boxes = specimen.boxes(site, places).tolist()
        targets = [
            Target(pixels=each, image=image, channel=unit, place=place, box=tuple(box))
            for each, (unit, image, place), box in zip(pixels, seats, boxes, strict=True)
        ]
        found = pointer.units(site, targets)
    return {**vars(found), "unit": units, "index": index}


def falls_of(states: Sequence[Mapping[str, Any]], quantity: int) -> dict[str, Any]:
    """The falls, 1 - after / before, of one quantity in all tests together, without those where it is not above 0.

    States have the fields of `Pointing`, and unit and index (n,). Shapes: falls and random (mean of the draws), by the
    maps' name, edges, middle, unit, index (m,); left_out says how many are left out.
    """
    if not states:
        nothing = {name: np.zeros(0) for name in ("edges", "middle")}
        none = {name: np.zeros(0, int) for name in ("unit", "index")}
        return {"falls": {}, "random": {}, **nothing, **none, "left_out": 0}
    before = np.concatenate([state["before"][..., quantity] for state in states])
    kept = before > 0

    def fall(parts: list[np.ndarray]) -> np.ndarray:
        after = np.concatenate([part[..., quantity] for part in parts])[kept]
        found: np.ndarray = 1 - after / before[kept].reshape(-1, *[1] * (after.ndim - 1))
        return found

    sources = list(states[0]["after"])
    return {
        "falls": {source: fall([state["after"][source] for state in states]) for source in sources},
        "random": {source: fall([state["random"][source] for state in states]).mean(1) for source in sources},
        "edges": fall([state["edges"] for state in states]), "middle": fall([state["middle"] for state in states]),
        "unit": np.concatenate([state["unit"] for state in states])[kept],
        "index": np.concatenate([state["index"] for state in states])[kept], "left_out": int((~kept).sum()),
    }  # fmt: skip
