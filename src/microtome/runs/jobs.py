"""Serve jobs: in batches, with progress, and never an item twice."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..analysis import Jobs
from ..errors import RunFailed, UsageError
from ..network.recording.measure import is_out_of_memory
from ..progress import Progress, duration
from .answers import VERSION, Answers, Share, digest


class JobServer:
    """Serves the jobs of a stage; every batch of items is kept as soon as it is done."""

    def __init__(self, answers: Answers, progress: Progress) -> None:
        self.answers, self.progress = answers, progress

    def serve(self, name: str, context: str, jobs: Jobs, share: Share | None) -> tuple[list[Any], str]:
        """One answer an item, and what is still missing; without a share nothing is worked out."""
        context = digest(VERSION, context, jobs.key)
        keys = [_key(name, item) for item in jobs.items]
        done = self.answers.items(context)
        mine = share.of(len(keys)) if share is not None else range(0)
        waiting = [place for place in mine if keys[place] not in done]
        if waiting:
            self._work(name, context, jobs, [(keys[place], jobs.items[place]) for place in waiting], done)
        missing = sum(key not in done for key in keys)
        if missing:
            return [], f"{missing:,} of {len(keys):,} items of {name}: {jobs.title}"
        return [done[key] for key in keys], ""

    def _work(
        self, name: str, context: str, jobs: Jobs, waiting: Sequence[tuple[str, Any]], done: dict[str, Any]
    ) -> None:
        at, size = 0, max(1, jobs.batch)
        started = time.perf_counter()
        with self.progress.bar(
            f"{name}: {jobs.title}", len(jobs.items), "items", len(jobs.items) - len(waiting)
        ) as advance:
            while at < len(waiting):
                some = waiting[at : at + size]
                fresh = _answered(name, jobs, [item for _, item in some])
                if fresh is None:
                    size = (size + 1) // 2
                    continue
                keys = [key for key, _ in some]
                done |= zip(keys, self._keep(name, context, jobs, keys, fresh), strict=True)
                if not at and len(some) < len(waiting):
                    seconds = (time.perf_counter() - started) / len(some) * len(waiting)
                    self.progress.say(f"{name}: {jobs.title}, {len(waiting):,} items, about {duration(seconds)}")
                at += len(some)
                advance(len(some))

    def _keep(self, name: str, context: str, jobs: Jobs, keys: Sequence[str], fresh: Sequence[Any]) -> list[Any]:
        try:
            return self.answers.keep_items(context, keys, fresh)
        except TypeError as error:
            raise UsageError(
                f"Jobs {jobs.title!r} of {name} answered what cannot be kept ({error})",
                "Answers are made of arrays, numbers and texts", "Mend the function of this analysis",
            ) from error  # fmt: skip


def _answered(name: str, jobs: Jobs, items: Sequence[Any]) -> list[Any] | None:
    """One answer an item, or None if memory ran out and fewer items may do."""
    try:
        fresh = list(jobs.function(items))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            raise RunFailed(
                f"One item of {jobs.title!r} alone needs more memory than there is",
                "A batch of Jobs holds one item or more", "Use a machine with more memory",
            ) from error  # fmt: skip
        return None
    if len(fresh) != len(items):
        raise UsageError(
            f"Jobs {jobs.title!r} of {name} answered {len(fresh)} of {len(items)} items",
            "A Jobs function returns one answer an item", "Mend the function of this analysis",
        )  # fmt: skip
    return fresh


def _key(name: str, item: Any) -> str:
    """What an item is called from one process to the next."""
    try:
        text = json.dumps(item, sort_keys=True, default=_described)
    except TypeError as error:
        raise UsageError(
            f"An item of the jobs of {name} is a {type(item).__name__} ({error})",
            "Answers are kept by item, so items are made of numbers, texts, arrays and dataclasses of these",
            "Mend the items of this analysis",
        ) from error
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _described(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, dataclasses.asdict(value)]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return [str(value.dtype), value.shape, hashlib.blake2b(np.asarray(value, order="C").tobytes()).hexdigest()]
    raise TypeError(f"{type(value).__name__} has no name that lasts")
