"""One forward pass followed site by site, with something else put where it is wanted."""

from typing import Any

from torch import Tensor

from .calls import Call, Listener, first_tensor, replaced
from .recorder import calls_changed
from .sites import Site, Sites


class InOrder(Listener):
    """Follows the sites of one forward pass after the other."""

    def __init__(self, sites: Sites) -> None:
        self.order = list(sites.values())
        self.restart(0)

    def restart(self, rows: int) -> None:
        """A new forward pass begins, with so many images; what is beyond them is filled up."""
        self.rows, self.position, self.version = rows, 0, 0

    def before(self, call: Call, arguments: tuple[Any, ...]) -> None:
        tensor = first_tensor(arguments)
        self.version = -1 if tensor is None else tensor._version

    def after(self, call: Call, arguments: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        if self.position >= len(self.order) or self.order[self.position].call != call:
            raise calls_changed(self.order, self.position, repr(call.base))
        site = self.order[self.position]
        self.position += 1
        put = self.at(site, first_tensor(arguments), tensor)
        if put is None:
            return output
        if tensor is first_tensor(arguments) and tensor._version != self.version:
            tensor.copy_(put)  # later code may rely on what was overwritten
            return output
        return replaced(output, tensor, put.to(tensor.dtype))

    def at(self, site: Site, given: Tensor | None, tensor: Tensor) -> Tensor | None:
        """Told of what a site was given and gave; what is returned, if anything, goes on in its place."""
        raise NotImplementedError
