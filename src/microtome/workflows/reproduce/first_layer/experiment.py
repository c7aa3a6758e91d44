"""`microtome reproduce first-layer`: what the first layer of a convolutional network learns, with controls.

The source document is a reproduction (Chadha and Sahu) of Chowers and Weiss, What do CNNs learn in the first layer and
why? A linear systems perspective (2023).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....formulas.first_filters import FirstFilters
from ....formulas.patch_frequency import colour_axes
from ....formulas.spectrum import Basis, principal_axes
from ....network.model import Model
from ....network.zoo import CIFAR_PROFILES
from ....progress import Progress, Silent
from ....runs.answers import VERSION
from ....statistics import PatchCovariance, Patches, patches_of
from ....store import write_bytes, write_json
from ..claims import Claim, as_numbers
from ..parts import Parts, plain
from ..sheet import COLOURS, write_png
from .architectures import DEEP
from .claims import claims_of
from .data import OTHERS, Data, Pictures, gather, shared_sets, shared_weights
from .drawing import draw_frequencies, draw_frozen, draw_linear, draw_profiles, draw_rings, draw_steps
from .elsewhere import measure_elsewhere
from .frozen import measure_frozen
from .growth import measure_growth
from .linear import measure_linear
from .page import page
from .peaks import measure_peaks
from .pretrained import as_array, measure_pretrained, models
from .profiles import chosen, measure_profiles
from .responses import IMAGES, measure_responses
from .settings import OWN, Settings
from .trainings import Learnt, train_all

KERNEL = (3, 3)
SUM_OF = 4000  # pictures of the linear network: labels times average patches take room
DRAWN = ("resnet20", "squeezenet1_0")  # of the pretrained networks, whose frequencies are drawn


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """The claims, all numbers, and the folder in which they are."""

    out: Path
    claims: tuple[Claim, ...]
    numbers: dict[str, Any]


def reproduce(
    images: Path, out: Path, settings: Settings | None = None, progress: Progress | None = None, *,
    others: Mapping[str, Path] | None = None, weights: Mapping[str, Path] | None = None,
) -> Reproduced:  # fmt: skip
    """Train (or take from `out` what was trained there like this), measure, and write the table of claims.

    `images` holds train and test; `others` are folders of other data sets and `weights` files of trained networks, by
    default those among the shared data. Whatever is done is kept, so that a call that was broken off goes on. Writes
    claims.md, claims.json and the pictures. Raises: BadImages, BadModel.
    """
    settings, progress = settings or Settings(), progress or Silent()
    others = shared_sets() if others is None else others
    weights = shared_weights() if weights is None else weights
    out.mkdir(parents=True, exist_ok=True)
    data = gather(images, others, settings, out / "parts", progress)
    learnt = train_all(settings, data, out / "networks", progress)
    pretrained = models(weights)
    key = {"version": VERSION, "settings": asdict(settings), "images": data.mark,
           "pretrained": [model.fingerprint for model in pretrained.values()]}  # fmt: skip
    numbers = _measured(data, learnt, pretrained, others, settings, Parts(out / "parts", key, progress))
    claims = claims_of(numbers)
    write_bytes(out / "claims.md", "\n".join(page(claims, numbers)).encode())
    write_json(out / "claims.json", plain({"claims": as_numbers(claims)} | numbers))
    _draw(out, learnt, pretrained, numbers, patches_in(data[OWN]))
    return Reproduced(out=out, claims=tuple(claims), numbers=numbers)


def patches_in(pictures: Pictures) -> Patches:
    """All patches of the training images as networks see them."""
    return patches_of(seen(pictures.pixels), PatchCovariance(kernel=KERNEL, method="bands"))


def seen(pixels: np.ndarray) -> torch.Tensor:
    """Pixels as networks are given them. Shapes: (N, 3, H, W) uint8 -> the same, float32."""
    return CIFAR_PROFILES.normalise(torch.from_numpy(pixels))


def _measured(
    data: Data, learnt: Sequence[Learnt], pretrained: Mapping[str, Model], others: Mapping[str, Path],
    settings: Settings, known: Parts,
) -> dict[str, Any]:  # fmt: skip
    patches = {name: patches_in(pictures) for name, pictures in data.sets.items()}
    bases = {name: principal_axes(found.covariance, found.shape) for name, found in patches.items()}
    own, covariance, draws, seed = bases[OWN], patches[OWN].covariance, settings.draws, settings.seed
    colours = colour_axes(covariance, own.shape)
    random = np.random.default_rng(seed)
    some = random.permutation(len(data[OWN].pixels))[:SUM_OF]
    asked = data[OWN].held_out[random.permutation(len(data[OWN].held_out))[:IMAGES]]
    photographs = others.get("photographs")
    numbers: dict[str, Any] = {
        "settings": asdict(settings), "about": _about(data, learnt, settings, patches[OWN], own),
        "profiles": known("profiles", "profiles and fits", lambda: measure_profiles(learnt, own, draws, seed)),
        "peaks": known("peaks", "frequencies", lambda: measure_peaks(learnt, own, colours, draws, seed)),
        "frozen": known("frozen", "fixed first layers", lambda: measure_frozen(learnt)),
        "responses": known("responses", "likeness of answers", lambda: measure_responses(
            learnt, seen(asked).numpy(), own, covariance, seed)),
        "linear": known("linear", "the linear network", lambda: measure_linear(
            seen(data[OWN].pixels[some]).numpy(), data[OWN].labels[some], own, draws, seed)),
        "elsewhere": known("elsewhere", "other data sets", lambda: measure_elsewhere(learnt, bases, seed)),
        "pretrained": known("pretrained", "trained networks of others", lambda: measure_pretrained(
            pretrained, own, photographs, draws, seed)),
    }  # fmt: skip
    nets = numbers["profiles"]["nets"]
    return numbers | {"growth": known("growth", "growth", lambda: measure_growth(nets, own.variance, seed))}


def _about(data: Data, learnt: Sequence[Learnt], settings: Settings, patches: Patches, basis: Basis) -> dict[str, Any]:
    first = chosen(learnt, DEEP)[0]
    filters = FirstFilters(
        layer="conv1", shape=basis.shape, bank={"raw": first.raw().reshape(len(first.raw()), -1)},
        covariance=patches.covariance, rounding=patches.rounding, mean=patches.mean, images=patches.images,
        patches=patches.count, exact=patches.exact, against="", seed=settings.seed,
    )  # fmt: skip
    return {
        "networks": len(learnt), "images": len(data[OWN].pixels), "held_out": len(data[OWN].held_out),
        "patches": patches.count, "seconds": float(sum(net.seconds for net in learnt)),
        "recipe": str(settings.recipe).rsplit(", seed", 1)[0],
        "warnings": [f"Of these images: {sentence}." for sentence in filters.unsafe()],
    }  # fmt: skip


def _draw(
    out: Path, learnt: Sequence[Learnt], pretrained: Mapping[str, Model], numbers: Mapping[str, Any], patches: Patches
) -> None:
    colours, first = colour_axes(patches.covariance, patches.shape), chosen(learnt, DEEP)[0]
    banks = {f"{DEEP} untrained": first.raw(0), f"{DEEP}, learnt": first.moved(), f"{DEEP}, as it is": first.raw()}
    banks |= {name: as_array(model) for name, model in pretrained.items() if name in DRAWN}
    figures = {
        "profiles": draw_profiles(numbers["profiles"]), "steps": draw_steps(numbers["profiles"]),
        "frozen": draw_frozen(numbers["frozen"]), "frequencies": draw_frequencies(banks, colours),
        "rings": draw_rings(banks, colours), "linear": draw_linear(numbers["linear"]),
    }  # fmt: skip
    for name, figure in figures.items():
        write_png(figure, out / f"{name}.png", COLOURS)


__all__ = ("OTHERS", "Reproduced", "reproduce")
