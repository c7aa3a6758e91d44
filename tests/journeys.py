"""A look of several stages that can be killed anywhere, and what it should have found."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import microtome as mt
from microtome.analyses.activity import Activity
from microtome.analysis import Analysis, Jobs, Pass, Result, Steps, at
from microtome.images.sources import open_images
from microtome.runs.answers import Answers, Share
from microtome.runs.runner import EVERYTHING, Look, Outcome
from microtome.statistics import Rows
from microtome.statistics.statistic import Accumulator, Arrays, Batch, Statistic, added
from sketches import Sketch, SketchResult

IMAGES, BATCH = 97, 4  # 25 batches, the last with one image
PIECES = 11  # of a job, in batches of 3


class Killed(BaseException):
    """What stands for the end of the process: nothing of ours may catch it."""


@dataclass(frozen=True, kw_only=True)
class Energy(Statistic):
    """Sum over images and positions of the squared projection of a tensor's channels onto `axes` (C, D)."""

    axes: np.ndarray

    def start(self) -> "EnergyAccumulator":
        return EnergyAccumulator(self.axes)


class EnergyAccumulator(Accumulator):
    def __init__(self, axes: np.ndarray) -> None:
        super().__init__()
        self.axes = torch.from_numpy(axes)

    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        projected = torch.einsum("nchw,cd->ndhw", tensors[0].double(), self.axes)
        return {"energy": (projected**2).sum((0, 2, 3)).numpy()}

    def join(self, parts: Sequence[Arrays]) -> Arrays:
        return added(parts)

    def compute(self) -> np.ndarray:
        return self.seen["energy"]


@dataclass(frozen=True, kw_only=True)
class Axes(Sketch):
    """Two passes: the principal axes of a layer's mean responses, then the energy along them."""

    name = "axes"

    def steps(self, specimen: mt.Specimen) -> Steps:
        answers = yield Pass(rows=at("conv2", Rows(images=40)))
        vectors = answers["rows"].values.astype(np.float64)
        axes = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)[2][:5].T
        answers = yield Pass(energy=at("conv2", Energy(axes=axes)))
        return SketchResult(found={"energy": answers["energy"], "which": axes})


@dataclass(frozen=True, kw_only=True)
class Pieces(Sketch):
    """A pass, and independent pieces of work that need its answer."""

    name = "pieces"

    def steps(self, specimen: mt.Specimen) -> Steps:
        answers = yield Pass(rows=at("conv1", Rows(images=20)))
        scale = float(np.abs(answers["rows"].values).sum())

        def work(items: Sequence[int]) -> list[dict[str, Any]]:
            WORKED.extend(items)
            return [{"item": item, "value": np.full(2, item * scale)} for item in items]

        answers = yield Jobs(key="pieces", function=work, items=tuple(range(PIECES)), batch=3)
        return SketchResult(found={"pieces": answers})


WORKED: list[int] = []  # every item that was worked on, again and again
ANALYSES: tuple[Analysis, ...] = (Activity(), Axes(), Pieces())


def digits() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet_pruned")
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(IMAGES))


class Journey:
    """Looks at the same specimen with the same folder; counts the images that go through the network."""

    def __init__(self, specimen: mt.Specimen, folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.specimen, self.folder, self.images = specimen, folder, 0
        _ = specimen.model.sites, specimen.receptive_fields
        self.handle = specimen.model.module.register_forward_pre_hook(self._count)
        # the guess of how long a pass takes runs a few images of its own
        monkeypatch.setattr("microtome.runs.walk.Walk._seconds_an_image", lambda *_: None)

    def _count(self, _module: object, args: tuple[Tensor, ...]) -> None:
        self.images += len(args[0])

    def go(self, share: Share | None = EVERYTHING, batch_size: int = BATCH) -> Outcome:
        """One process's work, from the beginning."""
        answers = Answers(self.folder)
        return Look(self.specimen, batch_size=batch_size, answers=answers).run(ANALYSES, share)


@contextlib.contextmanager
def killing(monkeypatch: pytest.MonkeyPatch, home: Any, name: str, at_call: int, after: bool) -> Iterator[None]:
    """The process ends at the n-th call of a function, before it has begun or after it has ended."""
    original: Callable[..., Any] = getattr(home, name)
    calls = iter(range(1, 10**6))

    def killer(*args: Any, **kwargs: Any) -> Any:
        if next(calls) != at_call:
            return original(*args, **kwargs)
        if after:
            original(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(home, name, killer)
        yield


def tree_of(results: dict[str, Result]) -> dict[str, Any]:
    return {name: result.to_state() for name, result in results.items()}


def assert_same(found: Any, expected: Any, where: str = "") -> None:
    """The same integers and texts; numbers to 1e-12 of the sum of magnitudes."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for place, item in enumerate(expected):
            assert_same(found[place], item, f"{where}/{place}")
    elif isinstance(expected, np.ndarray | float) and np.asarray(expected).dtype.kind == "f":
        size = np.abs(expected)[np.isfinite(expected)].sum() if np.ndim(expected) else abs(expected)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * float(size), err_msg=where)
    else:
        assert np.array_equal(found, expected), where
