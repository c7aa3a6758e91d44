"""What the covariance of all patches costs beside taking the patches out, all in this process, on one thread.

Over CIFAR-10's 50,000 training images (random ones of that shape if they are absent). The peer takes patches out with
torch's unfold, a few images at a time, multiplies them in float32 as they lie (torch.bmm, which is twice as fast as
turning them round first) and adds up in float64; ours multiplies bands of rows in float64. On a few images the two, and
the bank that serves all kernels up to a size, take turns and the least process time of each counts; then both go over
all images, ours several times and the peer once: so other work can only have slowed the peer by what is printed beside
it, its time on the few images scaled up. The claims take the smaller of the two.

    python benchmarks/patches.py [--images 50000] [--repeats 5]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from shared.timing import claim, interleaved
from torch import Tensor
from torch.nn import functional

from microtome.images.preprocessing import Preprocessing
from microtome.images.sources import open_images
from microtome.statistics import Batch, PatchBank, PatchCovariance, Statistic

KERNELS, CLAIMED = (3, 5, 7), 5
FEW = 2000  # images on which everything takes turns
AT_ONCE = 50  # images of which the peer takes patches out: of 20, 50, 100 and 250 the fastest here
BATCH = 1000
SPEED_BAR, MEMORY_BAR, AGREEMENT = 4, 100, 1e-5
CIFAR = Preprocessing(size=(32, 32), resize=0, mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))


def images(count: int) -> Tensor:
    """Normalised pixels (N, 3, 32, 32), as a network sees them."""
    data = os.environ.get("MICROTOME_DATA")
    if not data or not Path(data, "cifar10", "train").is_dir():
        return torch.randn((count, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    found = open_images(f"{data}/cifar10/train", CIFAR)
    chosen = found.take(np.argsort(found.hashes)[:count])
    pixels = torch.empty((len(chosen), 3, 32, 32))
    for places, batch in chosen.batches(BATCH):
        pixels[torch.from_numpy(places)] = CIFAR.normalise(torch.from_numpy(batch))
    return pixels


def ours(pixels: Tensor, statistic: Statistic) -> object:
    accumulator = statistic.start()
    for places in np.split(np.arange(len(pixels)), range(BATCH, len(pixels), BATCH)):
        batch = Batch(places, np.full(len(places), -1), places.astype(np.uint64))
        accumulator.update(batch, pixels[places[0] : places[-1] + 1])
    return accumulator.compute()


def unfolding(pixels: Tensor, kernel: int) -> np.ndarray:
    """The peer."""
    size = pixels.shape[1] * kernel**2
    products, total, count = torch.zeros((size, size)).double(), torch.zeros(size).double(), 0
    for part in pixels.split(AT_ONCE):
        patches = functional.unfold(part, kernel)  # (n, D, windows)
        products += torch.bmm(patches, patches.mT).sum(0).double()
        total += patches.sum((0, 2)).double()
        count += patches.shape[0] * patches.shape[2]
    mean = total / count
    return (products / count - torch.outer(mean, mean)).numpy()


def seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def statistics() -> dict[str, Statistic]:
    """What memory is measured of; the last draws as many windows an image as the default does of 50,000 images."""
    found: dict[str, Statistic] = {f"k={k}": PatchCovariance(kernel=(k, k)) for k in KERNELS}
    windows = PatchCovariance(kernel=(7, 7), method="windows", windows=40 * BATCH)
    return found | {"bank": PatchBank(largest=(7, 7)), "windows": windows}


def growth(name: str, count: int) -> float:
    """MB by which resident memory grows at its peak, in a process of its own: there has been no other peak there."""
    command = [sys.executable, __file__, "--images", str(count), "--memory", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def grown(name: str, count: int) -> float:
    """What `growth` asks the other process for; pixels are made in place, so that they leave no peak."""
    pixels = torch.empty((count, 3, 32, 32)).normal_()
    before = peak()
    ours(pixels, statistics()[name])
    return peak() - before


def peak() -> float:
    """MB of this program's memory at its peak, from Linux; what `resource` says is at least that of the parent."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return float(line.split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", choices=statistics(), help="only print the memory that this one takes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(grown(options.memory, options.images))
        return 0
    pixels = images(options.images)
    few = pixels[:FEW]
    print(f"{len(pixels):,} images, {pixels.nbytes / 1e6:.0f} MB")
    memory = {name: growth(name, len(pixels)) for name in statistics()}
    print("peak beyond the images, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in memory.items()))
    ratios, good = {}, []
    for kernel in KERNELS:
        statistic = PatchCovariance(kernel=(kernel, kernel))
        best = interleaved(
            {"ours": lambda s=statistic: ours(few, s), "peer": lambda k=kernel: unfolding(few, k),
             "bank": lambda k=kernel: ours(few, PatchBank(largest=(k, k)))}, options.repeats,
        )  # fmt: skip
        whole = min(seconds(lambda s=statistic: ours(pixels, s)) for _ in range(2))
        started = time.process_time()
        theirs = unfolding(pixels, kernel)
        once, scaled = time.process_time() - started, best["peer"] * len(pixels) / len(few)
        found = ours(pixels, statistic).covariance
        off = float(np.abs(found - theirs).max() / np.abs(found).max())
        good.append(off < AGREEMENT)
        ratios[kernel] = min(once, scaled) / whole
        print(f"k={kernel}: {len(few):,} images ours {best['ours']:.3f} s, bank {best['bank']:.3f} s, unfolding "
              f"{best['peer']:.3f} s ({best['peer'] / best['ours']:.1f} x); all ours {whole:.2f} s, unfolding "
              f"{once:.1f} s (scaled up {scaled:.1f} s), {ratios[kernel]:.1f} x; they differ by {off:.0e}",
              flush=True)  # fmt: skip
    name = f"unfolding/ours, k={CLAIMED}, {len(pixels):,} images"
    good.append(claim(name, ratios[CLAIMED], SPEED_BAR, at_least=True))
    good.append(claim("largest peak beyond the images, MB", max(memory.values()), MEMORY_BAR))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
