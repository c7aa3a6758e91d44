"""What a notebook calls: open, look, report. Thin; no science."""

import dataclasses
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from .analyses import choose, registry
from .analysis import Analysis
from .errors import UsageError
from .image_sources import open_images as _open_images
from .images import DECODERS, Images
from .network.measure import automatic_batch
from .network.open import Model, open_model
from .network.specimen import Effort, Specimen
from .progress import Progress
from .run import Run, check_free, write_run
from .runner import Look


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


def look(
    model: Model | nn.Module | str,
    images: object = None,
    *,
    out: str | Path,
    analyses: Iterable[str] = ("all",),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    plugins: Iterable[Path] = (),
    effort: Effort = "normal",
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Run:
    """Look at a network with a set of images and keep what was found in the folder `out`.

    `images` are anything that `open_images` opens.
    `settings` gives other than default settings by analysis, such as {"activity": {"k": 4}}.
    Raises: MicrotomeError, one of `microtome.errors`.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    seen = images if isinstance(images, Images) or images is None else open_images(images, opened)
    specimen = Specimen(model=opened, images=seen, effort=effort, seed=seed)
    folder = Path(out)
    check_free(folder, specimen)
    available = registry(plugins)
    chosen = [_with_settings(cls, (settings or {}).get(cls.name, {})) for cls in choose(analyses, available)]
    looking = Look(specimen, batch_size=batch_size, device=device, progress=progress)
    started = time.perf_counter()
    outcome = looking.run(chosen)
    how = {
        "looked_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "took": round(time.perf_counter() - started, 1),
        "device": str(looking.device),
        "batch_size": batch_size or automatic_batch(opened.sites),
        "settings": {analysis.name: analysis.key for analysis in chosen},
        "command": shlex.join(["microtome", *sys.argv[1:]]) if Path(sys.argv[0]).name == "microtome" else "",
    }
    return write_run(folder, specimen, outcome, available, how)


def _with_settings(cls: type[Analysis], settings: Mapping[str, Any]) -> Analysis:
    try:
        return cls(**settings)
    except TypeError as error:
        allowed = [item.name for item in dataclasses.fields(cls)]
        raise UsageError(
            f"Analysis {cls.name} does not take these settings: {', '.join(settings)}",
            f"Its settings are: {', '.join(allowed) or 'none'}", "`microtome analyses` shows them with their defaults",
        ) from error  # fmt: skip


__all__: Sequence[str] = ("look", "open_images", "open_model")
