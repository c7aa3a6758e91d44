"""A look from the words of the command line: begun, gone on with, shared out, put together."""

import dataclasses
import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api import Options, Stage, look_share, open_images
from ..api import look as run_look
from ..api import merge as run_merge
from ..errors import BadRun, UsageError
from ..images.collection import DECODERS, Images
from ..network.open import Model, open_model
from ..network.pairing import FURTHER, OTHER, refuse_other_classes
from ..network.specimen import Effort, Specimen
from ..progress import Progress
from ..runs.answers import Share
from ..runs.plan import read_plan
from ..runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Call:
    """What was typed: everything that decides what is found. It is kept in the run.

    `other` is a second network, which the first is compared with, `also` are further ones.
    """

    model: str
    images: str | None
    analyses: str = "all"
    set: tuple[str, ...] = ()
    plugin: tuple[str, ...] = ()
    effort: Effort = "normal"
    classes: str | None = None
    split: str = "test"
    strict: bool = False
    limit: int = 0
    seed: int = 0
    amp: bool = False
    units: tuple[str, ...] = ()
    other: str | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What was typed besides: how the work is done, and what may be executed. It is kept nowhere."""

    batch_size: int | None = None
    device: str = "auto"
    decoders: int = DECODERS
    download: bool = False
    trust_pickle: bool = False
    trust_run: bool = False
    progress: Progress


def look(asked: Call, given: Collection[str], ways: Ways, *, out: Path | None, shard: str | None) -> Run | Stage:
    """Look as asked. If the model is the folder of a run, go on with it: what was not `given` is as it was there."""
    if (Path(asked.model) / "plan.json").exists():
        out = Path(asked.model) if out is None else out
        earlier = _kept(Path(asked.model), ways.trust_run)
        asked = dataclasses.replace(earlier, **{name: getattr(asked, name) for name in given if name != "model"})
    if asked.images is None:
        raise UsageError(f"There are no images to look at {asked.model!r} with",
                         "Images are a folder, mnist:DIR, or digits; only the folder of a run brings its own",
                         "Write `microtome look MODEL IMAGES`")  # fmt: skip
    model, images, others = _opened(asked, ways)
    names = "-beside-".join(each.name for each in (model, *others.values()))
    folder = out or Path("runs") / f"{names}-{Path(images.source.partition(':')[0]).name}"
    say = ways.progress.say
    for each in (model, *others.values()):
        say(f"{each.name}: {each.weights}; {each.preprocessing} ({each.preprocessing_from})")
    say(f"{len(images):,} images from {images.source}; {images.labelling}")
    told = [note for each in (model, *others.values()) for note in each.notes]
    for note in dict.fromkeys([*told, *images.notes]):
        say(f"note: {note}")
    say(f"analyses {asked.analyses}, effort {asked.effort}, seed {asked.seed}, into {folder}")
    options = _options(asked, ways) | {"others": others}
    if shard is None:
        return run_look(model, images, out=folder, **options)
    share = Share.parse(shard, os.environ)
    return look_share(model, images, out=folder, share=(share.index, share.count), **options)


def merge(folder: Path, ways: Ways) -> Run | Stage:
    """Put the shards of a run together that was begun from the command line."""
    asked = _kept(folder, ways.trust_run)
    model, images, others = _opened(asked, ways)
    return run_merge(model, images, out=folder, **_options(asked, ways) | {"others": others})


def _kept(folder: Path, trusted: bool) -> Call:
    plan = read_plan(folder)
    if plan is None or not plan.call:
        raise BadRun(
            f"Folder {str(folder)!r} does not say how its model and images were opened",
            "That is known of runs begun by `microtome look`",
            "Use microtome.look and microtome.merge with the model and the images themselves",
        )
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plan.call.items()
    }
    try:
        if not all(isinstance(value, (str, int, tuple, type(None))) for value in known.values()):
            raise TypeError("its entries are not texts and numbers")
        if not all(isinstance(text, str) for value in known.values() if isinstance(value, tuple) for text in value):
            raise TypeError("its entries are not texts")
        call = Call(**known)
        if not (isinstance(call.analyses, str) and isinstance(call.limit, int) and isinstance(call.seed, int)):
            raise TypeError("its analyses are no text, or its numbers are none")
        files = [
            *call.plugin,
            *(
                text
                for text in (call.model, call.images or "", call.other or "", *call.also)
                if text.startswith("file:")
            ),
        ]
    except (TypeError, AttributeError) as error:
        raise BadRun(f"The plan of run {folder.name} cannot be read ({error})",
                     f"A call has {', '.join(Call.__annotations__)}", "Begin a new run") from error  # fmt: skip
    if files and not trusted:
        raise UsageError(
            f"The plan of run {folder.name} runs Python files: {', '.join(files)}",
            "Nothing that a run's folder names is executed unasked",
            "If they are yours, add --trust-run",
        )
    return call


def _opened(asked: Call, ways: Ways) -> tuple[Model, Images, dict[str, Model]]:
    model = open_model(asked.model, trust_pickle=ways.trust_pickle)
    images = open_images(asked.images, model, split=asked.split, class_map=_class_map(asked.classes),
                         strict=asked.strict, download=ways.download, decoders=ways.decoders)  # fmt: skip
    images = images.limit(asked.limit, asked.seed) if asked.limit else images
    if asked.other is None:
        return model, images, {}
    others = {OTHER: open_model(asked.other, trust_pickle=ways.trust_pickle)}
    refuse_other_classes(Specimen(model=model, images=images, others=others))
    further = [open_model(source, trust_pickle=ways.trust_pickle) for source in asked.also]
    return model, images, others | dict(zip(FURTHER, further, strict=False))


def _options(asked: Call, ways: Ways) -> Options:
    return Options(
        analyses=asked.analyses.split(","), settings=_settings(asked.set), plugins=[Path(p) for p in asked.plugin],
        effort=asked.effort, seed=asked.seed, units=asked.units, call=dataclasses.asdict(asked),
        batch_size=ways.batch_size, device=ways.device, amp=asked.amp, progress=ways.progress,
    )  # fmt: skip


def _settings(pairs: Iterable[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        analysis, dot, setting = name.partition(".")
        if not (equals and dot):
            raise UsageError(f"--set {pair}", "A setting is ANALYSIS.SETTING=VALUE", "Write for instance activity.k=4")
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        found.setdefault(analysis, {})[setting] = parsed
    return found


def _class_map(path: str | None) -> dict[str, int | str] | None:
    if path is None:
        return None
    try:
        found: dict[str, int | str] = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error})", "A class map is a JSON object, folder to class",
                         'Write for instance {"n01440764": "tench"}') from error  # fmt: skip
    return found
