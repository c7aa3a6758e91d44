"""The spaces in which cones of successive layers can be compared: what of the one layer stands for in the other.

The later layer's cones lie where the earlier one's maps do. Orthant frame: there the earlier layer is on everywhere
in the positive orthant. Pull-back frame: as long as rectifiers are open, or let through a given share, both layers
together are one convolution of the earlier layer's input.
"""

from dataclasses import dataclass

import numpy as np

from ...errors import UsageError
from .cone_set import ConeSet, Status
from .funnel import Sizes
from .inclusion import TOLERANCE
from .torus import back


@dataclass(frozen=True, kw_only=True)
class Orthant:
    """Whether a slice's cone holds the positive orthant, and lies in it; exactly. Shapes: both (...)."""

    around: np.ndarray
    within: np.ndarray


def orthant(cones: ConeSet) -> Orthant:
    """Slices beside the images that are nowhere negative.

    The orthant lies in the cone if no weight and not the bias is negative. The cone lies in the orthant if its apex
    does and the inverse of its matrix has no negative entry. What holds here holds of both pulled back to the layer
    before, where its kernel misses no frequency.
    Shapes: cones (...) of one channel. Raises: UsageError for several channels and for a stride.
    """
    if cones.kernels.shape[-3] != 1 or cones.rows != cones.places:
        raise UsageError(
            f"The cones have {cones.kernels.shape[-3]} channels and stride {cones.stride}",
            "The positive orthant is compared with slices, with stride 1",
            "Make slices of the layer, on the grid of its input",
        )
    flat = ConeSet(kernels=cones.kernels.reshape(-1, *cones.kernels.shape[-3:]), biases=cones.biases.ravel(),
                   grid=cones.grid, dilation=cones.dilation)  # fmt: skip
    around = (flat.taps.min((-3, -2, -1)) >= 0) & (flat.biases >= 0)
    sizes = Sizes(cones=flat)
    power = np.abs(sizes.spectrum) ** 2
    seen = power.min((-2, -1)) > sizes.threshold
    inverse = back(np.conj(sizes.spectrum) / np.where(power > 0, power, 1.0), flat.grid)
    positive = inverse.min((-2, -1)) >= -TOLERANCE * np.abs(inverse).max((-2, -1))
    with np.errstate(invalid="ignore"):
        within = seen & (flat.orientation > 0) & (flat.apex[:, 0] >= 0) & positive
    within |= flat.status == Status.EMPTY
    return Orthant(around=around.reshape(cones.shape), within=within.reshape(cones.shape))


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A layer's weights. Shapes: weights (O, C, kh, kw), biases (O,); stride, dilation (rows, columns)."""

    weights: np.ndarray
    biases: np.ndarray
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)


def composed(
    later: Convolution, earlier: Convolution, gates: np.ndarray | None = None, skip: np.ndarray | None = None
) -> Convolution:
    """Two layers as one convolution of the earlier one's input, without rectifiers between them.

    `gates`, the share of the images on which each channel between them is on, stand for the rectifier to first order
    ("mean-gate"). `skip`: weights of a path beside the earlier layer that joins its output before the rectifier, those
    of the identity or of a projection; they are put at the middle of its kernels.
    Shapes: later (O, C), earlier (C, P), gates (C,), skip (C, P, h, w) -> (O, P), kernels as large as both reach; no
    dilation.
    Raises: UsageError for layers that do not fit, and a skip that has no middle in common with the kernels.
    """
    if later.weights.shape[1] != len(earlier.weights):
        raise UsageError(
            f"The later layer takes {later.weights.shape[1]} channels, and the earlier one has {len(earlier.weights)}",
            "Layers are put together where one takes all that the other gives",
            "Give two layers that follow each other, of layers in groups one group at a time",
        )
    between = _spread(earlier.weights.astype(np.float64), earlier.dilation)
    if skip is not None:
        between = between + _centred(skip, between.shape)
    open_ = np.ones(len(between)) if gates is None else np.asarray(gates, np.float64)
    between, shift = between * open_[:, None, None, None], earlier.biases * open_
    steps = tuple(a * b for a, b in zip(later.dilation, earlier.stride, strict=True))
    sums = later.weights.sum((-2, -1), dtype=np.float64)
    return Convolution(
        weights=_full(later.weights.astype(np.float64), between, (steps[0], steps[1])),
        biases=later.biases + sums @ shift,
        stride=(later.stride[0] * earlier.stride[0], later.stride[1] * earlier.stride[1]),
    )


def _full(later: np.ndarray, earlier: np.ndarray, steps: tuple[int, int]) -> np.ndarray:
    """Weight by weight of the later kernels, each of which moves the earlier ones by a step of its own."""
    (high, wide), (down, across) = later.shape[2:], earlier.shape[2:]
    shape = (high - 1) * steps[0] + down, (wide - 1) * steps[1] + across
    found = np.zeros((len(later), earlier.shape[1], *shape))
    for y, x in np.ndindex(high, wide):
        top, left = y * steps[0], x * steps[1]
        found[:, :, top : top + down, left : left + across] += np.tensordot(later[:, :, y, x], earlier, 1)
    return found


def _spread(weights: np.ndarray, dilation: tuple[int, int]) -> np.ndarray:
    """Kernels with zeros between their weights."""
    high, wide = ((taps - 1) * step + 1 for taps, step in zip(weights.shape[2:], dilation, strict=True))
    found = np.zeros((*weights.shape[:2], high, wide))
    found[:, :, :: dilation[0], :: dilation[1]] = weights
    return found


def _centred(skip: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A skip's weights in the middle of larger kernels."""
    rest = [outer - own for outer, own in zip(shape[2:], skip.shape[2:], strict=True)]
    if skip.shape[:2] != shape[:2] or any(each < 0 or each % 2 for each in rest):
        raise UsageError(
            f"The skip's weights have shape {skip.shape}, and the layer's {shape}",
            "A skip has as many channels, and kernels that are smaller by an even number of pixels",
            "Give the identity as numpy.eye(C)[:, :, None, None]",
        )
    return np.pad(skip, [(0, 0), (0, 0), *[(each // 2, each // 2) for each in rest]])
