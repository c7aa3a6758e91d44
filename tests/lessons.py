"""A small network that learns digits in a plain loop, which can begin again from any step."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import microtome as mt

BATCH = 16
Told = Callable[[nn.Module, int, torch.Tensor], object]


class Learner(nn.Module):
    """Batch norm, which counts what it sees, and dropout, which draws at random."""

    def __init__(self, wide: int = 6) -> None:
        super().__init__()
        self.conv1, self.bn, self.conv2 = nn.Conv2d(1, wide, 3, stride=3), nn.BatchNorm2d(wide), nn.Conv2d(wide, 8, 3)
        self.drop, self.fc = nn.Dropout(0.3), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv2(F.relu(self.bn(self.conv1(x)))))
        return self.fc(self.drop(x.mean((2, 3))))


class Lesson:
    """The network, its optimiser and the images; `learn` goes on from where it is, `state` is all that it hangs on."""

    def __init__(self, wide: int = 6) -> None:
        torch.manual_seed(0)
        self.module = Learner(wide)
        self.model = mt.open_model(self.module, size=28, mean=(0.5,), std=(0.5,))
        images = mt.open_images("digits", like=self.model)
        self.probe, self.images = images.take(range(60)), images.take(range(60, 360))
        self.optimizer = torch.optim.Adam(self.module.parameters(), 5e-3)
        self.done = 0
        pixels = torch.stack([torch.from_numpy(self.images[place]) for place in range(len(self.images))])
        self.pixels, self.labels = (pixels / 255 - 0.5) / 0.5, torch.from_numpy(self.images.labels)

    def learn(self, steps: int, told: Told = lambda module, step, loss: None) -> None:
        """Batches are drawn from the process's random numbers, so whoever draws from them changes what is learnt."""
        self.module.train()
        for _ in range(steps):
            chosen = torch.randint(len(self.pixels), (BATCH,))
            loss = F.cross_entropy(self.module(self.pixels[chosen]), self.labels[chosen])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.done += 1
            told(self.module, self.done, loss)

    @property
    def state(self) -> dict[str, Any]:
        """A checkpoint."""
        return copy.deepcopy({"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict(),
                              "random": torch.get_rng_state(), "done": self.done})  # fmt: skip

    def go_back(self, state: Mapping[str, Any]) -> None:
        """To a checkpoint."""
        state = copy.deepcopy(dict(state))
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.done = state["done"]
