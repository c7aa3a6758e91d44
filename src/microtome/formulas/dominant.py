"""The channels that hold most of a class's energy, sets of as many others, and how far vectors lie from an axis."""

import numpy as np

SHARE = 0.5  # of the energy: the fewest channels that hold so much of it


def dominant_channels(energy: np.ndarray, classes: np.ndarray, count: int, share: float = SHARE) -> np.ndarray:
    """The fewest channels that together hold a share of the mean energy of each class; none of a class without images.

    Shapes: energy (n, C), not below 0; classes (n,) in 0..count-1 -> (count, C) flags.
    """
    found = np.zeros((count, energy.shape[1]), bool)
    for label in np.unique(classes):
        mean = energy[classes == label].mean(0)
        order = np.argsort(-mean, kind="stable")
        held = np.cumsum(mean[order])
        if held[-1] > 0:
            enough = int(np.searchsorted(held, share * held[-1] * (1 - 1e-12))) + 1
            found[label, order[:enough]] = True
    return found


def as_many_others(sets: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Channels drawn at random, as many in each set. Shapes: (K, C) flags -> the same."""
    return random.permuted(sets, axis=1)


def axis_angle(vectors: np.ndarray, groups: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far each vector lies from the axis of its group: the mean direction of the group's reference vectors.

    NaN for vectors of zeros, and in groups without a reference.
    Shapes: vectors (n, C), groups (n,), reference (n,) flags -> (n,) float64. Units: radians.
    """
    vectors = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    directions = vectors / np.where(lengths > 0, lengths, 1.0)[:, None]
    found = np.full(len(vectors), np.nan)
    for group in np.unique(groups):
        member = groups == group
        axis = directions[member & reference].sum(0)
        if np.linalg.norm(axis) > 0:
            axis = axis / np.linalg.norm(axis)
            apart, together = (np.linalg.norm(directions[member] + sign * axis, axis=1) for sign in (-1, 1))
            found[member] = 2 * np.arctan2(apart, together)
    found[lengths == 0] = np.nan
    return found
