"""One small, seeded trainer: enough to make the networks that we look at, and to retrain those that we cut."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import at_least
from ..errors import BadImages
from ..images.collection import Images
from ..images.preprocessing import Preprocessing
from ..progress import Progress, Silent
from .recording.inputs import prepare

EVALUATION_BATCH = 256
AfterStep = Callable[[int, int, int, Tensor], None]  # steps done, of so many; the epoch, from 1; the loss of the batch
DROP = 0.1  # what a step of the schedule multiplies the rate with


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. `shift` moves every image by up to so many pixels, `flip` mirrors half of them.

    Under the schedule "step" the rate drops to a tenth after each of the shares `drops` of all steps. With `drop_last`
    an epoch leaves out its last images if they fill no batch (unless they are all there are).
    """

    epochs: int = 12
    batch_size: int = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    drops: tuple[float, ...] = (0.5, 0.75)
    shift: int = 0
    flip: bool = False
    drop_last: bool = False
    seed: int = 0

    def batches(self, images: int) -> int:
        """Steps of one epoch over so many images."""
        whole, rest = divmod(images, self.batch_size)
        return whole if self.drop_last and whole else whole + bool(rest)

    def factor(self, step: int, steps: int) -> float:
        """What the rate is multiplied by at a step of so many in all."""
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * step / steps))
        if self.schedule == "step":
            return DROP ** sum(step >= round(share * steps) for share in self.drops)
        return 1.0

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.0%}" for share in self.drops)
        rate = {"cosine": " falling along a cosine", "constant": "", "step": f" divided by {1 / DROP:g} after {shares}"}
        parts = [
            f"{self.epochs} epochs of batches of {self.batch_size}",
            "AdamW" if self.optimizer == "adam" else f"SGD with momentum {self.momentum:g}",
            f"rate {self.rate:g}{rate[self.schedule]}", f"weight decay {self.weight_decay:g}",
            *([f"shifted by up to {self.shift} pixels"] if self.shift else []), *(["mirrored"] if self.flip else []),
            *(["last small batches left out"] if self.drop_last else []), f"seed {self.seed}",
        ]  # fmt: skip
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a training. Shapes: loss and validation (epochs,); best counts epochs from 0.

    The module holds the weights of the epoch with the best validation accuracy, the earliest of equal ones.
    """

    loss: np.ndarray
    validation: np.ndarray
    best: int


def train(
    module: nn.Module,
    images: Images,
    validation: Images,
    preprocessing: Preprocessing,
    recipe: Recipe,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    after_step: AfterStep | None = None,
) -> Trained:
    """Train `module` in place on labelled images; the best epoch is chosen on `validation` alone.

    `after_step` is called after every step of the optimiser, and may look at the module but not change it.
    Same recipe, machine and images: same bits. Raises: BadImages if an image has no label.
    """
    at_least("epochs", recipe.epochs, 1)
    at_least("batch_size", recipe.batch_size, 1)
    for part in (images, validation):
        if len(part) == 0 or (part.labels < 0).any():
            raise BadImages(f"{part.source} holds {len(part)} images, {int((part.labels < 0).sum())} without a label",
                            "Training needs labelled images, one or more for training and for validation",
                            "Give images in one folder a class")  # fmt: skip
    place = device or next((p.device for p in module.parameters()), torch.device("cpu"))
    module.to(place)
    pixels, labels = in_memory(images)
    optimizer = _optimizer(module, recipe)
    steps = recipe.batches(len(pixels)) * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, steps))
    random = torch.Generator().manual_seed(recipe.seed)
    losses, accuracies = [], []
    best, best_state = -1, module.state_dict()

    def told(loss: Tensor) -> None:
        if after_step is not None:
            done = schedule.last_epoch  # it counts steps
            after_step(done, steps, (done - 1) // recipe.batches(len(pixels)) + 1, loss)

    with torch.random.fork_rng(), (progress or Silent()).bar("training", recipe.epochs, "epochs") as advance:
        torch.manual_seed(recipe.seed)  # for dropout
        for epoch in range(recipe.epochs):
            module.train()
            losses.append(
                _one_epoch(module, pixels, labels, preprocessing, recipe, optimizer, schedule, random, place, told)
            )
            accuracies.append(accuracy(module, validation, preprocessing, place))
            if best < 0 or accuracies[-1] > accuracies[best]:
                best, best_state = epoch, {name: value.detach().clone() for name, value in module.state_dict().items()}
            advance(1)
    module.load_state_dict(best_state)
    module.eval()
    return Trained(loss=np.array(losses), validation=np.array(accuracies), best=best)


def in_memory(images: Images) -> tuple[Tensor, Tensor]:
    """All pixels (N, C, H, W), uint8 or prepared, and labels (N,), of the images that can be read."""
    places, pixels = zip(*images.batches(EVALUATION_BATCH), strict=True)
    return torch.from_numpy(np.concatenate(pixels)), torch.from_numpy(images.labels[np.concatenate(places)])


def accuracy(module: nn.Module, images: Images, preprocessing: Preprocessing, device: torch.device) -> float:
    """Share of the images that can be read classified correctly; the module is left in eval mode."""
    module.eval()
    hits = count = 0
    with torch.no_grad():
        for places, pixels in images.batches(EVALUATION_BATCH):
            outputs = module(prepare(torch.from_numpy(pixels).to(device), preprocessing, module))
            hits += int((outputs.argmax(1).cpu().numpy() == images.labels[places]).sum())
            count += len(places)
    return hits / count


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(trained, lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def _one_epoch(
    module: nn.Module, pixels: Tensor, labels: Tensor, preprocessing: Preprocessing, recipe: Recipe,
    optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, random: torch.Generator,
    device: torch.device, told: Callable[[Tensor], None],
) -> float:  # fmt: skip
    total, seen = 0.0, 0
    order = torch.randperm(len(pixels), generator=random)
    for chosen in order.split(recipe.batch_size)[: recipe.batches(len(pixels))]:  # type: ignore[no-untyped-call]
        batch = augment(pixels[chosen], recipe, random)
        outputs = module(prepare(batch.to(device), preprocessing, module))
        loss = F.cross_entropy(outputs, labels[chosen].to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        told(loss.detach())
        total += float(loss.detach()) * len(chosen)
        seen += len(chosen)
    return total / seen


def augment(images: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Shift and flip every image by its own draw. Shapes: (N, C, H, W) -> the same; what is shifted in is 0."""
    if recipe.shift:
        count, _, height, width = images.shape
        padded = F.pad(images, (recipe.shift,) * 4)
        corner = torch.randint(0, 2 * recipe.shift + 1, (2, count, 1), generator=random)
        rows, columns = corner[0] + torch.arange(height), corner[1] + torch.arange(width)  # (N, H), (N, W)
        images = padded.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        images = images.permute(0, 3, 1, 2).contiguous()
    if recipe.flip:
        mirrored = torch.rand(len(images), generator=random) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images
