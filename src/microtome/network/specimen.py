"""What is looked at: one model, sometimes several, and the images it is looked at with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ..errors import UsageError
from ..images import Images
from .open import Model
from .receptive_field import Field, receptive_fields
from .sites import Site, Sites
from .untouched import untouched

Effort = Literal["quick", "normal", "full"]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One model (others by name), optionally images, and how much work may be spent.

    `results` holds the finished results of the analyses that the one being run has named in `requires`.
    """

    model: Model
    images: Images | None = None
    others: Mapping[str, Model] = field(default_factory=dict)
    effort: Effort = "normal"
    seed: int = 0
    results: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sites(self) -> Sites:
        """The sites of the model."""
        return self.model.sites

    @property
    def layers(self) -> list[Site]:
        """Convolutions and linear layers: the sites that hold units."""
        return self.model.sites.layers

    @property
    def classes(self) -> int:
        """Number of the network's classes: length of its output row; 0 if the output is not one row an image."""
        output = self.sites[self.sites.output]
        return output.shape[0] if output.batched and len(output.shape) == 1 else 0

    @property
    def labelled(self) -> bool:
        """Whether there are images with labels that fit the output."""
        return self.images is not None and self.images.labelled and self.images.labels.max() < self.classes

    def reading(self) -> dict[str, str]:
        """For every layer the site where its units are read."""
        return {site.name: site.read or site.name for site in self.layers}

    def need_images(self, who: str) -> Images:
        """The images.

        Raises: UsageError if there are none.
        """
        if self.images is None:
            raise UsageError(f"{who} was given no images", f"{who} measures on images", "Give an image source")
        return self.images

    @cached_property
    def receptive_fields(self) -> Mapping[str, Field]:
        """What each site's positions see of the image; None for the whole image."""
        with untouched(self.model.module) as module:
            return receptive_fields(module, self.sites, self.model.preprocessing.shape)
