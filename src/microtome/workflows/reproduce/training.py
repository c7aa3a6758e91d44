"""The network trained here and, step by step beside it, in PyTorch: same weights, same batches, same dropout masks."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ... import scratch as mts
from ...progress import Progress
from ...scratch.learner import batches
from .data import Cats, Part, scaled

if TYPE_CHECKING:
    from torch import nn

OURS, THEIRS = "net.tnn", "twin.tnn"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides the trained networks. `initial` "he" draws weights from a normal distribution with a variance of
    2 / inputs and sets biases to 0; "document" takes 1 / inputs for both, as the document's listings do.
    """

    side: int = 64
    widths: tuple[int, ...] = (16, 32, 64, 128)
    hidden: tuple[int, ...] = (256, 64)
    epochs: int = 45
    batch_size: int = 36
    lr: float = 0.005
    momentum: float = 0.9
    initial: Literal["he", "document"] = "he"
    aside: int = 40
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Both networks, and what happened, one number an epoch.

    `history` holds losses and accuracies, the largest differences of losses and of weights between the two, the largest
    weight, and seconds.
    """

    net: mts.Net
    twin: mts.Net
    history: dict[str, list[float]]
    reused: bool


def initial_net(settings: Settings, dtype: np.dtype[np.floating] | type = np.float32) -> mts.Net:
    """The network before training."""
    net = mts.cats_net(settings.side, settings.widths, settings.hidden, random=settings.seed)
    if settings.initial == "he":
        for name, parameter in net.parameters().items():
            parameter.tensor *= np.float32(np.sqrt(2) if name.endswith("weight") else 0)
    return net.astype(dtype)


class Twins:
    """The network here and its like in PyTorch, trained on the same batches with the same masks."""

    def __init__(self, net: mts.Net, settings: Settings, random: np.random.Generator) -> None:
        import torch

        self.net, self.random, self.module = net.train(), random, _masked(net)
        self.learner = mts.Learner(net, mts.softmax_cross_entropy, mts.SGD(settings.lr, settings.momentum))
        self.optimiser = torch.optim.SGD(self.module.parameters(), settings.lr, settings.momentum)
        self.drops = [layer for layer in net if isinstance(layer, mts.Dropout)]
        self.shapes = net.shapes((3, settings.side, settings.side))

    def step(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """One batch through both; both losses before the step."""
        import torch

        for layer in self.drops:
            layer.mask = self.random.random((len(x), *self.shapes[layer.name]), np.float32) >= layer.p
            getattr(self.module, layer.name).mask = torch.from_numpy(layer.mask)
        self.optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.module(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return self.learner.step(x, y), float(loss.item())

    def other(self) -> mts.Net:
        """What PyTorch has learnt, as a network of ours."""
        names = [layer.name for layer in self.net if layer.parameters()]
        net = mts.to_torch(self.net)
        for name in names:
            getattr(net, name).load_state_dict(getattr(self.module, name).state_dict())
        return mts.from_torch(net, (3, *self.net[names[0]].in_shape[1:])).eval()  # type: ignore[attr-defined]

    def apart(self) -> tuple[float, float]:
        """The largest difference of a weight, and the largest weight."""
        ours, theirs = self.net.state_dict(), self.other().state_dict()
        return (max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours),
                max(float(np.abs(array).max()) for array in ours.values()))  # fmt: skip

    def finish(self) -> None:
        """Masks are gone, and nothing is random any more."""
        for layer in self.drops:
            layer.mask = None
        self.net.eval()


def train_twins(cats: Cats, settings: Settings, out: Path, progress: Progress) -> Trained:
    """Train both for a fixed number of epochs, or take them from the folder if they were trained there like this.

    Nothing is chosen on the validation images: their accuracy is only written down.
    """
    key: dict[str, Any] = {"settings": _plain(settings), "images": cats.mark}
    kept = _kept(out, key)
    if kept is not None:
        progress.say(f"{OURS} and {THEIRS} were trained with these settings on these images: they are used again")
        return kept
    net, random = initial_net(settings), np.random.default_rng(settings.seed)
    twins = Twins(net, settings, random)
    history: dict[str, list[float]] = {name: [] for name in HISTORY}
    with progress.bar("training twins", settings.epochs, "epoch") as advance:
        for epoch in range(1, settings.epochs + 1):
            started = time.perf_counter()
            losses = np.array([[*twins.step(scaled(cats.train.images[some]), cats.train.labels[some]), len(some)]
                               for some in batches(len(cats.train), settings.batch_size, random)])  # fmt: skip
            ours, theirs = (float(np.average(losses[:, place], weights=losses[:, 2])) for place in (0, 1))
            loss_apart, (weight_apart, largest) = float(np.abs(losses[:, 0] - losses[:, 1]).max()), twins.apart()
            held = [accuracy(net, part) for part in (cats.aside, cats.validation)]
            row = (ours, theirs, loss_apart, weight_apart, largest, *held, time.perf_counter() - started)
            for name, value in zip(HISTORY, row, strict=True):
                history[name].append(value)
            advance(1)
            progress.say(f"epoch {epoch} of {settings.epochs}: loss {ours:.4f}, PyTorch's {theirs:.4f}, validation "
                         f"{held[1]:.1%}, weights apart {weight_apart:.1e}, {row[-1]:.1f} s")  # fmt: skip
    twins.finish()
    other = twins.other()
    for each, name in ((other, THEIRS), (net, OURS)):  # the one that is looked for comes last
        each.about = key | {"history": history}
        each.export(out / name)
    return Trained(net=net, twin=other, history=history, reused=False)


HISTORY = ("loss", "loss_torch", "losses_apart", "weights_apart", "largest_weight", "aside", "validation", "seconds")


def answers(net: mts.Net, part: Part, batch_size: int = 60) -> np.ndarray:
    """The logits. Shapes: -> (N, 2)."""
    net.eval()
    return np.concatenate([net(scaled(part.images[first : first + batch_size]))
                           for first in range(0, len(part), batch_size)])  # fmt: skip


def accuracy(net: mts.Net, part: Part) -> float:
    """The share of right answers."""
    return float((answers(net, part).argmax(1) == part.labels).mean())


def first_batches(count: int, settings: Settings, steps: int) -> Iterator[np.ndarray]:
    """As many batches as are wanted, epoch after epoch."""
    random = np.random.default_rng(settings.seed)
    return islice(chain.from_iterable(batches(count, settings.batch_size, random) for _ in range(steps)), steps)


def short_run(cats: Cats, settings: Settings, steps: int, dtype: type) -> dict[str, Any]:
    """The first steps again in one precision: how far apart losses and weights are."""
    random = np.random.default_rng(settings.seed)
    twins = Twins(initial_net(settings, dtype), settings, random)
    losses = [twins.step(scaled(cats.train.images[some], dtype), cats.train.labels[some])
              for some in first_batches(len(cats.train), settings, steps)]  # fmt: skip
    weights, largest = twins.apart()
    return {"dtype": np.dtype(dtype).name, "steps": steps, "weights_apart": weights, "largest_weight": largest,
            "losses_apart": max(abs(ours - theirs) for ours, theirs in losses)}  # fmt: skip


def disturbed_run(cats: Cats, settings: Settings, steps: int) -> dict[str, Any]:
    """What rounding alone does in the first steps: this package beside itself, in float32, with first weights that are
    one step of float32 apart, up or down at random; 0 stays 0, at which rectifiers are undecided.
    """
    random = np.random.default_rng(settings.seed)
    nets = [initial_net(settings), initial_net(settings)]
    for parameter in nets[1].parameters().values():
        ends = np.where(random.random(parameter.tensor.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
        parameter.tensor = np.where(parameter.tensor == 0, parameter.tensor, np.nextafter(parameter.tensor, ends))
    losses = []
    for net in nets:
        learner = mts.Learner(net, mts.softmax_cross_entropy, mts.SGD(settings.lr, settings.momentum))
        net.seed(np.random.default_rng(settings.seed))
        for some in first_batches(len(cats.train), settings, steps):
            learner.step(scaled(cats.train.images[some]), cats.train.labels[some])
        losses.append(np.array(learner.history.losses))
    states = [net.state_dict() for net in nets]
    return {
        "losses_apart": float(np.abs(losses[0] - losses[1]).max()),
        "weights_apart": max(float(np.abs(states[0][name] - states[1][name]).max()) for name in states[0]),
    }


def _masked(net: mts.Net) -> "nn.Sequential":
    """The network in PyTorch, with dropouts whose mask is given."""
    import torch
    from torch import nn

    class Masked(nn.Module):
        mask: torch.Tensor

        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.mask / (1 - self.p)

    module = mts.to_torch(net)
    for layer in net:
        if isinstance(layer, mts.Dropout):
            setattr(module, layer.name, Masked(layer.p))
    return module


def _kept(out: Path, key: dict[str, Any]) -> Trained | None:
    if not all((out / name).is_file() for name in (OURS, THEIRS)):
        return None
    net, twin = (mts.load(out / name) for name in (OURS, THEIRS))
    if any({name: each.about.get(name) for name in key} != key for each in (net, twin)):
        return None
    return Trained(net=net, twin=twin, history=net.about["history"], reused=True)


def _plain(settings: Settings) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
            for name, value in asdict(settings).items()}  # fmt: skip
