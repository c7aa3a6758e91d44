"""How much of a reconstruction lies in how small an area, layer by layer, beside networks that have learnt nothing.

Two things are led back from the channel of a layer that is strongest on an image: its strongest place alone (a unit, as
Zeiler and Fergus do), and all of its map at once, which is what shows boundaries in the first layers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ... import scratch as mts
from ...formulas.perturbation import edge_strength, strength
from ...formulas.specificity import SHARE, concentration
from ...network.open import open_model
from ...network.recording.receptive_field import ReceptiveField
from .data import scaled

STRONGEST = 5  # units over which "several" is the mean
UNIT, SEVERAL, MAP, FIELD = "unit", "several units", "map", "unit in its field"
KINDS = (UNIT, SEVERAL, MAP, FIELD)


@dataclass(frozen=True, kw_only=True)
class Focus:
    """Shapes, by layer of a network, over N images, NaN where everything was rectified away: shares by kind (N,); edges
    (N,), the correlation of the map's reconstruction with the edges of the image; even (N,), the share of a unit whose
    energy is spread evenly over its field.
    """

    shares: dict[str, dict[str, np.ndarray]]
    edges: dict[str, np.ndarray]
    even: dict[str, np.ndarray]


def rectified(net: mts.Net) -> list[str]:
    """The rectifiers behind the convolutions, in order."""
    pairs = zip(net.layers[:-1], net.layers[1:], strict=True)
    return [after.name for before, after in pairs
            if isinstance(before, mts.Conv2D) and isinstance(after, mts.ReLU)]  # fmt: skip


def shuffled(net: mts.Net, seed: int = 0) -> mts.Net:
    """A copy whose numbers are in random order within every parameter."""
    random = np.random.default_rng(seed)
    state = {name: random.permutation(array.ravel()).reshape(array.shape) for name, array in net.state_dict().items()}
    return copied(net).load_state_dict(state)


def copied(net: mts.Net) -> mts.Net:
    """The same network with its own numbers."""
    layers = [type(layer)(layer.name, **layer.settings()) for layer in net]
    dtype = next(iter(net.state_dict().values())).dtype
    return mts.Net(layers).astype(dtype).load_state_dict(net.state_dict()).eval()


def led_back(net: mts.Net, layer: str, seed: np.ndarray) -> np.ndarray:
    """Any seed at a layer's output back to the pixels of the images of the last forward pass, by the rules of
    `scratch.deconvnet`: one forward pass serves all layers and seeds.

    Shapes: seed (N, C, h, w) -> (N, 3, H, W).
    """
    names = [each.name for each in net]
    for each in reversed(net.layers[: names.index(layer) + 1]):
        if isinstance(each, mts.ReLU):
            seed = np.maximum(seed, 0)
        elif isinstance(each, mts.Conv2D):
            seed = each.transposed(seed)
        elif isinstance(each, mts.MaxPool2D):
            unpool = mts.MaxUnpool2D(each.name, each.in_shape)
            unpool.switches = each.switches
            seed = unpool.forward(seed)
        else:
            raise AssertionError(f"{each.name} lies below {layer}")  # rectified() names none such
    return seed


def fields_of(net: mts.Net) -> Mapping[str, ReceptiveField | None]:
    """What the units of each layer see; None for all of the image."""
    side = net.layers[0].in_shape[1]  # type: ignore[attr-defined]
    model = open_model(mts.to_torch(net), size=side, mean=(0.0,) * 3, std=(1.0,) * 3)
    return {name: model.receptive_fields[name] for name in rectified(net)}


def boxes_of(field: ReceptiveField | None, place: np.ndarray, width: int, side: int) -> np.ndarray:
    """The pixels that units at flat places see. Shapes: place (N,) -> (N, 4)."""
    if field is None:
        return np.tile([0, 0, side, side], (len(place), 1))
    return field.boxes(place, width, (side, side))


def unit_seed(activation: np.ndarray, rank: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The strongest place of the `rank`th strongest channel. Shapes: (N, C, h, w) -> the same, flat places (N,)."""
    images = np.arange(len(activation))
    channel = np.argsort(-activation.max((2, 3)), axis=1, kind="stable")[:, min(rank, activation.shape[1] - 1)]
    flat = activation.reshape(*activation.shape[:2], -1)
    place = flat[images, channel].argmax(1)
    seed = np.zeros_like(flat)
    seed[images, channel, place] = flat[images, channel, place]
    return seed.reshape(activation.shape), place


def map_seed(activation: np.ndarray) -> np.ndarray:
    """All of the strongest channel. Shapes: (N, C, h, w) -> the same."""
    images = np.arange(len(activation))
    channel = activation.max((2, 3)).argmax(1)
    seed = np.zeros_like(activation)
    seed[images, channel] = activation[images, channel]
    return seed


def reconstructions(
    net: mts.Net, images: np.ndarray, layers: Sequence[str]
) -> Iterator[tuple[str, list[np.ndarray], np.ndarray, np.ndarray]]:
    """Layer by layer: those of the strongest units, of the strongest map, and the strongest unit's place.

    Shapes: images (N, 3, H, W) uint8 -> STRONGEST (or, in a narrow layer, as many as there are) times (N, 3, H, W),
    (N, 3, H, W), flat places (N,).
    """
    recorder = mts.Recorder()
    net.eval().forward(scaled(images), watch=recorder)
    for layer in layers:
        activation = recorder.data[layer]
        seeds = [unit_seed(activation, rank) for rank in range(min(STRONGEST, activation.shape[1]))]
        units = [led_back(net, layer, seed) for seed, _ in seeds]
        yield layer, units, led_back(net, layer, map_seed(activation)), seeds[0][1]


def focus_of(net: mts.Net, images: np.ndarray) -> Focus:
    """Measure one network on images. Shapes: (N, 3, side, side) uint8."""
    layers, fields, side = rectified(net), fields_of(net), images.shape[-1]
    shapes = net.shapes(images.shape[1:])
    edges = [edge_strength(image) for image in images]
    shares: dict[str, dict[str, np.ndarray]] = {}
    alike, even = {}, {}
    for layer, units, maps, place in reconstructions(net, images, layers):
        boxes = boxes_of(fields[layer], place, shapes[layer][2], side)
        every = np.stack([[concentration(map_) for map_ in unit] for unit in units])
        known = ~np.isnan(every)
        several = np.where(known, every, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        cut = [map_[:, t:b, left:right] for map_, (t, left, b, right) in zip(units[0], boxes, strict=True)]
        shares[layer] = {UNIT: every[0], SEVERAL: several, MAP: np.array([concentration(map_) for map_ in maps]),
                         FIELD: np.array([concentration(map_) for map_ in cut])}  # fmt: skip
        alike[layer] = np.array([_correlated(strength(map_), edge) for map_, edge in zip(maps, edges, strict=True)])
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        even[layer] = np.minimum(1, SHARE * side * side / areas)
    return Focus(shares=shares, edges=alike, even=even)


def later_minus_first(layers: Sequence[str], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The mean over the last block's layers minus that over the first block's, image by image."""
    first, last = ([values[layer] for layer in layers if _block(layer) == _block(end)]
                   for end in (layers[0], layers[-1]))  # fmt: skip
    difference: np.ndarray = np.mean(last, axis=0) - np.mean(first, axis=0)
    return difference


def with_depth(layers: Sequence[str], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rank correlation (Spearman) with the place of the layer, over all layers, by image; NaN if all are alike.

    Shapes: values by layer (N,) -> (N,).
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.stack([values[layer] for layer in layers], 1), axis=1, nan_policy="propagate")
    return np.array([_correlated(row, np.arange(1.0, len(layers) + 1)) for row in ranks])


def _block(layer: str) -> str:
    return layer.partition("_")[0]


def _correlated(first: np.ndarray, second: np.ndarray) -> float:
    if first.max() == first.min() or second.max() == second.min():
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
