"""Networks that others have trained to the end: ResNets on CIFAR-10, and SqueezeNet with 7 x 7 filters on ImageNet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....formulas.profile_fit import fit_profile, null_of_fits, s_interval
from ....formulas.spectrum import Basis, energy_profile, principal_axes
from ....images.sources import open_images
from ....network.model import Model
from ....network.open import open_model
from ....network.parts.first_convolution import SCALES, Scale, filter_bank, first_convolution, normalised_behind
from ....network.training import in_memory
from ....network.zoo import ZOO
from ....statistics import PatchCovariance, patches_of
from .pairs import Bank, alike, chance, within
from .profiles import QUANTILES

PHOTOGRAPHS = 200  # of ImageNet's, whose patches a larger kernel is measured on
WINDOWS = 200_000


def models(weights: Mapping[str, Path]) -> dict[str, Model]:
    """The networks by name: of the zoo, or else of torchvision. Raises: BadModel."""
    return {name: open_model(f"{'zoo' if name in ZOO else 'torchvision'}:{name}@{path}")
            for name, path in weights.items()}  # fmt: skip


def measure_pretrained(
    found: Mapping[str, Model], basis: Basis, photographs: Path | None, draws: int, seed: int
) -> dict[str, Any]:
    """Profiles and fits of every network, and how alike those are that share a basis; empty without networks."""
    nets: dict[str, Any] = {}
    banks: list[Bank] = []
    for name, model in found.items():
        shape = tuple(first_convolution(model).weight.shape[1:])
        own = basis if shape == basis.shape else _own_basis(model, photographs)
        if own is None:
            continue
        scales = [scale for scale in SCALES if scale != "batch norm" or normalised_behind(model)]
        nets[name] = {"shape": list(shape), "patches": "own" if own is basis else "photographs",
                      "scales": {scale: _fitted(model, own, scale, draws, seed) for scale in scales}}  # fmt: skip
        if own is basis:
            banks.append(Bank(name=name, squares=energy_profile(filter_bank(model), basis).squares))
    counts = {len(bank.squares) for bank in banks}
    by_chance = {"chance": chance((min(counts), min(counts)), basis.rank, draws, seed)} if counts else {}
    return {"nets": nets, "alike": alike(within(banks), basis.rank), **by_chance}


def _fitted(model: Model, basis: Basis, scale: Scale, draws: int, seed: int) -> dict[str, Any]:
    profile = energy_profile(filter_bank(model, scale), basis)
    fit, null = (
        fit_profile(profile.energy, basis.variance),
        null_of_fits(len(profile.squares), basis.variance, draws, seed),
    )
    return {"energy": profile.energy, "predicted": fit.predicted, "r": fit.r, "r2": fit.r2, "s": fit.s,
            "s_interval": list(s_interval(profile.squares, basis.variance, draws, seed)), "whitened": fit.whitened,
            "r_deviation": fit.r_deviation, "null": [null.quantile(share) for share in QUANTILES],
            "p": null.p_value(fit.r), "filters": len(profile.squares)}  # fmt: skip


def _own_basis(model: Model, photographs: Path | None) -> Basis | None:
    """The axes of a larger kernel's patches, on photographs as the network sees them; None without photographs."""
    if photographs is None:
        return None
    pixels, _ = in_memory(open_images(photographs, model.preprocessing).limit(PHOTOGRAPHS))
    kernel = first_convolution(model).weight.shape[2:]
    seen = model.preprocessing.normalise(pixels)
    patches = patches_of(seen, PatchCovariance(kernel=(kernel[0], kernel[1]), windows=WINDOWS))
    return principal_axes(patches.covariance, patches.shape)


def as_array(model: Model) -> np.ndarray:
    """The filters as pictures. Shapes: -> (K, C, kh, kw)."""
    weight: torch.Tensor = first_convolution(model).weight
    return weight.detach().double().cpu().numpy()
