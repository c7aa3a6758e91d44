"""The smallest analysis there can be, for tests that need one of their own."""

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from microtome.analysis import Analysis, Result
from microtome.cards import Card
from microtome.figures import new_figure
from microtome.network.specimen import Specimen
from microtome.runs.runner import Outcome


@dataclass(frozen=True, kw_only=True)
class SketchResult(Result):
    """Anything, by name."""

    found: dict[str, Any]

    def cards(self) -> list[Card]:
        return []

    def plot(self) -> Figure:
        return new_figure()


@dataclass(frozen=True, kw_only=True)
class Sketch(Analysis):
    """What the analyses of the tests have in common; each brings its own steps."""

    question = "Does it work?"
    result = SketchResult


@dataclass(frozen=True, kw_only=True)
class Announced(Sketch):
    """An analysis that a package could bring."""

    name = "announced"

    def steps(self, specimen: Specimen) -> SketchResult:
        return SketchResult(found={})


def found_by(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What every analysis has found."""
    return {name: result.found for name, result in outcome.results.items()}
