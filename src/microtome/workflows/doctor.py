"""The doctor: what works in full, approximately or not on a network, and what one should know before looking at it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..analyses import Registry, general, registry
from ..analysis import Fit, without
from ..api import open_images
from ..images.collection import Images
from ..network.checkup.anatomy import remark_anatomy
from ..network.checkup.health import remark_health
from ..network.checkup.input_trials import Trial, Trials, try_inputs
from ..network.checkup.way_back import remark_way_back
from ..network.open import Model, open_model
from ..network.recording.untouched import choose_device, untouched
from ..network.remarks import Remark
from ..network.sources.weights import RANDOM
from ..network.specimen import Specimen
from ..progress import Progress

MARKS = {"fine": "  ", "note": "- ", "warning": "! "}
NO_IMAGES = "none"
HEADER = ("preprocessing", "right", "entropy", "confidence", "BatchNorm off by", "dead at first")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What the doctor found: how every analysis fits, remarks on the network, and how it takes other preprocessing."""

    model: str
    weights: str
    preprocessing: str
    images: str
    fits: dict[str, Fit]
    remarks: tuple[Remark, ...]
    trials: Trials | None

    def remark(self, name: str) -> Remark:
        """The remark of this name, such as "negative_scales"; KeyError if there is none."""
        return {remark.name: remark for remark in self.remarks}[name]

    def lines(self) -> list[str]:
        """Everything in plain sentences; `!` marks a warning, `-` what is good to know."""
        lines = [f"{self.model}: {self.weights}; {self.preprocessing}", f"Images: {self.images}", "", "Analyses"]
        width = max(map(len, self.fits), default=0)
        for name, fit in self.fits.items():
            lines.append(f"  {name.ljust(width)}  {fit.verdict}{f': {fit.reason}' if fit.reason else ''}")
            if fit.verdict == "approximate":  # a refusal says itself what to do
                lines.append(f"  {' ' * width}  for more: {fit.instead}")
        lines += ["", "Network", *(f"{MARKS[remark.level]}{remark.sentence}" for remark in self.remarks)]
        if self.trials is not None:
            mark = MARKS["warning"] if self.trials.verdict == "looks wrong" else MARKS["fine"]
            lines += ["", "Preprocessing", f"{mark}{self.trials.sentence()}", *_table(self.trials.trials)]
        elif self.weights == RANDOM and self.images != NO_IMAGES:
            lines += [
                "",
                "Preprocessing",
                "  Random weights are used to no preprocessing: it is tried on a trained network",
            ]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Everything as dictionaries, lists, numbers and texts."""
        trials = self.trials
        return {
            "model": self.model, "weights": self.weights, "preprocessing": self.preprocessing, "images": self.images,
            "analyses": {name: asdict(fit) for name, fit in self.fits.items()},
            "network": {remark.name: asdict(remark) for remark in self.remarks},
            "trials": None if trials is None else {
                "verdict": trials.verdict, "by": trials.by, "sentence": trials.sentence(), "best": trials.best.name,
                "alike": [trial.name for trial in trials.alike],
                "table": [{k: None if v != v else v for k, v in asdict(trial).items()} for trial in trials.trials],
            },
        }  # fmt: skip


def doctor(
    model: Model | nn.Module | str,
    images: Images | str | Path | None = None,
    *,
    plugins: Iterable[Path] = (),
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Diagnosis:
    """Examine a network, and with images whether its preprocessing looks right; the model comes back untouched.

    Raises: MicrotomeError, one of `microtome.errors`.
    """
    opened = model if isinstance(model, Model) else open_model(model)
    seen = images if isinstance(images, Images) or images is None else open_images(images, opened)
    specimen = Specimen(model=opened, images=seen, seed=seed)
    place = choose_device(opened.module, device)
    with untouched(opened.module):
        remarks = (*remark_anatomy(opened), *remark_health(opened), *remark_way_back(opened))
    return Diagnosis(
        model=opened.name, weights=opened.weights,
        preprocessing=f"{opened.preprocessing} ({opened.preprocessing_from})",
        images=NO_IMAGES if seen is None else f"{len(seen):,} from {seen.source}; {seen.labelling}",
        fits=fits_of(specimen, general(registry(plugins))), remarks=remarks,
        trials=None if seen is None or opened.weights == RANDOM else try_inputs(specimen, place, progress),
    )  # fmt: skip


def fits_of(specimen: Specimen, available: Registry) -> dict[str, Fit]:
    """How far each analysis holds; one that needs another's result is refused where that one is."""
    fits = {name: cls().fit(specimen) for name, cls in available.items()}
    for _ in available:  # as often as one can need another
        for name, cls in available.items():
            missing = [other for other in cls.requires if other not in fits or fits[other].verdict == "refused"]
            if missing:
                fits[name] = Fit(verdict="refused", reason=without(missing[0], fits[missing[0]].reason),
                                 instead=f"See {missing[0]}")  # fmt: skip
    return fits


def _table(trials: tuple[Trial, ...]) -> list[str]:
    rows: list[tuple[str, ...]] = [HEADER]
    for trial in trials:
        numbers = (f"{trial.accuracy:.1%}", f"{trial.entropy:.2f} bit", f"{trial.confidence:.0%}",
                   f"{trial.mismatch:.2f} std", f"{trial.dead:.0%}")  # fmt: skip
        cells = ("" if number.startswith("nan") else number for number in numbers)
        rows.append((trial.name, *cells))
    kept = [place for place in range(len(HEADER)) if any(row[place] for row in rows[1:])]
    widths = {place: max(len(row[place]) for row in rows) for place in kept}
    return [
        "  " + "  ".join(row[i].rjust(widths[i]) if i else row[i].ljust(widths[i]) for i in kept).rstrip()
        for row in rows
    ]
