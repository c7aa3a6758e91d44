"""How a network is put together, as far as it matters to those who look: what is ambiguous, shared, random or idle."""

from collections import Counter
from collections.abc import Collection

import torch
from torch import Tensor, nn

from ..backward.rectifiers import KIND_OF, find_rectifiers, remark_rectifiers
from ..open import Model
from ..recording.calls import is_leaf
from ..recording.sites import Sites
from ..recording.untouched import untouched
from ..recording.witness import Step, witness
from ..remarks import Level, Remark, counted, listed

FREE_OF_PARAMETERS = (nn.Identity, nn.Dropout, nn.modules.dropout._DropoutNd)  # idle ones of these are no news
COMPUTED = "parametrizations"  # the part of a module of torch.nn that computes its weights


def remark_anatomy(model: Model) -> list[Remark]:
    """Everything that can be said about sites and calls; the network runs a few times on two made-up images."""
    sites = model.sites
    layers = sites.layers
    first = Remark(
        name="sites", number=len(sites), level="fine" if layers else "warning",
        sentence=f"{counted(len(sites), 'site')}, {counted(len(layers), 'layer')}, "
        f"{counted(sum(layer.units for layer in layers), 'unit')}",
    )  # fmt: skip
    with untouched(model.module) as module:
        images = _made_up(model)
        steps = witness(module, images)
        again = witness(module, images)
        other = [_remark_other(module, sites, steps, changed) for changed in (-images, 0 * images, 8 * images)]
    flow = next((remark for remark in other if remark.level != "fine"), other[0])
    found = find_rectifiers(sites, steps) if [s.call for s in steps] == [s.call for s in sites.values()] else None
    rectifiers = remark_rectifiers(found) if found is not None else Remark(
        name="rectifiers", sentence="Rectifiers cannot be counted: every run calls something else", number=0,
        level="warning",
    )  # fmt: skip
    return [
        first, _repeated(sites), _shared(model), _before_activation(sites), _unbatched(sites), _closed(model.module),
        _repeatable(sites, steps, again), flow, _batch_statistics(model.module), _idle(model, sites), rectifiers,
    ]  # fmt: skip


def _made_up(model: Model) -> Tensor:
    """Two images that are smooth and not constant; no random state is touched. Shapes: -> (2, C, H, W)."""
    ramp = torch.linspace(-1, 1, 2 * int(torch.Size(model.preprocessing.shape).numel())).sin()
    image = ramp.view(2, *model.preprocessing.shape)
    parameter = next(model.module.parameters(), image)
    return image.to(parameter.device, parameter.dtype)


def _at_places(
    name: str, found: Collection[str], none: str, some: str, level: Level = "note", counts: tuple[int, ...] = ()
) -> Remark:
    """One sentence if something was found nowhere, another if it was found at some places."""
    if not found:
        return Remark(name=name, sentence=none, number=0)
    return Remark(name=name, sentence=some, number=len(found), level=level, places=tuple(found), counts=counts)


def _repeated(sites: Sites) -> Remark:
    calls: dict[str, list[str]] = {}
    for site in sites.values():
        if site.call.leaf:
            calls.setdefault(site.call.path, []).append(site.name)
    found = {path: names for path, names in calls.items() if len(names) > 1}
    texts = [f"{path} ({', '.join(names)})" for path, names in found.items()]
    return _at_places(
        "repeated_modules", found, "Every module is called once at most",
        f"{counted(len(found), 'module is', 'modules are')} called more than once; every call is a site of its own: "
        f"{listed(texts)}", counts=tuple(len(names) for names in found.values()),
    )  # fmt: skip


def _shared(model: Model) -> Remark:
    names: dict[int, list[str]] = {}
    parameters = dict(model.module.named_parameters(remove_duplicate=False))
    for layer in model.sites.layers:
        weight = layer.weight or ""
        # weights that are computed are made anew each time: they are shared where the module is
        owner = parameters[weight] if weight in parameters else model.module.get_submodule(weight.rpartition(".")[0])
        names.setdefault(id(owner), []).append(layer.name)
    found = [layers for layers in names.values() if len(layers) > 1]
    if not found:
        return Remark(name="shared_weights", sentence="No two layers share their weights", number=0)
    return Remark(
        name="shared_weights", number=sum(map(len, found)), level="note",
        places=tuple(name for group in found for name in group),
        sentence=f"{sum(map(len, found))} layers share weights, and show the same filters: "
        f"{listed([' = '.join(group) for group in found])}",
    )  # fmt: skip


def _before_activation(sites: Sites) -> Remark:
    takers: dict[str, list[str]] = {}
    for site in sites.values():
        for name in site.inputs:
            takers.setdefault(name, []).append(site.name)
    found = []
    for layer in sites.layers:
        taken_by = takers.get(layer.read or layer.name, [])
        if any(sites[name].operation in KIND_OF for name in taken_by):  # it would be read there, were it the only one
            found.append(layer.name)
    return _at_places(
        "read_before_activation", found, "No layer is read before an activation of its own",
        f"{counted(len(found), 'layer is', 'layers are')} read before the activation, because other operations take "
        f"the same tensor: {listed(found)}",
    )  # fmt: skip


def _unbatched(sites: Sites) -> Remark:
    found = [layer.name for layer in sites.layers if not sites[layer.read or layer.name].batched]
    return _at_places(
        "without_rows", found, "Every layer gives one row an image",
        f"{counted(len(found), 'layer gives', 'layers give')} no row an image, so units cannot be read there: "
        f"{listed(found)}", "warning",
    )  # fmt: skip


def _closed(module: nn.Module) -> Remark:
    found = [
        path
        for path, part in module.named_modules()
        if is_leaf(part) and COMPUTED not in path.split(".") and {*dict(part.named_children())} - {COMPUTED}
    ]
    return _at_places(
        "closed_blocks", found, "Nothing runs hidden inside a block of torch.nn",
        f"{counted(len(found), 'block')} of torch.nn with parts of their own; what runs inside is no site: "
        f"{listed(found)}",
    )  # fmt: skip


def _repeatable(sites: Sites, steps: tuple[Step, ...], again: tuple[Step, ...]) -> Remark:
    if steps == again:
        return Remark(name="random", sentence="Two runs on the same images agree to the last bit", number=0)
    differing = [place for place, (one, other) in enumerate(zip(steps, again, strict=False)) if one != other]
    first = list(sites)[min(differing[0], len(sites) - 1)] if differing else "its end"
    return Remark(
        name="random", number=len(differing), level="warning", places=(first,) if differing else (),
        sentence=f"Two runs on the same images differ, first at {first}: results will not repeat",
    )  # fmt: skip


def _remark_other(module: nn.Module, sites: Sites, steps: tuple[Step, ...], images: Tensor) -> Remark:
    """Whether the network does the same on other images."""
    try:
        other = witness(module, images)
    except Exception as error:  # any error of the user's own code
        return Remark(name="control_flow", number=1, level="warning",
                      sentence=f"On other images the network raises {type(error).__name__}: {error}")  # fmt: skip
    pairs = zip(steps, other, strict=False)
    place = next((i for i, (one, two) in enumerate(pairs) if one.call != two.call), min(len(steps), len(other)))
    if place == len(steps) == len(other):
        return Remark(name="control_flow", sentence="Other images take the same way through the network", number=0)
    names = (*sites, "its end")
    return Remark(
        name="control_flow", number=1, level="warning", places=(names[min(place, len(sites))],),
        sentence=f"Control flow depends on values: on other images the network leaves its way at "
        f"{names[min(place, len(sites))]}, and a look will stop there",
    )  # fmt: skip


def _batch_statistics(module: nn.Module) -> Remark:
    found = [
        path for path, part in module.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None
    ]  # fmt: skip
    return _at_places(
        "batch_statistics", found, "No BatchNorm depends on the other images of a batch",
        f"{counted(len(found), 'BatchNorm')} without running statistics: what an image gives depends on the others of "
        f"its batch, at {listed(found)}", "warning",
    )  # fmt: skip


def _idle(model: Model, sites: Sites) -> Remark:
    """Modules that a forward pass in eval mode does not call, as far as they could do something."""
    used = {site.call.path for site in sites.values()} | {
        site.weight.rpartition(".")[0] for site in sites.values() if site.weight
    }
    inside = [path for path, part in model.module.named_modules() if is_leaf(part) and path]
    found = [
        path for path, part in model.module.named_modules()
        if is_leaf(part) and path not in used and not isinstance(part, FREE_OF_PARAMETERS)
        and not any(path.startswith(f"{block}.") for block in inside)
    ]  # fmt: skip
    modules = [model.module.get_submodule(path) for path in found]
    kinds = Counter(type(module).__name__ for module in modules)
    counts = tuple(sum(parameter.numel() for parameter in module.parameters()) for module in modules)
    return _at_places(
        "never_called", found, "Every module is called",
        f"{counted(len(found), 'module is', 'modules are')} never called when the network predicts "
        f"({', '.join(f'{n} {kind}' for kind, n in kinds.items())}; {counted(sum(counts), 'parameter')}): "
        f"{listed(found)}; heads of training, or branches that lead nowhere", counts=counts,
    )  # fmt: skip
