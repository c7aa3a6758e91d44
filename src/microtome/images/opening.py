"""How image sets are opened, whatever their source: for which network, which part, how strictly."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BadImages
from .collection import DECODERS, Images
from .labels import match_labels
from .preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What is wanted of an image set. `class_names` are the network's, `split` is train or test.

    `class_map` sends folders or classes of the source to the network's classes; `download` lets torchvision fetch
    its sets; `strict` refuses images that cannot be read; `decoders` is the number of threads that decode.
    """

    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    split: str = "test"
    class_map: Mapping[str, int | str] | None = None
    strict: bool = False
    download: bool = False
    decoders: int = DECODERS

    def settled(self, images: Images) -> Images:
        """The images with their own labels brought to the network's classes, and as strict as is wanted."""
        labels, how = match_labels(images.labels, images.class_names, self.class_names, self.class_map)
        return dataclasses.replace(
            images, labels=labels, class_names=self.class_names or images.class_names, strict=self.strict,
            labelling=images.labelling if how == "no labels" else how, decoders=self.decoders,
        )  # fmt: skip


def opened_for(images: Images, preprocessing: Preprocessing) -> Images:
    """The same images in the geometry of another network.

    Raises: BadImages if they cannot be opened again, or are others then.
    """
    found = None if images.again is None else images.again(preprocessing)
    if found is None or found.ids != images.ids:
        raise BadImages(
            f"The images of {images.source} are {images.shape[1]} x {images.shape[2]} pixels for one network, and "
            f"another takes them otherwise ({preprocessing})",
            "Images that two networks take differently are opened for each, and must be the same both times",
            "Give a folder, a file, or a data set that can be asked for any of its images again",
        )
    return found
