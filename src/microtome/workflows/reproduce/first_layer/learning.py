"""One network learns, and its first layer is written down at moments that lie closer together at the beginning."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....images.preprocessing import Preprocessing
from ....network.training import Recipe
from ....network.zoo import CIFAR_PROFILES
from .architectures import build, first_of
from .data import Pictures
from .settings import ALL, NOTHING, RANDOM, Job

MOMENTS = 14  # of a training, its beginning and its end among them
EARLIEST = 10  # steps, before which nothing but the first kicks is seen
CURVE = 7  # how often the images held out are asked on the way
OTHERWISE = 1000  # added to a seed for random labels, so that no two networks begin with the same weights
EVALUATION_BATCH = 250


def moments(steps: int) -> list[int]:
    """The steps after which the first layer is written down. Evenly on a logarithmic scale, with 0 and the last."""
    between = np.geomspace(min(EARLIEST, steps), steps, MOMENTS - 1).round().astype(int).tolist()
    return sorted({0, *between, steps})


def first_seed(job: Job) -> int:
    """The seed of a network's first weights: networks of one seed begin with the same first layer, whatever follows."""
    return job.seed + OTHERWISE * (job.labels == RANDOM)


def labels_of(job: Job, labels: np.ndarray, classes: int) -> np.ndarray:
    """The labels that a network learns: the true ones, or these permuted, so that every class keeps its size.

    Where no label comes often enough to be learnt, random ones of ten classes.
    """
    if job.labels != RANDOM:
        return labels
    random = np.random.default_rng(OTHERWISE + job.seed)
    if len(np.unique(labels)) > classes:
        labels = np.arange(len(labels)) % classes
    return random.permutation(labels)


def learn(job: Job, pictures: Pictures, recipe: Recipe, wide: bool, device: torch.device) -> dict[str, Any]:
    """Train a network from its seed; nothing is chosen on the way, and it ends with its last step.

    Shapes of what comes back: steps (S,); bank (S, K, C, kh, kw) of filters at these steps; folded (K, C, kh, kw) and
    offset (K,) of the last ones with their batch norm; loss (S,); epochs (E,), curve (E,) accuracy held out; right
    (n,) of the images held out; training, the share of right answers in the last epoch.
    """
    began = time.perf_counter()
    recipe = replace(recipe, seed=first_seed(job))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        module = build(job.network, pictures.classes, wide).to(device)
        module.to(memory_format=torch.channels_last)  # twice as fast on a CPU
        hold(module, job.fixed)
        labels = labels_of(job, pictures.labels, pictures.classes)
        found = _trained(module, torch.from_numpy(pictures.pixels), torch.from_numpy(labels), recipe, pictures, device)
    folded, offset = first_of(module).folded()
    return found | {"folded": folded.numpy(), "offset": offset.numpy(), "seconds": time.perf_counter() - began}


def hold(module: nn.Module, fixed: str) -> None:
    """Let no convolution, all but the first, or none of them learn; batch norms go on."""
    if fixed == NOTHING:
        return
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    for part in convolutions if fixed == ALL else convolutions[:1]:
        part.requires_grad_(False)


def _trained(
    module: nn.Module, pixels: Tensor, labels: Tensor, recipe: Recipe, pictures: Pictures, device: torch.device
) -> dict[str, Any]:
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=recipe.rate,
                                momentum=recipe.momentum, weight_decay=recipe.weight_decay)  # fmt: skip
    random = torch.Generator().manual_seed(recipe.seed)
    every, first = recipe.batches(len(pixels)), first_of(module)
    seen_at, asked_at = moments(every * recipe.epochs), _epochs(recipe.epochs)
    bank, loss, curve = [first.filters()], [], []
    recent: list[float] = []
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        module.train()
        hits = 0
        order = torch.randperm(len(pixels), generator=random)
        for chosen in torch.split(order, recipe.batch_size)[:every]:
            answers, wanted = module(_seen(pixels[chosen], device)), labels[chosen].to(device)
            of_batch = F.cross_entropy(answers, wanted)
            optimizer.zero_grad()
            of_batch.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            hits += int((answers.argmax(1) == wanted).sum())
            recent.append(float(of_batch.detach()))
            if step in seen_at:
                bank.append(first.filters())
                loss.append(float(np.mean(recent)))
                recent = []
        if epoch in asked_at:
            right = _right(module, pictures, device)
            curve.append(right.mean())
    seen = every * min(recipe.batch_size, len(pixels)) if recipe.drop_last else len(pixels)
    return {"steps": np.array(seen_at), "bank": torch.stack(bank).numpy(), "loss": np.array([np.nan, *loss]),
            "epochs": np.array(asked_at), "curve": np.array(curve), "right": right,
            "training": hits / min(seen, len(pixels))}  # fmt: skip


def _epochs(epochs: int) -> list[int]:
    return sorted({int(epoch) for epoch in np.linspace(1, epochs, CURVE).round()})


def _seen(pixels: Tensor, device: torch.device, preprocessing: Preprocessing = CIFAR_PROFILES) -> Tensor:
    return preprocessing.normalise(pixels.to(device)).contiguous(memory_format=torch.channels_last)


def _right(module: nn.Module, pictures: Pictures, device: torch.device) -> np.ndarray:
    """Which images held out are answered rightly. Shapes: -> (n,) bool."""
    module.eval()
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(pictures.held_out), EVALUATION_BATCH)
        answers = [module(_seen(batch, device)).argmax(1).cpu() for batch in batches]
    return np.asarray(torch.cat(answers).numpy() == pictures.held_out_labels)
