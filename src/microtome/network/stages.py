"""The stages that a unit's map goes through: before its rectifier, after it, after the pool."""

from dataclasses import dataclass

import numpy as np

from ..formulas.pooling import Windows, lost_by_average, lost_by_max
from .recording.receptive_field import ReceptiveField
from .recording.sites import Site, Sites
from .specimen import Specimen

# Operations that make no value larger in magnitude: what they throw away is a share of the energy.
RECTIFIERS = frozenset(
    word + ending
    for word in ("relu", "relu6", "leaky_relu", "elu", "celu", "gelu", "silu", "hardswish", "mish")
    for ending in ("", "_")
) | frozenset(("ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "GELU", "SiLU", "Hardswish", "Mish"))
POOLS = {
    "MaxPool2d": lost_by_max, "max_pool2d": lost_by_max, "AdaptiveMaxPool2d": lost_by_max,
    "adaptive_max_pool2d": lost_by_max, "AvgPool2d": lost_by_average, "avg_pool2d": lost_by_average,
    "AdaptiveAvgPool2d": lost_by_average, "adaptive_avg_pool2d": lost_by_average,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Where to measure the stages of a site, as addresses; None where there is no such stage."""

    before: str | None
    after: str
    pool: str | None

    @property
    def addresses(self) -> dict[str, str]:
        """The stages there are, in order."""
        found = {"before": self.before, "after": self.after, "pool": self.pool}
        return {name: address for name, address in found.items() if address is not None}


def stages(sites: Sites, name: str) -> Stages:
    """The stages of a layer, or of any other site or container.

    A layer's rectifier is the operation behind which its units are read, if that is a rectifier; any other site's the
    site itself, or the only one that takes it. The pool is the only one that takes the rectifier's output.
    Raises: UnknownName.
    """
    site = sites[sites.resolve(name)]
    here = sites[site.read] if site.read else site
    if here.operation not in RECTIFIERS:
        taker = _only_taker(sites, here)
        here = taker if taker is not None and taker.operation in RECTIFIERS else here
    taker = _only_taker(sites, here)
    pool = taker.name if taker is not None and taker.operation in POOLS and taker.batched else None
    return Stages(before=f"{here.name}:in" if here.operation in RECTIFIERS else None, after=here.name, pool=pool)


def pool_loss(specimen: Specimen, found: Stages, maps: np.ndarray) -> np.ndarray:
    """Share of each map's energy that the pool throws away, see `formulas.pooling`; NaN where it cannot be said.

    A window spans all positions that one output sees, so a dilated pool counts as one without holes.
    Shapes: maps (C, H, W), whole -> (C,).
    """
    if found.pool is None:
        return np.full(len(maps), np.nan)
    windows = _windows(specimen, specimen.sites[found.after], specimen.sites[found.pool])
    return np.full(len(maps), np.nan) if windows is None else POOLS[specimen.sites[found.pool].operation](maps, windows)


def _only_taker(sites: Sites, site: Site) -> Site | None:
    takers = [other for other in sites.values() if site.name in other.inputs]
    return takers[0] if len(takers) == 1 else None


def _windows(specimen: Specimen, below: Site, pool: Site) -> Windows | None:
    """The windows of a pool in positions of its input, from the pixels that both see."""
    if len(below.extent) != 2 or len(pool.extent) != 2:
        return None
    if set(pool.extent) == {1} and "daptive" in pool.operation:
        return np.array([[0, below.extent[0]]]), np.array([[0, below.extent[1]]])
    inner, outer = (specimen.receptive_fields[site.name] for site in (below, pool))
    if not isinstance(inner, ReceptiveField) or not isinstance(outer, ReceptiveField):
        return None
    found = []
    pairs = zip((inner.rows, inner.columns), (outer.rows, outer.columns), below.extent, pool.extent, strict=True)
    for fine, coarse, length, count in pairs:
        start = (coarse.low - fine.low) // fine.stride + np.arange(count) * (coarse.stride // fine.stride)
        stop = start + (coarse.high - coarse.low - (fine.high - fine.low)) // fine.stride + 1
        found.append(np.stack([np.clip(start, 0, length), np.clip(stop, 0, length)], axis=1))
    return found[0], found[1]
