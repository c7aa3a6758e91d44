"""How alike first layers answer to the same images (linear CKA), beside how alike their profiles are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ....formulas.alignment import cka_of_filters, linear_cka
from ....formulas.spectrum import Basis
from .architectures import DEEP, RESIDUAL
from .pairs import bank_of, r_of
from .profiles import chosen
from .settings import RANDOM
from .trainings import Learnt

IMAGES = 100
EVERY = 4  # rows and columns from one place that is taken to the next
DRAWN = 5  # sets of random filters


def measure_responses(
    learnt: Sequence[Learnt], seen: np.ndarray, basis: Basis, covariance: np.ndarray, seed: int
) -> dict[str, Any]:
    """Every pair of first layers: r of profiles, CKA of filters' answers, and of what leaves the rectifier.

    Shapes: seen (n, 3, H, W) held out, as networks see them. What comes back, by kind of pair: (pairs,) each.
    """
    nets = {"true": chosen(learnt, DEEP), "random labels": chosen(learnt, DEEP, RANDOM),
            "resnet20": chosen(learnt, RESIDUAL)}  # fmt: skip
    raw = {name: [net.raw() for net in found] for name, found in nets.items()}
    raw["untrained"] = [net.raw(0) for net in nets["true"]]
    raw["normal"] = _drawn(raw["true"][0].shape, seed)
    passed = {name: [answers(seen, net.folded, net.offset) for net in found] for name, found in nets.items()}
    passed["untrained"] = [answers(seen, *standardised(bank, basis, covariance)) for bank in raw["untrained"]]
    kinds = [("true", "true"), ("true", "random labels"), ("true", "resnet20"), ("true", "untrained"),
             ("untrained", "untrained"), ("true", "normal")]  # fmt: skip
    found = {}
    for one, other in kinds:
        places = [(i, j) for i in range(len(raw[one])) for j in range(len(raw[other])) if one != other or i < j]
        if one in nets and other == "untrained":
            places = [(i, j) for i, j in places if i != j]  # not its own beginning
        found[f"{one}, {other}"] = {
            "r": np.array([_r(raw[one][i], raw[other][j], basis) for i, j in places]),
            "filters": np.array([cka_of_filters(raw[one][i].reshape(len(raw[one][i]), -1),
                                                raw[other][j].reshape(len(raw[other][j]), -1), covariance)
                                 for i, j in places]),
            "passed": np.array([linear_cka(passed[one][i], passed[other][j], debiased=True) for i, j in places]
                               if other in passed else []),
        }  # fmt: skip
    return found


def answers(seen: np.ndarray, filters: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """What leaves the rectifier, at places apart. Shapes: filters (K, C, kh, kw), offset (K,) -> (n, K)."""
    with torch.no_grad():
        maps = F.conv2d(torch.from_numpy(seen).float(), torch.from_numpy(filters).float(),
                        torch.from_numpy(offset).float(), stride=EVERY)  # fmt: skip
    return maps.clamp(min=0).permute(0, 2, 3, 1).reshape(-1, len(filters)).double().numpy()


def standardised(bank: np.ndarray, basis: Basis, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A bank as a batch norm that has learnt nothing leaves it: answers of deviation 1, of mean 0 up to the input's."""
    flat = bank.reshape(len(bank), -1)
    deviation = np.sqrt(np.einsum("kd,de,ke->k", flat, covariance, flat))
    return (flat / deviation[:, None]).reshape(-1, *basis.shape), np.zeros(len(bank))


def _drawn(shape: Mapping[int, int] | tuple[int, ...], seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(tuple(shape)) for _ in range(DRAWN)]


def _r(one: np.ndarray, other: np.ndarray, basis: Basis) -> float:
    return r_of(bank_of("", one, basis).energy[: basis.rank], bank_of("", other, basis).energy[: basis.rank])
