"""The work behind the question which layer could be left out: on images, with one thing after another in its place."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import NotApplicable
from ...formulas.omission import Kind
from ..model import Model
from ..parts.linear_layers import LinearLayer, linear_layers
from ..specimen import Specimen
from .copying import Copies, copies
from .replacing import Replacing, answers
from .retraining import retrained
from .standing_in import StandIn

LEARNT = 32  # images a step of training, at most


class Omitting:
    """Stand-ins are fitted on some images of a specimen and tried on others, given by their places in its set."""

    def __init__(self, specimen: Specimen, layers: Sequence[str], fitted: np.ndarray, tested: np.ndarray) -> None:
        self.specimen, self.names, self.fitted, self.tested = specimen, layers, fitted, tested

    def observed(self, shuffled: int, most: int) -> dict[str, dict[str, Any]]:
        """How far each layer passes its input on, on at most so many images of each half.

        Without what shuffled weights cannot be asked for: empty if the network cannot be copied.
        """
        try:
            model = self.specimen.shuffled() if shuffled else self.specimen.model
        except NotApplicable:
            return {}
        found = copies(model, self._layers, self._pixels(self.fitted[:most]), self._images[:most], self.specimen.seed)
        return {layer: _kept(each, not shuffled) for layer, each in found.items()}

    def original(self) -> np.ndarray:
        """How right the network is on each image tested; without labels 1. Shapes: -> (n,)."""
        return self._right(self._answers) if self.specimen.labelled else np.ones(len(self.tested))

    def tried(self, layer: str, found: Mapping[str, Any]) -> dict[Kind, np.ndarray]:
        """How right it is with each of a layer's stand-ins, (n,); without labels, the share of its own answers kept."""
        return {kind: self._asked(self.specimen.model, layer, stand_in)
                for kind, stand_in in _stand_ins(found).items()}  # fmt: skip

    def learnt(self, layer: str, found: Mapping[str, Any], kind: Kind, steps: int) -> np.ndarray:
        """The same after the rest of the network has learnt, on images that are not tested. Shapes: -> (n,)."""
        stand_in, images = _stand_ins(found)[kind], self.specimen.images
        assert images is not None
        others = np.setdiff1d(np.arange(len(images)), self.tested)
        others = images.readable(others[np.argsort(images.hashes[others], kind="stable")], LEARNT * steps)
        pixels = self._pixels(others)
        known = self.specimen.labelled
        targets = images.labels[others] if known else answers(self.specimen.model, pixels)
        usable = np.flatnonzero(images.labels[others] >= 0) if known else np.arange(len(others))
        model = retrained(self.specimen.model, self._layers[layer], stand_in, pixels[usable], targets[usable], steps,
                          self.specimen.seed)  # fmt: skip
        return self._asked(model, layer, stand_in)

    @cached_property
    def _layers(self) -> dict[str, LinearLayer]:
        return {name: layer for name, layer in linear_layers(self.specimen.model).items() if name in self.names}

    @cached_property
    def _images(self) -> Tensor:
        return self._pixels(self.tested)

    @cached_property
    def _answers(self) -> np.ndarray:
        return answers(self.specimen.model, self._images)

    def _pixels(self, places: np.ndarray) -> Tensor:
        images = self.specimen.images
        assert images is not None
        pixels = torch.from_numpy(np.stack([images[place] for place in places.tolist()]))
        return self.specimen.model.preprocessing.normalise(pixels)

    def _asked(self, model: Model, layer: str, stand_in: StandIn) -> np.ndarray:
        return self._right(answers(model, self._images, Replacing(model.sites, self._layers[layer], stand_in)))

    def _right(self, said: np.ndarray) -> np.ndarray:
        """Shapes: (n, ...) -> (n,), of an image with maps the share of places."""
        images = self.specimen.images
        assert images is not None
        right = said == (images.labels[self.tested] if self.specimen.labelled else self._answers)
        return right.reshape(len(right), -1).mean(1)


def _kept(found: Copies, stand_ins: bool) -> dict[str, Any]:
    kept = {"index": found.index, "shift": found.shift, "score": found.score, "r2": found.r2}
    if stand_ins:
        kept |= {"kinds": list(found.stand_ins)}
        kept |= {f"{kind} {part}": np.float32(getattr(each, part)) for kind, each in found.stand_ins.items()
                 for part in ("weight", "bias")}  # fmt: skip
    return kept


def _stand_ins(found: Mapping[str, Any]) -> dict[Kind, StandIn]:
    """Stand-ins from what was kept of them."""
    none = np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    return {
        kind: StandIn(kind=kind, weight=found[f"{kind} weight"], bias=found[f"{kind} bias"],
                      **dict(zip(("index", "shift"), (found["index"], found["shift"]) if kind == "copy" else none,
                                 strict=True)))
        for kind in found["kinds"]
    }  # fmt: skip
