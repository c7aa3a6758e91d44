"""Everything that is measured on the trained networks, as one tree of numbers: the claims are read off it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...formulas.resampling import bootstrap_mean
from ...progress import Progress
from .concentration import (
    KINDS,
    MAP,
    UNIT,
    Focus,
    fields_of,
    focus_of,
    later_minus_first,
    rectified,
    shuffled,
    with_depth,
)  # fmt: skip
from .data import CAT, OTHER, Cats
from .dependence import FILLS, MIDDLE, SHARE, falls, maps_of, random_name
from .equality import NOISE, layers_apart, reconstructions_apart
from .larger import Larger, look_at_larger, matching
from .training import Settings, Trained, accuracy, answers, disturbed_run, initial_net, short_run
from .verdicts import mean_of, share_of

STEPS = 30  # of the short runs beside PyTorch
COMPARED = 8  # cats whose reconstructions are compared with those of PyTorch
NETS = ("trained", "initial", "shuffled")
DOCUMENT = {"accuracy": (102, 120), "recall": (13, 20)}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Numbers as JSON has them, and what the pictures are made of."""

    numbers: dict[str, Any]
    focus: dict[str, Focus]
    larger: Larger | None


def measure(
    cats: Cats, trained: Trained, settings: Settings, weights: Path | None, columns: int, rows: int,
    progress: Progress,
) -> Measured:  # fmt: skip
    """Measure it all; `weights` are SqueezeNet's, None to leave it out; columns and rows are those of the sheet."""
    say = progress.say
    say("answers, and the same network in PyTorch")
    numbers: dict[str, Any] = {"answers": _answers(cats, trained), "twins": _twins(cats, trained, settings)}
    seen = cats.validation.of(CAT).images
    say(f"reconstructions of {len(seen)} cats from {len(rectified(trained.net))} layers of three networks")
    nets = {"trained": trained.net, "initial": initial_net(settings), "shuffled": shuffled(trained.net, settings.seed)}
    focus = {name: focus_of(net, seen) for name, net in nets.items()}
    numbers["focus"] = _focus(focus, rectified(trained.net)) | {"fields": _fields(trained, settings.side)}
    say("what is lost where the reconstruction is strong")
    called = seen[answers(trained.net, cats.validation.of(CAT)).argmax(1) == CAT]
    numbers["dependence"] = _dependence(trained, initial_net(settings), called, settings.seed)
    larger = None
    if weights is not None:
        say("SqueezeNet")
        layers = rectified(trained.net)
        sites = matching(columns_of(len(layers), columns), len(layers))
        larger = look_at_larger(weights, cats.validation.of(CAT).files, sites, settings.side, rows, progress)
        numbers["larger"] = _larger(focus["trained"], larger, layers, columns)
    return Measured(numbers=numbers, focus=focus, larger=larger)


def columns_of(layers: int, columns: int) -> list[int]:
    """Layers, counted from 0, from the first to the last in equal steps."""
    return [round(place) for place in np.linspace(0, layers - 1, columns)]


def _answers(cats: Cats, trained: Trained) -> dict[str, Any]:
    """How often it is right, beside what needs no network, and how often cats and others are called cats."""
    validation, net = cats.validation, trained.net
    counts = np.bincount(validation.labels, minlength=2)
    called = {label: (answers(net, cats.aside.of(label)).argmax(1) == CAT) for label in (OTHER, CAT)}
    train = cats.train
    return {
        "accuracy": share_of(round(accuracy(net, validation) * len(validation)), len(validation)),
        "accuracy_torch": share_of(round(accuracy(trained.twin, validation) * len(validation)), len(validation)),
        "training": share_of(round(accuracy(net, train) * len(train)), len(train)),
        "commonest": float(counts.max() / counts.sum()),
        "recall": share_of(int(called[CAT].sum()), len(called[CAT])),
        "false_positives": share_of(int(called[OTHER].sum()), len(called[OTHER])),
        "document_accuracy": share_of(*DOCUMENT["accuracy"]), "document_recall": share_of(*DOCUMENT["recall"]),
    }  # fmt: skip


def _twins(cats: Cats, trained: Trained, settings: Settings) -> dict[str, Any]:
    """How far the two trainings, the layers and the reconstructions are apart."""
    ours, theirs = (answers(net, cats.validation).argmax(1) for net in (trained.net, trained.twin))
    some = cats.validation.of(CAT).take(np.arange(min(COMPARED, len(cats.validation.of(CAT)))))
    batch = cats.train.take(np.arange(min(settings.batch_size, len(cats.train))))
    back = reconstructions_apart(trained.net, trained.twin, some)
    history = trained.history
    return {
        "whole": {name: history[name] for name in ("losses_apart", "weights_apart", "largest_weight")},
        "short": {kind.__name__: short_run(cats, settings, STEPS, kind) for kind in (np.float32, np.float64)},
        "disturbed": disturbed_run(cats, settings, STEPS),
        "agreement": share_of(int((ours == theirs).sum()), len(ours)),
        "layers": layers_apart(trained.net, batch, NOISE, settings.seed),
        "layers_tied": layers_apart(trained.net, batch),
        "same_weights_apart": max(back["same_weights_apart"], default=float("nan")),
        "cosine": mean_of(np.array(back["twins_cosines"])), "compared": len(some),
    }  # fmt: skip


def _focus(focus: dict[str, Focus], layers: list[str]) -> dict[str, Any]:
    """Shares layer by layer, and their rank correlation with depth, beside the controls."""
    shares = {name: {kind: {layer: of.shares[layer][kind] for layer in layers} for kind in KINDS}
              for name, of in focus.items()}  # fmt: skip
    trends = {name: {kind: with_depth(layers, by[kind]) for kind in KINDS} for name, by in shares.items()}
    edges = {name: later_minus_first(layers, of.edges) for name, of in focus.items()}
    first = {name: of.edges[layers[0]] for name, of in focus.items()}
    controls = NETS[1:]
    return {
        "layers": layers,
        "shares": {name: {kind: {layer: mean_of(values) for layer, values in of.items()} for kind, of in by.items()}
                   for name, by in shares.items()},
        "even": {layer: mean_of(focus["trained"].even[layer]) for layer in layers},
        "edges": {name: {layer: mean_of(of.edges[layer]) for layer in layers} for name, of in focus.items()},
        "trend": {name: {kind: mean_of(values) for kind, values in by.items()} for name, by in trends.items()},
        "first_to_last": {name: {kind: mean_of(by[kind][layers[-1]] - by[kind][layers[0]]) for kind in KINDS}
                          for name, by in shares.items()},
        "trend_beyond": {name: {kind: mean_of(trends["trained"][kind] - trends[name][kind]) for kind in KINDS}
                         for name in controls},
        "edges_lost": {name: mean_of(-values) for name, values in edges.items()},
        "edges_beyond": {name: mean_of(first["trained"] - first[name]) for name in controls},
        "deepest_beyond": {name: mean_of(shares["trained"][MAP][layers[-1]] - shares[name][MAP][layers[-1]])
                           for name in controls},
    }  # fmt: skip


def _fields(trained: Trained, side: int) -> dict[str, int]:
    """The side of what a unit sees in pixels, border or not; that of the image where nothing is known."""
    fields = fields_of(trained.net)
    return {layer: side if field is None else field.rows.high - field.rows.low + 1 for layer, field in fields.items()}


def _dependence(trained: Trained, initial: Any, called: np.ndarray, seed: int) -> dict[str, Any]:
    """What covering the strongest tenth costs the answer, by fill and by what was led back."""
    own, others = maps_of(trained.net, called), maps_of(initial, called)
    maps = {f"trained {kind}": own[kind] for kind in (UNIT, MAP)} | {
        f"initial {kind}": others[kind] for kind in (UNIT, MAP)
    }
    found = falls(trained.net, called, maps, seed)
    out: dict[str, Any] = {"cats": len(called), "area": SHARE}
    for fill in FILLS:
        of = found[fill]
        out[fill] = {
            "margin": mean_of(of["before"]), "all": mean_of(of["all"]), "middle": mean_of(of[MIDDLE]),
            "fall": {name: mean_of(of[name]) for name in maps},
            "random": {name: mean_of(of[random_name(name)]) for name in maps},
            "beyond_random": {name: mean_of(of[name] - of[random_name(name)]) for name in maps},
            "beyond_initial": {kind: mean_of(of[f"trained {kind}"] - of[f"initial {kind}"]) for kind in (UNIT, MAP)},
            "beyond_middle": {kind: mean_of(of[f"trained {kind}"] - of[MIDDLE]) for kind in (UNIT, MAP)},
            "part": {kind: _part(of[f"trained {kind}"], of["before"]) for kind in (UNIT, MAP)},
        }  # fmt: skip
    return out


def _part(fall: np.ndarray, before: np.ndarray) -> float:
    """The mean fall in mean margins, over what is known of both."""
    known = ~np.isnan(fall)
    return float(bootstrap_mean(fall[known])[0] / before[known].mean()) if known.any() else float("nan")


def _larger(own: Focus, larger: Larger, layers: list[str], columns: int) -> dict[str, Any]:
    """Shares at matching depths, and their difference in the deeper half."""
    chosen = [layers[place] for place in columns_of(len(layers), columns)]
    pairs = list(zip(chosen, larger.sites, strict=True))
    deeper = pairs[len(pairs) // 2 :]
    return {
        "pairs": pairs,
        "shares": {kind: {site: mean_of(values) for site, values in of.items()} for kind, of in larger.shares.items()},
        "smaller": {kind: mean_of(np.mean([larger.shares[kind][site] - own.shares[layer][kind]
                                           for layer, site in deeper], axis=0)) for kind in (UNIT, MAP)},
        "deeper": deeper,
    }  # fmt: skip
