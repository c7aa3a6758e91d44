"""One way through a network on one picture, from a class down: at each unit the channel that makes most of it.

What a unit is above its mean over data is, exactly, the sum over its channels of what each adds above its mean. Behind
a channel, the unit and place are found by gradient times what is above the mean, with every layer's output taken for
an input of its own: so only what feeds the channel directly counts, not what goes through further layers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.nn.functional import interpolate

from ...errors import NotApplicable
from ..classes import logits_site
from ..model import Model
from ..recording.addresses import Address
from ..recording.calls import Call, Following, first_tensor
from ..recording.catching import Catch
from ..recording.inputs import prepare
from ..recording.untouched import untouched
from .feeders import Unit, feeders, layers_behind, sources
from .filters_on_pictures import layers_before
from .linear_layers import LinearLayer, linear_layers

PATHS = 200  # random ones
Choose = Callable[[np.ndarray], int]

PICTURE = "the picture itself"
UNTOLD = "which units stand behind this channel cannot be told"
FLAT = "the unit is at its mean: there is nothing to share"
APART = "its layer cannot be taken apart"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A unit at a position of its layer's map (0, 0 in a row).

    `part` is what it holds of all that pull the same way, to first order, from 0 to 1; not `passed` if no gradient
    comes through from above, as behind a rectifier that is off: then as if everything were passed on.
    """

    layer: str
    unit: int
    at: tuple[int, int]
    part: float
    passed: bool = True


@dataclass(frozen=True, kw_only=True)
class Step:
    """From a unit down to one of its channels, the `row`-th of `count` that feed it.

    `excess` is how far the unit is above its mean, `share` the part of it that the channel adds;
    `source` stands behind the channel, None at the end, one of `behind` units.
    """

    place: Place
    excess: float
    channel: int
    row: int
    count: int
    share: float
    source: Place | None
    behind: int


@dataclass(frozen=True, kw_only=True)
class Path:
    """From `start`, the place that holds most of a logit, down; `end` says why it goes no further."""

    start: Place
    steps: tuple[Step, ...]
    end: str

    @property
    def running(self) -> np.ndarray:
        """The product of the channels' shares down to each step. Shapes: (steps,)."""
        return np.cumprod([step.share for step in self.steps])

    @property
    def share(self) -> float:
        """The product of the channels' shares: what the channels of the path account for."""
        return float(np.prod([step.share for step in self.steps]))

    @property
    def placed(self) -> float:
        """The same times the part of each channel that its place holds, to first order."""
        parts = [step.source.part for step in self.steps if step.source is not None]
        return self.share * self.start.part * float(np.prod(parts))


def decision_paths(
    model: Model, pixels: np.ndarray, number: int, mean: Mapping[str, np.ndarray], count: int = PATHS, seed: int = 0
) -> tuple[Path, tuple[Path, ...]]:
    """The path of the largest shares below a class, and `count` of channels drawn at random; the model stays as it is.

    Shapes: pixels (C, H, W) uint8, a display image; mean (O, J) by layer, what each channel adds on average.
    Raises: NotApplicable for a network without classes, whose classes come from no layer that can be taken apart, or if
    the class is at its mean.
    """
    layers = {name: layer for name, layer in linear_layers(model).items() if name in mean}
    start = logits_site(model)
    numbers = np.random.default_rng(seed)
    with untouched(model.module) as module, torch.enable_grad():
        listener = _Split(model, layers, start)
        with Following(module, listener):
            module(prepare(torch.from_numpy(pixels[None]), model.preprocessing, module))
        listener.finish()
        walker = _Walker(model, layers, mean, listener.found)
        path = walker.walk(number, lambda share: int(share.argmax()))
        if not path.steps:
            raise NotApplicable(f"Class {number} of {model.name} is at its mean on this picture",
                                "A path follows what is above or below the mean", "Take another picture")  # fmt: skip
        return path, tuple(walker.walk(number, lambda share: int(numbers.integers(len(share)))) for _ in range(count))


class _Split(Catch):
    """Keeps what layers take and give, and cuts the graph at what they give."""

    def __init__(self, model: Model, layers: Mapping[str, LinearLayer], logits: str) -> None:
        given = [Address(name, inputs=True) for name in layers]
        made = [Address(site.name) for site in model.sites.layers]
        super().__init__(list(model.sites.values()), {*given, *made, Address(logits)})

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is output and self.position < len(self.sites) and self.sites[self.position].units:
            output = tensor.detach().requires_grad_().clone()
        return super().after(call, arguments, output)


class _Walker:
    """Goes down from a class, with what one forward pass has left."""

    def __init__(
        self, model: Model, layers: Mapping[str, LinearLayer], mean: Mapping[str, np.ndarray],
        found: Mapping[Address, tuple[Tensor, GradientEdge | None]],
    ) -> None:  # fmt: skip
        self.model, self.layers, self.mean, self.found = model, layers, mean, found
        self.above, self.padded = dict[str, Tensor](), dict[str, Tensor]()
        self.feeding = {name: feeders(model, layer) for name, layer in layers.items()}
        self.known = dict[tuple[Any, ...], Place | None]()
        for name, layer in layers.items():
            made = found[Address(name)][0][0]
            usual = torch.from_numpy(mean[name].sum(1)).to(made.device) + layer.bias.double()
            maps = made.double().reshape(len(made), *(made.shape[1:] if made.ndim == 3 else (1, 1)))
            self.above[name] = maps - usual[:, None, None]
            self.padded[name] = layer.padded(layer.maps(found[Address(name, inputs=True)][0]))[0]

    def walk(self, number: int, choose: Choose) -> Path:
        start = here = self.start(number)
        steps: list[Step] = []
        while True:
            adds = self.adds(here)
            total = float(adds.sum())
            if total == 0:
                return Path(start=start, steps=tuple(steps), end=FLAT)
            row = choose(adds / total)
            layer = self.layers[here.layer]
            channel = layer.inputs_of(here.unit).start + row
            below, end = self.below(here, row, channel, float(adds[row]))
            share, behind = float(adds[row] / total), len(self.feeding[here.layer][channel])
            steps.append(Step(place=here, excess=total, channel=channel, row=row, count=len(adds), share=share,
                              source=below, behind=behind))  # fmt: skip
            if below is None or end:
                return Path(start=start, steps=tuple(steps), end=end)
            here = below

    def start(self, number: int) -> Place:
        """The unit and position that holds most of a class's logit. Raises: NotApplicable."""
        site = logits_site(self.model)
        behind = sources(self.model.sites, site)
        values, edge = self.found[Address(site)]
        seed = torch.zeros_like(values)
        seed[0, number] = 1
        units = behind[number] if len(behind) > number else ()
        place = self.largest(edge, seed, units, 0.0) if edge is not None else None
        if place is None or place.layer not in self.layers:
            raise NotApplicable(f"The classes of {self.model.name} come from no layer that can be taken apart",
                                "A path starts at the convolution or linear layer that gives the logits",
                                "Explain a unit, SITE:CHANNEL, with dissect")  # fmt: skip
        return place

    def adds(self, place: Place) -> np.ndarray:
        """What each channel adds to a unit at its position, above its mean. Shapes: -> (J,)."""
        layer = self.layers[place.layer]
        channels = layer.inputs_of(place.unit)
        rows, columns = self.window(layer, place.at)
        patch = self.padded[place.layer][channels.start : channels.stop, rows][:, :, columns].double()
        added = (patch * layer.weight[place.unit].double()).sum((1, 2)).cpu().numpy()
        return np.asarray(added - self.mean[place.layer][place.unit])

    def window(self, layer: LinearLayer, at: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The rows and columns of the padded input that a position takes."""
        size = layer.weight.shape[2:]
        found = [at[axis] * layer.stride[axis] + layer.dilation[axis] * torch.arange(size[axis]) for axis in (0, 1)]
        return found[0], found[1]

    def below(self, here: Place, row: int, channel: int, adds: float) -> tuple[Place | None, str]:
        """What stands behind a channel of a unit and holds most of what it adds, and why to stop there, if so."""
        if not layers_before(self.model, here.layer):
            return None, PICTURE
        edge = self.found[Address(here.layer, inputs=True)][1]
        units = self.feeding[here.layer][channel]
        if edge is None or not units:
            return None, UNTOLD
        key = (here.layer, here.unit, here.at, channel)
        if key not in self.known:
            seed, sign = self.pull(here, row, channel), float(np.sign(adds)) or 1.0
            found = None if self.off(here, channel) else self.largest(edge, seed, units, sign)
            one = self.layers[here.layer].maps(seed)[0, channel]
            self.known[key] = self.unpassed(one, units, sign) if found is None else found
        place = self.known[key]
        if place is None:
            return None, UNTOLD
        return place, "" if place.layer in self.layers else APART

    def off(self, here: Place, channel: int) -> bool:
        """Whether a channel gives nothing at all to a position, as behind a rectifier."""
        rows, columns = self.window(self.layers[here.layer], here.at)
        return not bool(self.padded[here.layer][channel, rows][:, columns].any())

    def pull(self, here: Place, row: int, channel: int) -> Tensor:
        """The gradient of what a channel adds to a unit by the layer's input."""
        layer, given = self.layers[here.layer], self.found[Address(here.layer, inputs=True)][0]
        maps = torch.zeros(1, 1, *layer.shape[1:], device=given.device, dtype=given.dtype, requires_grad=True)
        rows, columns = self.window(layer, here.at)
        added = (layer.padded(maps)[0, 0][rows][:, columns] * layer.weight[here.unit, row].to(given.dtype)).sum()
        seed = torch.zeros(1, *layer.shape, device=given.device, dtype=given.dtype)
        seed[0, channel] = torch.autograd.grad(added, maps)[0][0, 0]
        return seed.reshape(given.shape)

    def largest(self, edge: GradientEdge, seed: Tensor, units: Sequence[Unit], sign: float) -> Place | None:
        """Of some units, the one and its position where gradient times excess is largest in a direction, 0 for that of
        their sum; None where there is nothing in the direction given.
        """
        wanted = self.candidates(units)
        ends = {name: self.found[Address(name)][1] for name in wanted if name in self.above}
        named = {name: end for name, end in ends.items() if end is not None}
        if not named:
            return None
        given = torch.autograd.grad([edge], list(named.values()), [seed], retain_graph=True, allow_unused=True)
        holds = {
            name: gradient[0].double().reshape(self.above[name].shape)[wanted[name]] * self.above[name][wanted[name]]
            for name, gradient in zip(named, given, strict=True)
            if gradient is not None and bool(gradient.any())
        }
        given_sign, sign = sign, sign or float(np.sign(sum(float(each.sum()) for each in holds.values())))
        place = _place({name: sign * each for name, each in holds.items()}, wanted)
        return place if place is not None and (place.part > 0 or not given_sign) else None

    def unpassed(self, seed: Tensor, units: Sequence[Unit], sign: float) -> Place | None:
        """The same where no gradient comes through, as behind a rectifier that is off: as if all were passed on."""
        holds, wanted = {}, dict[str, list[int]]()
        for name, unit in units:
            if name in self.above:
                wanted[name] = sorted({*wanted.get(name, ()), unit})
        for name, numbers in wanted.items():
            above = self.above[name][numbers]
            pulled = interpolate(seed[None, None].double(), (above.shape[1], above.shape[2]))[0]
            holds[name] = sign * above * pulled
        place = _place(holds, wanted)
        return None if place is None else replace(place, passed=False)

    def candidates(self, units: Sequence[Unit]) -> dict[str, list[int]]:
        """Units by layer; for a place that is no layer, such as a padded shortcut, all units behind it, of which the
        gradient tells those that count.
        """
        found: dict[str, set[int]] = {}
        for name, unit in units:
            if self.model.sites[name].units:
                found.setdefault(name, set()).add(unit)
            else:
                for layer in layers_behind(self.model, name):
                    found.setdefault(layer, set()).update(range(self.model.sites[layer].units))
        return {name: sorted(numbers) for name, numbers in found.items()}


def _place(holds: Mapping[str, Tensor], wanted: Mapping[str, Sequence[int]]) -> Place | None:
    """The largest of some numbers, and its part of those above 0. Shapes: holds (units, rows, columns)."""
    if not holds:
        return None
    name = max(holds, key=lambda name: float(holds[name].max()))
    most = int(holds[name].argmax())
    unit, row, column = (int(each) for each in np.unravel_index(most, holds[name].shape))
    total = sum(float(each.clamp(min=0).sum()) for each in holds.values())
    part = float(holds[name].flatten()[most]) / total if total else 0.0
    return Place(layer=name, unit=wanted[name][unit], at=(row, column), part=part)
