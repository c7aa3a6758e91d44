"""What measuring costs above the plain forward pass, beside naive hooks and Captum, all in this process.

At the 19 convolutions of the CIFAR ResNet20, over real images (scikit-learn's digits if the shared CIFAR-10 is absent).
One thread, variants interleaved, minimum of several runs of process time: ratios hold on any machine, seconds on none.
The allocator is told to keep its memory (see STEADY): otherwise the plain pass alone varies by a tenth, because pages
are given back and faulted in again now and then.

    python benchmarks/harvest.py [--images 2000] [--repeats 7]
"""

import argparse
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from shared.timing import claim, interleaved

from microtome.images.collection import Images
from microtome.images.sources import open_images
from microtome.network.open import Model, open_model
from microtome.network.recording.addresses import Address
from microtome.network.recording.measure import measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.statistics import ClassMeans, Extremes, Firing, Histogram, Moments, Quantiles, Rows, Statistic

LEAN: tuple[Statistic, ...] = (Moments(), Extremes(k=9))
# everything that the analyses activity, preferences and twins ask for at every layer
FULL: tuple[Statistic, ...] = (
    Moments(), Firing(), Extremes(k=9), Quantiles(k=9), Histogram(positions=8), Rows(what="positions", positions=8),
    ClassMeans(classes=10), ClassMeans(classes=10, shuffle=0), ClassMeans(classes=10, shuffle=1),
)  # fmt: skip
# read by glibc when a process starts; without them a pass sees between 0 and 5,000 page faults a batch
STEADY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
MEMORY_BATCHES = 500
GROWTH_MB = 50
IMPORT_SECONDS = 0.1


def specimen(count: int) -> tuple[Model, Images]:
    data = os.environ.get("MICROTOME_DATA")
    if data:
        model = open_model(f"zoo:resnet20@{data}/resnet20_cifar10.safetensors")
        images = open_images(f"{data}/cifar10/test", model.preprocessing, model.class_names)
    else:
        model = open_model("zoo:resnet20")
        images = open_images("digits", model.preprocessing, model.class_names)
    images = images.limit(count)
    for place in range(len(images)):
        images[place]  # decoded and kept: the benchmark is about the network
    return model, images


def convolutions(model: Model) -> list[str]:
    return [site.name for site in model.sites.layers if site.operation == "Conv2d"]


def plain(model: Model, images: Images, size: int) -> None:
    with untouched(model.module) as module:
        for _, pixels in images.batches(size):
            module(model.preprocessing.normalise(torch.from_numpy(pixels)))


def ours(model: Model, images: Images, size: int, statistics: tuple[Statistic, ...]) -> None:
    # the lean ones at the convolutions' outputs, the full set where the analyses read the units of the same layers
    sites = {name: model.sites[name].read or name for name in convolutions(model)}
    places = sites.values() if statistics == FULL else sites
    probes = [Probe((Address(place),), s) for place in places for s in statistics]
    # the plain pass runs to the end, so ours must not stop behind the last convolution
    probes.append(Probe((Address(model.sites.output),), Moments()))
    with untouched(model.module):
        for accumulator in measure(model, images, probes, batch_size=size):
            accumulator.compute()


def finish(activations: torch.Tensor) -> None:
    """What a user of stored activations does next: the same moments and top-9."""
    activations.mean((0, 2, 3)), activations.std((0, 2, 3))
    activations.amax((2, 3)).topk(9, dim=0)


def naive(model: Model, images: Images, size: int) -> None:
    """Hooks that keep every activation in a list, then statistics over all of them."""
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in convolutions(model)}
    with untouched(model.module) as module:
        handles = [
            module.get_submodule(name).register_forward_hook(
                lambda _m, _i, out, name=name: kept[name].append(out.clone())
            )
            for name in kept
        ]
        for _, pixels in images.batches(size):
            module(model.preprocessing.normalise(torch.from_numpy(pixels)))
        for handle in handles:
            handle.remove()
    for parts in kept.values():
        finish(torch.cat(parts))


def captum(model: Model, images: Images, size: int, together: bool) -> None:
    """Captum's LayerActivation, all layers in one call or layer by layer."""
    from captum.attr import LayerActivation

    with untouched(model.module) as module:
        layers = [module.get_submodule(name) for name in convolutions(model)]
        for chosen in [layers] if together else [[layer] for layer in layers]:
            parts: list[list[torch.Tensor]] = [[] for _ in chosen]
            reader = LayerActivation(module, chosen if together else chosen[0])
            for _, pixels in images.batches(size):
                found = reader.attribute(model.preprocessing.normalise(torch.from_numpy(pixels)))
                for part, activations in zip(parts, found if together else [found], strict=True):
                    part.append(activations.detach())
            for part in parts:
                finish(torch.cat(part))


def growth(model: Model, images: Images) -> float:
    """MB by which resident memory has grown at its peak, after a first pass, over many batches."""
    few = images.take(np.arange(MEMORY_BATCHES * 4) % len(images))
    statistics = (Moments(), Firing(), Extremes(k=9), Quantiles(k=9, images=64), ClassMeans(classes=10))
    ours(model, few.take(range(400)), 4, statistics)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours(model, few, 4, statistics)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def import_cost() -> float:
    """Seconds that `import microtome` takes once torch is there, in a fresh process, the best of five."""
    code = "import torch, time; t = time.perf_counter(); import microtome; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return min(float(run.stdout) for run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--without-peers", action="store_true", help="leave naive hooks and Captum out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, images = specimen(options.images)
    print(f"{model.name}, {len(convolutions(model))} convolutions, {len(images)} images of {Path(images.source).name}")
    grown = growth(model, images)  # first, while memory has had no peak yet
    good = []
    for size in (100, 32, 250):
        best = interleaved(
            {"plain": partial(plain, model, images, size), "lean": partial(ours, model, images, size, LEAN),
             "full": partial(ours, model, images, size, FULL)},
            options.repeats,
        )  # fmt: skip
        lean, full = best["lean"] / best["plain"], best["full"] / best["plain"]
        print(f"batch {size}: plain {best['plain']:.2f} s, moments and top-9 {lean:.2f} x, everything {full:.2f} x")
        if size == 100:
            good += [claim("moments-and-top9/plain", lean, 1.25), claim("all-of-activity/plain", full, 1.6)]
    if not options.without_peers:
        variants = {
            "plain": partial(plain, model, images, 100), "naive": partial(naive, model, images, 100),
            "captum": partial(captum, model, images, 100, True),
            "one by one": partial(captum, model, images, 100, False),
        }  # fmt: skip
        best = interleaved(variants, min(2, options.repeats))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(
            "beside: " + ", ".join(f"{k} {v / best['plain']:.1f} x" for k, v in best.items()) + f", peak {peak:.1f} GB"
        )
    good += [claim("memory-growth-MB", grown, GROWTH_MB), claim("import-seconds", import_cost(), IMPORT_SECONDS)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    if STEADY.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **STEADY})
    sys.exit(main())
