"""All trainings: which there are, several at once on the cores of a CPU, and each kept when it is done."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ....network.recording.untouched import choose_device
from ....network.training import Recipe
from ....progress import Progress, duration
from ....store import write_tree
from ..parts import kept
from .architectures import COST, DEEP, DEPTHS, RESIDUAL
from .data import Data, read_pictures
from .learning import learn
from .settings import ALL, FIRST, NOTHING, OWN, RANDOM, Job, Settings

Work = tuple[Job, Path, Recipe, bool, str, Path, str]  # what `train_one` takes
PACED = 4  # steps that are timed for an estimate, the first of them left out


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A network that has learnt, and its first layer at moments of the training.

    Shapes: steps (S,), bank (S, K, C, kh, kw), loss (S,), epochs and curve (E,), right (n,), folded (K, C, kh, kw),
    offset (K,), as `learn` gives them.
    """

    job: Job
    steps: np.ndarray
    bank: np.ndarray
    loss: np.ndarray
    epochs: np.ndarray
    curve: np.ndarray
    right: np.ndarray
    folded: np.ndarray
    offset: np.ndarray
    training: float
    seconds: float

    def raw(self, moment: int = -1) -> np.ndarray:
        """The filters at a moment, by default the last. Shapes: -> (K, C, kh, kw) float64."""
        return self.bank[moment].astype(np.float64)

    def moved(self, moment: int = -1) -> np.ndarray:
        """How far they have gone from where they began. Shapes: -> (K, C, kh, kw) float64."""
        return self.raw(moment) - self.raw(0)


def jobs_of(settings: Settings, data: Data) -> list[Job]:
    """All trainings, the longest first, so that no core waits for one at the end."""

    def seeds(count: int) -> range:
        return range(settings.seed, settings.seed + count)

    jobs = [Job(network=RESIDUAL, seed=seed) for seed in seeds(settings.residual)]
    jobs += [Job(network=RESIDUAL, seed=seed, labels=RANDOM) for seed in seeds(settings.residual - 1)]
    jobs += [Job(network=DEEP, seed=seed) for seed in seeds(settings.seeds)]
    jobs += [Job(network=DEEP, seed=seed, labels=RANDOM) for seed in seeds(settings.random)]
    jobs += [Job(network=DEEP, seed=seed, fixed=FIRST) for seed in seeds(settings.seeds)]
    jobs += [Job(network=DEEP, seed=seed, labels=data[name].labels_to_learn, data=name)
             for name in data.files if name != OWN for seed in seeds(settings.elsewhere)]  # fmt: skip
    jobs += [Job(network=DEEP, seed=seed, fixed=ALL) for seed in seeds(settings.fixed)]
    return jobs + [Job(network=net, seed=seed, fixed=fixed) for net in DEPTHS if net != DEEP
                   for fixed in (NOTHING, FIRST) for seed in seeds(settings.seeds)]  # fmt: skip


def recipe_of(job: Job, settings: Settings, data: Data) -> Recipe:
    """Every network takes as many steps, whatever it learns from: small sets are gone through more often."""
    recipe = settings.recipe
    if job.data == OWN:
        return recipe
    steps = recipe.epochs * recipe.batches(len(data[OWN].pixels))
    return replace(recipe, epochs=max(1, round(steps / recipe.batches(len(data[job.data].pixels)))))


def train_all(settings: Settings, data: Data, out: Path, progress: Progress) -> list[Learnt]:
    """Train all networks, or take from `out` what was trained there like this; a call that was broken off goes on."""
    jobs = jobs_of(settings, data)
    recipes = {job: recipe_of(job, settings, data) for job in jobs}
    keys = {job: json.dumps([asdict(job), asdict(recipes[job]), settings.full, data.mark], sort_keys=True)
            for job in jobs}  # fmt: skip
    todo = [job for job in jobs if kept(out / job.name, keys[job]) is None]
    progress.say(f"{len(jobs)} networks, {len(jobs) - len(todo)} of them trained already")
    if todo:
        _train(todo, recipes, keys, settings, data, out, progress)
    return [Learnt(job=job, **(kept(out / job.name, keys[job]) or {})) for job in jobs]


def _train(
    todo: Sequence[Job], recipes: dict[Job, Recipe], keys: dict[Job, str], settings: Settings, data: Data, out: Path,
    progress: Progress,
) -> None:  # fmt: skip
    device = choose_device(nn.Identity())
    processes = 1 if device.type != "cpu" else min(torch.get_num_threads(), len(todo))
    work: dict[Job, Work] = {
        job: (job, data.files[job.data], recipes[job], settings.full, str(device), out / job.name, keys[job])
        for job in todo
    }
    costs = {job: COST[job.network] * recipes[job].epochs * recipes[job].batches(len(data[job.data].pixels))
             for job in todo}  # fmt: skip
    first = pace(data, settings, device) * sum(costs.values()) / processes
    progress.say(f"{settings.recipe}; on {device}, {processes} at once: about {duration(first)}")
    began, done = time.perf_counter(), 0.0
    with progress.bar("training", len(todo), "networks") as advance:
        for job, seconds in at_once(work, processes) if processes > 1 else _one_by_one(work):
            done += costs[job]
            left = (time.perf_counter() - began) * (sum(costs.values()) / done - 1)
            progress.say(f"{job.name}: {seconds:.0f} s; about {duration(left)} left")
            advance(1)


def _one_by_one(work: Mapping[Job, Work]) -> Iterator[tuple[Job, float]]:
    for job, given in work.items():
        yield job, train_one(*given)


def at_once(work: Mapping[Job, Work], processes: int) -> Iterator[tuple[Job, float]]:
    """Train in so many processes of one thread each: every network and its seconds, when it is done."""
    # spawn: a fork of a process that has run torch may hang
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = {pool.submit(train_one, *given): job for job, given in work.items()}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def train_one(job: Job, pictures: Path, recipe: Recipe, wide: bool, device: str, stem: Path, key: str) -> float:
    """Train one network and write it; seconds."""
    found = learn(job, read_pictures(pictures), recipe, wide, torch.device(device))
    write_tree(stem, {"key": key, "found": found})
    return float(found["seconds"])


def pace(data: Data, settings: Settings, device: torch.device) -> float:
    """Seconds for a step of the cheapest network, from a few of its steps."""
    pictures, recipe = data[OWN], settings.recipe
    size = min(len(pictures.pixels), PACED * recipe.batch_size)
    some = replace(pictures, pixels=pictures.pixels[:size], labels=pictures.labels[:size],
                   held_out=pictures.held_out[:1], held_out_labels=pictures.held_out_labels[:1])  # fmt: skip
    cheapest = Job(network=min(COST, key=lambda name: COST[name]), seed=settings.seed)
    learn(cheapest, some, replace(recipe, epochs=1), settings.full, device)  # what is made at first
    found = learn(cheapest, some, replace(recipe, epochs=1), settings.full, device)
    return float(found["seconds"]) / max(1, recipe.batches(size))
