"""What every channel adds to every unit of the layers that it feeds, over a set of images: who feeds whom."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...formulas.shares import normalised
from ...images.collection import Images
from ..model import Model
from ..recording.calls import Call, Following, Listener, first_tensor
from ..recording.inputs import prepare
from ..recording.measure import automatic_batch
from ..recording.recorder import Enough
from ..recording.untouched import untouched
from .linear_layers import LinearLayer


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What the J channels that feed a layer's O units add to them, over images and positions.

    Shapes: mean (O, J); covariance (O, J), cov(a_j, y) / var(y), sums to 1 over J, NaN for a constant unit; on (O, J),
    the share of what is added where y is above 0, NaN where it never is; std, peak (O,), of y; strongest (O,), the
    place of the image with the peak.
    """

    mean: np.ndarray
    covariance: np.ndarray
    on: np.ndarray
    std: np.ndarray
    peak: np.ndarray
    strongest: np.ndarray

    @property
    def carrying(self) -> np.ndarray:
        """How many channels carry a unit: 1 over the sum of the squared shares of magnitude, from 1 to J; NaN for a
        constant unit. Shapes: (O,).
        """
        share = normalised(np.abs(self.covariance))
        return np.asarray(1 / np.square(share).sum(1))


def contributions(
    model: Model, images: Images, places: Sequence[int], layers: dict[str, LinearLayer]
) -> dict[str, Contributions]:
    """The table of each layer, from one forward pass that ends behind the last of them; the model stays as it is.

    Raises: CallOrderChanged.
    """
    sums = {name: _Sums(layer.to(torch.float32)) for name, layer in layers.items()}
    with untouched(model.module) as module, torch.no_grad():
        batch = automatic_batch(model.sites)
        for first in range(0, len(places), batch):
            some = places[first : first + batch]
            pixels = torch.from_numpy(np.stack([images.pixels(int(place)) for place in some]))
            listener = Inputs(model, sums, lambda name, given, some=some: sums[name].add(given, some))
            with Following(module, listener), suppress(Enough):
                module(prepare(pixels, model.preprocessing, module))
    return {name: found.table() for name, found in sums.items()}


class Inputs(Listener):
    """Hands over what some sites are given, and stops the pass behind the last of them."""

    def __init__(self, model: Model, wanted: Collection[str], take: Any) -> None:
        self.sites, self.take, self.position = list(model.sites.values()), take, 0
        self.waiting = set(wanted)

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        site = self.sites[self.position] if self.position < len(self.sites) else None
        if site is None or site.call != call or site.name not in self.waiting:
            return
        given = first_tensor(arguments)
        if given is not None:
            self.take(site.name, given)
            self.waiting.discard(site.name)
            if not self.waiting:
                raise Enough

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        self.position += first_tensor(output) is not None
        return output


class _Sums:
    """Running sums of one layer, about what its units gave on the first images, so that nothing is lost in rounding."""

    def __init__(self, layer: LinearLayer) -> None:
        units, inner = layer.weight.shape[:2]
        self.layer, self.count = layer, 0
        self.about: Tensor | None = None
        self.adds, self.with_y, self.on = (torch.zeros(units, inner, dtype=torch.float64) for _ in range(3))
        self.y, self.square = torch.zeros(units, dtype=torch.float64), torch.zeros(units, dtype=torch.float64)
        self.peak = torch.full((units,), -torch.inf, dtype=torch.float64)
        self.strongest = torch.zeros(units, dtype=torch.int64)

    def add(self, given: Tensor, places: Sequence[int]) -> None:
        x = given.float()
        y = self.layer.output(x)
        if self.about is None:
            self.about = y.mean((0, 2, 3), keepdim=True)
        centred = y - self.about
        self.count += y.shape[0] * y.shape[2] * y.shape[3]
        self.adds += self.layer.added(x, torch.ones_like(y)).double().cpu()
        self.with_y += self.layer.added(x, centred).double().cpu()
        self.on += self.layer.added(x, (y > 0).to(y.dtype)).double().cpu()
        self.y += centred.double().sum((0, 2, 3)).cpu()
        self.square += centred.double().square().sum((0, 2, 3)).cpu()
        peaks, rows = y.amax((2, 3)).double().cpu().max(0)
        better = peaks > self.peak
        self.strongest[better] = torch.tensor(list(places))[rows[better]]
        self.peak = torch.maximum(self.peak, peaks)

    def table(self) -> Contributions:
        mean, centred = self.adds / self.count, self.y / self.count
        variance = (self.square / self.count - centred.square()).numpy()
        covariance = (self.with_y / self.count - mean * centred[:, None]).numpy()
        shares = normalised(np.where(variance[:, None] > 0, covariance, 0.0))
        return Contributions(mean=mean.numpy(), covariance=shares, on=normalised(self.on.numpy()),
                             std=np.sqrt(np.maximum(variance, 0)), peak=self.peak.numpy(),
                             strongest=self.strongest.numpy())  # fmt: skip
