"""The linear map that a network of rectifiers is around one picture, from the pixels to what is read at a site."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backward.tracing import Trace, tracing
from ..model import Model
from ..pieces.switches import refuse_curved
from ..pieces.watching import in_double
from ..recording.sites import Site
from ..responses import responses

COPIES = 16  # of the picture in one pass; more are no faster in double precision
DEARER = 6  # times, a product with J takes than one with its transpose: it goes through the graph twice

Part = tuple[int, ...]  # a channel, or a channel and a position; () for all


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where activations are read: a site's tensor, or a part of it."""

    model: Model
    site: Site
    part: Part = ()

    @property
    def inputs(self) -> int:
        """Numbers of a picture, D."""
        return prod(self.model.preprocessing.shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one picture up to the site."""
        names = list(self.model.sites)
        return sum(self.model.sites[name].macs for name in names[: names.index(self.site.name) + 1])

    def of(self, tensor: Tensor) -> Tensor:
        """The part of a site's tensor, a view of it. Shapes: (N, C, ...) -> (N, ...)."""
        part = tensor.movedim(self.site.channel_axis, 1) if self.part else tensor
        for at in self.part:
            part = part.select(1, at)
        return part

    def activations(self, pictures: Tensor) -> np.ndarray:
        """What is read of pictures, in double precision. Shapes: (N, C, H, W), normalised -> (N, M)."""
        with in_double(self.model):
            return responses(
                self.model, pictures.double(), self.site.name, lambda seen: self.of(seen).reshape(len(seen), -1)
            )


@dataclass(frozen=True, kw_only=True)
class LocalMap:
    """The derivative J of what is read, (M, D), at one picture, known by its products. Shapes: value (M,)."""

    reading: Reading
    trace: Trace
    value: np.ndarray
    _seed: Tensor = field(repr=False)
    _back: Tensor = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(M, D)."""
        return len(self.value), self.reading.inputs

    def transposed(self, seeds: np.ndarray) -> np.ndarray:
        """J transposed times some vectors. Shapes: (k, M) -> (k, D)."""
        found = []
        for some in self._some(seeds):
            whole = torch.zeros_like(self.trace.activation)
            part = self.reading.of(whole)
            part[: len(some)] = some.view(len(some), *part.shape[1:])
            found.append(self.trace.back(whole)[: len(some)].flatten(1).numpy())
        return np.concatenate(found) if found else np.zeros((0, self.shape[1]))

    def times(self, directions: np.ndarray) -> np.ndarray:
        """J times some vectors: the derivative of J transposed times a seed, by the seed. Shapes: (k, D) -> (k, M)."""
        found = []
        for some in self._some(directions):
            given = torch.zeros_like(self.trace.images)
            given[: len(some)] = some.view(len(some), *given.shape[1:])
            (change,) = torch.autograd.grad([self._back], [self._seed], [given], retain_graph=True, allow_unused=True)
            change = torch.zeros_like(self._seed) if change is None else change
            found.append(self.reading.of(change)[: len(some)].reshape(len(some), -1).numpy())
        return np.concatenate(found) if found else np.zeros((0, self.shape[0]))

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Rows of J. Shapes: places (k,) -> (k, D)."""
        found = [np.zeros((0, self.shape[1]))]
        for some in np.split(places, range(COPIES, len(places), COPIES)):
            found.append(self.transposed(_one_hot(some, self.shape[0])))
        return np.concatenate(found)

    def matrix(self, places: np.ndarray) -> np.ndarray:
        """Rows of J, one by one, or by all its columns, whichever is less work. Shapes: (k,) -> (k, D)."""
        if len(places) <= DEARER * self.shape[1]:
            return self.rows(places)
        found = np.empty((self.shape[1], len(places)))
        for start in range(0, self.shape[1], COPIES):
            some = np.arange(start, min(start + COPIES, self.shape[1]))
            found[some] = self.times(_one_hot(some, self.shape[1]))[:, places]
        return found.T

    def _some(self, vectors: np.ndarray) -> Any:
        return torch.split(torch.from_numpy(np.ascontiguousarray(vectors)), len(self.trace.images))


def _one_hot(places: np.ndarray, length: int) -> np.ndarray:
    out = np.zeros((len(places), length))
    out[np.arange(len(places)), places] = 1
    return out


@contextmanager
def local_map(reading: Reading, picture: Tensor, copies: int = COPIES) -> Iterator[LocalMap]:
    """The derivative at a picture; it lives as long as the context. Shapes: (C, H, W), normalised.

    Raises: NotApplicable where the network is not made of linear pieces up to the site, or no gradient leads back.
    """
    refuse_curved(reading.model.sites, reading.site.name)
    given = picture.double().expand(copies, *picture.shape)
    with in_double(reading.model) as module, ExitStack() as stack:
        for parameter in module.parameters():
            parameter.requires_grad_(False)  # or each product with J would cost one by the weights too
        trace = stack.enter_context(tracing(reading.model, given, reading.site.name))
        seed = torch.zeros_like(trace.activation).requires_grad_()
        outputs: Any = [trace.edge]
        (back,) = torch.autograd.grad(outputs, [trace.images], [seed], create_graph=True)
        value = reading.of(trace.activation)[0].flatten().numpy().copy()
        yield LocalMap(reading=reading, trace=trace, value=value, _seed=seed, _back=back)
