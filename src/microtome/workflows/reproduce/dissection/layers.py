"""Which layer could be left out, and whether units answer to patterns or to places: asked of the analyses."""

from pathlib import Path
from typing import Any

import numpy as np

from ....analyses.duality import DualityResult
from ....analyses.omission import OmissionResult
from ....api import look
from ....formulas.omission import Trial, verdicts
from ....images.collection import Images
from ....network.open import Model
from ....progress import Progress
from .networks import Nets, Settings, untrained_models

ANALYSES = ("labels", "dissection", "omission", "duality")
SHARES = ("pattern", "position", "interaction")


def measure_layers(nets: Nets, settings: Settings, out: Path, progress: Progress) -> dict[str, Any]:
    """Every trained network and one untrained, looked at with the analyses: a run each, which can be gone on with."""
    found = []
    for net in nets.trained:
        progress.say(f"which layer could be left out of the network with seed {net.seed}")
        found.append(_looked(net.model, nets.held_out, out, settings, ANALYSES, settings.fine_tune, progress))
    (untrained,) = untrained_models(1, settings.seed)
    beside = _looked(untrained, nets.held_out, out, settings, ANALYSES[2:], 0, progress)
    return {"trained": found, "untrained": beside}


def _looked(
    model: Model, images: Images, out: Path, settings: Settings, analyses: tuple[str, ...], steps: int,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    run = look(model, images, out=out / "runs" / model.fingerprint, analyses=analyses, seed=settings.seed,
               settings={"omission": {"images": settings.omitted, "fine_tune": steps}},
               progress=progress)  # fmt: skip
    omission, duality = run["omission"], run["duality"]
    assert isinstance(omission, OmissionResult)
    assert isinstance(duality, DualityResult)
    return {"run": str(run.folder.relative_to(out)), "omission": _omission(omission), "duality": _duality(duality)}


def _omission(result: OmissionResult) -> dict[str, Any]:
    """By layer: scores, how right the network is with each stand-in on each image, and what follows."""
    raw = {layer: Trial(copy_score=result.copy_score(layer), shares=shares) for layer, shares in result.shares.items()}
    before, after = verdicts(result.original, raw), verdicts(result.original, result.trials())
    return {
        "original": result.original, "fitted": result.fitted, "steps": result.steps,
        "layers": {layer: {
            "copy": result.copy_score(layer), "copy_shuffled": result.shuffled[layer], "r2": result.r2[layer],
            "raw": dict(shares), "tuned": dict(result.tuned.get(layer, {})),
            "before": before[layer].words, "after": after[layer].words, "able": after[layer].able,
        } for layer, shares in result.shares.items()},
    }  # fmt: skip


def _duality(result: DualityResult) -> dict[str, Any]:
    """By layer and kind of share, all units; the medians with shuffled weights."""
    return {
        "angles": result.angles, "grid": result.grid,
        "shares": {layer: {name: np.asarray(getattr(result, name)[layer]) for name in SHARES}
                   for layer in result.pattern},
        "shuffled": {layer: np.asarray(values) for layer, values in result.shuffled.items()},
    }  # fmt: skip
