"""What the geometry of rectifier layers costs, beside dense circulant matrices, all in this process, on one thread.

Every triple (o, c, p) of VGG9, 9.45 million of them, with random weights; the nine pairs of the CIFAR ResNet20 with
trained ones (random ones if the shared weights are absent). The dense side works out one pair of slices on 32 x 32
places from their matrices, which are there already: ours, in mode exact, everything from weights to states. Least
process time of several runs, which other work on the machine disturbs least. Memory is that of a process of its own,
without PyTorch, which alone takes more than the bar.

    python benchmarks/cones.py [--repeats 5]
"""

import argparse
import os
import resource
import subprocess
import sys
from functools import partial

import numpy as np
from shared.timing import claim, interleaved

from microtome.formulas.cones.cone_set import ConeSet
from microtome.formulas.cones.inclusion import inclusion
from microtome.formulas.cones.layers import slice_cones
from microtome.formulas.cones.offsets import mean_offsets, mean_rotations
from microtome.formulas.cones.permutation_null import Null, permutation_null
from microtome.formulas.cones.states import exact_states, states
from microtome.formulas.cones.written_out import rows_of

Pair = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]  # later, earlier weights and biases, grid

VGG9 = ((64, 64, 3, 32), (128, 128, 64, 16), (256, 256, 128, 8))  # O, C, P and the grid of each block's pair
TRIPLES = sum(outputs * middle * inputs for outputs, middle, inputs, _ in VGG9)
DENSE = 32  # rows and columns: D = 1024
SAMPLE = (64, 16, 64)  # slices at this grid, for the time of one pair
MEMORY_MB = 500


def random_pair(outputs: int, middle: int, inputs: int, side: int) -> Pair:
    random = np.random.default_rng(0)
    later, earlier = (
        random.normal(0, np.sqrt(2 / (9 * wide)), (high, wide, 3, 3)).astype(np.float32)
        for high, wide in ((outputs, middle), (middle, inputs))
    )
    biases = (random.normal(0, 0.1, size).astype(np.float32) for size in (outputs, middle))
    return later, next(biases), earlier, next(biases), (side, side)


def resnet20() -> list[Pair]:
    from microtome.network.open import open_model
    from microtome.network.parts.linear_layers import linear_layers

    data = os.environ.get("MICROTOME_DATA")
    model = open_model(f"zoo:resnet20@{data}/resnet20_cifar10.safetensors" if data else "zoo:resnet20")
    layers = linear_layers(model, fold=True)
    found = []
    for block in range(9):
        one, other = (layers[f"layer{block // 3 + 1}.{block % 3}.conv{place}"] for place in (2, 1))
        weights = (each.numpy() for layer in (one, other) for each in (layer.weight, layer.bias))
        found.append((*weights, one.shape[1:]))
    return found


def cones(pair: Pair) -> tuple[ConeSet, ConeSet]:
    """Anew each time: nothing that was worked out is kept."""
    later, bias, earlier, shift, grid = pair
    return slice_cones(later, bias, grid), slice_cones(earlier, shift, grid)


def seed(pairs: list[Pair]) -> None:
    for pair in pairs:
        later, earlier = cones(pair)
        states(later, earlier), mean_offsets(later, earlier)


def turned(pairs: list[Pair]) -> None:
    seed(pairs)
    for pair in pairs:
        mean_rotations(*cones(pair), np.float32)


def exact(pairs: list[Pair]) -> None:
    for pair in pairs:
        exact_states(*cones(pair))


def nulls(pairs: list[Pair]) -> None:
    Null.pooled([permutation_null(*cones(pair), seed=(0, place)) for place, pair in enumerate(pairs)])


def dense(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The y of one pair, by the one solve that it takes."""
    return np.linalg.solve(inner.T, outer[0])


def disagreement(pair: Pair) -> float:
    """How far the dense solve's y is from ours, of the largest weight; the most of a few pairs."""
    later, earlier = cones(pair)
    worst = 0.0
    for place in range(4):
        one, other = later[place, 0], earlier[0, place]
        y = dense(rows_of(one), rows_of(other))
        apart = np.abs(y - inclusion(one, other).multiplier.ravel()).max()
        worst = max(worst, float(apart / np.abs(y).max()))
    return worst


def edges() -> None:
    later, bias, *_, grid = random_pair(256, 256, 1, 8)
    slice_cones(later, bias, grid).edge_angle.sum()


def memory() -> None:
    """Everything that is asked of VGG9, and the most memory that the process has taken, in MB."""
    vgg = [random_pair(*shape) for shape in VGG9]
    turned(vgg), exact(vgg), edges()
    assert "torch" not in sys.modules
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak() -> float:
    command = [sys.executable, __file__, "--memory"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="only print the memory of VGG9")
    options = parser.parse_args()
    if options.memory:
        memory()
        return 0
    taken = peak()  # first: a process counts what the one that starts it has taken
    import torch

    torch.set_num_threads(1)
    vgg, resnet = [random_pair(*shape) for shape in VGG9], resnet20()
    best = interleaved(
        {"seed": partial(seed, vgg), "rotation": partial(turned, vgg), "exact": partial(exact, resnet),
         "null": partial(nulls, resnet), "edges": edges},
        options.repeats,
    )  # fmt: skip
    whole = interleaved({"vgg exact": partial(exact, vgg)}, 1)["vgg exact"]
    print(f"VGG9: {TRIPLES:,} triples, seed {1e9 * best['seed'] / TRIPLES:.1f} ns each")
    sample = random_pair(*SAMPLE, DENSE)
    one, other = (rows_of(each[0, 0]) for each in cones(sample))
    beside = interleaved({"dense": partial(dense, one, other), "ours": partial(exact, [sample])}, options.repeats)
    each = beside["ours"] / np.prod(SAMPLE)
    print(f"one pair at D = 1024: dense solve {beside['dense']:.3f} s, mode exact {1e6 * each:.2f} us")
    good = [
        claim("vgg9-seed-s", best["seed"], 0.3),
        claim("vgg9-seed-and-rotation-s", best["rotation"], 4),
        claim("vgg9-exact-s", whole, 60),
        claim("resnet20-exact-s", best["exact"], 6),
        claim("resnet20-seed-and-null-of-100-s", best["null"], 1.5),
        claim("edge-angles-of-256x256-s", best["edges"], 1),
        claim("dense-solve/exact-per-pair", beside["dense"] / each, 1e4, at_least=True),
        claim("dense-solve-and-ours-apart", disagreement(sample), 1e-9),
        claim("peak-memory-MB", taken, MEMORY_MB),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # read when NumPy is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    sys.exit(main())
