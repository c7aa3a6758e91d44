"""Run analyses over a specimen: in stages, with shared passes, every equal request once.

A stage collects the next request of every analysis. Passes that agree in model, edits and loss become one walk over
the images, whoever asked; equal statistics at equal sites are measured once in it. Then the answers go back, and the
analyses ask again or return.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

import torch

from .analysis import Analysis, Jobs, Pass, Request, Result
from .checks import known
from .errors import NotApplicable, RunFailed, UsageError
from .images import Images
from .network.addresses import Address
from .network.measure import Loss, Probe, automatic_batch, is_out_of_memory, measure
from .network.open import Model
from .network.specimen import Specimen
from .network.untouched import choose_device, untouched
from .progress import Progress, Silent

TIMED_IMAGES = 8  # enough to guess the speed of a pass within a factor of about 1.5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a look: results by analysis, and why others have none."""

    results: dict[str, Result]
    skipped: dict[str, str]
    seconds: dict[str, float]
    passes: int


class _Active:
    """An analysis on its way: the request it waits for, or its result."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.request: Request | None = None
        self.result: Result | None = None
        self.skipped = ""
        self._steps: Any = None

    def begin(self, specimen: Specimen) -> None:
        """Start it; it runs to its first request."""
        try:
            started = self.analysis.steps(specimen)
        except NotApplicable as error:
            self.skipped = str(error)
            return
        if isinstance(started, Result):
            self.result = started
        else:
            self._steps = started
            self.send(None)

    def send(self, answer: Any) -> None:
        """Hand out the answer to the last request; it runs to the next."""
        self.request = None
        try:
            self.request = self._expect(self._steps.send(answer), Request)
        except StopIteration as stop:
            self.result = self._expect(stop.value, Result)
        except NotApplicable as error:
            self.skipped = str(error)

    def _expect(self, value: Any, kind: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise UsageError(
            f"The steps of analysis {self.analysis.name} gave {type(value).__name__}",
            "Every yield is a Pass or Jobs, and the return is a Result", "Mend the steps of this analysis",
        )  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask."""
        return self.result is not None or bool(self.skipped)


class Look:
    """One look at a specimen. `run` goes through the stages until every analysis has returned."""

    def __init__(
        self,
        specimen: Specimen,
        *,
        batch_size: int | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> None:
        self.specimen = specimen
        self.batch_size = batch_size
        self.device = choose_device(specimen.model.module, device)
        self.progress: Progress = progress or Silent()
        self.passes = 0
        self.seconds: dict[str, float] = {}

    def run(self, analyses: Sequence[Analysis]) -> Outcome:
        """Serve all analyses; each starts once those it requires have finished."""
        waiting = {analysis.name: _Active(analysis) for analysis in analyses}
        _check_requirements(analyses)
        finished: dict[str, Result] = {}
        skipped: dict[str, str] = {}
        active: list[_Active] = []
        with ExitStack() as stack:
            for model in (self.specimen.model, *self.specimen.others.values()):
                stack.enter_context(untouched(model.module, self.device))
            while waiting or active:
                done = finished.keys() | skipped.keys()
                for name in [name for name, item in waiting.items() if done.issuperset(item.analysis.requires)]:
                    item = waiting.pop(name)
                    active.append(item)
                    self._begin(item, finished, skipped)
                self._serve([item for item in active if not item.done])
                for item in [item for item in active if item.done]:
                    active.remove(item)
                    if item.result is not None:
                        finished[item.analysis.name] = item.result
                    else:
                        skipped[item.analysis.name] = item.skipped
        ordered = {analysis.name: finished[analysis.name] for analysis in analyses if analysis.name in finished}
        return Outcome(results=ordered, skipped=skipped, seconds=self.seconds, passes=self.passes)

    def _begin(self, item: _Active, finished: Mapping[str, Result], skipped: Mapping[str, str]) -> None:
        missing = [name for name in item.analysis.requires if name in skipped]
        if missing:
            item.skipped = f"It needs the result of {missing[0]}, which was skipped"
            return
        needed = {name: finished[name] for name in item.analysis.requires}
        with self._timed(item.analysis.name):
            item.begin(replace(self.specimen, results=needed))

    def _serve(self, active: list[_Active]) -> None:
        for item in active:
            if self.specimen.images is None and isinstance(item.request, Pass):
                item.skipped = "It measures on images, and none were given"
        active = [item for item in active if not item.done]
        requests = {item.analysis.name: item.request for item in active if item.request is not None}
        passes = {name: request for name, request in requests.items() if isinstance(request, Pass)}
        answers: dict[str, Any] = self._serve_passes(passes)
        for name, request in requests.items():
            if isinstance(request, Jobs):
                with self._timed(name):
                    answers[name] = self._serve_jobs(name, request)
        for item in active:
            with self._timed(item.analysis.name):
                item.send(answers[item.analysis.name])

    def _serve_passes(self, passes: Mapping[str, Pass]) -> dict[str, Any]:
        # every address is resolved before any compute, so that a typo costs nothing
        wanted = {name: _probes(request, self._model(request.model)) for name, request in passes.items()}
        groups: dict[Any, list[str]] = {}
        for name, request in passes.items():
            model, under, loss = request.group
            edits = tuple(edit.on(self._model(model).sites) for edit in under)
            groups.setdefault((model, edits, loss), []).append(name)
        answers: dict[str, Any] = {}
        for (model, edits, loss), names in groups.items():
            probes = list(dict.fromkeys(probe for name in names for probe in wanted[name].values()))
            started = time.perf_counter()
            computed = self._one_pass(self._model(model), probes, edits, loss, ", ".join(names))
            for name in names:
                self.seconds[name] = self.seconds.get(name, 0.0) + (time.perf_counter() - started) / len(names)
                answers[name] = _arrange(passes[name], wanted[name], computed)
        return answers

    def _one_pass(
        self, model: Model, probes: list[Probe], edits: Sequence[Any], loss: Loss | None, names: str
    ) -> dict[Probe, Any]:
        images = self.specimen.need_images(names)
        if loss is not None and not self.specimen.labelled:
            raise UsageError(f"{names} asks for a loss", "A loss needs labelled images", "Give labelled images")
        self.passes += 1
        size = self.batch_size or automatic_batch(model.sites)
        self._say_estimate(model, images, min(TIMED_IMAGES, size, len(images)), names)
        with self.progress.bar(f"pass {self.passes}", len(images), "images") as advance:
            accumulators = measure(
                model, images, probes, edits=edits, loss=loss, batch_size=size, device=self.device, advance=advance
            )
        return {probe: item.compute() for probe, item in zip(probes, accumulators, strict=True)}

    def _say_estimate(self, model: Model, images: Images, few: int, names: str) -> None:
        found = next(images.batches(few, range(few)), None)
        if found is None:
            return  # none of the first can be read; the pass itself will tell
        try:
            pixels = torch.from_numpy(found[1]).to(self.device)
            model.module(model.preprocessing.normalise(pixels[:1]))  # the first pass chooses kernels
            started = time.perf_counter()
            model.module(model.preprocessing.normalise(pixels))
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                return  # the pass itself will halve its batch
            raise
        seconds = (time.perf_counter() - started) / len(pixels) * len(images)
        self.progress.say(
            f"pass {self.passes} over {len(images):,} images for {names}: about {_duration(seconds)} "
            f"for the network itself, on {self.device}"
        )

    def _serve_jobs(self, name: str, jobs: Jobs) -> list[Any]:
        answers: list[Any] = []
        size = max(1, jobs.batch)
        started = time.perf_counter()
        with self.progress.bar(f"{name}: {jobs.key}", len(jobs.items), "items") as advance:
            while len(answers) < len(jobs.items):
                items = jobs.items[len(answers) : len(answers) + size]
                try:
                    fresh = list(jobs.function(items))
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    if size == 1:
                        raise RunFailed(
                            f"One item of {jobs.key!r} alone needs more memory than there is",
                            "A batch of Jobs holds one item or more", "Use a machine with more memory",
                        ) from error  # fmt: skip
                    size = (size + 1) // 2
                    continue
                if len(fresh) != len(items):
                    raise UsageError(
                        f"Jobs {jobs.key!r} of {name} answered {len(fresh)} of {len(items)} items",
                        "A Jobs function returns one answer an item", "Mend the function of this analysis",
                    )  # fmt: skip
                if not answers and len(items) < len(jobs.items):
                    seconds = (time.perf_counter() - started) / len(items) * len(jobs.items)
                    self.progress.say(f"{name}: {len(jobs.items):,} x {jobs.key}, about {_duration(seconds)}")
                answers += fresh
                advance(len(items))
        return answers

    def _model(self, name: str) -> Model:
        if not name:
            return self.specimen.model
        return self.specimen.others[known("Model", name, self.specimen.others, "The specimen holds models by name")]

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Adds the time spent inside to the account of an analysis."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


Place = tuple[str, str]  # name of the measure, label of the site


def _probes(request: Pass, model: Model) -> dict[Place, Probe]:
    """Every statistic that a pass asks for, with its addresses resolved."""
    resolve: Callable[[str], Address] = model.sites.address
    probes = {}
    for name, wish in request.measures.items():
        for label, where in wish.where.items():
            probes[name, label] = Probe(tuple(resolve(text) for text in where), wish.statistic)
    return probes


def _arrange(request: Pass, wanted: Mapping[Place, Probe], computed: Mapping[Probe, Any]) -> dict[str, Any]:
    """The answers to one pass, in the shape in which it was asked."""
    answers: dict[str, Any] = {}
    for name, wish in request.measures.items():
        by_label = {label: computed[wanted[name, label]] for label in wish.where}
        answers[name] = by_label[""] if wish.single else by_label
    return answers


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


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
