"""The rounds of a pruning and its baselines: each is kept once it is done, so a killed pruning goes on at its round."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import api
from ...analyses.pruning import PruningResult
from ...errors import CannotRemove, RunFailed
from ...images.collection import Images
from ...network.cutting.cuts import cut, in_words, since
from ...network.cutting.kept import cuts_in, save_cut
from ...network.model import Model
from ...network.sources.weights import read_state
from ...network.surgery.couplings import Couplings, Group, couplings
from ...network.surgery.removing import Removed, counted, remove_channels
from ...progress import Progress, Silent
from ...store import read_tree, write_tree
from .choosing import Choice, choose
from .judging import milliseconds, predictions
from .pictures import condemned
from .retraining import by_command, retrained, usual_recipe
from .settings import Arm, Settings, Widths, width_at

TRIAL = 0.25  # of a group's cells, to see whether it can be cut
ANALYSES = ("pruning", "filters")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The images: to learn from, to choose an epoch with, to measure criteria on, to test on."""

    learning: Images
    validation: Images
    looked_at: Images
    test: Images


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all rounds share. whole, widths: how many cells of each group there are at first, and in the end."""

    base: Model
    parts: Parts
    settings: Settings
    whole: Widths
    widths: Widths
    folder: Path
    progress: Progress


def refused_groups(model: Model, of: Couplings, progress: Progress | None = None) -> dict[tuple[str, ...], str]:
    """Groups that look as if they could be cut and cannot, with the reason: each is tried where all together fail."""
    free = [group for group in of.groups if not group.reason]
    random = np.random.default_rng(0)
    tries = {tuple(group.channels): _channels(group, _some(group, random)) for group in free}
    together: dict[str, list[int]] = {}
    for channels in tries.values():
        for layer, which in channels.items():
            together.setdefault(layer, []).extend(which)
    found: dict[tuple[str, ...], str] = {}
    try:
        remove_channels(model, together, known=of)
    except CannotRemove:
        with (progress or Silent()).bar("trying groups of channels", len(tries), "groups") as advance:
            for layers, channels in tries.items():
                try:
                    remove_channels(model, channels, known=of)
                except CannotRemove as error:
                    found[layers] = error.given
                advance(1)
    return found


def _some(group: Group, random: np.random.Generator) -> list[int]:
    members = [np.flatnonzero(group.strata == stratum) for stratum in np.unique(group.strata)]
    count = max(1, int(TRIAL * min(map(len, members))))
    return [int(k) for of in members for k in random.permutation(of)[:count]] if group.width > 1 else []


def _channels(group: Group, cells: list[int] | tuple[int, ...]) -> dict[str, list[int]]:
    layer = next(iter(group.channels))
    return {layer: [channel for cell in cells for channel in group.channels[layer][cell]]} if cells else {}


def run_arm(bench: Bench, arm: Arm) -> list[dict[str, Any]]:
    """All rounds of one way of choosing, from the whole network on; those that are kept are not done again."""
    model, found = bench.base, []
    for number in range(1, bench.settings.rounds + 1):
        folder = bench.folder / "rounds" / arm / str(number)
        kept, weights = folder / "round", folder / "model.safetensors"
        if kept.with_suffix(".safetensors").exists() and weights.exists():
            model = reopened(bench.base, weights)
            found.append(read_tree(kept))
            continue
        bench.progress.say(f"{arm}, round {number} of {bench.settings.rounds}")
        model, record = _one_round(bench, arm, number, model, folder)
        save_cut(model.module, model.cuts, weights, {"source": bench.base.source})
        write_tree(kept, record)
        found.append(read_tree(kept))
    return found


def reopened(base: Model, weights: Path) -> Model:
    """The whole network without what a file says went, and with the file's weights."""
    cuts = cuts_in(weights)
    module = copy.deepcopy(base.module)
    cut(module, since(base.cuts, cuts))
    module.load_state_dict(dict(read_state(weights)))
    return replace(base, module=module.eval(), cuts=cuts, weights=in_words(base.weights, cuts))


def _one_round(bench: Bench, arm: Arm, number: int, model: Model, folder: Path) -> tuple[Model, dict[str, Any]]:
    settings = bench.settings
    looked = _looked(bench, model, folder) if arm == "criteria" else None
    removed, chosen = (None, []) if arm == "unpruned" else _cut(bench, arm, number, model, looked)
    slim = model if removed is None else removed.model
    before = predictions(slim, bench.parts.test)[0]
    epochs = settings.epochs + (settings.last if number == settings.rounds else 0)
    trained, recipe = slim, "not retrained"
    if settings.command:
        facts = {"round": str(number), "arm": arm}
        trained, recipe = by_command(slim, settings.command, folder / "checkpoint.safetensors", facts), settings.command
    elif epochs:
        how = usual_recipe(bench.base.source, epochs, settings.seed + number, settings.rate)
        trained = retrained(slim, bench.parts.learning, bench.parts.validation, how, bench.progress)
        recipe = str(how)
    after = predictions(trained, bench.parts.test)[0]
    ours, theirs = milliseconds([trained, bench.base])
    gone = {} if removed is None else removed.removed
    return trained, {
        "arm": arm, "round": number, "before": before, "after": after, "recipe": recipe,
        "widths": {site.name: site.units for site in trained.sites.layers}, **counted(trained),
        "milliseconds": ours, "whole_milliseconds": theirs,
        "difference": 0.0 if removed is None else removed.difference,
        "removed": {layer: np.array(_numbers_of_the_whole(model, layer, which)) for layer, which in gone.items()},
        "why": {layer: tuple(_reasons(chosen, layer).get(channel, "") for channel in which)
                for layer, which in gone.items()},
        "pictures": {} if looked is None else condemned(looked, gone),
    }  # fmt: skip


def _looked(bench: Bench, model: Model, folder: Path) -> dict[str, Any]:
    """The analyses that the criteria are of, as a run of its own beside the round."""
    climb = {"units": max(site.units for site in model.sites.layers), "further": 0, "climb": bench.settings.climb}
    run = api.look(model, bench.parts.looked_at, out=folder / "look", analyses=ANALYSES, seed=bench.settings.seed,
                   settings={"superstimuli": climb, "pruning": {"importance": bench.settings.importance}},
                   progress=bench.progress)  # fmt: skip
    if "pruning" not in run.names:
        why = run.info["skipped"].get("pruning", "")
        raise RunFailed(f"The criteria cannot be measured: {why}", "They need images and a row of classes",
                        "Give a classifier and labelled images of its classes")  # fmt: skip
    return {name: run[name] for name in run.names}


def _cut(
    bench: Bench, arm: Arm, number: int, model: Model, looked: Mapping[str, Any] | None
) -> tuple[Removed, list[Choice]]:  # fmt: skip
    """Take this round's cells out of every group."""
    of, settings = couplings(model), bench.settings
    random = np.random.default_rng((settings.seed, number))
    found: PruningResult | None = None if looked is None else looked["pruning"]
    chosen: list[Choice] = []
    channels: dict[str, list[int]] = {}
    for group in of.groups:
        key = tuple(group.channels)
        if key not in bench.widths:
            continue
        left = width_at(bench.whole[key], bench.widths[key], number, settings.rounds)
        if group.width > left:
            choice = choose(arm, group, group.width - left, model, found, random)
            chosen.append(choice)
            for layer, which in _channels(group, choice.cells).items():
                channels.setdefault(layer, []).extend(which)
    return remove_channels(model, channels, known=of), chosen


def _reasons(chosen: list[Choice], layer: str) -> dict[int, str]:
    return {channel: text for choice in chosen for channel, text in choice.why.get(layer, {}).items()}


def _numbers_of_the_whole(model: Model, layer: str, channels: tuple[int, ...]) -> list[int]:
    """Channels of a network that was pruned before, numbered as in the whole one."""
    cut = next((each for each in model.cuts if each.holder.name == layer), None)
    if cut is None:
        return list(channels)
    left = np.setdiff1d(np.arange(cut.holder.outs), cut.outs)
    return [int(left[channel]) for channel in channels]


def settings_kept(folder: Path, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What stands in the folder's prune.json if it differs from `state`; None if it is equal or not there."""
    path = folder / "prune.json"
    if not path.exists():
        return None
    kept: Mapping[str, Any] = json.loads(path.read_text())
    return None if kept == json.loads(json.dumps(state)) else kept
