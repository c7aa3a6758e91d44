"""How far each convolution only passes on what it is given, from samples of its inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...formulas.linear_fit import Sums, correlations, explained, least_squares, lines
from ...formulas.omission import Kind
from ..model import Model
from ..parts.linear_layers import LinearLayer
from ..recording.in_order import InOrder
from ..recording.sites import Site, Sites
from .replacing import answers, read_at
from .standing_in import StandIn, identity, kinds, linear_map, mean_stand_in, origins, shifts

POSITIONS = 128  # of a layer's map, drawn once: neighbours hardly differ


@dataclass(frozen=True, kw_only=True)
class Copies:
    """How far a layer passes its input on.

    Shapes, O units: index (O,) the input channel that each is most like on some images, shift (O, 2) by how many rows
    and columns; score (O,) the correlation with it on others, NaN of a unit that is constant there. r2: share of
    variance that the best 1x1 map explains on the others, NaN for a layer that is one. stand_ins, fitted on the former.
    """

    index: np.ndarray
    shift: np.ndarray
    score: np.ndarray
    r2: float
    stand_ins: Mapping[Kind, StandIn]


class Observing(InOrder):
    """Adds up what layers are given and what their units give, at a few positions of every image."""

    def __init__(self, sites: Sites, layers: Mapping[str, LinearLayer], seed: int) -> None:
        self.layers = layers
        self.readers: dict[str, list[str]] = {}
        self.places: dict[str, Tensor] = {}
        self.shifts = {name: shifts(layer) for name, layer in layers.items()}
        self.sums: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for draw, name in enumerate(layers):
            self.readers.setdefault(read_at(sites, name).name, []).append(name)
            places = np.prod(sites[name].extent)
            chosen = np.random.default_rng((seed, draw)).permutation(places)[:POSITIONS]
            self.places[name] = torch.from_numpy(np.sort(chosen))
        super().__init__(sites)

    def restart(self, rows: int) -> None:
        super().restart(rows)
        self.given: dict[str, Tensor] = {}

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        if site.name in self.layers and given is not None:
            self.given[site.name] = self._samples(self.layers[site.name], given[: self.rows], site)
            self._add(site.name, site.name, tensor)
        for name in self.readers.get(site.name, ()):
            if name != site.name:
                self._add(name, site.name, tensor)
        return None

    def _samples(self, layer: LinearLayer, x: Tensor, site: Site) -> Tensor:
        """Shapes: (B, C, H, W) -> (samples, C D), the shifts of a channel together."""
        places, moves = self.places[layer.layer], torch.from_numpy(self.shifts[layer.layer])
        middles = origins(layer, (site.extent[0], site.extent[1]))
        rows, columns = (
            middle[place][:, None] + moves[:, axis]
            for axis, (middle, place) in
            enumerate(zip(middles, (places // site.extent[1], places % site.extent[1]), strict=True))
        )  # fmt: skip
        height, width = x.shape[2:]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        flat = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        taken = _at_places(x, flat.flatten()).view(len(x), *flat.shape, -1)  # (B, P, D, C)
        return (taken * inside[..., None].to(taken)).permute(0, 1, 3, 2).flatten(2).flatten(0, 1)

    def _add(self, name: str, site: str, tensor: Tensor) -> None:
        x, t = self.given[name], _at_places(tensor[: self.rows], self.places[name])
        plain = x[:, :: len(self.shifts[name])] if site == name else x[:, :0]
        fresh = {"x": x.sum(0), "xx": (x * x).sum(0), "t": t.sum(0), "tt": (t * t).sum(0), "xt": t.T @ x,
                 "gram": plain.T @ plain, "count": torch.tensor(len(x))}  # fmt: skip
        into = self.sums.setdefault((name, site), {})
        for key, value in fresh.items():
            into[key] = into.get(key, 0) + value.cpu().numpy().astype(np.float64)

    def found(self, name: str, site: str) -> Sums:
        """What was added up of a layer's input and of what a site gives."""
        sums, step = dict(self.sums[name, site]), len(self.shifts[name])
        return Sums.of(int(sums.pop("count")), np.arange(0, len(sums["x"]), step), sums)


def _at_places(maps: Tensor, places: Tensor) -> Tensor:
    """Values at flat positions, in float32 or better. Shapes: (B, C, H, W) -> (B P, C)."""
    taken = maps.flatten(2)[:, :, places.to(maps.device)].transpose(1, 2).flatten(0, 1)
    return taken if taken.dtype == torch.float64 else taken.float()


def copies(
    model: Model, layers: Mapping[str, LinearLayer], fitted: Tensor, tested: Tensor, seed: int = 0
) -> dict[str, Copies]:
    """How far layers pass on what they are given, fitted on some images and tested on others.

    Shapes: images (n, C, H, W), normalised.
    """
    first, second = (Observing(model.sites, layers, seed) for _ in (fitted, tested))
    answers(model, fitted, first)
    answers(model, tested, second)
    return {name: _copies(model.sites, layer, first, second) for name, layer in layers.items()}


def _copies(sites: Sites, layer: LinearLayer, fitted: Observing, tested: Observing) -> Copies:
    name, read = layer.layer, read_at(sites, layer.layer).name
    own, moves = fitted.found(name, name), fitted.shifts[name]
    active = fitted.found(name, read)
    chosen = np.nan_to_num(correlations(active), nan=0.0).argmax(1)
    gain, bias = lines(own, chosen)
    index, shift = chosen // len(moves), moves[chosen % len(moves)]
    found: dict[Kind, StandIn] = {
        "copy": StandIn(kind="copy", weight=gain, bias=bias, index=index, shift=shift),
        "mean": mean_stand_in(active.t / active.count),
    }
    possible, r2 = kinds(layer, sites[name].extent), float("nan")
    if "1x1" in possible:
        weight, offset = least_squares(own)
        found["1x1"], r2 = linear_map(weight, offset), explained(tested.found(name, name), weight, offset)
    if "identity" in possible:
        found["identity"] = identity()
    score = correlations(tested.found(name, read))[np.arange(len(chosen)), chosen]
    return Copies(index=index, shift=shift, score=score, r2=r2, stand_ins={kind: found[kind] for kind in possible})
