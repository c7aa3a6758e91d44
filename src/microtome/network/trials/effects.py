"""What silencing units does on images of a set: estimates, and what is kept of the answers and logits of each unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from ..specimen import Specimen
from .first_order import Slopes, slopes
from .silencing import not_in_parts, silenced


@dataclass(frozen=True, kw_only=True)
class Surgeon:
    """Silences units of a specimen's model; `where` gives the layers' sites.

    The logit that is followed is that of the image's class, without labels of the network's own answer.
    """

    specimen: Specimen
    where: Mapping[str, str]

    def estimate(self, places: Sequence[int]) -> dict[str, dict[str, Any]]:
        """The fields of `Slopes` by layer, for the images at these places."""
        targets = self._labels(places) if self.specimen.labelled else None
        return {k: vars(each) for k, each in
                slopes(self.specimen.model, self._normalised(places), self.where, targets).items()}  # fmt: skip

    def measure(
        self, places: Sequence[int], units: Mapping[str, Sequence[int]], means: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """What is kept of some images with each unit silenced.

        Shapes, n images, m units of a layer, K classes: label, before (n,); by layer after (m, n) answers, fall (m, n)
        of the label's logit above the mean of all, moved (m, K) float32, the sum over images of how far logits move,
        squared.
        """
        images = self._normalised(places)
        found = silenced(self.specimen.model, images, self.where, units, means, self._whole(images))
        before = found.before.argmax(1)
        label = self._labels(places) if self.specimen.labelled else before
        own, rows = found.before[np.arange(len(label)), label], np.arange(len(label))
        return {
            "label": label, "before": before,
            "after": {k: each.argmax(2).astype(np.int32) for k, each in found.after.items()},
            "fall": {k: own - each[:, rows, label] for k, each in found.after.items()},
            "moved": {k: ((each - found.before) ** 2).sum(1).astype(np.float32) for k, each in found.after.items()},
        }  # fmt: skip

    def losses(
        self, places: Sequence[int], units: Mapping[str, Sequence[int]], means: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """The cross-entropy of labelled images as nothing is silenced, and with each unit silenced.

        Shapes, n images, m units of a layer: before (n,); by layer after (m, n).
        """
        images, label = self._normalised(places), self._labels(places)
        found = silenced(self.specimen.model, images, self.where, units, means, self._whole(images))
        return {"before": _cross_entropy(found.before, label),
                "after": {k: _cross_entropy(each, label) for k, each in found.after.items()}}  # fmt: skip

    def _whole(self, images: Tensor) -> tuple[str, ...]:
        if "whole" not in self._checked:
            self._checked["whole"] = not_in_parts(self.specimen.model, images, self.where)
        return self._checked["whole"]

    @cached_property
    def _checked(self) -> dict[str, tuple[str, ...]]:
        """Which layers need the whole network, once that was looked at."""
        return {}

    def _labels(self, places: Sequence[int]) -> np.ndarray:
        return self.specimen.need_images("effects").labels[list(places)]

    def _normalised(self, places: Sequence[int]) -> Tensor:
        images = self.specimen.need_images("effects")
        pixels = torch.from_numpy(np.stack([images.pixels(int(place)) for place in places]))
        home = next((each.device for each in self.specimen.model.module.parameters()), torch.device("cpu"))
        return self.specimen.model.preprocessing.normalise(pixels.to(home))


def _cross_entropy(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Shapes: logits (..., n, K), label (n,) -> (..., n)."""
    return np.asarray(logsumexp(logits, axis=-1) - logits[..., np.arange(len(label)), label])


def halves(specimen: Specimen, learnt: int, held: int) -> tuple[np.ndarray, np.ndarray]:
    """Images for means and estimates, and others on which effects are measured; who is where is decided by a hash.

    With labels only labelled images. Shapes: -> (at most learnt,), (at most held,), places of images that can be read.
    """
    images = specimen.need_images("effects")
    order = np.argsort(images.hashes, kind="stable")
    order = order[images.labels[order] >= 0] if specimen.labelled else order
    return images.readable(order[1::2], learnt), images.readable(order[::2], held)


def parts_of(places: np.ndarray, size: int) -> tuple[tuple[int, ...], ...]:
    """Pieces of work of at most so many images, all about as long, so that a single image is never left over."""
    pieces = np.array_split(places, -(-len(places) // size)) if len(places) else []
    return tuple(tuple(map(int, piece)) for piece in pieces)


def gathered(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was measured on some images after the other, as of all together; moved is a root mean square then."""
    images = sum(len(part["label"]) for part in parts)
    layers = list(parts[0]["after"])
    joined: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in ("label", "before")}
    for name in ("after", "fall"):
        joined[name] = {k: np.concatenate([part[name][k] for part in parts], 1) for k in layers}
    joined["moved"] = {k: np.sqrt(sum(part["moved"][k].astype(np.float64) for part in parts) / images) for k in layers}
    return joined


def slopes_of(state: Mapping[str, Any]) -> Slopes:
    """Slopes from what was kept of them."""
    return Slopes(images=int(state["images"]), count=int(state["count"]),
                  **{name: state[name] for name in ("total", "slope", "product")})  # fmt: skip
