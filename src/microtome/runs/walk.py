"""One walk over the images: what it is to find, what is known of it already, and what is kept of it on the way."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import UsageError
from ..images.collection import Images
from ..network.open import Model
from ..network.recording.edits import Edit
from ..network.recording.inputs import prepare
from ..network.recording.measure import Loss, automatic_batch, measure
from ..network.recording.recorder import Probe
from ..progress import Progress, duration
from ..statistics import Accumulator
from ..statistics.statistic import Arrays
from .answers import VERSION, Answers, Part, Share, digest, merged

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


class Walk:
    """One walk over the images: for one model, under the same edits and loss."""

    def __init__(
        self, model: Model, images: Images, edits: Sequence[Edit], loss: Loss | None, names: str, answers: Answers,
        how: How, progress: Progress,
    ) -> None:  # fmt: skip
        self.model, self.images, self.edits, self.loss, self.names = model, images, edits, loss, names
        self.answers, self.how, self.progress = answers, how, progress
        self.measured = False
        self._under = [dataclasses.asdict(edit) for edit in edits], _name(loss, answers), how.amp
        self.group = self._group(images.fingerprint)

    def _group(self, images: str) -> str:
        return digest(VERSION, self.model.fingerprint, images, self._under)

    def states(self, probes: Mapping[str, Probe], share: Share | None) -> tuple[dict[str, Arrays], list[str]]:
        """The state of every probe by its key; or, if that cannot be had now, what is missing."""
        states, broken = self.answers.known(self.group)
        self.images.remember_broken(broken)
        missing = {key: probe for key, probe in probes.items() if key not in states}
        if missing:
            name = f"{self.group}-{digest(sorted(missing))}"
            if share is None:
                found, still = self._put_together(name, missing)
                if still:
                    return {}, still
            else:
                part = self._grown(name, missing, share) or self._measured(name, missing, share)
                if share.count > 1:
                    return {}, [f"share {share.index} of {share.count} of the pass for {self.names} is done"]
                found = dict(zip(part.probes, part.states, strict=True))
            states |= found
        return states, []

    def _put_together(self, name: str, probes: Mapping[str, Probe]) -> tuple[dict[str, Arrays], list[str]]:
        there = self.answers.shares(name)
        count = next((count for count, parts in there.items() if len(parts) == count), None)
        if count is None:
            have = "; ".join(f"{len(parts)} of {count}" for count, parts in there.items()) or "none"
            return {}, [f"the pass for {self.names}: {have} shares are done"]
        for part in there[count]:
            self.images.remember_broken(part.broken)
        states = {}
        for key, parts in merged(there[count]).items():
            accumulator = probes[key].statistic.start()
            for state in parts:
                other = probes[key].statistic.start()
                other.load(state)
                accumulator.merge(other)
            states[key] = accumulator.state()
        total = sum(part.total for part in there[count])
        self._keep(name, tuple(states), list(states.values()), total, total)
        self.answers.forget_shares(name)
        return states, []

    def _grown(self, name: str, probes: Mapping[str, Probe], share: Share) -> Part | None:
        """The states over all images from those over some of them, if that can be done."""
        if share.count > 1 or not all(probe.statistic.grows for probe in probes.values()):
            return None
        for images, places in self.answers.smaller(self.images.marks).items():
            known, broken = self.answers.known(self._group(images))
            if not known.keys() >= probes.keys():
                continue
            self.progress.say(f"pass for {self.names}: {len(places):,} of {len(self.images):,} images are known")
            self.images.remember_broken(broken)
            fresh = np.setdiff1d(np.arange(len(self.images)), places)
            part = self._measured(f"{name}+{images}", probes, share, fresh)
            states = []
            for key, added in zip(part.probes, part.states, strict=True):
                accumulator, more = probes[key].statistic.start(), probes[key].statistic.start()
                accumulator.load(known[key])
                accumulator.move(places)
                more.load(added)
                accumulator.merge(more)
                states.append(accumulator.state())
            whole = self._keep(name, part.probes, states, len(self.images), len(self.images))
            self.answers.forget_part(f"{name}+{images}")
            return whole
        return None

    def _measured(self, name: str, probes: Mapping[str, Probe], share: Share, some: np.ndarray | None = None) -> Part:
        places = np.array(share.of(len(self.images)), dtype=np.int64) if some is None else some
        before = self.answers.part(f"{name}{share}")
        if before is not None and before.whole:
            return before
        if before is not None:
            self.images.remember_broken(before.broken)
        done = before.done if before is not None else 0
        known = dict(zip(before.probes, before.states, strict=True)) if before is not None else {}
        size = self.how.batch_size or automatic_batch(self.model.sites)
        self._say(done, len(places), size)

        def keep(count: int, accumulators: Sequence[Accumulator]) -> Part:
            states = [accumulator.state() for accumulator in accumulators]
            return self._keep(f"{name}{share}", tuple(probes), states, done + count, len(places))

        saving = _Saving(keep, self.answers.lasting)
        self.measured = True
        with self.progress.bar(f"pass for {self.names}", len(places), "images", done) as show:

            def after(count: int, accumulators: Sequence[Accumulator]) -> None:
                show(count - saving.count)
                saving.after(count, accumulators)

            accumulators = measure(
                self.model, self.images, list(probes.values()), edits=self.edits, loss=self.loss, batch_size=size,
                device=self.how.device, amp=self.how.amp, places=places[done:],
                known=[known[key] for key in probes] if known else None, after=after,
            )  # fmt: skip
        return keep(len(places) - done, accumulators)

    def _keep(self, name: str, keys: tuple[str, ...], states: Sequence[Arrays], done: int, total: int) -> Part:
        part = Part(probes=keys, states=tuple(states), done=done, total=total, broken=self.images.broken)
        self.answers.keep_part(name, part)
        return part

    def _say(self, done: int, total: int, size: int) -> None:
        if done:
            self.progress.say(f"pass for {self.names}: {done:,} of {total:,} images are known, going on")
        seconds = self._seconds_an_image(min(TIMED_IMAGES, size, len(self.images)))
        if seconds is not None:
            self.progress.say(
                f"pass over {total - done:,} images for {self.names}: about {duration(seconds * (total - done))} "
                f"for the network itself, on {self.how.device}"
            )

    def _seconds_an_image(self, few: int) -> float | None:
        found = next(self.images.batches(few, range(few)), None)
        if found is None:
            return None  # none of the first can be read; the pass itself will tell
        try:
            pixels = torch.from_numpy(found[1]).to(self.how.device)
            prepared = prepare(pixels, self.model.preprocessing, self.model.module)
            self.model.module(prepared[:1])  # the first pass chooses kernels
            started = time.perf_counter()
            self.model.module(prepared)
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


def _name(loss: Loss | None, answers: Answers) -> str:
    """What a loss is called from one process to the next.

    Raises: UsageError if that cannot be said and answers are to last.
    """
    if loss is None:
        return ""
    name = getattr(loss, "__qualname__", "<unknown>")
    if "<" not in name and not hasattr(loss, "__self__"):
        return f"{loss.__module__}.{name}"
    if not answers.lasting:
        return f"{name} {answers.number(loss)}"
    raise UsageError(
        f"A pass was asked for under the loss {name}, which has no name of its own",
        "Answers are kept by name, so a loss is a function at the top level of a module",
        "Define it with `def`, outside of any function",
    )
