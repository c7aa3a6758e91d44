"""Cones written out on their grid: nearest apex, an extreme ray, the matrix; for looking and checking."""

from typing import Literal, get_args

import numpy as np

from ...checks import known
from ...errors import UsageError
from .cone_set import ConeSet
from .torus import placed, spans, spectra

Edges = Literal["circulant", "valid"]
LARGEST = 1 << 26  # numbers in a written out matrix: half a gigabyte


def nearest_apices(cones: ConeSet) -> np.ndarray:
    """The apex nearest to the origin, -(b / level) A^T 1: constant, but with a stride it repeats with it.

    Shapes: (..., n, H, W), NaN where there is none. Reference: the pseudo-inverse of A times -b.
    """
    has = cones.level > 0
    scale = np.where(has, -cones.biases / np.where(has, cones.level, 1.0), np.where(cones.biases == 0, 0.0, np.nan))
    repeats = (extent // own for extent, own in zip(cones.grid, cones.periodised.shape[-2:], strict=True))
    tiles = np.tile(cones.periodised, (*[1] * (cones.periodised.ndim - 2), *repeats))
    return scale[..., None, None, None] * tiles


def dual_rays(cones: ConeSet) -> np.ndarray:
    """An extreme ray each, as long as A r = (1, 0, 0, ...) makes it; the others are its shifts.

    Where some P(f) is 0 there is no such ray, and this is the one nearest to it (pseudo-inverse).
    Shapes: (..., n, H, W).
    """
    (down, across), (high, wide) = cones.stride, cones.grid
    waves = spectra(cones.kernels, cones.grid, cones.dilation, half=False)
    power = (waves.real**2 + waves.imag**2).sum(-3)
    coarse = power.reshape(*cones.shape, down, high // down, across, wide // across).mean((-4, -2))
    zero = coarse <= 1e-24 * np.abs(cones.kernels).sum((-3, -2, -1))[..., None, None] ** 2
    inverse = np.where(zero, 0.0, 1 / np.where(zero, 1.0, coarse))
    tiled = np.tile(inverse, (*[1] * (inverse.ndim - 2), down, across))
    return np.fft.ifft2(waves * tiled[..., None, :, :]).real


def rows_of(cone: ConeSet, edges: Edges = "circulant") -> np.ndarray:
    """The matrix A of one cone: circulant, or only with the rows whose kernel does not cross the border (valid).

    Shapes: cones () -> (rows, n H W), rows and pixels in reading order.
    Raises: UsageError for several cones and for a matrix that is too large; UnknownName for other edges.
    """
    known("matrix", edges, get_args(Edges), "Choose one of these")
    size = cone.rows * cone.places * cone.kernels.shape[-3]
    if cone.shape or size > LARGEST:
        raise UsageError(
            f"There are {cone.shape or 1} cones, whose matrices have {size} numbers",
            f"One cone is written out, up to {LARGEST} numbers",
            "Choose one, as cones[3, 5], and a smaller grid",
        )
    kernel = placed(cone.kernels, cone.grid, cone.dilation)
    reach = spans(cone.kernels.shape[-2:], cone.dilation) if edges == "valid" else (1, 1)
    last = [extent - own + 1 for extent, own in zip(cone.grid, reach, strict=True)]
    places = [(y, x) for y in range(0, last[0], cone.stride[0]) for x in range(0, last[1], cone.stride[1])]
    shifted = [np.roll(kernel, place, axis=(-2, -1)).ravel() for place in places]
    return np.array(shifted).reshape(len(places), -1)
