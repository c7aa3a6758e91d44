"""What the NumPy network costs beside PyTorch on the CPU, all in this process, on one thread.

Forward and backward (by input, filters and bias) of convolutions with 3 x 3 filters over seven shapes, the memory of
one, the loop over positions beside it, and a training step of the MNIST net. Runs are interleaved, the minimum of each
counts. The rate of NumPy's own matrix product of 1024 x 1024 says what the machine could do at best; its kernel is
printed, because OpenBLAS does not choose the best one everywhere (OPENBLAS_CORETYPE, set before Python starts, does).

    python benchmarks/scratch.py [--repeats 6]
"""

import argparse
import math
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from shared.timing import claim, interleaved
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

import microtome.scratch as mts

SHAPES = [  # images, channels, side, filters
    (32, 3, 28, 32), (32, 32, 28, 64), (4, 3, 224, 32), (2, 32, 224, 64), (2, 64, 112, 128), (4, 256, 28, 256),
    (8, 512, 14, 512),
]  # fmt: skip
FEW = 32  # channels: with fewer, copying costs more than multiplying
MEAN_BAR, FEW_BAR, MANY_BAR, EFFICIENCY_BAR = 2.2, 3.5, 2.6, 0.55
MEMORY_SHAPE, MEMORY_FACTOR, MEMORY_REST = (2, 32, 224, 64), 1.5, 8e6
LOOP_BAR, STEP_BAR, STEP_BATCH = 150, 2.5, 64


def layer(shape: tuple[int, int, int, int], backend: str = "gemm") -> tuple[mts.Conv2D, np.ndarray, np.ndarray]:
    """A convolution, an input and a gradient by its output."""
    images, channels, side, filters = shape
    random = np.random.default_rng(0)
    made = mts.Conv2D("conv", (channels, side, side), filters, 3, 3, 1, 1, backend=backend)
    return made, *(random.standard_normal((images, c, side, side)).astype(np.float32) for c in (channels, filters))


def forward_and_back(conv: mts.Conv2D, x: np.ndarray, dy: np.ndarray) -> Callable[[], object]:
    def run() -> None:
        conv.forward(x)
        conv.backward(dy)

    return run


def in_torch(conv: mts.Conv2D, x: np.ndarray, dy: np.ndarray) -> Callable[[], object]:
    module = mts.to_torch(mts.Net([conv]))
    leaf, gradient = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
    return lambda: module(leaf).backward(gradient)


def convolutions(repeats: int, rate: float) -> list[bool]:
    """Every shape beside PyTorch, and as a share of what NumPy can do."""
    found: dict[tuple[int, ...], tuple[float, float]] = {}
    print(f"{'N, C, side, K':>18}  ours ms  torch ms  ratio  efficiency")
    for shape in SHAPES:
        given = layer(shape)
        times = interleaved({"ours": forward_and_back(*given), "torch": in_torch(*given)}, repeats + 1)
        images, channels, side, filters = shape
        operations = 2 * 3 * images * filters * channels * 9 * side * side
        found[shape] = times["ours"] / times["torch"], operations / times["ours"] / rate
        print(f"{shape!s:>18}  {1e3 * times['ours']:7.1f}  {1e3 * times['torch']:8.1f}  {found[shape][0]:5.2f}"
              f"  {found[shape][1]:.2f}")  # fmt: skip
    few, many = ([found[shape] for shape in SHAPES if (shape[1] < FEW) is small] for small in (True, False))
    mean = math.exp(sum(math.log(ratio) for ratio, _ in found.values()) / len(found))
    worst_few, worst_many = (max(ratio for ratio, _ in part) for part in (few, many))
    efficiency = min(each for _, each in many)
    return [
        claim("convolutions/torch, geometric mean", mean, MEAN_BAR),
        claim(f"convolutions/torch, worst below {FEW} channels", worst_few, FEW_BAR),
        claim(f"convolutions/torch, worst from {FEW} channels", worst_many, MANY_BAR),
        claim("2 x multiply-adds/s over NumPy's own, least", efficiency, EFFICIENCY_BAR, at_least=True),
    ]


def memory() -> bool:
    """The peak of one convolution forward and back, beyond its input and the gradient that it is given."""
    conv, x, dy = layer(MEMORY_SHAPE)
    run = forward_and_back(conv, x, dy)
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    bar = MEMORY_FACTOR * (x.nbytes + dy.nbytes) + MEMORY_REST
    return claim(f"MB of {MEMORY_SHAPE} (all windows: {9 * x.nbytes / 1e6:.0f})", peak / 1e6, bar / 1e6)


def loop() -> bool:
    """The loop over positions: one image, times as many as there are."""
    shape = SHAPES[1]
    found = interleaved({"gemm": forward_and_back(*layer(shape))}, 4)["gemm"]
    direct, x, dy = layer(shape, "direct")
    started = time.process_time()
    forward_and_back(direct, x[:1], dy[:1])()
    ratio = (time.process_time() - started) * len(x) / found
    return claim(f"loop over positions/ours, from one of {len(x)} images", ratio, LOOP_BAR, at_least=True)


def step(repeats: int) -> bool:
    """A training step of the MNIST net: forward, loss, back, SGD with momentum."""
    random = np.random.default_rng(0)
    x = random.standard_normal((STEP_BATCH, 1, 28, 28)).astype(np.float32)
    y = random.integers(0, 10, STEP_BATCH)
    learner = mts.Learner(mts.mnist_net(), mts.softmax_cross_entropy, mts.SGD(0.01, 0.9))
    module = mts.to_torch(mts.mnist_net().train())
    optimiser = torch.optim.SGD(module.parameters(), 0.01, 0.9)

    def theirs() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimiser.step()

    found = interleaved({"ours": lambda: learner.step(x, y), "torch": theirs}, 3 * repeats + 1)
    ratio = found["ours"] / found["torch"]
    return claim(f"MNIST net's step/torch, batch {STEP_BATCH}", ratio, STEP_BAR)


def main() -> None:
    """Measure, print, and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=6)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    with threadpool_limits(1):
        kernels = {each.get("architecture", "?") for each in threadpool_info() if each["user_api"] == "blas"}
        square = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
        rate = 2 * 1024**3 / interleaved({"gemm": lambda: square @ square}, 4 * repeats + 1)["gemm"]
        print(f"NumPy's matrix product: {rate / 1e9:.0f} GFLOPS, kernel {', '.join(sorted(kernels))}")
        good = [*convolutions(repeats, rate), memory(), loop(), step(repeats)]
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
