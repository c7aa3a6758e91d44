"""What is looked at: one model, sometimes several, and the images it is looked at with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..errors import NotApplicable, UnknownName
from ..images.collection import Images
from ..images.opening import opened_for
from .model import Model
from .randomised import randomised
from .recording.receptive_field import Field
from .recording.sites import Site, Sites

Effort = Literal["quick", "normal", "full"]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One model (others by name), optionally images, and how much work may be spent.

    Images are in the geometry of the model; `images_for` gives them in that of another.

    `units` are globs of units that analyses which choose a few should work on besides.
    `results` holds the finished results of the analyses that the one being run has named in `requires`, `copies` the
    copies with shuffled weights that one look has made so far; without it each is made anew.
    """

    model: Model
    images: Images | None = None
    others: Mapping[str, Model] = field(default_factory=dict)
    effort: Effort = "normal"
    seed: int = 0
    units: tuple[str, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    copies: dict[tuple[int, int], Model] | None = field(default=None, repr=False, compare=False)

    @property
    def sites(self) -> Sites:
        """The sites of the model."""
        return self.model.sites

    @property
    def layers(self) -> list[Site]:
        """Convolutions and linear layers: the sites that hold units."""
        return self.model.sites.layers

    def shuffled(self) -> Model:
        """A copy of the network with its weights shuffled from `seed` on; in a look all analyses are given the same.

        Raises: NotApplicable if it cannot be copied.
        """
        known = {} if self.copies is None else self.copies
        key = (id(self.model), self.seed)
        if key not in known:
            known[key] = randomised(self.model, self.seed)
        return known[key]

    @property
    def classes(self) -> int:
        """Number of the network's classes: length of its output row; 0 if the output is not one row an image."""
        output = self.sites[self.sites.output]
        return output.shape[0] if output.batched and len(output.shape) == 1 else 0

    @property
    def labelled(self) -> bool:
        """Whether there are images with labels that number the outputs.

        They do not if the images have another number of classes than the network has outputs, as with an embedding,
        unless the network's class names are known or the labels are beyond the images' own classes.
        """
        if self.images is None or not self.images.labelled or self.images.labels.max() >= self.classes:
            return False
        known = len(self.images.class_names)
        return self.classes in (known, len(self.model.class_names)) or self.images.labels.max() >= known

    @cached_property
    def named_units(self) -> dict[str, tuple[int, ...]]:
        """The units that `units` names, globs such as `layer1.*:3` or `conv2` (all of a layer): by layer, ascending.

        Raises: UnknownName for a glob that names nothing.
        """
        found: dict[str, set[int]] = {}
        for glob in self.units:
            name, colon, which = glob.rpartition(":")
            name, which = (name, which) if colon else (glob, "*")
            hits = [
                (layer.name, unit) for layer in self.layers if fnmatchcase(layer.name, name)
                for unit in range(layer.units) if fnmatchcase(str(unit), which)
            ]  # fmt: skip
            if not hits:
                raise UnknownName(f"No unit is called {glob!r}", f"Units are LAYER:NUMBER, layers are: "
                                  f"{', '.join(layer.name for layer in self.layers)}", "Mend --units")  # fmt: skip
            for layer, unit in hits:
                found.setdefault(layer, set()).add(unit)
        return {layer.name: tuple(sorted(found[layer.name])) for layer in self.layers if layer.name in found}

    def reading(self) -> dict[str, str]:
        """For every layer the site where its units are read; layers that see images mixed have none.

        Raises: NotApplicable if there is no such layer.
        """
        sites = {layer.name: self.sites[layer.read or layer.name] for layer in self.layers}
        found = {layer: site.name for layer, site in sites.items() if site.batched}
        if not found:
            raise NotApplicable(
                f"{self.model.name} has no layer with one row an image among its {len(sites)} layers",
                "Units are the outputs of convolutions and linear layers", "Give a network that has some",
            )  # fmt: skip
        return found

    def beside(self, name: str) -> "Specimen":
        """One of the others by itself, with the same images."""
        return replace(self, model=self.others[name], images=self.images_for(name), others={}, results={})

    def images_for(self, name: str) -> Images | None:
        """The images as the model of this name is given them, "" for the first.

        Raises: BadImages if it takes them in another geometry, and they cannot be opened in it.
        """
        return self._images_of_others[name] if name and self.images is not None else self.images

    @cached_property
    def _images_of_others(self) -> dict[str, Images]:
        found, images, mine = {}, self.images, self.model.preprocessing
        assert images is not None
        for name, model in self.others.items():
            wanted = model.preprocessing
            alike = wanted.shape == mine.shape if images.prepared else wanted.same_pictures(mine)
            found[name] = images if alike else opened_for(images, wanted)
        return found

    def need_images(self, who: str) -> Images:
        """The images.

        Raises: NotApplicable if there are none.
        """
        if self.images is None:
            raise NotApplicable(f"{who} was given no images", f"{who} measures on images", "Give an image source")
        return self.images

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the network's classes, their numbers where names are unknown."""
        names = self.model.class_names
        return names if len(names) == self.classes else tuple(str(place) for place in range(self.classes))

    def need_classes(self) -> None:
        """Make sure that the network gives a row of classes.

        Raises: NotApplicable if it does not.
        """
        if self.classes == 0:
            output = self.sites[self.sites.output]
            shape = " x ".join(map(str, output.shape)) or "one number"
            raise NotApplicable(
                f"{self.model.name} gives no row of classes for an image, but {shape} (at {output.name})",
                "Speaking of classes needs a network that classifies whole images",
                "Read the other analyses, or give a classifier",
            )

    def need_labels(self) -> None:
        """Make sure that there are labels.

        Raises: NotApplicable if the images have none that fit the outputs.
        """
        if self.labelled:
            return
        self.need_classes()
        if self.images is not None and self.images.labelled:
            raise NotApplicable(
                f"The images are of {len(self.images.class_names)} classes, with labels up to "
                f"{self.images.labels.max()}, and the network has {self.classes} outputs ({self.images.labelling})",
                "Speaking of classes needs one output a class of the images, or outputs whose classes are named",
                "If its outputs are classes, give open_model their class_names; else read the other analyses",
            )
        how = self.images.labelling if self.images is not None else "no images"
        raise NotApplicable(
            f"The images have no labels that fit the {self.classes} outputs ({how})",
            "Speaking of classes needs labelled images", "Give images in one folder a class",
        )  # fmt: skip

    def boxes(self, site: str, place: np.ndarray) -> np.ndarray:
        """The pixels that positions of a site see. Shapes: place (...) flat positions -> (..., 4), see `Field`."""
        size = self.model.preprocessing.size
        field = self.receptive_fields[site]
        if field is None:
            return np.broadcast_to(np.array([0, 0, *size]), (*place.shape, 4)).copy()
        return field.boxes(place, self.sites[site].extent[1], size)

    @property
    def receptive_fields(self) -> Mapping[str, Field]:
        """What each site's positions see of the image; None for the whole image."""
        return self.model.receptive_fields
