"""What a notebook calls: open, look, report. Thin; no science."""

import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict, Unpack

from torch import nn

from .analyses import Registry, choose, registry
from .analysis import Analysis
from .errors import UsageError
from .images.collection import DECODERS, Images
from .images.sources import open_images as _open_images
from .network.open import Model, open_model
from .network.recording.measure import automatic_batch
from .network.specimen import Effort, Specimen
from .progress import Progress
from .runs.answers import Answers, Share
from .runs.plan import finishing, holding, read_plan, shares_at_work
from .runs.run import Run, fingerprints, read_description, write_run
from .runs.runner import EVERYTHING, Look


def open_images(
    source: object,
    like: Model,
    *,
    split: str = "test",
    class_map: Mapping[str, int | str] | None = None,
    labels: object = None,
    strict: bool = False,
    download: bool = False,
    decoders: int = DECODERS,
) -> Images:
    """Open images in the geometry of a model.

    A folder, `digits`, `mnist:DIR`, `fashionmnist:DIR`, `cifar10:DIR`, `npz:FILE`, `file:FILE.py:FACTORY`; or a torch
    Dataset or DataLoader, a tensor or array (N, C, H, W), a list of PIL images or paths, with `labels` if it has none.
    Labels are found by themselves (`Images.labelling` says how), or by `class_map`, folder or class to class. Images
    that cannot be read are left out (`Images.broken`), or refused if `strict`.
    Raises: BadImages, UsageError.
    """
    return _open_images(
        source, like.preprocessing, like.class_names, split, class_map,
        labels=labels, strict=strict, download=download, decoders=decoders,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How far the shares of a look have come: the stage (from 1), and what it still waits for."""

    folder: Path
    number: int
    missing: tuple[str, ...]


class Options(TypedDict, total=False):
    """What `look`, `look_share` and `merge` may be told; `look` says what each means."""

    analyses: Iterable[str]
    settings: Mapping[str, Mapping[str, Any]] | None
    plugins: Iterable[Path]
    effort: Effort
    units: Iterable[str]
    seed: int
    batch_size: int | None
    device: str
    amp: bool
    progress: Progress | None
    call: Mapping[str, Any] | None
    others: Mapping[str, Model | nn.Module | str] | None


def look(
    model: Model | nn.Module | str,
    images: object = None,
    *,
    out: str | Path,
    analyses: Iterable[str] = ("all",),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Iterable[Path] = (),
    effort: Effort = "normal",
    units: Iterable[str] = (),
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    amp: bool = False,
    progress: Progress | None = None,
    call: Mapping[str, Any] | None = None,
    others: Mapping[str, Model | nn.Module | str] | None = None,
) -> Run:
    """Look at a network with a set of images and keep what was found in the folder `out`.

    A look that was broken off goes on where it stopped; one that is finished adds what is missing. `images` are
    anything that `open_images` opens. `settings` gives other than default settings by analysis, such as
    {"activity": {"k": 4}}; `units` are globs of further units for analyses that choose a few; `amp` is mixed precision
    on a GPU; `call` is kept in the folder, to say how model and images were opened; `others` are further networks by
    name, for analyses that look at several.
    Raises: MicrotomeError, one of `microtome.errors`.
    """
    options = Options(
        analyses=analyses, settings=settings, plugins=plugins, effort=effort, units=units, seed=seed,
        batch_size=batch_size, device=device, amp=amp, progress=progress, call=call, others=others,
    )  # fmt: skip
    found = _work(model, images, Path(out), EVERYTHING, options)
    assert isinstance(found, Run)  # who does everything misses nothing
    return found


def look_share(
    model: Model | nn.Module | str,
    images: object = None,
    *,
    out: str | Path,
    share: tuple[int, int],
    **options: Unpack[Options],
) -> Run | Stage:
    """Do the share (i, n) of the next stage of a look, beside n - 1 others; `merge` leads to the stage after it."""
    return _work(model, images, Path(out), Share.parse(f"{share[0]}/{share[1]}", {}), options)


def merge(
    model: Model | nn.Module | str,
    images: object = None,
    *,
    out: str | Path,
    **options: Unpack[Options],
) -> Run | Stage:
    """Put the shares of a stage together: the finished run, or the stage that is next. Nothing is measured."""
    return _work(model, images, Path(out), None, options)


def _work(
    model: Model | nn.Module | str, images: object, folder: Path, share: Share | None,
    options: Options,
) -> Run | Stage:  # fmt: skip
    opened = as_model(model)
    seen = images if isinstance(images, Images) or images is None else open_images(images, opened)
    others = {name: as_model(other) for name, other in (options.get("others") or {}).items()}
    before = read_plan(folder)
    units = tuple(dict.fromkeys([*(before.units if before else ()), *options.get("units", ())]))
    specimen = Specimen(model=opened, images=seen, others=others, effort=options.get("effort", "normal"),
                        seed=options.get("seed", 0), units=units)  # fmt: skip
    _ = specimen.named_units, [specimen.images_for(name) for name in others]  # what cannot be opened is said now
    available = registry(options.get("plugins", ()))
    given = options.get("settings") or {}
    chosen = [
        with_settings(cls, given.get(cls.name, {})) for cls in choose(options.get("analyses", ["all"]), available)
    ]
    answers = Answers(folder / "answers")
    chosen += _of_fewer_images(folder, specimen, {analysis.name for analysis in chosen}, available)
    looking = Look(specimen, batch_size=options.get("batch_size"), device=options.get("device", "auto"),
                   amp=options.get("amp", False), answers=answers,
                   progress=options.get("progress"))  # fmt: skip
    settings = {analysis.name: analysis.key for analysis in chosen}
    with holding(folder, before, specimen, settings, options.get("call"), share, answers):
        started = time.perf_counter()
        outcome = looking.run(chosen, share)
        if outcome.missing:
            return Stage(folder=folder, number=outcome.stage, missing=outcome.missing)
        how = {
            "looked_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "took": round(time.perf_counter() - started, 1),
            "device": str(looking.device),
            "batch_size": options.get("batch_size") or automatic_batch(opened.sites),
            "settings": settings,
            "command": shlex.join(["microtome", *sys.argv[1:]]) if Path(sys.argv[0]).name == "microtome" else "",
        }
        with finishing(folder, share):
            run = write_run(folder, specimen, outcome, available, how)
            if not shares_at_work(folder):
                looking.answers.forget_unfinished()
        return run


def as_model(given: Model | nn.Module | str) -> Model:
    """A model however it is given. Raises: UnknownName, BadModel."""
    return given if isinstance(given, Model) else open_model(given)


def _of_fewer_images(folder: Path, specimen: Specimen, chosen: set[str], available: Registry) -> list[Analysis]:
    """The analyses of a finished run that must be found again, because the set of images has grown since."""
    if not (folder / "run.json").exists():
        return []
    there = read_description(folder / "run.json")
    if there["fingerprints"] == fingerprints(specimen):
        return []
    return [_as_before(name, key, available) for name, key in there["settings"].items() if name not in chosen]


def _as_before(name: str, key: str, available: Registry) -> Analysis:
    if name not in available:
        raise UsageError(
            f"The run has a result of {name}, which must be found again over more images",
            f"Known are: {', '.join(available)}", "Give the plugin that brings it with --plugin",
        )  # fmt: skip
    return with_settings(available[name], json.loads(key.removeprefix(name)))


def with_settings(cls: type[Analysis], settings: Mapping[str, Any]) -> Analysis:
    """An analysis with settings of one's own. Raises: UsageError for one that it does not have."""
    try:
        return cls(**settings)
    except TypeError as error:
        allowed = [item.name for item in dataclasses.fields(cls)]
        raise UsageError(
            f"Analysis {cls.name} does not take these settings: {', '.join(settings)}",
            f"Its settings are: {', '.join(allowed) or 'none'}", "`microtome analyses` shows them with their defaults",
        ) from error  # fmt: skip


__all__: Sequence[str] = ("Stage", "look", "look_share", "merge", "open_images", "open_model")
