"""A network followed while it learns: any analysis on probe images again and again, within a share of the time."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...analyses import choose, registry
from ...analyses.history import HistoryResult
from ...analysis import Result
from ...api import as_model, open_images, with_settings
from ...errors import NotApplicable, UsageError
from ...images.collection import Images
from ...network.model import Model
from ...network.specimen import Effort, Specimen
from ...runs.answers import digest
from ...runs.run import Run
from ...runs.runner import Look, Outcome
from .moments import Moment, Moments, seen, together
from .schedule import SHARE, Pace, Schedule
from .writing import write_tracked

ANALYSES = ("first_layer", "activity", "filters")  # cheap, and among them something for every network
LIKE = 5  # snapshots of which the dearest says what the next one costs


class Tracker:
    """Looks at a network while it learns, and leaves it as it is: its training goes on bit for bit as without.

    As a context it takes the untrained network at once and, if all went well, the last one at its end, and writes the
    run: `with mt.Tracker(model, images, out=...) as tracker:`, with `tracker.step(loss=loss)` after every step of the
    optimiser. Without, `begin` and `finish` do that. `resume` goes on with what is in the folder; steps must be told
    then.
    """

    def __init__(
        self,
        model: Model | nn.Module | str,
        images: object = None,
        *,
        out: str | Path,
        analyses: Iterable[str] = ANALYSES,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        plugins: Iterable[Path] = (),
        effort: Effort = "quick",
        share: float = SHARE,
        every: int | None = None,
        steps: int | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        resume: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Follow `model` on probe images, anything that `mt.look` takes, by `analyses` with their `settings`.

        At most `share` of the training time goes into snapshots (the first and the last are taken whatever it is);
        `every` wants them at even steps instead of more at the beginning. Say how many `steps` the training will have:
        else early snapshots have to wait until the time behind them allows them.
        Raises: MicrotomeError, one of `microtome.errors`.
        """
        self.model = as_model(model)
        self.images = images if isinstance(images, Images) or images is None else open_images(images, self.model)
        self.schedule = Schedule(share=share, every=every, steps=steps)
        self.registry = registry(plugins)
        given = settings or {}
        self.analyses = [with_settings(cls, given.get(cls.name, {})) for cls in choose(analyses, self.registry)]
        self.effort, self.seed, self.batch_size, self.clock = effort, seed, batch_size, clock
        self._architecture = _architecture(self.model)
        self.moments = Moments(Path(out), {
            "network": self._architecture, "images": self.images.fingerprint if self.images is not None else "none",
            "analyses": {analysis.name: analysis.key for analysis in self.analyses},
            "looking": [effort, seed],
        }, resume=resume)  # fmt: skip
        self.run: Run | None = None
        self._module = self.model.module
        self._facts: dict[str, Any] = {}
        self._at: int | None = None if self.moments.all else 0  # of a training that goes on it is not known yet
        self._started: float | None = None
        self._before = self._spent = 0.0
        self._wanted = 0
        self._pace = Pace()
        self._last: tuple[Specimen, Outcome] | None = None

    def __enter__(self) -> Self:
        if not self.moments.all:
            self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *about: object) -> None:
        if kind is None:
            self.finish()

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, those of snapshots included, and of the trainings that this one goes on with."""
        return self._before + (0.0 if self._started is None else self.clock() - self._started)

    @property
    def share(self) -> float:
        """Share of the training time so far that snapshots took."""
        return self._spent / self.elapsed if self._spent else 0.0

    def expect(self, steps: int) -> None:
        """The training will have so many steps in all."""
        self.schedule = dataclasses.replace(self.schedule, steps=steps)

    def begin(self, module: nn.Module | Model | None = None, *, step: int = 0) -> None:
        """The training begins, or goes on after so many steps: look at the network as it is now.

        Raises: MicrotomeError, as an analysis does that cannot be asked of this network.
        """
        self._arrive(module, step, first=step + 1)
        if not any(moment.step == step for moment in self.moments.all):
            self._take(step)
        self._pace.left(self.clock())

    def step(self, module: nn.Module | Model | None = None, *, step: int | None = None, **facts: Any) -> bool:
        """A step of the optimiser is done: look at the network if it is time; whether it was.

        `module` is the network if it is not the very module that the tracker was given, `step` how many steps are done
        (by default counted), `facts` are numbers that belong to the step, such as loss or epoch.
        Raises: UsageError for a network of another architecture, or where the number of steps must be told.
        """
        if step is None and self._at is None:
            raise UsageError(f"The tracking in {self.moments.folder.name} goes on after {self.moments.all[-1].step} "
                             "steps or fewer, and a step came without its number",
                             "Where a training goes on, its steps are told", "Call step(..., step=n)")  # fmt: skip
        here = (self._at or 0) + 1 if step is None else step
        self._pace.arrived(self.clock(), here - (self._at or 0))
        self._arrive(module, here, first=here)
        self._facts = {name: v.detach() if isinstance(v, Tensor) else v for name, v in facts.items()}
        due = here >= self._wanted and self._affordable(here)
        if due:
            self._take(here)
        self._pace.left(self.clock())
        return due

    def finish(self, module: nn.Module | Model | None = None) -> Run:
        """The training is over: look at the network a last time, and write the run.

        Raises: UsageError if no step was told.
        """
        if self._at is None or self._started is None:
            raise UsageError("The tracker is to finish, and was told of no step", "A tracking has one step or more",
                             "Call step(...) after every step of the optimiser")  # fmt: skip
        self._arrive(module, self._at, first=self._at + 1)
        if self._last is None or self.moments.all[-1].step < self._at:
            self.moments.forget_from(self._at)
            self._take(self._at)
        assert self._last is not None
        specimen, outcome = self._last
        self.run = write_tracked(self.moments.folder, specimen, outcome, self.history(), self.registry, self.analyses,
                                 self.batch_size)  # fmt: skip
        return self.run

    def history(self) -> HistoryResult:
        """What has been seen so far, as curves.

        Raises: UsageError if nothing has been.
        """
        found = self.moments.all
        if not found:
            raise UsageError("The tracker has seen no network yet", "A history has one snapshot or more",
                             "Call begin() before the training, or step(...) after a step")  # fmt: skip
        return HistoryResult(
            step=np.array([moment.step for moment in found]),
            spent=self._spent,
            total=self.elapsed,
            elapsed=np.array([moment.elapsed for moment in found]),
            share=self.schedule.share,
            images=len(self.images) if self.images is not None else 0,
            facts=together(found, "facts"),
            curves=together(found, "values"),
            how={name: dict(how) for moment in found for name, how in moment.how.items()},
            said={name: _first_and_last(found, name) for moment in found for name in moment.said},
            skipped=dict(found[-1].skipped),
        )

    def lightning(self, part: str = "") -> Any:
        """A callback for a Lightning trainer, `Trainer(callbacks=[tracker.lightning()])`.

        It follows the LightningModule, or the submodule of it that is called `part`.
        """
        from .lightning import lightning_callback

        return lightning_callback(self, part)

    def _arrive(self, module: nn.Module | Model | None, step: int, *, first: int) -> None:
        """The training is at a step; if it only now goes on, moments from `first` on are of a past that is undone."""
        if module is not None:
            self._module = module.module if isinstance(module, Model) else module
        if self._started is None:
            self.moments.forget_from(first)
            if self.moments.all:
                self._before, self._spent = self.moments.all[-1].elapsed, self.moments.all[-1].spent
                self._wanted = self.schedule.following(self.moments.all[-1].step)
            self._started = self.clock()
        elif step < (self._at or 0):
            raise UsageError(f"Step {step} came after step {self._at}", "Steps go up",
                             "Give every training a tracker of its own")  # fmt: skip
        self._at = step

    def _affordable(self, step: int) -> bool:
        if not self.moments.all:
            return True
        cost = max(moment.cost for moment in self.moments.all[-LIKE:])
        return self.schedule.affords(step, cost=cost, spent=self._spent, elapsed=self.elapsed,
                                     pace=self._pace.seconds)  # fmt: skip

    def _take(self, step: int) -> None:
        """Look, and keep what was seen; what that takes is counted from when the network's own work is done."""
        place = next((p.device for p in self._module.parameters()), torch.device("cpu"))
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        started = self.clock()
        model = dataclasses.replace(self.model, module=self._module, weights=f"after {step:,} steps of training")
        if _architecture(model) != self._architecture:
            raise UsageError(
                f"After {step} steps the network has other layers than when the tracking began",
                "A tracker follows one architecture, whose weights alone change",
                "Give the network after the change a tracker of its own",
            )
        specimen = Specimen(model=model, images=self.images, effort=self.effort, seed=self.seed)
        outcome = Look(specimen, device=str(place), batch_size=self.batch_size).run(self.analyses)
        if not outcome.results:
            name, why = next(iter(outcome.skipped.items()))
            raise NotApplicable(f"No analysis can be followed; {name}: {why}", "A tracking needs one or more that hold "
                                "for the network", "`microtome doctor MODEL` says which do")  # fmt: skip
        self._keep(step, started, specimen, outcome)

    def _keep(self, step: int, started: float, specimen: Specimen, outcome: Outcome) -> None:
        results: dict[str, Result] = outcome.results
        found, weights = seen(results), specimen.model.fingerprint
        facts = {name: float(value) for name, value in self._facts.items()}
        cost = self.clock() - started
        self.moments.keep(
            Moment(step=step, elapsed=self.elapsed, cost=cost, spent=self._spent + cost, weights=weights, facts=facts,
                   skipped=outcome.skipped, **found),
            results,
        )  # fmt: skip
        self._spent += self.clock() - started  # writing included, which the file itself cannot know
        self._last = specimen, outcome
        self._wanted = self.schedule.following(step)


def _architecture(model: Model) -> str:
    """What stays the same while a network learns."""
    return digest([[site.name, site.operation, list(site.shape), list(site.inputs)] for site in model.sites.values()],
                  str(model.preprocessing))  # fmt: skip


def _first_and_last(moments: list[Moment], name: str) -> tuple[str, str]:
    said = [moment.said[name] for moment in moments if name in moment.said]
    return said[0], said[-1]
