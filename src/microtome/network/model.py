"""One network with what is known about it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from ..errors import UnknownName
from ..images.preprocessing import Preprocessing
from .cutting.cuts import Cut
from .recording.inputs import like_parameters, smooth_images
from .recording.receptive_field import Field, receptive_fields
from .recording.sites import Sites, find_sites
from .recording.untouched import untouched


@dataclass(frozen=True, kw_only=True)
class Model:
    """One network with what is known about it. `source` is how it was opened, `weights` says in words which it has.

    `notes` are sentences that everybody who uses it should read, such as that a weight is no number. `cuts` say which
    channels were taken out of the network as its constructor makes it.
    """

    module: nn.Module
    name: str
    source: str
    weights: str
    preprocessing: Preprocessing
    preprocessing_from: str
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @cached_property
    def sites(self) -> Sites:
        """Every place one can look at, found by running the network on two images."""
        with untouched(self.module) as module:
            return find_sites(module, like_parameters(smooth_images(self.preprocessing.shape), module))

    @cached_property
    def receptive_fields(self) -> Mapping[str, Field]:
        """What each site's positions see of the image; None for the whole image."""
        with untouched(self.module) as module:
            return receptive_fields(module, self.sites, self.preprocessing.shape)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of everything that decides what is measured: parameters and buffers, layers, preprocessing."""
        digest = hashlib.blake2b(repr(self.preprocessing).encode(), digest_size=8)
        for site in self.sites.values():
            digest.update(f"{site.name} {site.operation} {site.shape} {site.inputs}".encode())
        for name, tensor in self.module.named_buffers():  # those that are kept in no state_dict too
            digest.update(f"{name} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for name, tensor in self.module.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def weight(self, layer: str) -> torch.Tensor:
        """The weights of a layer: (units, channels in per group, kernel rows, kernel columns) or (units, inputs).

        Raises: UnknownName if there is no such site, or none with weights.
        """
        site = self.sites[layer]
        if site.weight is None:
            names = ", ".join(each.name for each in self.sites.layers)
            raise UnknownName(f"Site {layer!r} holds no weights", f"Layers with weights are: {names}",
                              "Name one of them")  # fmt: skip
        owner, _, attribute = site.weight.rpartition(".")
        tensor: torch.Tensor = getattr(self.module.get_submodule(owner), attribute)
        weight = tensor.detach()
        if "ranspose" in site.operation:  # stored as (channels in, units per group, rows, columns)
            groups = site.units // weight.shape[1]
            weight = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
        return weight
