"""Whether a slice's cone lies in the convex hull of several others."""

from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from .cone_set import ConeSet, Status
from .funnel import not_behind
from .programs import solved
from .rotation import check_same_space
from .written_out import dual_rays, rows_of

LARGEST_GRID = 64  # places: the program has one unknown for every place and cone


@dataclass(frozen=True, kw_only=True)
class Hull:
    """Whether the hull holds the cone, and whether it holds everything: then nothing follows from that."""

    holds: bool
    everything: bool


def hull_holds(inner: ConeSet, cones: ConeSet) -> Hull:
    """Whether one cone lies in the closed convex hull of others: exactly, by a linear program, on small grids.

    The hull of cones that open the same way is the lowest apex and sums of their directions; no shift changes it, so it
    holds all extreme rays of a cone if it holds one. Of cones that open against each other it is the whole space.
    Shapes: slices () and (M,).
    Raises: UsageError for cones of different spaces, larger grids, kernels that miss a frequency (the inner one) or
    whose weights cancel (the others).
    """
    usable = inner.shape == () and len(cones.shape) == 1 and inner.kernels.shape[-3] == 1
    if not usable or inner.places > LARGEST_GRID or inner.lineality_dim or (cones.status != Status.OK).any():
        raise UsageError(
            f"There are cones {inner.shape} and {cones.shape}, on {inner.places} places",
            f"One slice that misses no frequency is held against several with an apex, on up to {LARGEST_GRID} places",
            "Choose another slice or grid, or compare them pair by pair",
        )
    check_same_space(inner[None][:0], cones[:0])
    sigma = cones.orientation
    if (sigma != sigma[0]).any():
        return Hull(holds=True, everything=True)
    lowest = sigma[0] * (sigma[0] * cones.apex[:, 0]).min()
    if not not_behind(inner.apex[0], lowest, sigma[0]):
        return Hull(holds=False, everything=False)
    ray, count, size = dual_rays(inner).ravel(), len(sigma), inner.places
    inside = np.zeros((count * size, count * size))
    for place in range(count):
        own = slice(place * size, (place + 1) * size)
        inside[own, own] = -rows_of(cones[place]) / cones.norms[place]
    parts = solved(
        np.zeros(count * size), (inside, np.zeros(count * size)),
        (np.tile(np.eye(size), count), ray / np.linalg.norm(ray)), (None, None),
    )  # fmt: skip
    return Hull(holds=parts is not None, everything=False)
