"""A picture moved as far as a layer does not notice: towards another, along what its derivative takes to 0.

A straight line along such a direction is exact up to the next bend of the network, which is near: a deep network has
thousands of them on the way from one picture to another. So the way is walked: a step towards the target, then back to
the set of inputs with the same activation by Newton's method, with the smallest change of the pixels that does it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, lsmr
from torch import Tensor

from ..pieces.line import first_crossing
from .local_map import COPIES, LocalMap, Reading, local_map

UNCHANGED = 1e-5  # of the activation's norm: what is called the same
AIM = 1e-7  # of it: where Newton's method may stop
NEWTON = 12  # steps back for one step forth
SLOW, PATIENCE = 0.7, 2  # so many steps in a row that do not halve what is missed lead nowhere
ROUNDS = 3  # in which pixels that would leave their range are held
DENSE = 12_000_000  # numbers of a derivative that is written down for a step, rather than known by its products
ROWS_WORK = 2e11  # multiply-accumulates for it: about a minute
RIDGE = 1e-13  # of the largest square of a row: what is much fainter is left out, or a step would be wild
INEXACT = 1e-2  # of what is missed may be left by one step: the next one makes up for it
SOLVING = 200  # products with the derivative and its transpose for one of these steps
CLOSE = 1e-10  # to which a direction is brought into the null space, if it can be in `SOLVING` products
FORTH, BACK = (0.1, 0.3, 1.0), (0.03, 0.01)  # shares of the way to the target: from the first on, or back


@dataclass(frozen=True, kw_only=True)
class Straight:
    """One invariant direction: the part of `target - picture` that the derivative takes to 0.

    `kept` is its share of that norm; `to_bend` how far along it the first bend is, in root mean square of the pixels'
    0 to 255, and `change` that of the activation there, of its norm. Shapes: direction (C, H, W).
    """

    direction: np.ndarray
    kept: float
    to_bend: float
    change: float


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A picture with the same activation as another.

    `share` of the way to the target was tried; `distance` is that of the pixels, in root mean square of 0 to 255.
    `change` is that of the activation, of its norm; `rounded_change` after rounding to 256 levels; `random_change`
    that of a random change of the same pixels and size.
    Shapes: pixels (C, H, W), in 0..255, not rounded.
    """

    pixels: np.ndarray
    share: float
    distance: float
    change: float
    rounded_change: float
    random_change: float


def invariant_direction(local: LocalMap, wanted: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    """The part of a direction that does not change what is read. Shapes: (D,), seen (rank, D) if known -> (D,)."""
    if seen is not None:
        once: np.ndarray = wanted - seen.T @ (seen @ wanted)
        return once - seen.T @ (seen @ once)  # twice is enough for rounding
    operator = LinearOperator(
        (local.shape[1], local.shape[0]), dtype=np.float64,
        matvec=lambda y: local.transposed(y.reshape(1, -1))[0], rmatvec=lambda x: local.times(x.reshape(1, -1))[0],
    )  # fmt: skip
    found = lsmr(operator, wanted, atol=CLOSE, btol=0.0, conlim=0.0, maxiter=SOLVING)[0]
    return wanted - local.transposed(found.reshape(1, -1))[0]


def straight(reading: Reading, picture: Tensor, target: Tensor, seen: np.ndarray | None) -> Straight:
    """Along one direction, up to the next bend. Shapes: picture, target (C, H, W), normalised."""
    wanted = (target - picture).double()
    with local_map(reading, picture, copies=1) as local:
        direction = invariant_direction(local, wanted.flatten().numpy(), seen)
    step = torch.from_numpy(direction).view_as(wanted)
    size = float(wanted.norm())
    share = first_crossing(reading.model, picture.double(), picture.double() + step, reading.site.name)
    there = picture.double() + share * step
    before, after = reading.activations(torch.stack([picture.double(), there]))
    return Straight(
        direction=step.numpy(), kept=float(step.norm()) / size if size else 0.0,
        to_bend=_distance(reading, there - picture.double()), change=_change(before, after),
    )  # fmt: skip


def walked(reading: Reading, picture: Tensor, target: Tensor, seed: int = 0) -> Moved | None:
    """As far on the way to a target as leads back to the same activation, of a few shares; None if none does.

    Shapes: picture, target (C, H, W), normalised.
    """
    start = picture.double()
    aim = reading.activations(start[None])[0]
    wanted, found = target.double() - start, None
    for share in FORTH:
        back = _back(reading, start + share * wanted, aim)
        if back is None:
            break
        found = share, back
    for share in BACK if found is None else ():
        back = _back(reading, start + share * wanted, aim)
        if back is not None:
            found = share, back
            break
    return _described(reading, start, found[1], aim, found[0], seed) if found else None


def _back(reading: Reading, there: Tensor, aim: np.ndarray) -> Tensor | None:
    """An input near `there` that is read as `aim`; None if Newton's method does not come to one."""
    low, high = _range(reading, there)
    here, best, slow = there.clamp(low, high), np.inf, 0
    rows = int(np.count_nonzero(aim))
    dense = rows * reading.inputs <= DENSE and rows * reading.macs <= ROWS_WORK
    for _ in range(NEWTON):
        with local_map(reading, here, copies=COPIES if dense else 1) as local:
            change = _change(aim, local.value)
            slow = slow + 1 if change > SLOW * best else 0
            if change < AIM or slow == PATIENCE:
                break
            best = min(best, change)
            step = _within(local, aim - local.value, here, low, high, dense)
        here = (here + step).clamp(low, high)
    return here if _change(aim, reading.activations(here[None])[0]) < UNCHANGED else None


def _within(local: LocalMap, missed: np.ndarray, here: Tensor, low: Tensor, high: Tensor, dense: bool) -> Tensor:
    """The smallest change of a picture that makes up for what is missed, among pixels that can change so."""
    free = np.ones(local.shape[1], dtype=bool)
    places = np.flatnonzero((local.value != 0) | (missed != 0))
    matrix = local.matrix(places) if dense else None
    for _ in range(ROUNDS):
        step = torch.from_numpy(_smallest(local, missed, free, matrix, places)).view_as(here)
        leaving = ((step < 0) & (here <= low) | (step > 0) & (here >= high)).flatten().numpy() & free
        if not leaving.any():
            break
        free &= ~leaving
    return step


def _smallest(
    local: LocalMap, missed: np.ndarray, free: np.ndarray, matrix: np.ndarray | None, places: np.ndarray
) -> np.ndarray:
    """The smallest change of the free pixels that makes up for what is missed, to first order. Shapes: -> (D,)."""
    if matrix is not None:
        kept = matrix * free
        gram = kept @ kept.T
        gram[np.diag_indices_from(gram)] += RIDGE * gram.diagonal().max(initial=1e-300)
        return np.asarray(kept.T @ cho_solve(cho_factor(gram, overwrite_a=True), missed[places]))
    operator = LinearOperator(
        local.shape, dtype=np.float64, matvec=lambda x: local.times((free * x.ravel())[None])[0],
        rmatvec=lambda y: free * local.transposed(y.reshape(1, -1))[0],
    )  # fmt: skip
    return np.asarray(free * lsmr(operator, missed, atol=CLOSE, btol=INEXACT, conlim=0.0, maxiter=SOLVING // 2)[0])


def _described(reading: Reading, start: Tensor, found: Tensor, aim: np.ndarray, share: float, seed: int) -> Moved:
    """What the moved picture is worth, beside a random change of the same size."""
    low, high = _range(reading, found)
    step = found - start
    numbers = torch.from_numpy(np.random.default_rng(seed).permutation(step.flatten().numpy()))
    random = (start + numbers.view_as(step)).clamp(low, high)
    std = torch.tensor(reading.model.preprocessing.std, dtype=torch.float64)[:, None, None]
    pixels = 255 * (found - low) * std
    rounded = pixels.round() / (255 * std) + low
    after, coarse, other = reading.activations(torch.stack([found, rounded, random]))
    return Moved(
        pixels=pixels.numpy(), share=share, distance=_distance(reading, step), change=_change(aim, after),
        rounded_change=_change(aim, coarse), random_change=_change(aim, other),
    )  # fmt: skip


def _range(reading: Reading, like: Tensor) -> tuple[Tensor, Tensor]:
    """What pixels of 0 and of 255 are after normalisation. Shapes: (C, 1, 1) each."""
    mean, std = (torch.tensor(each, dtype=like.dtype)[:, None, None]
                 for each in (reading.model.preprocessing.mean, reading.model.preprocessing.std))  # fmt: skip
    return -mean / std, (1 - mean) / std


def _distance(reading: Reading, step: Tensor) -> float:
    """The root mean square of a change of pixels, of 0 to 255."""
    std = torch.tensor(reading.model.preprocessing.std, dtype=step.dtype)[:, None, None]
    return float((255 * step * std).square().mean().sqrt())


def _change(before: np.ndarray, after: np.ndarray) -> float:
    """Of an activation's norm."""
    size = float(np.linalg.norm(before))
    off = float(np.linalg.norm(after - before))
    return off / size if size else (float("inf") if off else 0.0)
