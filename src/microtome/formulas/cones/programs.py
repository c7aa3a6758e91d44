"""Small linear programs, solved by HiGHS."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from ...errors import RunFailed

OPTIMAL, INFEASIBLE = 0, 2

Bound = tuple[float | None, float | None]


def solved(
    costs: np.ndarray,
    at_most: tuple[np.ndarray, np.ndarray] | None,
    equal: tuple[np.ndarray, np.ndarray] | None,
    bounds: Sequence[Bound] | Bound,
) -> np.ndarray | None:
    """The x of least cost with A x <= a and B x = b; None if there is none within the bounds.

    Shapes: costs (X,), at_most (R, X) and (R,), equal (E, X) and (E,) -> (X,).
    Raises: RunFailed if the program has no least cost or is given up.
    Reference: Huangfu and Hall, Parallelizing the dual revised simplex method (2018).
    """
    rows, limits = at_most or (None, None)
    sides, values = equal or (None, None)
    found = linprog(costs, rows, limits, sides, values, bounds, method="highs")
    if found.status == INFEASIBLE:
        return None
    if found.status != OPTIMAL or found.x is None:
        raise RunFailed(
            f"A linear program of {len(costs)} unknowns was not solved: {found.message}",
            "Programs have a finite answer or none",
            "Look for weights that are far larger or smaller than the others",
        )
    return np.asarray(found.x, dtype=np.float64)
