"""Which units stand behind each input channel of a layer: who feeds whom."""

from functools import cache

from ..model import Model
from ..recording.sites import Site, Sites
from .linear_layers import LinearLayer

Unit = tuple[str, int]
Sources = tuple[tuple[Unit, ...], ...]  # of each channel

JOINING = frozenset(("cat", "concat", "concatenate"))
ADDING = frozenset(("add", "sub", "add_", "iadd"))


def feeders(model: Model, layer: LinearLayer) -> Sources:
    """The units behind each input channel of a layer, as its input map has them; () where that cannot be told.

    Followed are operations that keep channels apart, concatenations, and sums, behind which a channel has several.
    """
    sites = model.sites
    channels = layer.shape[0]
    given = sites[layer.layer].inputs
    found = sources(sites, given[0]) if given else ()
    if len(found) != channels and given:  # a flattened map: its channels are those before
        name = given[0]
        while name in sites and len(sites[name].shape) != 3 and sites[name].inputs:
            name = sites[name].inputs[0]
        found = sources(sites, name) if name in sites else ()
    return found if len(found) == channels else ((),) * channels


def sources(sites: Sites, name: str) -> Sources:
    """The units behind each channel of a site's output; empty if that cannot be told.

    Of a sum of which one part cannot be told, such as a shortcut that pads its channels, that part's own channel.
    """

    def itself(name: str) -> Sources:
        return tuple(((name, channel),) for channel in range(sites[name].channels))

    @cache
    def behind(name: str) -> Sources:
        site = sites[name]
        if site.units:
            return tuple(((name, unit),) for unit in range(site.units))
        if not site.inputs:
            return ()
        parts = [behind(each) for each in site.inputs]
        if site.operation in JOINING:
            joined = tuple(one for part in parts for one in part)
            return joined if len(joined) == site.channels else ()
        if site.operation in ADDING and len(parts) > 1:
            if not any(parts) or any(sites[each].channels != site.channels for each in site.inputs):
                return ()
            told = [part or itself(name) for part, name in zip(parts, site.inputs, strict=True)]
            return tuple(sum(each, ()) for each in zip(*told, strict=True))
        return parts[0] if len(parts) == 1 and _keeps(sites[site.inputs[0]], site) else ()

    return behind(name)


def _keeps(before: Site, after: Site) -> bool:
    """Whether an operation with one input leaves its channels where they are."""
    return (
        before.channels == after.channels
        and before.channel_axis == after.channel_axis
        and (len(before.shape) == len(after.shape) or not after.extent)
    )


def layers_behind(model: Model, name: str) -> list[str]:
    """The layers from which a site is reached through no other layer."""
    waiting, found, seen = [name], list[str](), set[str]()
    while waiting:
        each = waiting.pop()
        if each in seen or each not in model.sites:
            continue
        seen.add(each)
        if model.sites[each].units:
            found.append(each)
        else:
            waiting += model.sites[each].inputs
    return found
