"""What reconstructions cost beside Captum's, all in this process, on one thread.

64 channels of vgg16's `features.14` at 224 x 224, the strongest position of each, on the receptive field's window; many
channels of one image without windows; and the memory of many units beside one. The least process time of interleaved
runs. Captum is called as its users call it: `NeuronDeconvolution` on the network cut at the layer, one unit after the
other. Weights are random and drawn from a seed: neither side's time depends on them.

    python benchmarks/deconvnet.py [--repeats 3] [--channels 64]
"""

import argparse
import ctypes
import os
import subprocess
import sys
import warnings
from pathlib import Path

import torch
from shared.timing import claim, interleaved
from torch import Tensor, nn
from torchvision import models

from microtome.network.backward.projection import Projector, Windows, strongest
from microtome.network.backward.tracing import Trace, tracing
from microtome.network.open import Model, open_model

SITE, SIZE = "features.14", 224
DEEP = "features.21"  # its receptive field covers little less than the image
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 17)}  # read by glibc when a process starts
BESIDE = 8  # channels of the deeper comparisons: Captum's loop is slow
WINDOW_BAR, WHOLE_BAR, MEMORY_BAR, EXACT = 1 / 30, 0.6, 1.3, 1e-6


def specimen(side: int = SIZE) -> tuple[Model, Tensor]:
    """VGG16 with random weights, and one image of smooth noise."""
    coarse = torch.randn(1, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    return open_model("torchvision:vgg16"), nn.functional.interpolate(coarse, (side, side), mode="bicubic")


def cut_at(model: Model, site: str) -> nn.Module:
    """The network up to a layer of `features`, in memory of its own: Captum's hooks never meet ours."""
    last = int(site.rpartition(".")[2])
    copy = models.vgg16()
    copy.load_state_dict(model.module.state_dict())
    return copy.features[: last + 1].eval()


def captum_loop(module: nn.Module, image: Tensor, units: list[tuple[int, ...]]) -> Tensor:
    from captum.attr import NeuronDeconvolution

    projector = NeuronDeconvolution(module, module[-1])
    return torch.cat([projector.attribute(image, unit[1:]).detach() for unit in units])


def ours(model: Model, image: Tensor, site: str, channels: int, windows: Windows) -> None:
    with tracing(model, image, site) as trace:
        Projector(trace, "deconvnet", windows).project(strongest(trace, [0] * channels, range(channels)))


def difference(trace: Trace, channels: int) -> float:
    """The largest difference between windows and whole images, in shares of each map's largest magnitude."""
    units = strongest(trace, [0] * channels, range(channels))
    whole = Projector(trace, "deconvnet", "never").project(units).maps
    windows = Projector(trace, "deconvnet", "always").project(units).in_place()
    largest = whole.abs().amax((1, 2, 3))
    return float(((whole - windows).abs().amax((1, 2, 3)) / largest.clamp(min=1e-30)).max())


def peak(channels: int, windows: Windows) -> float:
    """MB at the peak of a fresh process that projects so many units of the deeper layer, above the model at rest.

    The allocator gives back what is freed (a fixed threshold): else the peak is of what it keeps, which differs by run.
    """
    code = (
        f"import sys; sys.path.insert(0, {str(__file__).rpartition('/')[0]!r}); import deconvnet as d; "
        f"print(d.peak_here({channels}, {windows!r}))"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                                env=os.environ | GIVES_BACK).stdout)  # fmt: skip


def peak_here(channels: int, windows: Windows) -> float:
    torch.set_num_threads(1)
    model, image = specimen()
    _ = model.sites
    ctypes.CDLL(None).malloc_trim(0)  # glibc: what has been freed is given back, or it would hide what comes
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak counts from here
    before = status("VmRSS")
    ours(model, image, DEEP, channels, windows)
    return (status("VmHWM") - before) / 1024


def status(name: str) -> float:
    """KB of this process, as the kernel counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--channels", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="captum")  # it says at every call that it sets hooks
    model, image = specimen()
    _ = model.sites
    good = []
    with tracing(model, image, SITE) as trace:
        good.append(claim("windows-beside-whole-images", difference(trace, options.channels), EXACT))
        units = strongest(trace, [0] * options.channels, range(options.channels))
    module = cut_at(model, SITE)
    found = interleaved({
        "windows": lambda: ours(model, image, SITE, options.channels, "auto"),
        "whole": lambda: ours(model, image, SITE, options.channels, "never"),
        "captum": lambda: captum_loop(module, image, units),
    }, options.repeats)  # fmt: skip
    print(f"{SITE}, {options.channels} channels: ours {found['windows']:.2f} s, Captum {found['captum']:.1f} s: "
          f"1/{found['captum'] / found['windows']:.0f}")  # fmt: skip
    good.append(claim("windows/captum", found["windows"] / found["captum"], WINDOW_BAR))
    print(f"{SITE}, all channels of one image without windows: {found['whole'] / found['captum']:.2f}")
    with tracing(model, image, DEEP) as trace:
        deep = strongest(trace, [0] * BESIDE, range(BESIDE))
    module = cut_at(model, DEEP)
    found = interleaved({
        "whole": lambda: ours(model, image, DEEP, BESIDE, "never"),
        "captum": lambda: captum_loop(module, image, deep),
    }, options.repeats)  # fmt: skip
    good.append(claim("one-image-many-channels/captum", found["whole"] / found["captum"], WHOLE_BAR))
    for windows in ("never", "always"):
        one, many = peak(1, windows), peak(64, windows)  # type: ignore[arg-type]
        print(f"{DEEP}, windows {windows}: {one:.0f} MB for one unit, {many:.0f} MB for 64, maps included")
        if windows == "never":
            maps = 3 * SIZE**2 * 4 / 2**20  # MB of one: what was asked for has to lie somewhere
            good.append(claim("memory-64-units/1, beyond their maps", (many - 64 * maps) / (one - maps), MEMORY_BAR))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
