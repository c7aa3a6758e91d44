"""Grad-CAM: where in a picture the evidence for a class is, by the gradient of its logit at one site.

As in `backward`, everything hangs on the graph of one forward pass: the model is never modified, and in-place, shared
and functional operations are all the same.
Reference: Selvaraju et al., Grad-CAM (ICCV 2017), equations 1 and 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.functional import interpolate

from ...errors import NotApplicable, UnknownName, UsageError
from ..classes import logits_address
from ..model import Model
from ..recording.addresses import Address
from ..recording.calls import Following, first_tensor
from ..recording.catching import Catch
from ..recording.inputs import like_parameters, smooth_images
from ..recording.sites import Site
from ..recording.untouched import untouched
from ..stages import POOLS


@dataclass(frozen=True, kw_only=True)
class GradCam:
    """Where the evidence for one class an image is.

    Shapes, N images, K classes: heat (N, h, w) at the positions of `site`, 0 or more; target (N,) class; logits (N, K).
    Units: heat is in those of the logit.
    """

    site: str
    heat: np.ndarray
    target: np.ndarray
    logits: np.ndarray

    def enlarged(self, size: tuple[int, int]) -> np.ndarray:
        """The heat in pixels, bilinear. Shapes: size (H, W) -> (N, H, W)."""
        return enlarged(self.heat, size)


def enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps in another size, bilinear, borders on borders. Shapes: (N, h, w), size (H, W) -> (N, H, W)."""
    grown = interpolate(torch.from_numpy(maps)[:, None], size, mode="bilinear", align_corners=False)
    return grown[:, 0].numpy()


def grad_cam(model: Model, images: Tensor, targets: Sequence[int] | None = None, site: str | None = None) -> GradCam:
    """The heat of one class an image: the one given, or else the one with the largest logit.

    `site` is any site or container with positions, `default_site` unless given. Logits are taken before a softmax.
    Shapes: images (N, C, H, W), prepared for the network.
    Raises: UnknownName; UsageError for a site without positions; NotApplicable for a network without classes, or
    without a gradient between site and logits.
    """
    row = logits_address(model)
    where = model.sites[model.sites.resolve(site) if site is not None else default_site(model)]
    _check_positions(where)
    place = Address(where.name)
    with untouched(model.module) as module, torch.enable_grad():
        listener = Catch(list(model.sites.values()), (place, row))
        with Following(module, listener):
            module(like_parameters(images, module).detach().clone().requires_grad_().clone())
        listener.finish()
        (activation, inner), (logits, outer) = (listener.found[address] for address in (place, row))
        if inner is None or outer is None:
            raise NotApplicable(
                f"The graph of {model.name} does not hold {where.name if inner is None else row}",
                "Grad-CAM follows the gradient from the logits to a site",
                "Name a site behind the place where the network detaches its tensors, or use occlusion",
            )
        target = _targets(targets, logits)
        seed = torch.zeros_like(logits)
        seed[torch.arange(len(logits)), target] = 1
        outputs: Any = [outer]
        (gradient,) = torch.autograd.grad(outputs, [inner], [seed], allow_unused=True)
    heat = _heat(activation, gradient, where.channel_axis)
    return GradCam(site=where.name, heat=heat, target=target.cpu().numpy(), logits=_numbers(logits))


def default_site(model: Model) -> str:
    """The last site with rows and columns through which all of the logits flow, no pool: where the last convolution's
    units are read, or the sum or concatenation that unites several.

    Raises: NotApplicable if there is none.
    """
    listener = Catch(list(model.sites.values()), [Address(site.name) for site in model.sites.values()], copy=False)
    with untouched(model.module) as module, torch.enable_grad(), Following(module, listener):
        image = like_parameters(smooth_images(model.preprocessing.shape), module).clone().requires_grad_()
        output = first_tensor(module(image.clone()))
    ends = get_gradient_edge(output) if output is not None and output.requires_grad else None
    first: dict[GradientEdge, Site] = {}  # what passes its input on as it is makes no tensor of its own
    for address, (_, edge) in listener.found.items():
        if edge is not None:
            first.setdefault(edge, model.sites[address.site])
    if ends is not None and _reaches(ends, image, None):
        for edge, site in reversed(first.items()):
            if (
                _has_positions(site)
                and min(site.extent) > 1
                and site.operation not in POOLS
                and not _reaches(ends, image, edge)
            ):
                return site.name
    raise NotApplicable(
        f"{model.name} has no site with positions through which all of its output flows",
        "Grad-CAM reads one site, such as the last convolution", "Name a site yourself, or use occlusion",
    )  # fmt: skip


def _reaches(start: GradientEdge, image: Tensor, without: GradientEdge | None) -> bool:
    """Whether the image can be reached from an edge of the graph without passing another."""
    waiting: list[Any] = [(start.node, start.output_nr)]
    known = {tuple(waiting[0])}
    while waiting:
        node, number = waiting.pop()
        if without is not None and (node, number) == (without.node, without.output_nr):
            continue
        if getattr(node, "variable", None) is image:
            return True
        fresh = [edge for edge in node.next_functions if edge[0] is not None and edge not in known]
        known.update(fresh)
        waiting += fresh
    return False


def _has_positions(site: Site) -> bool:
    return site.batched and len(site.extent) == 2 and max(site.extent) > 1


def _check_positions(site: Site) -> None:
    if not _has_positions(site):
        raise UsageError(
            f"Site {site.name} has no positions (shape of one image: {' x '.join(map(str, site.shape)) or 'a number'})",
            "Grad-CAM needs maps of more than one row and column",
            "Name a site before the maps are averaged; `microtome sites MODEL` shows the shapes",
        )


def _targets(given: Sequence[int] | None, logits: Tensor) -> Tensor:
    count, classes = logits.shape
    if given is None:
        return logits.argmax(1)
    if len(given) != count:
        raise UsageError(f"{len(given)} targets were given for {count} images", "There is one target an image",
                         "Give as many classes as images")  # fmt: skip
    for number in given:
        if not 0 <= number < classes:
            raise UnknownName(f"Class {number} does not exist", f"The network's classes are 0 to {classes - 1}",
                              "Classes count from 0: give one of them")  # fmt: skip
    return torch.tensor(list(given), device=logits.device)


def _heat(activation: Tensor, gradient: Tensor | None, channel_axis: int) -> np.ndarray:
    if gradient is None:  # the logits do not depend on the site
        gradient = torch.zeros_like(activation)
    maps, slopes = (tensor.movedim(channel_axis, 1) for tensor in (activation, gradient))  # (N, C, h, w)
    return _numbers((slopes.mean((2, 3), keepdim=True) * maps).sum(1).relu())


def _numbers(tensor: Tensor) -> np.ndarray:
    plain = tensor.detach().cpu()
    return (plain if plain.dtype == torch.float64 else plain.float()).numpy()
