"""Two networks side by side on the same images: did a fix break anything?"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import nn

from ..analyses.calibrations import Calibrations, CalibrationsResult
from ..analyses.comparison import Comparison, ComparisonResult
from ..analyses.counterparts import Counterparts, CounterpartsResult
from ..analyses.first_layers import FirstLayers, FirstLayersResult
from ..analysis import Result
from ..api import as_model, open_images
from ..api import look as run_look
from ..errors import UsageError
from ..formulas.comparing import criterion
from ..formulas.proportions import wilson_interval
from ..images.collection import Images
from ..network.open import Model
from ..network.pairing import FURTHER, OTHER, refuse_other_classes
from ..network.specimen import Specimen
from ..progress import Progress
from ..runs.run import Run
from ..runs.runner import Look
from .look import Call, Ways, look

ANALYSES = (Comparison, Calibrations, Counterparts, FirstLayers)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What came of a comparison of A with B: their answers, their calibration (None without labels), which units
    correspond (None if no layer has the same name), whether their first layers are alike (None if these cannot be
    compared), and why something is None. `run` is its folder, if one was written.
    """

    answers: ComparisonResult
    calibration: CalibrationsResult | None
    units: CounterpartsResult | None
    first_layers: FirstLayersResult | None
    skipped: Mapping[str, str]
    run: Run | None = None

    @classmethod
    def of(cls, results: Mapping[str, Result], skipped: Mapping[str, str], run: Run | None = None) -> Self:
        """From the results by name."""
        found: dict[str, Any] = {analysis.name: results.get(analysis.name) for analysis in ANALYSES}
        return cls(answers=found["comparison"], calibration=found["calibrations"], units=found["counterparts"],
                   first_layers=found["first_layers"], skipped=skipped, run=run)  # fmt: skip

    @property
    def worse(self) -> bool:
        """Whether B is worse for certain, by `criterion`."""
        return self.answers.verdict == "worse"

    def numbers(self) -> dict[str, Any]:
        """Everything for machines: dictionaries, lists, numbers and texts."""
        answers, calibration, units = self.answers, self.calibration, self.units
        return {
            "sentence": answers.conclusion(), "verdict": answers.verdict if answers.labelled else None,
            "worse": self.worse, "criterion": criterion(answers.tolerance), "tolerance_points": answers.tolerance,
            "images": len(answers.index), "agreement": float(answers.alike.mean()), "changed": list(answers.changed),
            **(_judged(answers) if answers.labelled else {}),
            "calibration": None if calibration is None else {
                "error": calibration.ece.tolist(), "calibrated": calibration.calibrated[:, 0].tolist(),
                "difference": calibration.apart.tolist(), "confidence": calibration.confidence.mean(1).tolist(),
            },
            "units": None if units is None else {
                layer: {"match": units.match[layer].tolist(), "r": [None if v != v else v for v in r.tolist()],
                        "largest_shuffled": float(units.shuffled[layer].max())} for layer, r in units.r.items()
            },
            "first_layers": None if self.first_layers is None else {
                "networks": list(self.first_layers.names), "r": self.first_layers.r.tolist(),
                "linear_cka": self.first_layers.cka.tolist(),
                "chance_99": float(np.quantile(self.first_layers.chance, 0.99)),
                "left_out": list(self.first_layers.left_out),
            },
            "skipped": dict(self.skipped),
        }  # fmt: skip


def _judged(answers: ComparisonResult) -> dict[str, Any]:
    """What only labels can tell."""
    change, right = answers.change, answers.right[:, answers.known]
    shares = [[float(each.mean()), *(float(end) for end in wilson_interval(each.sum(), np.array(len(each))))]
              for each in right]  # fmt: skip
    broken, fixed = (
        [name for name, flag in zip(answers.changed, flags[~answers.alike], strict=True) if flag]
        for flags in (answers.broken, answers.fixed)
    )
    return {
        "accuracy": shares, "difference_points": list(change.apart), "mcnemar_p": change.p,
        "broken": broken, "fixed": fixed, "worse_classes": [answers.class_names[k] for k in answers.worse_classes],
    }  # fmt: skip


def compare(
    a: Model | nn.Module | str,
    b: Model | nn.Module | str,
    images: object,
    *,
    also: Sequence[Model | nn.Module | str] = (),
    out: str | Path | None = None,
    tolerance: float = 0.0,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Compared:
    """Compare two networks with the same classes on the same images: what does B break, what does it fix?

    `also` are further networks, whose first layers are compared with those of A and B. `images` are anything that
    `open_images` opens; each network is given them with its own preprocessing. With `out`
    the comparison is kept there as a run, which has a report. `tolerance` is the fall in accuracy, in percentage
    points, that does not count as worse.
    Raises: MicrotomeError, one of `microtome.errors`.
    """
    first, second = as_model(a), as_model(b)
    seen = images if isinstance(images, Images) else open_images(images, first)
    refuse_other_classes(Specimen(model=first, images=seen, others={OTHER: second}))
    others = {OTHER: second} | dict(zip(FURTHER, map(as_model, also), strict=False))
    if out is None:
        specimen = Specimen(model=first, images=seen, others=others, seed=seed)
        looking = Look(specimen, batch_size=batch_size, device=device, progress=progress)
        outcome = looking.run([Comparison(tolerance=tolerance), Calibrations(), Counterparts(), FirstLayers()])
        return Compared.of(outcome.results, outcome.skipped)
    run = run_look(
        first, seen, out=out, others=others, analyses=[cls.name for cls in ANALYSES], seed=seed,
        settings={Comparison.name: {"tolerance": tolerance}}, batch_size=batch_size, device=device, progress=progress,
    )  # fmt: skip
    return Compared.of(run.results, run.info["skipped"], run)


def compare_asked(asked: Call, ways: Ways, *, out: Path | None, tolerance: float) -> Compared:
    """Compare as typed; the same words go on where a comparison was broken off.

    Raises: UsageError if the first is no network but the folder of a run; MicrotomeError.
    """
    if (Path(asked.model) / "plan.json").exists():
        raise UsageError(f"{asked.model!r} is the folder of a run", "Compared are two networks",
                         f"Go on with it by `microtome look {asked.model}`, or name its network")  # fmt: skip
    names = dict.fromkeys([*(cls.name for cls in ANALYSES), *filter(None, asked.analyses.split(","))])
    asked = dataclasses.replace(asked, analyses=",".join(names), set=(*asked.set, f"comparison.tolerance={tolerance}"))
    run = look(asked, (), ways, out=out, shard=None)
    assert isinstance(run, Run)
    return Compared.of(run.results, run.info["skipped"], run)
