"""What a look costs above the bare forward loop over the same images with the same decoders, from files to answers.

The CIFAR ResNet20 over CIFAR-10's 10,000 test images (the shared ones, as files), two decode threads, all threads of
the machine for the network. Each variant in a process of its own, one after the other, minimum of several runs of wall
time; the bare loop normalises, runs the network and keeps nothing.

    python benchmarks/whole_look.py [--repeats 3]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAR = 1.35
PASSES = "activity,filters,twins,preferences,decisions"  # the others run the network for pictures of their own
# Read by glibc when a process starts. The bare loop is timed as anybody's script runs, without them; and with them
# beside it, when freed memory is kept for the next batch instead of being faulted in again.
STEADY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
DECODERS = 2


def bare(data: Path) -> None:
    """The loop that everybody writes."""
    import torch

    from microtome.api import open_images
    from microtome.network.open import open_model
    from microtome.network.recording.measure import automatic_batch

    model, images = opened(data, open_model, open_images)
    size = automatic_batch(model.sites)
    started = time.perf_counter()
    with torch.no_grad():
        for _, pixels in images.batches(size):
            model.module(model.preprocessing.normalise(torch.from_numpy(pixels)))
    print(time.perf_counter() - started)


def look(data: Path, analyses: str) -> None:
    """The whole of `microtome look` but the opening of model and images, which is the same for both."""
    import microtome as mt

    model, images = opened(data, mt.open_model, mt.open_images)
    _ = model.sites
    folder = Path(tempfile.mkdtemp())
    started = time.perf_counter()
    mt.look(model, images, out=folder / "run", analyses=analyses.split(","))
    print(time.perf_counter() - started)
    shutil.rmtree(folder)


def opened(data: Path, open_model, open_images):
    model = open_model(f"zoo:resnet20@{data}/resnet20_cifar10.safetensors")
    return model, open_images(data / "cifar10" / "test", model, decoders=DECODERS)


def timed(*words: str) -> float:
    here = {**os.environ, **(STEADY if words[-1].endswith("kept memory") else {})}
    found = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True, env=here)
    return float(found.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variant", help="run one variant here and print its seconds")
    options = parser.parse_args()
    data = os.environ.get("MICROTOME_DATA")
    if data is None:
        print("the shared data are not here (MICROTOME_DATA): nothing was measured")
        return 0
    if options.variant:
        bare(Path(data)) if options.variant.startswith("bare") else look(Path(data), options.variant)
        return 0
    variants = ["bare", "bare, kept memory", "activity", PASSES]
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(options.repeats):
        for variant in variants:
            best[variant] = min(best[variant], timed("--variant", variant))
    for variant in variants:
        print(f"{variant}: {best[variant]:.2f} s, {best[variant] / best['bare']:.2f} x the bare loop")
    ratio = best["activity"] / best["bare"]
    print(f"CLAIM look-activity/bare-loop {ratio:.2f} {BAR} {'ok' if ratio <= BAR else 'SHORT'}")
    whole = best[PASSES] / best["bare"]
    print(f"CLAIM look-all-of-one-pass/bare-loop {whole:.2f} {BAR} {'ok' if whole <= BAR else 'SHORT'}")
    return 0 if max(ratio, whole) <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
