"""The filters of the first layer in words, beside those of networks that have learnt nothing."""

from typing import Any

import numpy as np

from ....formulas.labels import ALPHA, label_kernels
from ....network.open import Model
from ....network.parts.filters_on_pictures import filters_on_pictures
from .directions import at_random, chance_of_all, covered, direction, random_words, repeats
from .networks import FIRST, Nets, Settings, untrained_models


def in_words(model: Model) -> dict[str, Any]:
    """Every filter of the first layer: what it looks for, how sure that is. Shapes: kernels (U, K, K)."""
    kernels = filters_on_pictures(model)[FIRST]
    labels = label_kernels(kernels)
    return {
        "kernels": kernels,
        **{name: [getattr(label, name) for label in labels] for name in
           ("words", "nearest", "second", "tuned", "theta", "offset", "p", "r2", "stability", "confidence")},
    }  # fmt: skip


def labelled(model: Model) -> np.ndarray:
    """How many filters of the first layer get words: beside all of the layer, and each by itself. Shapes: -> (2,)."""
    kernels = model.weight(FIRST)[:, 0].double().cpu().numpy()
    labels = label_kernels(kernels)
    return np.array([sum(bool(label.words) for label in labels), sum(label.p <= ALPHA for label in labels)])


def measure_filters(nets: Nets, settings: Settings) -> dict[str, Any]:
    """The labels of all trained networks, how many filters of untrained ones get any, and what sets at random cover."""
    trained = [in_words(net.model) for net in nets.trained]
    side, units = trained[0]["kernels"].shape[-1], len(trained[0]["kernels"])
    random, sets = random_words(side, settings.seed, settings.random), []
    for found in trained:
        count = sum(direction(words) is not None for words in found["words"])
        drawn = at_random(random, sum(map(bool, found["words"])), settings.seed)
        sets.append({
            "covered": list(covered(found["words"])), "directed": count, "angles_all": chance_of_all(count),
            "filters_all": drawn["all"], "repeats": repeats(found["words"]),
            "filters_repeats": float(drawn["repeats"].mean()),
            "as_many_repeats": float((drawn["repeats"] >= repeats(found["words"])).mean()),
        })  # fmt: skip
    untrained = np.stack([labelled(model) for model in untrained_models(settings.untrained, settings.seed)])
    return {"trained": trained, "sets": sets, "units": units, "random": len(random),
            "untrained": untrained[:, 0] / units, "untrained_alone": untrained[:, 1] / units}  # fmt: skip
