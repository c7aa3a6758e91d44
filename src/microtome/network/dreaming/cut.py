"""A network run with gradients for its pixels alone, and no further than one site."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from ..model import Model
from ..recording.calls import Call, Following, Listener, first_tensor
from ..recording.inputs import like_parameters
from ..recording.recorder import Enough, calls_changed
from ..recording.sites import Site
from ..recording.untouched import untouched


class Cut:
    """A network at rest, with frozen weights, cut off behind a site."""

    def __init__(self, module: nn.Module, listener: "_Stopping", following: Following) -> None:
        self._module, self._listener, self._following = module, listener, following

    def run(self, images: Tensor, before: bool = False) -> Tensor:
        """What the site gives, or with `before` what it is given; channels second. Shapes: -> (N, C, ...).

        Raises: CallOrderChanged.
        """
        self._listener.start(before)
        # a copy, which the network's first call may overwrite; on a CPU with channels last, which is faster
        layout = torch.channels_last if images.device.type == "cpu" else torch.preserve_format
        copy = like_parameters(images.clone(memory_format=layout), self._module)
        with self._following.running(), suppress(Enough):
            self._module(copy)
        return self._listener.taken()


@contextmanager
def cut(model: Model, site: str) -> Iterator[Cut]:
    """The network up to a site, in eval mode; afterwards it is as it was. Raises: UnknownName."""
    listener = _Stopping(model, model.sites[site])
    with untouched(model.module) as module, torch.enable_grad():
        for parameter in module.parameters():  # `untouched` puts back which of them wanted a gradient
            parameter.requires_grad_(False)
        with Following(module, listener).hooked() as following:
            yield Cut(module, listener, following)


class _Stopping(Listener):
    """Takes one site's tensor, before anything can overwrite it, and stops."""

    def __init__(self, model: Model, site: Site) -> None:
        self.sites, self.site = list(model.sites.values()), site
        self.last = [each.name for each in self.sites].index(site.name)
        self.start(False)

    def start(self, inputs: bool) -> None:
        self.position, self.inputs = 0, inputs
        self.found: Tensor | None = None

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        if self.inputs and self.position == self.last and call == self.site.call:
            self.found = first_tensor(arguments)
            raise Enough

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        if self.sites[self.position].call != call:
            raise calls_changed(self.sites, self.position, repr(call.base))
        if self.position == self.last:
            self.found = tensor
            raise Enough
        self.position += 1
        return output

    def taken(self) -> Tensor:
        if self.found is None:
            raise calls_changed(self.sites, self.position, "the end")
        return self.found if self.site.channel_axis == 1 else self.found.movedim(self.site.channel_axis, 1)
