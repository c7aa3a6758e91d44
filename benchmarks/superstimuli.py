"""What superstimuli cost beside lucent's, all in this process, on one thread.

Both sides grow pictures on a spectrum with decorrelated colours, by Adam, for the same number of steps, under the very
same moves, at the same number of pixels; lucent is called as its users call it, one channel after the other. Each has
its own usual rate; the score of ours at lucent's is printed beside, and is the same but for luck.
Weights are random, drawn from a seed: neither side's time depends on them. The least process time of interleaved
runs, which other work on the machine disturbs least; lucent's of a quarter of the channels, which share nothing. The
score is the mean activation under moves that neither side has seen, summed over channels and seeds. Below, the loop
beside the bare forward and backward pass of the cut, frozen network, and that pass with channels last beside it.

    python benchmarks/superstimuli.py [--steps 20] [--repeats 3] [--channels 16] [--seeds 3] [--cases resnet20,resnet18]
"""

import argparse
import sys
import warnings
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from shared.timing import claim, interleaved
from torch import Tensor, nn

from microtome.network.dreaming.cut import cut
from microtome.network.dreaming.loop import superstimuli
from microtome.network.dreaming.objective import Objective
from microtome.network.dreaming.palette import Palette, assumed
from microtome.network.dreaming.recipe import Recipe, usual
from microtome.network.dreaming.transforms import moved, preset
from microtome.network.model import Model
from microtome.network.open import open_model

LUCENTS_RATE = 0.05  # of Adam, where its users name none


@dataclass(frozen=True)
class Case:
    source: str
    layer: str
    batch: int  # rows of the bare pass
    ratio: float  # how many times faster per channel
    overhead: float


CASES = {
    "resnet20": Case("zoo:resnet20", "layer3", 16, 4.5, 1.25),
    "resnet18": Case("torchvision:resnet18", "layer3", 4, 1.7, 1.15),
    "squeezenet": Case("torchvision:squeezenet1_1", "features.9", 4, 1.7, 1.15),
}


class Reached(Exception):
    """The bare network has come to the layer."""


def recipe_of(model: Model, steps: int, rate: float = usual((224, 224)).rate) -> Recipe:
    moves = preset(model.preprocessing.size)
    return Recipe(canvas="fourier", transforms=moves, steps=steps, rate=rate, variation=0.0, cooling=0.0, warm=0,
                  restarts=0, copies=1)  # fmt: skip


def lucents_colours(model: Model) -> Palette:
    """The colours that lucent has, from ImageNet, around middle grey."""
    from lucent.optvis.param.color import color_correlation_normalized

    plain = assumed(model)
    return replace(plain, root=color_correlation_normalized.astype(float) * plain.half_range[:, None])


def ours(
    model: Model, layer: str, channels: range, steps: int, seed: int = 0, rate: float = usual((224, 224)).rate
) -> np.ndarray:
    objective = Objective(site=model.sites.resolve(layer), channels=tuple(channels), where="mean")
    recipe = recipe_of(model, steps, rate)
    return superstimuli(model, objective, lucents_colours(model), recipe, seed=seed).pictures[:, 0]


def lucents(model: Model, layer: str, channels: range, steps: int, seed: int = 0) -> np.ndarray:
    from lucent.optvis import objectives, param, render

    recipe, size, made = recipe_of(model, steps), model.preprocessing.size[0], []
    for channel in channels:
        random = np.random.default_rng(seed)

        def move(images: Tensor, random: np.random.Generator = random) -> Tensor:
            return moved(images, recipe.transforms.draw(random, len(images)), recipe.transforms.pad)

        torch.manual_seed(1000 * seed + channel)
        found = render.render_vis(
            model.module, objectives.channel(layer.replace(".", "_"), channel), lambda: param.image(size),
            transforms=[move], thresholds=(steps,), progress=False, show_image=False, fixed_image_size=size,
        )  # fmt: skip
        made.append((255 * found[-1][0].transpose(2, 0, 1)).round().astype(np.uint8))
        for part in model.module.modules():
            part._forward_hooks.clear()  # lucent leaves its own behind
    return np.stack(made)


def score(model: Model, layer: str, pictures: np.ndarray, channels: range) -> np.ndarray:
    """The mean activation over the map, under 16 of the same moves, which is what both sides climb."""
    recipe, random, found = recipe_of(model, 1), np.random.default_rng(99), []
    objective = Objective(site=model.sites.resolve(layer), channels=tuple(channels), where="mean")
    images = model.preprocessing.normalise(torch.from_numpy(pictures))
    with cut(model, objective.site) as network, torch.no_grad():
        for _ in range(16):
            seen = network.run(moved(images, recipe.transforms.draw(random, 1), recipe.transforms.pad))
            found.append(objective.value(seen, 1).numpy())
    return np.median(found, axis=0)


def bare(model: Model, layer: str, images: Tensor) -> None:
    """Forward to the layer and back to the pixels, weights frozen, with nothing around it."""
    kept: list[Tensor] = []

    def stop(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output)
        raise Reached

    handle = model.module.get_submodule(layer).register_forward_hook(stop)
    try:
        model.module(images)
    except Reached:
        torch.autograd.grad(kept[0].mean((2, 3)).diagonal().sum(), [images])
    finally:
        handle.remove()


def scores(model: Model, layer: str, channels: range, steps: int, seeds: int) -> tuple[np.ndarray, ...]:
    """Ours, ours at lucent's rate, and lucent's, summed over the channels. Shapes: (seeds,) each."""
    return tuple(
        np.array([score(model, layer, grown(model, layer, channels, steps, seed), channels).sum()
                  for seed in range(seeds)]) for grown in (ours, partial(ours, rate=LUCENTS_RATE), lucents)
    )  # fmt: skip


def run(name: str, case: Case, steps: int, repeats: int, channels: range, seeds: int) -> list[bool]:
    torch.manual_seed(0)
    model = open_model(case.source)
    _ = model.sites, model.receptive_fields
    model.module.eval()
    few = channels[: max(1, len(channels) // 4)]  # of lucent, whose channels do not share anything
    lucents(model, case.layer, few[:1], 1)  # torch.optim imports torch's compiler when it is used first
    found = interleaved({
        "ours": lambda: ours(model, case.layer, channels, steps),
        "lucent": lambda: lucents(model, case.layer, few, steps),
    }, repeats)  # fmt: skip
    each = found["ours"] / len(channels), found["lucent"] / len(few)
    print(f"{name} {case.layer}, {steps} steps: {each[0]:.2f} s a channel, lucent {each[1]:.2f} s")
    good = [claim(f"{name}-times-faster-than-lucent", each[1] / each[0], case.ratio, at_least=True)]
    mine, alike, theirs = scores(model, case.layer, channels, steps, seeds)
    for words, ratio in (("", mine / theirs), (f", at its rate of {LUCENTS_RATE:g}", alike / theirs)):
        error = ratio.std(ddof=1) / seeds**0.5 if seeds > 1 else float("nan")
        print(f"{name}: scores beside lucent's{words} {ratio.mean():.4f}, standard error {error:.4f}, {seeds} seeds")
    good.append(claim(f"{name}-score/lucent", float(mine.sum() / theirs.sum()), 1.0, at_least=True))
    for parameter in model.module.parameters():
        parameter.requires_grad_(False)
    plain = torch.randn(case.batch, *model.preprocessing.shape, generator=torch.Generator().manual_seed(0))
    last = plain.clone(memory_format=torch.channels_last).requires_grad_()
    plain.requires_grad_()
    some = range(case.batch)
    found = interleaved({
        "bare": lambda: [bare(model, case.layer, plain) for _ in range(steps)],
        "loop": lambda: ours(model, case.layer, some, steps),
        "last": lambda: [bare(model, case.layer, last) for _ in range(steps)],
    }, repeats)  # fmt: skip
    good.append(claim(f"{name}-loop/bare", found["loop"] / found["bare"], case.overhead))
    print(f"{name}: channels last {found['last'] / found['bare']:.2f} of contiguous")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)
    good = []
    for name in options.cases.split(","):
        good += run(name, CASES[name], options.steps, options.repeats, range(options.channels), options.seeds)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
