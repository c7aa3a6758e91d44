"""All that is asked of one set of points about cones: an apex at 0, an apex anywhere, and what a cone may come of."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .directions import Directions, check_points, directions, shuffled_resultants, two_sided, unit_rows
from .weight_cone import AXES, LEVEL, ConeTest, Verdict, chance, column_null, cone_test, norm_null

NOTHING = np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class ConeReport:
    """A set of points, drawn from `of`, and its cones.

    Shapes: shuffled (200,), resultants of shuffled entries. Of what is called a cone only: even, its T with all points
    of length 1, even_null (B,) T of clouds beside that; norms (B,) T of clouds with the points' lengths; columns (B,)
    T of points whose columns are as sparse.
    """

    of: int
    directions: Directions
    shuffled: np.ndarray
    test: ConeTest
    even: float = 0.0
    even_null: np.ndarray = field(default_factory=lambda: NOTHING)
    norms: np.ndarray = field(default_factory=lambda: NOTHING)
    columns: np.ndarray = field(default_factory=lambda: NOTHING)

    @property
    def resultant_chances(self) -> tuple[float, float]:
        """Two-sided p-values of a resultant as small, and as large."""
        return two_sided(self.directions.resultant, self.shuffled)

    @property
    def verdict(self) -> Verdict:
        """That of the test with a free apex."""
        return self.test.verdict

    @property
    def spread(self) -> bool:
        """Whether directions cancel more than shuffled entries do: the opposite of a cone from 0."""
        return self.resultant_chances[0] <= LEVEL

    @property
    def gathered(self) -> bool:
        """Whether directions agree more than those of shuffled entries: a cone from 0."""
        return self.resultant_chances[1] <= LEVEL

    @property
    def controls(self) -> dict[str, float]:
        """p-values of a cone beside its controls; none for what is no cone."""
        if not len(self.norms):
            return {}
        return {"rows of one length": chance(self.even, self.even_null),
                "the same norms": chance(self.test.statistic, self.norms),
                "as sparse": chance(self.test.statistic, self.columns)}  # fmt: skip

    @property
    def robust(self) -> bool:
        """Whether it is a cone that neither norms nor sparsity explain."""
        return self.verdict == "cone" and max(self.controls.values()) <= LEVEL

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made of one."""
        return cls(**{**state, "directions": Directions(**state["directions"]), "test": ConeTest(**state["test"])})


def cone_report(points: np.ndarray, of: int, draws: int, seed: tuple[int, ...], features: bool = False) -> ConeReport:
    """The cones of a set of points; of features, which a rectifier makes positive, entries are shuffled by column.

    Shapes: (n, d). Raises: UsageError.
    """
    values = check_points(points)
    if len(values) < AXES:
        test = ConeTest(scores=np.zeros((len(values), 0)), explained=NOTHING, correlation=NOTHING, statistic=0.0,
                        away=False, gauss=NOTHING, shuffle=NOTHING, sign=NOTHING, power=0.0)  # fmt: skip
    else:
        test = cone_test(values, draws, (*seed, 0))
    report = ConeReport(
        of=of, directions=directions(values), test=test,
        shuffled=shuffled_resultants(values, seed=(*seed, 1), within=features),
    )  # fmt: skip
    if test.verdict != "cone":
        return report
    even = cone_test(unit_rows(values), draws, (*seed, 2))
    return dataclasses.replace(
        report, even=even.statistic, even_null=even.gauss,
        norms=norm_null(values, draws, np.random.default_rng((*seed, 3))),
        columns=column_null(values, draws, np.random.default_rng((*seed, 4))),
    )  # fmt: skip
