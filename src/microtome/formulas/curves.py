"""What a curve over the steps of a training says: how far it went, when it was there, how unsteady it is at the end."""

import numpy as np

NEAR = 0.05  # of its final value: how close a curve that has settled stays
LATE = 0.5  # of all steps: what comes from there on is late in the training
FEWEST = 3  # changes late in a training, below which they do not say how unsteady a curve is


def settled(steps: np.ndarray, values: np.ndarray, near: float = NEAR) -> float:
    """The first step from which on a curve stays within `near` of its final value, NaN if it has no final value.

    A value that is missing counts as far away; a final value of 0 is kept only by 0. Shapes: steps, values (T,).
    """
    if not len(values) or np.isnan(values[-1]):
        return float("nan")
    close = np.abs(values - values[-1]) <= near * np.abs(values[-1])  # (T,); NaN is never close
    away = np.flatnonzero(~close)
    return float(steps[away[-1] + 1 if len(away) else 0])


def late_change(steps: np.ndarray, values: np.ndarray) -> float:
    """The largest change between successive values, of those from half of the last step on; NaN for too few to tell.

    Shapes: steps, values (T,).
    """
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    late = values[known & (steps >= LATE * steps[-1])]
    return float(np.abs(np.diff(late)).max()) if len(late) > FEWEST else float("nan")
