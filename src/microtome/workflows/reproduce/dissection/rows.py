"""The channels of the second layer taken apart: what drives each, is negated, passed on, or could be left away."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ....formulas.labels import ALPHA, label_kernels
from ....formulas.templates import ANGLES
from ....network.activations import activations
from ....network.open import Model
from ....network.parts.contributions import contributions
from ....network.parts.dissecting import passes_on
from ....network.parts.filters_on_pictures import words_of_filters
from ....network.parts.linear_layers import linear_layers
from ....network.trials.replacing import answers
from ....network.trials.tuning import line_tuning
from ....sheets.dissection import dissect
from .directions import direction
from .networks import FIRST, SECOND, Nets, Settings, untrained_models

SEEN = 32  # images on which inputs and what is made of them are compared
UNTRAINED = 10  # networks
DRAWS = 20  # of as many rows at random
PERMUTED = 2000
WEAK = 0.5  # of an even share: less is weak
ANGLE, DIGIT = 135.0, 0  # the document takes apart a channel for lines at slope 135, on a digit 0


def parted(images: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the images that rows are measured on, and of as many others that are tested on."""
    order = images.readable(np.argsort(images.hashes, kind="stable"), 2 * min(count, len(images) // 2))
    return order[::2], order[1::2]


def table_of(model: Model, images: Any, places: np.ndarray) -> dict[str, Any]:
    """What each channel adds to each unit of the second layer. Shapes: share, mean, rho (U, J), see `contributions`
    and `passes_on`.
    """
    layer = linear_layers(model, fold=True)[SECOND]
    table = contributions(model, images, [int(place) for place in places], {SECOND: layer})[SECOND]
    pixels = np.stack([images[int(place)] for place in places[:SEEN]])
    x = torch.from_numpy(activations(model, pixels, [f"{SECOND}:in"])[f"{SECOND}:in"].values)
    reach, rho = max(layer.weight.shape[2:]) // 2, []
    for unit in range(len(layer.weight)):
        a = layer.parts(x, unit).numpy().swapaxes(0, 1)
        rho.append(passes_on(x.numpy().swapaxes(0, 1), a, reach)[0])
    return {"share": table.covariance, "on": table.on, "mean": table.mean, "carrying": table.carrying,
            "rho": np.stack(rho)}  # fmt: skip


def matching(model: Model, share: np.ndarray, seed: int) -> dict[str, Any]:
    """Of the rows with more than an even share whose filter is a pattern with a direction, on a channel that has one:
    how many look for the direction that they are shown, and how many if the channels' labels are shuffled.

    Shapes: share (U, J) -> hits, tried; shuffled (draws, 2), the same of each draw.
    """
    given = [direction(words) for words in words_of_filters(model)[FIRST]]
    weight = linear_layers(model, fold=True)[SECOND].weight.double().cpu().numpy()
    found = []
    for unit, filters in enumerate(weight):
        labels = label_kernels(filters, ALPHA, corrected=False)
        found += [(row, direction(label.words)) for row, label in enumerate(labels)
                  if share[unit, row] > 1 / share.shape[1] and not label.words.startswith("neg(")]  # fmt: skip
    sought = [(row, angle) for row, angle in found if angle is not None]

    def hits(names: list[int | None]) -> tuple[int, int]:
        pairs = [(angle, names[row]) for row, angle in sought if names[row] is not None]
        return sum(angle == name for angle, name in pairs), len(pairs)

    random = np.random.default_rng(seed)
    own, tried = hits(given)
    shuffled = [hits([given[place] for place in random.permutation(len(given))]) for _ in range(PERMUTED)]
    return {"hits": own, "tried": tried, "shuffled": np.array(shuffled)}


def without(model: Model, rows: np.ndarray, mean: np.ndarray) -> Model:
    """A copy whose second layer gets the mean of some rows instead of them. Shapes: rows (U, J) bool, mean (U, J)."""
    module = copy.deepcopy(model.module)
    layer = module.get_submodule(SECOND)
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight[torch.from_numpy(rows)] = 0
        layer.bias += torch.from_numpy(np.where(rows, mean, 0).sum(1)).to(layer.bias.dtype)
    return replace(model, module=module)


def left_away(model: Model, images: Any, places: np.ndarray, table: dict[str, Any], seed: int) -> dict[str, Any]:
    """Answers that are right on images without the weak rows of every unit, and without as many at random.

    Shapes: own, weak, strong (n,), random (n,) mean over draws.
    """
    share = table["share"]
    order, weak = np.argsort(np.abs(share), None), np.abs(share) < WEAK / share.shape[1]
    strong = np.zeros_like(weak)
    strong.ravel()[order[share.size - weak.sum() :]] = True
    random = np.random.default_rng(seed)
    draws = [random.permutation(weak.ravel()).reshape(weak.shape) for _ in range(DRAWS)]
    pixels = model.preprocessing.normalise(torch.from_numpy(np.stack([images[int(place)] for place in places])))

    def right(rows: np.ndarray) -> np.ndarray:
        return np.asarray(answers(without(model, rows, table["mean"]), pixels) == images.labels[places], np.float64)

    return {"own": right(np.zeros_like(weak)), "weak": right(weak), "strong": right(strong), "rows": int(weak.sum()),
            "of": int(weak.size), "random": np.mean([right(rows) for rows in draws], axis=0)}  # fmt: skip


def like_the_document(model: Model) -> int:
    """The unit of the second layer that answers most to lines at slope 135, of several the most selective."""
    site = model.sites[SECOND]
    response = line_tuning(model, {SECOND: site.name})[SECOND].response.max(2)
    scale = np.maximum(response.max(1), 1e-12)
    selective = (response.max(1) - response.mean(1)) / scale
    order = np.lexsort((selective, response[:, ANGLES.index(ANGLE)] / scale))
    return int(order[-1])


def measure_rows(nets: Nets, settings: Settings) -> dict[str, Any]:
    """Tables of all trained networks and of some untrained, and one channel read as the document reads its own."""
    images = nets.held_out
    measured, tested = parted(images, settings.images)
    tables = [table_of(net.model, images, measured) for net in nets.trained]
    count = min(UNTRAINED, settings.untrained)
    untrained = [table_of(model, images, measured) for model in untrained_models(count, settings.seed)]
    model = nets.trained[0].model
    unit, place = like_the_document(model), int(np.flatnonzero(images.labels == DIGIT)[0])
    sheet = dissect(model, place, f"{SECOND}:{unit}", images=images)
    return {
        "tables": tables, "untrained": untrained, "unit": unit, "place": place, "picture": images.ids[place],
        "sheet": sheet.numbers(), "measured": len(measured), "tested": len(tested),
        "matching": [matching(net.model, table["share"], settings.seed)
                     for net, table in zip(nets.trained, tables, strict=True)],
        "left": [left_away(net.model, images, tested, table, settings.seed)
                 for net, table in zip(nets.trained, tables, strict=True)],
    }  # fmt: skip
