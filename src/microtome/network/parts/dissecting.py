"""One unit's activation taken apart: what each channel below adds to it, place by place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ...checks import known
from ...errors import NotApplicable, UnknownName
from ...formulas.shares import Shares, shares
from ..activations import activations
from ..model import Model
from .linear_layers import LinearLayer, linear_layers

LEVELS = 8  # of each colour, to find the commonest
PASSED_ON = 0.5  # correlation with the input, from which a row passes it on
UNCHANGED = 0.05  # of what is above 0: less is ignored


@dataclass(frozen=True, kw_only=True)
class Dissection:
    """What feeds one unit of a layer on some images: y = sum over j of a_j, plus the bias.

    Shapes: index (J,) which input channels; x (B, J, H, W); w (J, h, w); a (B, J, H', W'); y (B, H', W'), the layer's
    own output, computed by itself; blank (J, H', W'), a on an image of background only. `folded` names the batch norm
    whose scale and shift are in w and bias.
    """

    layer: str
    unit: int
    folded: str
    index: np.ndarray
    x: np.ndarray
    w: np.ndarray
    a: np.ndarray
    bias: float
    y: np.ndarray
    blank: np.ndarray

    @property
    def c(self) -> np.ndarray:
        """The running sum, the bias last: (B, J + 1, H', W'); its last map is y."""
        sums = np.cumsum(self.a, 1, dtype=np.float64)
        return np.concatenate([sums, sums[:, -1:] + self.bias], 1)

    @property
    def error(self) -> float:
        """How far the sum is from the layer's own output, at worst, as a share of its largest magnitude."""
        largest = float(np.abs(self.y).max())
        return float(np.abs(self.c[:, -1] - self.y).max()) / largest if largest else 0.0

    @cached_property
    def shares(self) -> Shares:
        """How much of the unit comes from each channel."""
        images, channels = self.a.shape[:2]
        return shares(
            self.a.reshape(images, channels, -1), self.y.reshape(images, -1), self.blank.reshape(channels, -1)
        )

    @property
    def order(self) -> np.ndarray:
        """Rows from the most to the least telling, by covariance share."""
        return np.argsort(-np.nan_to_num(self.shares.covariance, nan=-np.inf), kind="stable")

    def without(self, row: int) -> float:
        """How much what is above 0 changes, as a share of it, if a row is replaced by its mean."""
        changed = self.y - self.a[:, row] + self.a[:, row].mean()
        fires = np.maximum(self.y, 0)
        total = float(fires.sum(dtype=np.float64))
        return float(np.abs(np.maximum(changed, 0) - fires).sum(dtype=np.float64)) / total if total else 0.0


def dissect(
    model: Model, pixels: np.ndarray, layer: str, unit: int, fold: bool = True, double: bool = False
) -> Dissection:
    """Take one unit apart on some images; with `fold` behind the batch norm that takes the layer's output, if one does.

    Shapes: pixels (B, C, H, W) uint8, display images in the model's geometry. `double` computes in float64.
    Raises: UnknownName; NotApplicable for a layer that cannot be taken apart.
    """
    taken = layer_of(model, layer, fold)
    if not 0 <= unit < len(taken.weight):
        raise UnknownName(f"Unit {unit} of {layer} does not exist", f"Its units are 0 to {len(taken.weight) - 1}",
                          "Units count from 0: give one of them")  # fmt: skip
    empty = np.broadcast_to(background(pixels)[None, :, None, None], (1, *pixels.shape[1:]))
    given = activations(model, np.concatenate([pixels, empty]).astype(np.uint8), [f"{layer}:in"])[f"{layer}:in"]
    inputs = torch.from_numpy(np.ascontiguousarray(given.values))
    if double:
        taken, inputs = taken.to(torch.float64), inputs.double()
    with torch.no_grad():
        a, y = taken.parts(inputs, unit), taken.output(inputs)[:, unit]
    channels = taken.inputs_of(unit)
    return Dissection(
        layer=layer, unit=unit, folded=taken.folded, index=np.array(channels),
        x=taken.maps(inputs)[:-1, channels.start : channels.stop].numpy(), w=taken.weight[unit].numpy(),
        a=a[:-1].numpy(), bias=float(taken.bias[unit]), y=y[:-1].numpy(), blank=a[-1].numpy(),
    )  # fmt: skip


def layer_of(model: Model, layer: str, fold: bool = True) -> LinearLayer:
    """A layer that can be taken apart, on the CPU. Raises: UnknownName, NotApplicable."""
    found = linear_layers(model, fold)
    names = [site.name for site in model.sites.layers]
    known("Layer", layer, names, "Layers are convolutions and linear layers")
    if layer not in found:
        raise NotApplicable(f"{layer} of {model.name} cannot be taken apart",
                            "Convolutions of maps and linear layers on rows can", "Choose another layer")  # fmt: skip
    each = found[layer]
    return replace(each, weight=each.weight.cpu(), bias=each.bias.cpu())


def background(pixels: np.ndarray) -> np.ndarray:
    """The commonest colour: the median of the pixels in the commonest of 8 levels a colour.

    Shapes: (B, C, H, W) uint8 -> (C,) uint8.
    """
    flat = np.moveaxis(pixels, 1, -1).reshape(-1, pixels.shape[1])
    bins = (flat // (256 // LEVELS)).astype(np.int64) @ (LEVELS ** np.arange(flat.shape[1]))
    values, counts = np.unique(bins, return_counts=True)
    return np.median(flat[bins == values[counts.argmax()]], axis=0).astype(np.uint8)


def passes_on(x: np.ndarray, a: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """The signed correlation of what each of n rows adds with what it is given, moved by up to `reach` places: the
    largest in magnitude, (n,), and how far down and to the right the input was moved, (n, 2).

    Shapes: x, a (n, B, H, W); of an x that is larger by up to twice the reach the middle; other sizes and constant maps
    give 0.
    """
    best, moved = np.zeros(len(a)), np.zeros((len(a), 2), np.int64)
    more = np.subtract(x.shape, a.shape)
    if (more < 0).any() or (more > 2 * reach).any():
        return best, moved
    height, width = a.shape[2:]
    x = x[:, :, more[2] // 2 :, more[3] // 2 :][:, :, :height, :width]
    for down in range(-min(reach, height - 1), min(reach, height - 1) + 1):
        for right in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            there = a[:, :, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
            here = x[:, :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
            rho = _correlations(here, there)
            better = np.abs(rho) > np.abs(best)
            best[better], moved[better] = rho[better], (down, right)
    return best, moved


def _correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row. Shapes: (n, B, H, W) twice -> (n,), 0 for what is constant."""
    flat = [each.reshape(len(each), -1).astype(np.float64) for each in (one, other)]
    flat = [each - each.mean(1, keepdims=True) for each in flat]
    norm = np.linalg.norm(flat[0], axis=1) * np.linalg.norm(flat[1], axis=1)
    return np.divide((flat[0] * flat[1]).sum(1), norm, out=np.zeros(len(norm)), where=norm > 0)


def row_words(dissection: Dissection, labels: Sequence[str], kernels: Sequence[str]) -> list[str]:
    """What each row does, in words: passes its channel on, negates it, or looks for a pattern in it; `weak(...)` if its
    share is less than half of an even one, "ignore" if besides hardly anything changes without it.

    `labels` say what the input channels show, `kernels` what the filters look for ("" where neither can be said).
    """
    reach, even = max(dissection.w.shape[1:]) // 2, 0.5 / len(dissection.index)
    rho, _ = passes_on(dissection.x.swapaxes(0, 1), dissection.a.swapaxes(0, 1), reach)
    found = []
    for row, (label, kernel) in enumerate(zip(labels, kernels, strict=True)):
        words = words_of(float(rho[row]), label or f"channel {dissection.index[row]}", kernel)
        share = dissection.shares.covariance[row]
        if np.isnan(share) or abs(share) < even:
            words = "ignore" if dissection.without(row) < UNCHANGED else f"weak({words})"
        found.append(words)
    return found


def words_of(rho: float, name: str, kernel: str = "") -> str:
    """What a row makes of the channel of this name: passes it on, negates it, or looks for a pattern in it."""
    if abs(rho) >= PASSED_ON:
        return name if rho > 0 else negated(name)
    return f"{kernel} of [{name}]" if kernel else "unclear"


def negated(words: str) -> str:
    """The opposite: `neg(...)`, or without it."""
    return words[4:-1] if words.startswith("neg(") and words.endswith(")") else f"neg({words})"
