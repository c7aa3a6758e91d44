"""The activations that given pictures cause, in full: for a few pictures that belong to no image set."""

from collections.abc import Iterable

import numpy as np
import torch

from ..images.collection import Images
from ..statistics.maps import Maps, MapsAnswer
from .open import Model
from .recording.measure import measure
from .recording.recorder import Probe
from .recording.untouched import untouched


def activations(model: Model, pixels: np.ndarray, addresses: Iterable[str]) -> dict[str, MapsAnswer]:
    """The whole maps of every channel at some addresses, `SITE` or `SITE:in`; the model stays as it is.

    Shapes: pixels (n, C, H, W) uint8, display images in the model's geometry; maps see `MapsAnswer`.
    Raises: UnknownName, UsageError for a site without image axis.
    """
    chosen = list(dict.fromkeys(addresses))
    pictures = Images(
        source="pictures", ids=tuple(str(place) for place in range(len(pixels))), class_names=(),
        labels=np.full(len(pixels), -1), shape=model.preprocessing.shape, read=lambda place: pixels[place],
    )  # fmt: skip
    whole = Maps(places=tuple(range(len(pixels))))
    probes = [Probe((model.sites.address(text),), whole) for text in chosen]
    home = next((parameter.device for parameter in model.module.parameters()), torch.device("cpu"))
    with untouched(model.module):
        found = measure(model, pictures, probes, device=home)
    return {text: accumulator.compute() for text, accumulator in zip(chosen, found, strict=True)}
