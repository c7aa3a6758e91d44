"""What energies at every rectifier cost above the plain forward pass, both in this process, on one thread.

At the 19 ReLUs of the CIFAR ResNet20, over real images (scikit-learn's digits if the shared CIFAR-10 is absent), in
turns, the least process time of several runs. The allocator is told to keep its memory, as for `harvest.py`.

    python benchmarks/rotation.py [--images 1000] [--repeats 5]
"""

import argparse
import os
import sys
from functools import partial

import torch
from shared.timing import claim, interleaved

from microtome.images.collection import Images
from microtome.images.sources import open_images
from microtome.network.open import Model, open_model
from microtome.network.recording.addresses import Address
from microtome.network.recording.measure import measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.statistics import Energies, Predictions

# read by glibc when a process starts; without them a pass sees between 0 and 5,000 page faults a batch
STEADY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
RECTIFIERS = 19
BATCH = 50


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


def plain(model: Model, images: Images) -> None:
    with untouched(model.module) as module:
        for _, pixels in images.batches(BATCH):
            module(model.preprocessing.normalise(torch.from_numpy(pixels)))


def ours(model: Model, images: Images, positions: bool) -> None:
    sites = [site.name for site in model.sites.values() if site.operation == "relu"]
    assert len(sites) == RECTIFIERS
    energies = Energies(images=len(images), positions=positions)
    probes = [Probe((Address(site, inputs=True),), energies) for site in sites]
    probes.append(Probe((Address(model.sites.output),), Predictions(k=2)))  # to the end, as the plain pass
    with untouched(model.module):
        for accumulator in measure(model, images, probes, batch_size=BATCH):
            accumulator.compute()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, images = specimen(options.images)
    best = interleaved(
        {"plain": partial(plain, model, images), "energies": partial(ours, model, images, False),
         "positions": partial(ours, model, images, True)},
        options.repeats,
    )  # fmt: skip
    print(f"plain {best['plain']:.3f} s for {len(images)} images, energies {best['energies']:.3f} s")
    good = [
        claim("energies/plain", best["energies"] / best["plain"], 1.40),
        claim("energies-and-positions/plain", best["positions"] / best["plain"], 1.65),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in STEADY.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **STEADY})
    sys.exit(main())
