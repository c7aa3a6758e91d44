"""Who feeds whom, as arrays that can be kept: the rows of every unit that tell most, and what stands behind them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch.nn.functional import adaptive_max_pool2d

from ...errors import NotApplicable
from ...figures import to_levels
from ..model import Model
from ..specimen import Specimen
from .contributions import Contributions, contributions
from .dissecting import words_of
from .feeders import feeders
from .linear_layers import LinearLayer, linear_layers

PASSES = 5  # what an image costs: the forward pass, each layer once more, and three sums over all its pairs
MOST, LEAST = 128, 4  # images
TOGETHER = 10  # layers whose sums are made in one forward pass
ROWS = 6  # of a unit that are kept
SIDE = 256  # numbers along the longer side of a table that is kept
NAMED = 3  # units of a sum that are named

Tables = Mapping[str, Mapping[str, np.ndarray]]  # by layer, by name


def affordable_images(specimen: Specimen, budget: float) -> int:
    """How many images the tables are made of. Units: budget in multiply-adds."""
    each = 2 * PASSES * sum(site.macs for site in specimen.sites.values())  # and the copy with shuffled weights
    return int(np.clip(budget / max(1, each), LEAST, MOST))


def in_groups(layers: Mapping[str, LinearLayer]) -> list[tuple[str, ...]]:
    """Neighbouring layers together."""
    names = list(layers)
    return [tuple(names[at : at + TOGETHER]) for at in range(0, len(names), TOGETHER)]


def summed(
    specimen: Specimen,
    places: np.ndarray,
    layers: Mapping[str, LinearLayer],
    items: Sequence[tuple[Sequence[str], bool]],
) -> list[dict[str, dict[str, np.ndarray]]]:
    """What is kept of the tables of groups of layers; with True those of a copy with shuffled weights, of which only
    how many channels carry a unit is kept, or nothing if there can be no copy.
    """
    images, opened = specimen.need_images("dissection"), {False: (specimen.model, layers)}
    if any(copied for _, copied in items):
        with suppress(NotApplicable):
            model = specimen.shuffled()
            opened[True] = model, linear_layers(model, fold=True)
    found: list[dict[str, dict[str, np.ndarray]]] = []
    for group, copied in items:
        if copied not in opened:
            found.append({})
            continue
        model, own = opened[copied]
        tables = contributions(model, images, places.tolist(), {name: own[name] for name in group})
        found.append({name: {"carrying": table.carrying} if copied else _kept(own[name], table)
                      for name, table in tables.items()})  # fmt: skip
    return found


def _kept(layer: LinearLayer, table: Contributions) -> dict[str, np.ndarray]:
    """The rows with the largest shares in magnitude, and the whole table in steps of colour."""
    shares = np.nan_to_num(table.covariance)
    within = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :ROWS]
    starts = np.array([layer.inputs_of(unit).start for unit in range(len(shares))])
    share, on = (np.take_along_axis(of, within, 1) for of in (table.covariance, table.on))
    largest = np.abs(shares).max(1, keepdims=True)
    return {
        "channel": within + starts[:, None], "share": share, "on": on, "rest": 1 - share.sum(1),
        "carrying": table.carrying, "strongest": table.strongest,
        "table": to_levels(_reduced(shares / np.where(largest > 0, largest, 1)), 1.0),
    }  # fmt: skip


def _reduced(table: np.ndarray) -> np.ndarray:
    """At most SIDE numbers a side: of each few the one with the largest magnitude."""
    if max(table.shape) <= SIDE:
        return table
    size = tuple(min(SIDE, length) for length in table.shape)
    high, low = (adaptive_max_pool2d(torch.from_numpy(sign * table)[None], size)[0].numpy() for sign in (1, -1))
    return np.asarray(np.where(high >= low, high, -low))


def by_strongest(tables: Tables) -> dict[int, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """By image, by layer: the units that are strongest on it, and the channels of their rows."""
    found: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for layer, table in tables.items():
        for place in np.unique(table["strongest"]):
            units = np.flatnonzero(table["strongest"] == place)
            found.setdefault(int(place), {})[layer] = (units, table["channel"][units])
    return dict(sorted(found.items()))


def gathered(tables: Tables, wanted: Mapping[int, Mapping[str, Any]], seen: Sequence[Tables]) -> dict[str, Any]:
    """What `rows_on` found on every image, put together by layer, in the order of the units."""
    out: dict[str, dict[str, np.ndarray]] = {}
    for here, answer in zip(wanted.values(), seen, strict=True):
        for layer, arrays in answer.items():
            for name, values in arrays.items():
                whole = out.setdefault(layer, {})
                if name not in whole:
                    whole[name] = np.zeros((len(tables[layer]["rest"]), *values.shape[1:]), values.dtype)
                whole[name][here[layer][0]] = values
    return out


def in_words(
    model: Model, layer: LinearLayer, channels: np.ndarray, rho: np.ndarray, labels: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """What stands behind each row: source, the place of its layer among the network's, and unit, -1 for unknown; the
    names of all units whose sum it is; what the row makes of them, in `labels` where these have words for them.

    Shapes: channels, rho (U, k) -> (U, k) each.
    """
    layers = {site.name: place for place, site in enumerate(model.sites.layers)}
    behind = feeders(model, layer)
    source, unit = np.full(channels.shape, -1), np.full(channels.shape, -1)
    names = [["" for _ in row] for row in channels]
    words = [["" for _ in row] for row in channels]
    for at in np.ndindex(channels.shape):
        units = behind[channels[at]]
        name = " + ".join(f"{other}:{number}" for other, number in units[:NAMED]) or f"channel {channels[at]}"
        names[at[0]][at[1]] = name + (f" + {len(units) - NAMED} more" if len(units) > NAMED else "")
        said = " + ".join(labels[k][n] for k, n in units if k in labels and labels[k][n])
        words[at[0]][at[1]] = words_of(float(rho[at]), said or names[at[0]][at[1]])
        known = [(layers[other], number) for other, number in units if other in layers]
        if known:
            source[at], unit[at] = known[0]
    return {"source": source, "unit": unit, "names": tuple(map(tuple, names)), "words": tuple(map(tuple, words))}
