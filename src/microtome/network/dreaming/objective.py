"""What is to grow: a channel on its map, at its middle or at a position, a class, or their opposite."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UnknownName, UsageError
from ..classes import class_number, logits_site
from ..model import Model
from ..recording.recorder import RECTIFIERS
from ..recording.sites import Site

# The mean and the strongest place of the map together, the mean alone, the middle, or one position.
Where = Literal["map", "mean", "centre"] | tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Some channels of one site, a picture (or several) each.

    The mean alone fills the picture at the cost of the strongest place; that place alone leaves the rest empty.
    `sign` -1 asks for what the channel is most against. `diversity` is the weight of the likeness of the pictures of
    one channel, which is taken off.
    """

    site: str
    channels: tuple[int, ...]
    where: Where = "map"
    sign: int = 1
    diversity: float = 0.0

    def check(self, model: Model) -> None:
        """Do nothing for what this model can be asked for. Raises: UnknownName, UsageError."""
        site = model.sites[self.site]
        wrong = [channel for channel in self.channels if not 0 <= channel < site.channels]
        if wrong:
            raise UnknownName(f"{self.site} has no channel {wrong[0]}", f"Its channels are 0 to {site.channels - 1}",
                              "Channels count from 0: give one of them")  # fmt: skip
        if not site.batched or not self.channels or self.sign not in (-1, 1):
            raise UsageError(
                f"{self.site} was asked for {len(self.channels)} channels with sign {self.sign}",
                "A picture grows for one channel or more of a site with one row an image; the sign is 1 or -1",
                "Name channels of another site, or mend the sign",
            )  # fmt: skip
        if isinstance(self.where, tuple):
            inside = [0 <= at < length for at, length in zip(self.where, site.extent, strict=False)]
            if len(inside) != len(site.extent) or len(inside) != len(self.where) or not all(inside):
                raise UsageError(f"{self.site} has no position {self.where}", f"Its maps have the shape {site.extent}",
                                 "Positions count from 0, one number an axis")  # fmt: skip

    @property
    def over_map(self) -> bool:
        """Whether it asks for no one position."""
        return self.where in ("map", "mean")

    def rectified(self, model: Model) -> bool:
        """Whether the site is a rectifier, which gives no gradient where it is silent."""
        return model.sites[self.site].operation in RECTIFIERS

    def at(self, tensor: Tensor, rows_each: int) -> Tensor:
        """Each picture's own channel. Shapes: (U * rows_each, C, ...) -> (U * rows_each, ...)."""
        return tensor[_own(self.channels, rows_each, tensor.device)]

    def value(self, tensor: Tensor, rows_each: int, spread: float = 0.0) -> Tensor:
        """What an optimiser makes larger (for sign 1), one number a picture. Of n positions of a map the strongest
        weighs n ** -spread beside their mean. Shapes: (R, C, ...) -> (R,).
        """
        own = self.at(tensor, rows_each)
        if own.ndim == 1:
            return own
        if self.over_map:
            flat = own.flatten(1)
            mean = flat.mean(1)
            if self.where == "mean":
                return mean
            strongest = flat.amax(1) if self.sign > 0 else flat.amin(1)
            return mean + strongest * flat.shape[1] ** -spread
        return _at(own, self._position(tuple(own.shape[1:])))

    def peak(self, tensor: Tensor, rows_each: int) -> Tensor:
        """The activation reached: the largest over the map (the smallest for sign -1), as it is of data; at a position
        that was asked for, the one there. Shapes: (R, C, ...) -> (R,).
        """
        own = self.at(tensor, rows_each)
        if own.ndim == 1:
            return own
        if isinstance(self.where, tuple):
            return _at(own, self.where)
        return own.flatten(1).amax(1) if self.sign > 0 else own.flatten(1).amin(1)

    def _position(self, extent: Sequence[int]) -> tuple[int, ...]:
        return self.where if isinstance(self.where, tuple) else tuple(length // 2 for length in extent)


@lru_cache
def _own(channels: tuple[int, ...], rows_each: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of every row its number and its channel."""
    rows = torch.arange(len(channels) * rows_each, device=device)
    return rows, torch.tensor(channels, device=device).repeat_interleave(rows_each)


def _at(maps: Tensor, position: Sequence[int]) -> Tensor:
    """Shapes: (R, ...) -> (R,)."""
    for place in reversed(position):
        maps = maps[..., place]
    return maps


def likeness(tensor: Tensor, each: int) -> Tensor:
    """How alike the pictures of each unit are to the site: the mean cosine of their Gram matrices, in pairs.

    Shapes: tensor (U * each, C, ...) -> (U,).
    Reference: Olah, Mordvintsev, Schubert, Feature Visualization (Distill, 2017), diversity.
    """
    flat = tensor.flatten(2) if tensor.ndim > 2 else tensor.unsqueeze(-1)
    gram = (flat @ flat.transpose(1, 2)).flatten(1) if flat.shape[2] > 1 else flat.flatten(1)
    gram = F.normalize(gram.view(-1, each, gram.shape[1]), dim=2, eps=1e-12)
    cosines = gram @ gram.transpose(1, 2)
    others = 1 - torch.eye(each, device=tensor.device, dtype=cosines.dtype)
    return (cosines * others).sum((1, 2)) / max(1, each * (each - 1))


def of_class(model: Model, given: str | int, sign: int = 1) -> Objective:
    """The objective of a class, by number or name, at the logits. Raises: NotApplicable, UnknownName, UsageError."""
    return Objective(site=logits_site(model), channels=(class_number(model, given),), sign=sign)


def looks_at_the_picture(model: Model, layer: Site) -> bool:
    """Whether a layer's units see the picture itself: no other layer lies between."""
    waiting, seen = list(layer.inputs), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            if model.sites[name].units:
                return False
            waiting += model.sites[name].inputs
    return True


def usual_place(model: Model, layer: str) -> Where:
    """Where a unit is made to fire unless one says otherwise: on its map, or at its middle in a first layer."""
    return "centre" if looks_at_the_picture(model, model.sites[layer]) else "map"
