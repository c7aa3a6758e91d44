"""Serve passes: those that agree share one walk over the images, and what is known is not measured again."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from .analysis import Pass
from .answers import VERSION, Answers, Part, Share, digest, merged
from .checks import known
from .errors import UsageError
from .images import Images
from .network.addresses import Address
from .network.edits import Edit
from .network.measure import Loss, automatic_batch, measure
from .network.open import Model
from .network.recorder import Probe
from .network.specimen import Specimen
from .progress import Progress, duration
from .statistics import Accumulator
from .statistics.statistic import Arrays

TIMED_IMAGES = 8  # enough to guess the speed of a pass within a factor of about 1.5
SAVED_BATCHES = 5  # a run that is killed does at most so many batches again
SAVED_SHARE = 0.05  # of the time may go into saving; what has grown dear to save is saved less often
SAVED_ANYWAY = 0.05  # seconds that saving may always take


@dataclass(frozen=True, kw_only=True)
class How:
    """How the work is done: none of this changes what is found."""

    device: torch.device
    batch_size: int | None = None
    amp: bool = False


class Passes:
    """Serves the passes of a stage."""

    def __init__(self, specimen: Specimen, answers: Answers, how: How, progress: Progress) -> None:
        self.specimen, self.answers, self.how, self.progress = specimen, answers, how, progress
        self.walked = 0  # forward passes over the images
        self.seconds: dict[str, float] = {}

    def serve(self, requests: Mapping[str, Pass], share: Share | None) -> tuple[dict[str, Any], list[str]]:
        """The answers by analysis, and what is still missing; without a share nothing is measured."""
        # every address is resolved before any compute, so that a typo costs nothing
        wanted = {name: _probes(request, self._model(request.model)) for name, request in requests.items()}
        groups: dict[Any, list[str]] = {}
        for name, request in requests.items():
            model, under, loss = request.group
            edits = tuple(edit.on(self._model(model).sites) for edit in under)
            groups.setdefault((model, edits, loss), []).append(name)
        answers: dict[str, Any] = {}
        missing: list[str] = []
        for (model, edits, loss), names in groups.items():
            started = time.perf_counter()
            walk = _Walk(self, self._model(model), edits, loss, ", ".join(names))
            probes = list(dict.fromkeys(probe for name in names for probe in wanted[name].values()))
            states, still = walk.states({probe.key: probe for probe in probes}, share)
            missing += still
            if not still:
                computed = {probe: _computed(probe, states[probe.key]) for probe in probes}
                answers |= {name: _arrange(requests[name], wanted[name], computed) for name in names}
            for name in names:
                self.seconds[name] = self.seconds.get(name, 0.0) + (time.perf_counter() - started) / len(names)
        return answers, missing

    def _model(self, name: str) -> Model:
        if not name:
            return self.specimen.model
        return self.specimen.others[known("Model", name, self.specimen.others, "The specimen holds models by name")]


class _Walk:
    """One walk over the images: for one model, under the same edits and loss."""

    def __init__(self, passes: Passes, model: Model, edits: Sequence[Edit], loss: Loss | None, names: str) -> None:
        self.passes, self.model, self.edits, self.loss, self.names = passes, model, edits, loss, names
        self.images = passes.specimen.need_images(names)
        if loss is not None and not passes.specimen.labelled:
            raise UsageError(f"{names} asks for a loss", "A loss needs labelled images", "Give labelled images")
        how = [dataclasses.asdict(edit) for edit in edits], _name(loss, passes.answers.lasting), passes.how.amp
        self.group = digest(VERSION, model.fingerprint, self.images.fingerprint, how)

    def states(self, probes: Mapping[str, Probe], share: Share | None) -> tuple[dict[str, Arrays], list[str]]:
        """The state of every probe by its key; or, if that cannot be had now, what is missing."""
        answers = self.passes.answers
        states = answers.known(self.group)
        missing = {key: probe for key, probe in probes.items() if key not in states}
        if missing:
            name = f"{self.group}-{digest(sorted(missing))}"
            if share is None:
                found, still = self._put_together(name, missing)
                if still:
                    return {}, still
            else:
                part = self._measured(name, missing, share)
                if share.count > 1:
                    return {}, [f"share {share.index} of {share.count} of the pass for {self.names} is done"]
                found = dict(zip(part.probes, part.states, strict=True))
            states |= found
        return states, []

    def _put_together(self, name: str, probes: Mapping[str, Probe]) -> tuple[dict[str, Arrays], list[str]]:
        answers = self.passes.answers
        there = answers.shares(name)
        count = next((count for count, parts in there.items() if len(parts) == count), None)
        if count is None:
            have = "; ".join(f"{len(parts)} of {count}" for count, parts in there.items()) or "none"
            return {}, [f"the pass for {self.names}: {have} shares are done"]
        states = {}
        for key, parts in merged(there[count]).items():
            accumulator = probes[key].statistic.start()
            for state in parts:
                other = probes[key].statistic.start()
                other.load(state)
                accumulator.merge(other)
            states[key] = accumulator.state()
        total = sum(part.total for part in there[count])
        answers.keep_part(name, Part(probes=tuple(states), states=tuple(states.values()), done=total, total=total))
        answers.forget_shares(name)
        return states, []

    def _measured(self, name: str, probes: Mapping[str, Probe], share: Share) -> Part:
        places = np.array(share.of(len(self.images)), dtype=np.int64)
        answers = self.passes.answers
        before = answers.part(f"{name}{share}")
        if before is not None and before.whole:
            return before
        done = before.done if before is not None else 0
        known = dict(zip(before.probes, before.states, strict=True)) if before is not None else {}
        size = self.passes.how.batch_size or automatic_batch(self.model.sites)
        self._say(done, len(places), size)
        saving = _Saving(partial(self._keep, f"{name}{share}", tuple(probes), done, len(places)), answers.lasting)
        self.passes.walked += 1
        with self.passes.progress.bar(f"pass {self.passes.walked}", len(places), "images", done) as show:

            def after(count: int, accumulators: Sequence[Accumulator]) -> None:
                show(count - saving.count)
                saving.after(count, accumulators)

            accumulators = measure(
                self.model, self.images, list(probes.values()), edits=self.edits, loss=self.loss, batch_size=size,
                device=self.passes.how.device, amp=self.passes.how.amp, places=places[done:],
                known=[known[key] for key in probes] if known else None, after=after,
            )  # fmt: skip
        return self._keep(f"{name}{share}", tuple(probes), done, len(places), len(places) - done, accumulators)

    def _keep(
        self, name: str, keys: tuple[str, ...], before: int, total: int, count: int,
        accumulators: Sequence[Accumulator],
    ) -> Part:  # fmt: skip
        states = tuple(accumulator.state() for accumulator in accumulators)
        part = Part(probes=keys, states=states, done=before + count, total=total)
        self.passes.answers.keep_part(name, part)
        return part

    def _say(self, done: int, total: int, size: int) -> None:
        if done:
            self.passes.progress.say(f"pass for {self.names}: {done:,} of {total:,} images are known, going on")
        seconds = self._seconds_an_image(self.images.take(range(min(TIMED_IMAGES, size, len(self.images)))))
        if seconds is not None:
            self.passes.progress.say(
                f"pass over {total - done:,} images for {self.names}: about {duration(seconds * (total - done))} "
                f"for the network itself, on {self.passes.how.device}"
            )

    def _seconds_an_image(self, few: Images) -> float | None:
        try:
            pixels = torch.from_numpy(next(few.batches(len(few)))[1]).to(self.passes.how.device)
            self.model.module(self.model.preprocessing.normalise(pixels[:1]))  # the first pass chooses kernels
            started = time.perf_counter()
            self.model.module(self.model.preprocessing.normalise(pixels))
        except Exception:
            return None  # the pass itself will halve its batch, or say what is wrong with the network
        return (time.perf_counter() - started) / len(pixels)


class _Saving:
    """Decides when a pass that is under way is kept."""

    def __init__(self, keep: Callable[[int, Sequence[Accumulator]], Any], lasting: bool) -> None:
        self.keep, self.lasting = keep, lasting
        self.batches = self.count = 0
        self.cost = 0.0
        self.saved = time.perf_counter()

    def after(self, count: int, accumulators: Sequence[Accumulator]) -> None:
        """One more batch has been seen, `count` images in all."""
        self.batches, self.count = self.batches + 1, count
        if not self.lasting or self.batches % SAVED_BATCHES:
            return
        started = time.perf_counter()
        if self.cost > SAVED_ANYWAY and self.cost > SAVED_SHARE * (started - self.saved):
            for accumulator in accumulators:
                accumulator.state()  # sums are put together at the same places, saved or not: the same bits
            return
        self.keep(count, accumulators)
        self.saved = time.perf_counter()
        self.cost = self.saved - started


Place = tuple[str, str]  # name of the measure, label of the site


def _computed(probe: Probe, state: Arrays) -> Any:
    accumulator = probe.statistic.start()
    accumulator.load(state)
    return accumulator.compute()


def _name(loss: Loss | None, lasting: bool) -> str:
    """What a loss is called from one process to the next.

    Raises: UsageError if that cannot be said and answers are to last.
    """
    if loss is None:
        return ""
    name = getattr(loss, "__qualname__", "<unknown>")
    if "<" not in name:
        return f"{loss.__module__}.{name}"
    if not lasting:
        return f"{name} {id(loss)}"
    raise UsageError(
        f"A pass was asked for under the loss {name}, which has no name of its own",
        "Answers are kept by name, so a loss is a function at the top level of a module",
        "Define it with `def`, outside of any function",
    )


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
