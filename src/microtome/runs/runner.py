"""Run analyses over a specimen: in stages, with shared passes, every equal request once.

A stage collects the next request of every analysis. Passes that agree in model, edits and loss become one walk over
the images, whoever asked; equal statistics at equal sites are measured once in it. Then the answers go back, and the
analyses ask again or return. What was answered before, by this look or by an earlier one, comes from `Answers`: so
going on after a kill, adding an analysis and putting shares together are all the same loop.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from ..analysis import Analysis, Jobs, Pass, Request, Result, without
from ..errors import UsageError
from ..network.recording.untouched import choose_device, untouched
from ..network.specimen import Specimen
from ..progress import Progress, Silent
from .answers import Answers, Share, digest
from .jobs import JobServer
from .passes import Passes
from .replay import Replay
from .walk import How

EVERYTHING = Share()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a look: results by analysis, and why others have none.

    `stage` counts from 1; `missing` says what the stage still waits for, which is nothing once a look is finished.
    """

    results: dict[str, Result]
    skipped: dict[str, str]
    seconds: dict[str, float]
    passes: int
    stage: int = 0
    missing: tuple[str, ...] = ()


class Look:
    """One look at a specimen. `run` goes through the stages until every analysis has returned."""

    def __init__(
        self,
        specimen: Specimen,
        *,
        batch_size: int | None = None,
        device: str = "auto",
        amp: bool = False,
        answers: Answers | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.specimen = specimen
        self.device = choose_device(specimen.model.module, device)
        self.answers = answers or Answers()
        self._amp = amp
        progress = progress or Silent()
        how = How(device=self.device, batch_size=batch_size, amp=amp)
        self._passes = Passes(specimen, self.answers, how, progress)
        self._jobs = JobServer(self.answers, progress)
        self.seconds: dict[str, float] = {}

    def run(self, analyses: Sequence[Analysis], share: Share | None = EVERYTHING) -> Outcome:
        """Serve all analyses; each starts once those it requires have finished.

        With a share of several, one stage is served in part and the rest is left to others; with None nothing is
        measured at all, only what the shares have found is put together.
        """
        if self._amp and self.device.type == "cpu" and share is not None:
            raise UsageError("Mixed precision was asked for on a CPU", "It pays on a GPU alone", "Leave --amp out")
        waiting = {analysis.name: Replay(analysis) for analysis in analyses}
        _check_requirements(analyses)
        self._analyses = {analysis.name: analysis for analysis in analyses}
        finished: dict[str, Result] = {}
        skipped: dict[str, str] = {}
        active: list[Replay] = []
        stage, missing = 0, list[str]()
        self._given = replace(self.specimen, copies={})  # which no later look finds: weights may have changed
        with ExitStack() as stack:
            for model in (self.specimen.model, *self.specimen.others.values()):
                stack.enter_context(untouched(model.module, self.device))
            while (waiting or active) and not missing:
                stage += 1
                done = finished.keys() | skipped.keys()
                for name in [name for name, item in waiting.items() if done.issuperset(item.analysis.requires)]:
                    item = waiting.pop(name)
                    active.append(item)
                    self._begin(item, finished, skipped)
                missing = self._serve([item for item in active if not item.done], share)
                for item in [item for item in active if item.done]:
                    active.remove(item)
                    if item.result is not None:
                        finished[item.analysis.name] = item.result
                    else:
                        skipped[item.analysis.name] = item.skipped
        ordered = {analysis.name: finished[analysis.name] for analysis in analyses if analysis.name in finished}
        for name, seconds in self._passes.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        return Outcome(results=ordered, skipped=skipped, seconds=self.seconds, passes=self._passes.walked,
                       stage=stage, missing=tuple(missing))  # fmt: skip

    def _begin(self, item: Replay, finished: Mapping[str, Result], skipped: Mapping[str, str]) -> None:
        missing = [name for name in item.analysis.requires if name in skipped]
        if missing:
            item.skipped = without(missing[0], skipped[missing[0]])
            return
        needed = {name: finished[name] for name in item.analysis.requires}
        with self._timed(item.analysis.name):
            item.begin(replace(self._given, results=needed))

    def _serve(self, active: list[Replay], share: Share | None) -> list[str]:
        """Serve one stage; what is missing before the next can begin."""
        for item in active:
            if self.specimen.images is None and isinstance(item.request, Pass):
                item.skipped = "It measures on images, and none were given"
        active = [item for item in active if not item.done]
        requests: dict[str, Request] = {i.analysis.name: i.request for i in active if i.request is not None}
        passes = {name: request for name, request in requests.items() if isinstance(request, Pass)}
        answers, missing = self._passes.serve(passes, share)
        for name, request in requests.items():
            if isinstance(request, Jobs):
                with self._timed(name):
                    answers[name], still = self._jobs.serve(name, self._context(name), request, share)
                    missing += [still] if still else []
        if not missing:
            for item in active:
                with self._timed(item.analysis.name):
                    item.send(answers[item.analysis.name])
        return missing

    def _context(self, name: str) -> str:
        """What the answers to jobs of an analysis depend on."""
        needed, queue = set(), [name]
        while queue:
            needed.add(queue.pop())
            queue += [each for one in needed for each in self._analyses[one].requires if each not in needed]
        models = [model.fingerprint for model in (self.specimen.model, *self.specimen.others.values())]
        images = self.specimen.images.fingerprint if self.specimen.images is not None else ""
        keys = sorted(self._analyses[each].key for each in needed)
        return digest(name, models, images, self.specimen.seed, self.specimen.effort, keys)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Adds the time spent inside to the account of an analysis."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def _check_requirements(analyses: Sequence[Analysis]) -> None:
    names = [analysis.name for analysis in analyses]
    if len(set(names)) < len(names):
        raise UsageError(f"The analyses are {', '.join(names)}", "Each may be there once",
                         "Look twice, with one setting each")  # fmt: skip
    for analysis in analyses:
        missing = [name for name in analysis.requires if name not in names]
        if missing:
            raise UsageError(
                f"Analysis {analysis.name} needs the result of {missing[0]}, which is not part of this look",
                f"Chosen are: {', '.join(sorted(names))}",
                f"Add {missing[0]} to the analyses",
            )
    try:
        TopologicalSorter({analysis.name: analysis.requires for analysis in analyses}).prepare()
    except CycleError as error:
        raise UsageError(
            f"Analyses need each other's results: {' -> '.join(error.args[1])}",
            "What an analysis requires must not require it", "Mend `requires` of one of them",
        ) from error  # fmt: skip
