"""`microtome prune`: rounds of removing channels and retraining, beside baselines, with a certificate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import api
from ...analyses import registry
from ...analyses.certificate import NAMES, CertificateResult
from ...errors import BadRun, UsageError
from ...images.collection import Images
from ...network.model import Model
from ...network.open import open_model
from ...network.specimen import Specimen
from ...network.surgery.couplings import couplings
from ...network.surgery.removing import counted
from ...progress import Progress, Silent
from ...runs.run import Run, fingerprints, write_run
from ...runs.runner import Outcome
from ...store import write_bytes, write_json
from ..train import VALIDATION, parts
from .judging import Share, difference, predictions
from .retraining import usual_recipe
from .rounds import Bench, Parts, refused_groups, reopened, run_arm, settings_kept
from .settings import Arm, Settings, Widths, count_left, final_widths

SHOWN_IMAGES = 500  # test images that the pruned network is looked at with
Records = dict[Arm, list[dict[str, Any]]]
LOOKED = ("activity", "filters", "labels")


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What came of a pruning: the slim network, its file, and the run with the certificate."""

    model: Model
    weights: Path
    run: Run
    certificate: CertificateResult


def prune(
    model: Model | str,
    images: object,
    test: object = None,
    *,
    out: str | Path,
    settings: Settings | None = None,
    opening: dict[str, Any] | None = None,
    limit: int = 0,
    progress: Progress | None = None,
) -> Pruned:
    """Prune a network in rounds, with baselines beside it; a pruning that was broken off goes on where it stopped.

    `images` (at most `limit` of them) are learnt from and measured on, `test` only judges; without it the source's own
    test part, or a quarter.
    The model itself stays as it is. Raises: UsageError, RunFailed (the rounds before are kept), BadRun.
    """
    settings, progress, folder = settings or Settings(), progress or Silent(), Path(out)
    base = model if isinstance(model, Model) else open_model(model)
    learning, judged = _images(base, images, test, opening or {})
    learning = learning.limit(limit, settings.seed) if limit else learning
    if not (learning.labelled and judged.labelled):
        raise UsageError(f"{learning.source if not learning.labelled else judged.source} has no labels",
                         "Pruning is judged by accuracy", "Give images in one folder a class")  # fmt: skip
    bench, stays = _bench(base, learning, judged, settings, folder, progress)
    begun = {"settings": settings.to_state(), "weights": base.fingerprint,
             "images": {name: getattr(bench.parts, name).fingerprint for name in ("learning", "test")}}  # fmt: skip
    if settings_kept(folder, begun) is not None:
        raise BadRun(f"{folder.name} holds another pruning (its prune.json)",
                     "A pruning goes on with the same network, images and settings",
                     "Give another folder with -o, or what that one was begun with")  # fmt: skip
    write_json(folder / "prune.json", begun)
    records: Records = {arm: run_arm(bench, arm) for arm in settings.arms}
    last = folder / "rounds" / "criteria" / str(settings.rounds) / "model.safetensors"
    slim = reopened(base, last)
    weights = folder / "model.safetensors"
    write_bytes(weights, last.read_bytes())
    certificate = _certificate(bench, records, stays, slim)
    return Pruned(model=slim, weights=weights, run=_written(bench, slim, certificate), certificate=certificate)


def _images(base: Model, images: object, test: object, opening: dict[str, Any]) -> tuple[Images, Images]:
    if isinstance(images, (str, Path)) and (test is None or isinstance(test, (str, Path))):
        how = {"strict": False, "download": False} | opening
        return parts(base, images, test, **how)
    learning = images if isinstance(images, Images) else api.open_images(images, base)
    if test is None:
        held_out, rest = learning.split("held-out", 0.25)
        return rest, held_out
    return learning, test if isinstance(test, Images) else api.open_images(test, base)


def _bench(base: Model, learning: Images, judged: Images, settings: Settings, folder: Path, progress: Progress
           ) -> tuple[Bench, dict[str, str]]:  # fmt: skip
    of = couplings(base)
    stays = refused_groups(base, of, progress)
    free = [group for group in of.groups if not group.reason and tuple(group.channels) not in stays]
    widths: Widths = final_widths(base, of, free, settings.target)
    left, whole = count_left(base, of, widths, free), counted(base)
    validation, fitted = learning.split("validation", VALIDATION, settings.seed)
    looked_at = fitted.limit(settings.images, settings.seed)
    progress.say(f"{base.name}: {len(free)} groups of channels can be cut, {len(stays)} cannot; target "
                 f"{settings.target}: about {left['parameters']:,} of {whole['parameters']:,} parameters, "
                 f"{left['macs'] / 1e6:,.1f} of {whole['macs'] / 1e6:,.1f} million multiply-adds")  # fmt: skip
    progress.say(f"{settings.rounds} rounds, {len(fitted):,} images to learn from, {len(looked_at):,} of them for "
                 f"criteria, {len(validation):,} to choose epochs, {len(judged):,} to judge; beside it: "
                 f"{', '.join(NAMES[arm] for arm in settings.baselines) or 'nothing'}")  # fmt: skip
    how = settings.command or str(usual_recipe(base.source, max(1, settings.epochs), settings.seed, settings.rate))
    progress.say(f"retraining: {how}" if settings.epochs or settings.command else "no retraining")
    names = {", ".join(layers[:2]) + (f" and {len(layers) - 2} more" if len(layers) > 2 else ""): why
             for layers, why in stays.items()}  # fmt: skip
    names |= {group.name: group.reason for group in of.groups if group.reason}
    some = Parts(learning=fitted, validation=validation, looked_at=looked_at, test=judged)
    before = {tuple(group.channels): group.width for group in free}
    return Bench(base=base, parts=some, settings=settings, whole=before, widths=widths, folder=folder,
                 progress=progress), names  # fmt: skip


def _certificate(
    bench: Bench, records: Records, stays: dict[str, str], slim: Model
) -> CertificateResult:  # fmt: skip
    answered, labels = predictions(bench.base, bench.parts.test)
    right, whole = answered == labels, counted(bench.base)
    arms = tuple(records)

    def series(name: str, first: float) -> np.ndarray:
        return np.array([[first, *(record[name] for record in records[arm])] for arm in arms])

    def accuracies(when: str) -> np.ndarray:
        first = _numbers(right)
        return np.array([[first, *(_numbers(record[when] == labels) for record in records[arm])] for arm in arms])

    ours = records["criteria"][-1]["after"] == labels
    apart = [[np.nan] * 3, *(difference(ours, records[arm][-1]["after"] == labels) for arm in arms[1:])]
    first = {site.name: site for site in bench.base.sites.layers}
    recipe = records["criteria"][0]["recipe"]
    least = min(record["whole_milliseconds"] for some in records.values() for record in some)
    return CertificateResult(
        images=len(labels), arms=arms, parameters=series("parameters", whole["parameters"]),
        macs=series("macs", whole["macs"]), milliseconds=series("milliseconds", least),
        time=series("milliseconds", 1.0) / series("whole_milliseconds", 1.0),
        before=accuracies("before"), after=accuracies("after"), apart=np.array(apart),
        widths={layer: np.array([[site.units, *(r["widths"][layer] for r in records[arm])] for arm in arms])
                for layer, site in first.items()},
        shapes={layer: (_shape(bench.base, layer), _shape(slim, layer)) for layer in first},
        channels=tuple(_names(record) for record in records["criteria"]),
        why=tuple(tuple(text for texts in record["why"].values() for text in texts) for record in records["criteria"]),
        pictures=tuple(_together(record["pictures"]) for record in records["criteria"]), stays=stays,
        difference=max(record["difference"] for some in records.values() for record in some),
        how=f"Retraining in round 1: {recipe}.",
    )  # fmt: skip


def _names(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{layer}:{channel}" for layer, some in record["removed"].items() for channel in some)


def _numbers(right: np.ndarray) -> tuple[float, float, float]:
    share = Share.of(right)
    return share.value, share.low, share.high


def _shape(model: Model, layer: str) -> str:
    return " x ".join(map(str, model.weight(layer).shape))


def _together(pictures: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate(list(pictures.values())) if pictures else np.zeros((0, 1, 1, 3), np.uint8)


def _written(bench: Bench, slim: Model, certificate: CertificateResult) -> Run:
    """The certificate in a run of its own, with a look at what is left."""
    shown = bench.parts.test.limit(SHOWN_IMAGES, bench.settings.seed)
    folder = bench.folder / "run"
    run = api.look(slim, shown, out=folder, analyses=LOOKED, seed=bench.settings.seed, progress=bench.progress)
    specimen = Specimen(model=slim, images=shown, seed=bench.settings.seed)
    assert run.info["fingerprints"] == fingerprints(specimen), "the run is of this network and these images"
    outcome = Outcome(results={"certificate": certificate}, skipped={}, seconds={}, passes=0)
    how = {name: run.info[name] for name in ("looked_at", "took", "device", "batch_size", "settings", "command")}
    whole = write_run(folder, specimen, outcome, registry(), how)
    whole.report(bench.folder)
    return whole


__all__ = ("Pruned", "Settings", "prune")
