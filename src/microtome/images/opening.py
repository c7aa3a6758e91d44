"""How image sets are opened, whatever their source: for which network, which part, how strictly."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

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
