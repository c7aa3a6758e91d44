"""Training: batches, loss, way back, step; again."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..errors import UsageError
from .net import Net
from .optimisers import Optimiser

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
Data = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Epoch:
    """One epoch: mean loss over its batches, accuracy on what was held out (NaN without), seconds."""

    number: int
    loss: float
    accuracy: float
    held_out_loss: float
    seconds: float


@dataclass(frozen=True)
class History:
    """What happened: every batch's loss, every epoch."""

    losses: list[float] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)


class Watcher(Protocol):
    """Called after each batch, and after each epoch with its summary."""

    def __call__(self, learner: "Learner", epoch: Epoch | None) -> None:
        """`epoch` is None after a batch."""
        ...


class Learner:
    """A network, what it is to make small, and how it moves."""

    def __init__(self, model: Net, loss: Loss, optimiser: Optimiser) -> None:
        self.model, self.loss, self.optimiser = model, loss, optimiser
        self.history = History()

    def fit(
        self, x: np.ndarray, y: np.ndarray, epochs: int = 1, batch_size: int = 64, *, held_out: Data | None = None,
        seed: int = 0, prepare: Callable[[np.ndarray], np.ndarray] | None = None, watchers: Sequence[Watcher] = (),
        say: Callable[[str], None] | None = None,
    ) -> History:  # fmt: skip
        """Train, each epoch in a new order; the last batch may be smaller. The same seed gives the same network.

        `prepare` is applied to each batch, so that images can wait as bytes; `say` is told of each epoch.
        Shapes: x (N, ...), y (N,) or as the loss takes it. Raises: UsageError.
        """
        if len(x) != len(y) or not len(x) or epochs < 0 or batch_size < 1:
            given = f"{len(x)} images, {len(y)} labels, epochs={epochs}, batch_size={batch_size}"
            raise UsageError(f"fit was given {given}", "It takes as many labels as images, and batches of one or more",
                             "Mend these")  # fmt: skip
        random = np.random.default_rng(seed)
        self.model.seed(random)
        for number in range(1, epochs + 1):
            started, losses = time.perf_counter(), []
            for chosen in batches(len(x), batch_size, random):
                losses.append(self.step(_prepared(x[chosen], prepare), y[chosen]) * len(chosen))
                for watcher in watchers:
                    watcher(self, None)
            held = self.evaluate(*held_out, prepare=prepare) if held_out else (float("nan"), float("nan"))
            epoch = Epoch(number=len(self.history.epochs) + 1, loss=sum(losses) / len(x), held_out_loss=held[0],
                          accuracy=held[1], seconds=time.perf_counter() - started)  # fmt: skip
            self.history.epochs.append(epoch)
            for watcher in watchers:
                watcher(self, epoch)
            if say is not None:
                told = f", accuracy {epoch.accuracy:.2%} on {len(held_out[0]):,} held out" if held_out else ""
                say(f"epoch {number} of {epochs}: loss {epoch.loss:.4f}{told}, {epoch.seconds:.1f} s")
        self.model.eval()
        return self.history

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        """One batch forward, back, and a step; the loss before it."""
        loss, gradient = self.loss(self.model.train()(x), y)
        self.model.backward(gradient, input_gradient=False)
        self.model.update(self.optimiser)
        self.history.losses.append(loss)
        return loss

    def evaluate(
        self, x: np.ndarray, y: np.ndarray, batch_size: int = 250,
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> tuple[float, float]:  # fmt: skip
        """Loss and accuracy, with nothing random, nothing learnt."""
        training = [layer.training for layer in self.model]
        self.model.eval()
        total, right = 0.0, 0
        for first in range(0, len(x), batch_size):
            some = y[first : first + batch_size]
            answer = self.model(_prepared(x[first : first + batch_size], prepare))
            total += self.loss(answer, some)[0] * len(some)
            right += int((answer.argmax(1) == (some if some.ndim == 1 else some.argmax(1))).sum())
        for layer, was in zip(self.model, training, strict=True):
            layer.training = was
        return total / len(x), right / len(x)


def batches(count: int, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Places in a random order, some at a time."""
    order = random.permutation(count)
    return (order[first : first + size] for first in range(0, count, size))


def _prepared(x: np.ndarray, prepare: Callable[[np.ndarray], np.ndarray] | None) -> np.ndarray:
    return x if prepare is None else prepare(x)
