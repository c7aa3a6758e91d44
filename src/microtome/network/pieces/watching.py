"""A forward pass in double precision, told of every place where it bends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from ..model import Model
from ..recording.calls import Call, Following, first_tensor
from ..recording.in_order import InOrder
from ..recording.recorder import Enough
from ..recording.sites import Site
from ..recording.untouched import untouched
from .switches import is_switch, refuse_curved, thresholds, windows


class Watching(InOrder):
    """Follows forward passes, tells of every bend up to a site, and stops there. Shapes: see `bend` and `choose`."""

    def __init__(self, model: Model, until: str = "") -> None:
        super().__init__(model.sites)
        self.until = model.sites.resolve(until) if until else model.sites.output
        refuse_curved(model.sites, self.until)
        names = list(model.sites)
        self.switches = tuple(name for name in names[: names.index(self.until) + 1] if is_switch(model.sites[name]))
        self._module = model.module
        self._following = Following(model.module, self)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """While entered, `run` may be called."""
        with self._following.hooked():
            yield

    def run(self, rows: Tensor) -> None:
        """One forward pass up to the site. Shapes: rows (N, C, H, W), prepared."""
        self.restart(len(rows))
        with self._following.running(), suppress(Enough):
            self._module(rows.clone())

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        super().before(call, arguments)
        tensor = first_tensor(arguments)
        if tensor is None or self.position >= len(self.order) or self.order[self.position].call != call:
            return  # what was called is checked when it has come back
        ends = thresholds(call, self.calling)
        if ends:
            self.bend(self.order[self.position].name, tensor.flatten(1), ends)

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        found = windows(call, self.calling, arguments, output)
        if found is not None and self.position < len(self.order):
            self.choose(self.order[self.position].name, found)
        return super().after(call, arguments, output)

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        self.reached(site, tensor)
        if site.name == self.until:
            raise Enough
        return None

    def bend(self, site: str, values: Tensor, ends: tuple[float, ...]) -> None:
        """Told of what a rectifier is given, and where it bends. Shapes: values (N, M)."""

    def choose(self, site: str, taps: Tensor) -> None:
        """Told of what the windows of a max pool choose from. Shapes: taps (K, N, M), -inf for nothing."""

    def reached(self, site: Site, tensor: Tensor) -> None:
        """Told of what every site gave."""


@contextmanager
def in_double(model: Model) -> Iterator[nn.Module]:
    """The network at rest and in double precision; afterwards everything is as before."""
    with untouched(model.module) as module:
        module.double()
        yield module
