"""The callback, under a trainer that calls it as Lightning's does (`_call_callback_hooks` of lightning 2.6.6).

The same was done by hand with the real one: equal weights, with and without accumulated gradients, and a fit that goes
on from a checkpoint.
"""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import microtome as mt
from lessons import BATCH, Lesson
from microtome.errors import UsageError
from microtome.workflows.track.lightning import HOOKS

EACH = 6  # batches of an epoch


class LitLesson(nn.Module):
    """A module whose network is a part of it."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__()
        self.net = lesson.module

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])


class Trainer:
    """One process, one optimiser; hooks in Lightning's order, each fetched by its name."""

    is_global_zero = True

    def __init__(self, callbacks: list[Any], accumulate: int = 1, estimate: float = float("inf")) -> None:
        self.callbacks, self.accumulate, self.estimated_stepping_batches = callbacks, accumulate, estimate
        self.global_step = self.current_epoch = 0

    def call(self, hook: str, *given: object, **named: object) -> None:
        for callback in self.callbacks:
            function = getattr(callback, hook)
            if callable(function):
                assert isinstance(callback.state_key, str)
                function(self, self.module, *given, **named)

    def fit(self, module: LitLesson, lesson: Lesson, epochs: int) -> None:
        self.module = module
        self.call("setup", stage="fit")
        for hook in ("on_fit_start", "on_sanity_check_start", "on_sanity_check_end", "on_train_start"):
            self.call(hook)
        module.train()
        for self.current_epoch in range(epochs):
            self.call("on_train_epoch_start")
            for number in range(EACH):
                self._batch(module, lesson, number)
            self.call("on_train_epoch_end")
        assert [callback.state_dict() for callback in self.callbacks] == [{} for _ in self.callbacks]
        for hook in ("on_train_end", "on_fit_end"):
            self.call(hook)
        self.call("teardown", stage="fit")

    def _batch(self, module: LitLesson, lesson: Lesson, number: int) -> None:
        chosen = torch.randint(len(lesson.pixels), (BATCH,))
        batch = lesson.pixels[chosen], lesson.labels[chosen]
        self.call("on_train_batch_start", batch, number)
        loss = module.training_step(batch)
        self.call("on_before_backward", loss)
        loss.backward()
        self.call("on_after_backward")
        if (number + 1) % self.accumulate == 0:
            self.call("on_before_optimizer_step", lesson.optimizer)
            lesson.optimizer.step()
            self.call("on_before_zero_grad", lesson.optimizer)
            lesson.optimizer.zero_grad()
            self.global_step += 1
        self.call("on_train_batch_end", {"loss": loss.detach()}, batch, number)


@pytest.fixture
def lightning(monkeypatch) -> type:
    """What `import lightning.pytorch` would have brought."""
    base = type("Callback", (), dict.fromkeys(HOOKS, lambda self, *given, **named: None) | {
        "state_key": property(lambda self: type(self).__qualname__), "state_dict": lambda self: {},
    })  # fmt: skip
    package = ModuleType("lightning.pytorch")
    package.Callback = base
    monkeypatch.setitem(sys.modules, "lightning.pytorch", package)
    return base


def fitted(out, accumulate: int = 1, follow: bool = True, **words: float):
    lesson = Lesson()
    tracker = mt.Tracker(lesson.model, lesson.probe, out=out, analyses=["activity"], share=1.0)
    trainer = Trainer([tracker.lightning("net")] if follow else [], accumulate, **words)
    trainer.fit(LitLesson(lesson), lesson, 2)
    return tracker, lesson, trainer


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_fit_is_followed_and_learns_the_same(tmp_path, accumulate) -> None:
    tracker, lesson, trainer = fitted(tmp_path / "a", accumulate)
    _, alone, _ = fitted(tmp_path / "b", accumulate, follow=False)
    theirs = alone.module.state_dict()
    assert [name for name, tensor in lesson.module.state_dict().items() if not torch.equal(tensor, theirs[name])] == []
    history = tracker.run["history"]
    assert history.step.tolist() == list(range(1 + trainer.global_step)) and trainer.global_step == 12 // accumulate
    assert history.facts["epoch"][1:].tolist() == [step >= 6 // accumulate for step in range(12 // accumulate)]
    assert (history.facts["loss"][1:] > 0).all()
    assert list(history.curves["activity"]["active"]) == ["conv1", "conv2", "fc"], "of the part, not of the whole"


def test_the_callback_is_of_the_class_that_the_trainer_knows(lightning, tmp_path) -> None:
    tracker, _, trainer = fitted(tmp_path / "run")
    assert isinstance(trainer.callbacks[0], lightning)
    assert tracker.run["history"].step[-1] == 12


def test_without_lightning_every_hook_is_there_and_does_nothing(tmp_path) -> None:
    lesson = Lesson()
    callback = mt.Tracker(lesson.model, lesson.probe, out=tmp_path / "run").lightning()
    own = {"on_train_start", "on_train_batch_end", "on_train_end"}
    assert all(getattr(callback, hook)("trainer", "module", "more", stage="fit") is None for hook in HOOKS
               if hook not in own)  # fmt: skip
    assert (callback.state_key, callback.load_state_dict({})) == ("TrackerCallback", None)
    assert callback._legacy_state_key is type(callback)


def test_how_many_steps_there_will_be_is_known_from_the_trainer(tmp_path) -> None:
    assert fitted(tmp_path / "a", estimate=12)[0].schedule.steps == 12
    assert fitted(tmp_path / "b")[0].schedule.steps is None


def test_other_processes_of_a_training_do_not_look(tmp_path) -> None:
    lesson = Lesson()
    tracker = mt.Tracker(lesson.model, lesson.probe, out=tmp_path / "run")
    trainer = Trainer([tracker.lightning("net")])
    trainer.is_global_zero = False
    trainer.fit(LitLesson(lesson), lesson, 1)
    assert (tracker.moments.all, tracker.run) == ([], None)


def test_a_part_that_is_not_there_is_an_error(tmp_path) -> None:
    lesson = Lesson()
    callback = mt.Tracker(lesson.model, lesson.probe, out=tmp_path / "run").lightning("backbone")
    with pytest.raises(UsageError, match="LitLesson has no submodule 'backbone'. It has: net. Name one of them"):
        Trainer([callback]).fit(LitLesson(lesson), lesson, 1)
