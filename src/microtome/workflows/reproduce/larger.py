"""SqueezeNet with ImageNet weights beside the small network, at layers of matching depth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...formulas.perturbation import strength
from ...formulas.specificity import concentration
from ...network.backward.projection import Projector
from ...network.backward.tracing import Trace, tracing_all
from ...network.model import Model
from ...network.open import open_model
from ...progress import Progress
from .concentration import MAP, UNIT
from .data import squeezed

NAME = "torchvision:squeezenet1_0"
# Each stage, and how many of its 18 convolutions in a row lie up to there: a fire module is two.
STAGES = {"features.1": 1, "features.3.cat": 3, "features.4.cat": 5, "features.5.cat": 7, "features.7.cat": 9,
          "features.8.cat": 11, "features.9.cat": 13, "features.10.cat": 15, "features.12.cat": 17}  # fmt: skip
CONVOLUTIONS = 18


@dataclass(frozen=True, kw_only=True)
class Larger:
    """Shares of energy in the strongest tenth by kind and site (N,), on the small network's own grid of pixels; maps by
    kind and site (n, 3, H, W), of the first n files.
    """

    sites: tuple[str, ...]
    shares: dict[str, dict[str, np.ndarray]]
    maps: dict[str, dict[str, np.ndarray]]


def matching(places: Sequence[int], layers: int) -> tuple[str, ...]:
    """The stage whose relative depth is nearest to that of each of the small network's layers (counted from 0)."""
    return tuple(min(STAGES, key=lambda site: abs(STAGES[site] / CONVOLUTIONS - (place + 1) / layers))
                 for place in places)  # fmt: skip


def look_at_larger(
    weights: Path, files: Sequence[Path], sites: tuple[str, ...], side: int, kept: int, progress: Progress
) -> Larger:
    """Lead the strongest channel of each site back, its strongest place and all of its map.

    The pixels of the reconstructions are put together to `side` of them before shares are taken, so that both networks
    are measured on the same grid.
    """
    model = open_model(f"{NAME}@{weights}")
    shares: dict[str, dict[str, list[float]]] = {kind: {site: [] for site in sites} for kind in (UNIT, MAP)}
    maps: dict[str, dict[str, list[np.ndarray]]] = {kind: {site: [] for site in sites} for kind in (UNIT, MAP)}
    with progress.bar("SqueezeNet", len(files), "image") as advance:
        for number, file in enumerate(files):
            with tracing_all(model, _prepared(model, file), dict.fromkeys(sites)) as traces:
                for site in sites:
                    for kind, map_ in zip((UNIT, MAP), _led_back(traces[site]), strict=True):
                        shares[kind][site].append(concentration(put_together(map_, side)))
                        if number < kept:
                            maps[kind][site].append(map_)
            advance(1)
    return Larger(sites=sites, shares={kind: {site: np.array(values) for site, values in of.items()}
                                       for kind, of in shares.items()},
                  maps={kind: {site: np.array(values) for site, values in of.items()}
                        for kind, of in maps.items()})  # fmt: skip


def put_together(map_: np.ndarray, side: int) -> np.ndarray:
    """The root of the mean energy of the pixels that fall together. Shapes: (C, H, W) -> (1, side, side)."""
    energy = torch.from_numpy(np.square(strength(map_)))[None]
    pooled: np.ndarray = F.adaptive_avg_pool2d(energy, side).sqrt().numpy()
    return pooled


def _prepared(model: Model, file: Path) -> torch.Tensor:
    """The same square picture as the small network is given, larger."""
    preprocessing = replace(model.preprocessing, resize=0)
    return preprocessing.normalise(torch.from_numpy(squeezed(file, preprocessing.size[0]))[None])


def _led_back(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """The strongest place of the strongest channel, and all of that channel. Shapes: -> (3, H, W), (3, H, W)."""
    activation = trace.activation[0]
    channel = int(activation.amax((1, 2)).argmax())
    rows, columns = np.nonzero(activation[channel].detach().cpu().numpy() > 0)
    place = divmod(int(activation[channel].argmax()), activation.shape[2])
    projector = Projector(trace, "deconvnet")
    unit = projector.project([(0, channel, *place)]).in_place()[0]
    map_ = projector.together([(0, channel, int(row), int(column)) for row, column in zip(rows, columns, strict=True)])
    return unit.double().cpu().numpy(), map_[0].double().cpu().numpy()
