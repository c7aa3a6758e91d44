"""The cones of a layer: one a filter, or one for every channel of every filter (a slice) with a bias of its own.

An ordinary layer has one bias a filter, which a rule deals out to its slices.
"""

from typing import Literal, get_args

import numpy as np

from ...checks import known
from ...errors import UsageError
from .cone_set import ConeSet

BiasRule = Literal["minnorm", "shared", "zero", "native"]


def slice_biases(weights: np.ndarray, biases: np.ndarray, rule: BiasRule = "minnorm") -> np.ndarray:
    """What of a filter's bias each of its slices gets.

    minnorm: b s_c^2 / |s|^2, so that a slice's apex is coordinate c of the filter's nearest apex, which stays bounded
    as s_c goes to 0; equal parts where all sums are 0. shared: b, so that apices -b / s_c have no bound. zero: 0.
    native: the layer has a bias for every slice.
    Shapes: weights (O, C, kh, kw), biases (O,), with native (O, C) -> (O, C).
    Raises: UnknownName for another rule; UsageError for other shapes.
    """
    known("rule for biases", rule, get_args(BiasRule), "Choose one of these")
    wanted = weights.shape[: 2 if rule == "native" else 1]
    if weights.ndim != 4 or biases.shape != wanted:
        raise UsageError(
            f"The weights have shape {weights.shape}, and the biases {biases.shape}",
            f"{rule!r} takes weights (O, C, kh, kw) and biases {'(O, C)' if rule == 'native' else '(O,)'}",
            "Give a layer without biases zeros, and one with a bias for every slice the rule 'native'",
        )
    if rule == "native":
        return biases.astype(np.float64)
    each = np.broadcast_to(biases.astype(np.float64)[:, None], weights.shape[:2])
    if rule != "minnorm":
        return each.copy() if rule == "shared" else np.zeros(weights.shape[:2])
    filters = ConeSet(kernels=weights, biases=biases, grid=weights.shape[2:])  # sums do not depend on the grid
    whole = filters.sum_squares[:, None]
    share = np.where(whole > 0, filters.sums**2 / np.where(whole > 0, whole, 1.0), 1 / weights.shape[1])
    return each * share


def slice_cones(
    weights: np.ndarray,
    biases: np.ndarray,
    grid: tuple[int, int],
    rule: BiasRule = "minnorm",
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> ConeSet:
    """One cone for every channel of every filter, in the space of one channel's maps.

    A layer in groups has slices only for the channels that feed a filter: C is those of a group.
    Shapes: weights (O, C, kh, kw), biases (O,), with the rule native (O, C) -> cones (O, C).
    Raises: UsageError and UnknownName like slice_biases; UsageError like ConeSet.
    """
    own = slice_biases(weights, biases, rule)
    return ConeSet(kernels=weights[:, :, None], biases=own, grid=grid, stride=stride, dilation=dilation)


def filter_cones(
    weights: np.ndarray,
    biases: np.ndarray,
    grid: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> ConeSet:
    """One cone for every filter, in the space of all channels' maps.

    Shapes: weights (O, C, kh, kw), biases (O,) -> cones (O,).
    Raises: UsageError for other shapes, and like ConeSet.
    """
    slice_biases(weights, biases, "zero")  # for its check
    return ConeSet(kernels=weights, biases=biases.astype(np.float64), grid=grid, stride=stride, dilation=dilation)


def from_grouped(weights: np.ndarray, biases: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """A layer that keeps every slice apart, as filters: kernel c O + o is channel c of filter o.

    That is a convolution in C groups of O kernels each, before whose rectified maps are summed over c.
    Shapes: weights (C O, 1, kh, kw), biases (C O,) -> (O, C, kh, kw), (O, C).
    Raises: UsageError for a number of kernels that the outputs do not divide.
    """
    if weights.ndim != 4 or weights.shape[1] != 1 or len(weights) % outputs or biases.shape != weights.shape[:1]:
        raise UsageError(
            f"The weights have shape {weights.shape}, the biases {biases.shape}, and there are {outputs} outputs",
            "There are weights (C O, 1, kh, kw) and biases (C O,), O the number of outputs",
            "Give the number of maps that are left after the sum over input channels",
        )
    kernels = weights.reshape(-1, outputs, *weights.shape[2:]).swapaxes(0, 1)
    return np.ascontiguousarray(kernels), np.ascontiguousarray(biases.reshape(-1, outputs).T)


def to_grouped(weights: np.ndarray, biases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The other way. Shapes: (O, C, kh, kw), (O, C) -> (C O, 1, kh, kw), (C O,)."""
    kernels = weights.swapaxes(0, 1).reshape(-1, 1, *weights.shape[2:])
    return np.ascontiguousarray(kernels), np.ascontiguousarray(biases.T).reshape(-1)
