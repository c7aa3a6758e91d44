"""The document's claims, each beside what was measured and its control; verdicts follow from the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...figures import short
from .concentration import FIELD, MAP, UNIT
from .dependence import FILLS
from .equality import NOISE
from .verdicts import (
    ALIKE,
    HOLDS,
    IN_PART,
    SAME,
    UNKNOWN,
    Verdict,
    above,
    beaten,
    of_accuracy,
    of_dependence,
    of_equality,
    of_recall,
    of_trend,
)  # fmt: skip

Numbers = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the document says, what was measured with its control, and what follows."""

    claim: str
    measured: str
    verdict: Verdict


def claims_of(numbers: Numbers) -> list[Claim]:
    """All of them, in the document's order."""
    larger = [_larger(numbers["larger"])] if "larger" in numbers else []
    return [_accuracy(numbers["answers"]), _recall(numbers["answers"]), *_same(numbers["twins"]),
            _edges(numbers["focus"]), _deeper(numbers["focus"]), _head(numbers["focus"]),
            _depends(numbers["dependence"]), *larger]  # fmt: skip


def table(claims: Sequence[Claim]) -> list[str]:
    """Markdown."""
    rows = [f"| {each.claim} | {each.measured} | **{each.verdict}** |" for each in claims]
    return ["| claim | measured here, with its control | verdict |", "|---|---|---|", *rows]


def as_numbers(claims: Sequence[Claim]) -> list[dict[str, str]]:
    """For machines."""
    return [asdict(each) for each in claims]


def percent(of: Numbers, digits: int = 0) -> str:
    """A share with its interval: 62% [55, 68]."""
    return _told(of, f"{of['mean']:.{digits}%}", 100, f".{digits}f")


def points(of: Numbers, digits: int = 0) -> str:
    """A difference of shares in points: +13 [+9, +18]."""
    return _told(of, f"{100 * of['mean']:+.{digits}f}", 100, f"+.{digits}f")


def number(of: Numbers, sign: str = "+") -> str:
    """Any number with its interval."""
    return _told(of, f"{of['mean']:{sign}.2f}", 1, f"{sign}.2f")


def _told(of: Numbers, mean: str, scale: float, form: str) -> str:
    if np.isnan(of["mean"]):
        return "unknown"
    return mean if np.isnan(of["low"]) else f"{mean} [{scale * of['low']:{form}}, {scale * of['high']:{form}}]"


def _accuracy(of: Numbers) -> Claim:
    own, document = of["accuracy"], of["document_accuracy"]
    measured = (f"{percent(own)} ({own['hits']} of {own['n']}); commonest class {of['commonest']:.0%}; trained by "
                f"PyTorch {percent(of['accuracy_torch'])}; on the training images {percent(of['training'])}; "
                f"the document's {percent(document)}")  # fmt: skip
    return Claim(claim="The classifier reaches 85% on 120 validation images (102)", measured=measured,
                 verdict=of_accuracy(own, of["commonest"], document["mean"]))  # fmt: skip


def _recall(of: Numbers) -> Claim:
    recall, wrong, document = of["recall"], of["false_positives"], of["document_recall"]
    measured = (f"{percent(recall)} ({recall['hits']} of {recall['n']} cats held aside); control: of others held aside "
                f"{percent(wrong)} are called cats too ({wrong['hits']} of {wrong['n']}); the document's "
                f"{percent(document)}, without such a control")  # fmt: skip
    return Claim(claim="Of 20 further cats 65% are called cats (13)", measured=measured,
                 verdict=of_recall(recall, wrong, document))  # fmt: skip


def _same(of: Numbers) -> list[Claim]:
    layers, double, single, whole = of["layers"], of["short"]["float64"], of["short"]["float32"], of["whole"]
    tied = of["layers_tied"]
    kinds = ("outputs", "input_gradients", "parameter_gradients")
    equal = Claim(
        claim="Every layer gives the outputs and gradients of PyTorch's",
        measured=f"Largest differences over {layers['layers']:.0f} layers, {layers['images']:.0f} images, float64, in "
                 f"units of the largest number: outputs {layers['outputs']:.0e}, gradients by inputs "
                 f"{layers['input_gradients']:.0e}, by parameters {layers['parameter_gradients']:.0e}. Pixels have "
                 f"noise of {NOISE:g}, so that no places of a pool's window tie; without it {tied['outputs']:.0e}, "
                 f"{tied['input_gradients']:.0e} and {tied['parameter_gradients']:.0e}: where photographs are flat, "
                 f"rounding chooses among equal places ({tied['moved']:,.0f} of {tied['gradients']:,.0f} gradients "
                 f"by inputs)",
        verdict=of_equality([layers[kind] for kind in kinds]),
    )  # fmt: skip
    trained = Claim(
        claim="Trained side by side, it is the network of PyTorch in every epoch",
        measured=f"Same first weights, batches and masks. {double['steps']} steps in float64: losses apart "
                 f"{double['losses_apart']:.0e}, weights {double['weights_apart']:.0e}; in float32 "
                 f"{single['losses_apart']:.0e} and {single['weights_apart']:.0e} (control: NumPy beside "
                 f"NumPy with first weights that differ in the last bit, {of['disturbed']['losses_apart']:.0e} and "
                 f"{of['disturbed']['weights_apart']:.0e}). Whole training in float32, "
                 f"{len(whole['weights_apart'])} epochs: weights apart {whole['weights_apart'][0]:.0e} after the first "
                 f"epoch, {whole['weights_apart'][-1]:.0e} after the last (largest weight "
                 f"{short(whole['largest_weight'][-1])}); the two give the same answer on "
                 f"{percent(of['agreement'])} of the validation images",
        verdict=of_equality([double["losses_apart"], double["weights_apart"]], of["agreement"]["mean"] == 1),
    )  # fmt: skip
    back = Claim(
        claim="The reconstructions are those of PyTorch",
        measured=f"Same weights, float64, {of['compared']} cats, every convolution: apart "
                 f"{of['same_weights_apart']:.0e} of the largest number. From the weights that PyTorch has trained "
                 f"itself: cosine {number(of['cosine'], '')}",
        verdict=of_equality([of["same_weights_apart"]], of["cosine"]["mean"] >= ALIKE),
    )  # fmt: skip
    return [equal, trained, back]


def _edges(of: Numbers) -> Claim:
    first, last = of["layers"][0], of["layers"][-1]
    own, beyond = of["edges"]["trained"], of["edges_beyond"]
    measured = (f"Correlation of the strongest map's reconstruction with the image's edges: {number(own[first])} in "
                f"the first layer, {number(own[last])} in the deepest; control, first layer: initial weights "
                f"{number(of['edges']['initial'][first])}, shuffled {number(of['edges']['shuffled'][first])}; beyond "
                f"them {number(beyond['initial'])}, {number(beyond['shuffled'])}; n {own[first]['n']}")  # fmt: skip
    return Claim(claim="The first layers extract general features such as boundaries", measured=measured,
                 verdict=beaten(of["edges_lost"]["trained"], list(beyond.values())))  # fmt: skip


def _deeper(of: Numbers) -> Claim:
    own, beyond, shares = of["trend"]["trained"], of["trend_beyond"], of["shares"]["trained"]
    first, last = of["layers"][0], of["layers"][-1]
    ends, random = of["first_to_last"]["trained"], of["first_to_last"]["initial"]
    measured = (f"Rank correlation over {len(of['layers'])} layers of depth and the share of energy in the strongest "
                f"tenth: whole map {number(own[MAP])}, strongest unit {number(own[UNIT])}, within its field "
                f"{number(own[FIELD])} (initial weights {number(of['trend']['initial'][FIELD])}). Whole map beyond the "
                f"controls: initial weights {number(beyond['initial'][MAP])}, shuffled "
                f"{number(beyond['shuffled'][MAP])}. Whole map from the first layer "
                f"({shares[MAP][first]['mean']:.0%}) to the deepest ({shares[MAP][last]['mean']:.0%}), in points: "
                f"{points(ends[MAP])}, with initial weights {points(random[MAP])}; n {own[MAP]['n']}. A unit's field "
                f"grows from {of['fields'][first]} to {of['fields'][last]} pixels, which alone spreads its "
                f"energy")  # fmt: skip
    return Claim(claim="Deeper layers concentrate on parts of the cat", measured=measured,
                 verdict=of_trend([own[MAP], own[UNIT]], [by[MAP] for by in beyond.values()]))  # fmt: skip


def _head(of: Numbers) -> Claim:
    beyond = of["deepest_beyond"]
    measured = (f"Nobody has marked the heads in these images: whether it is the head cannot be measured. What can: "
                f"the deepest layer's whole map is {points(beyond['initial'])} points more concentrated than with "
                f"initial weights, {points(beyond['shuffled'])} than with shuffled ones")  # fmt: skip
    return Claim(claim="... on the head, then on smaller regions such as the eyes", measured=measured, verdict=UNKNOWN)


def _depends(of: Numbers) -> Claim:
    told = []
    for fill in FILLS:
        by = of[fill]
        own, initial = f"trained {UNIT}", f"initial {UNIT}"
        told.append(f"{fill}: {number(by['fall'][own])}, random areas of equal size and shape "
                    f"{number(by['random'][own])}, difference {number(by['beyond_random'][own])}; difference "
                    f"with the initial weights' map {number(by['beyond_random'][initial])}, beyond it "
                    f"{number(by['beyond_initial'][UNIT])}; beyond the middle {number(by['beyond_middle'][UNIT])}; "
                    f"{by['part'][UNIT]:.0%} of the margin")  # fmt: skip
    by = of[FILLS[0]]
    controls = [by["beyond_initial"][UNIT], by["beyond_middle"][UNIT]]
    verdict = of_dependence(by["beyond_random"][f"trained {UNIT}"], controls, by["part"][UNIT])
    measured = (f"{of['cats']} validation cats called cats, logit of cat minus other, mean {number(by['margin'], '')}: "
                f"how far it falls when the strongest {of['area']:.0%} of the deepest layer's reconstruction is "
                f"covered; the verdict is by {FILLS[0]}. {'. '.join(told)}. "
                f"The region is the reconstruction's: no head is marked")  # fmt: skip
    return Claim(claim="The classifier mainly depends on that region to tell a cat", measured=measured, verdict=verdict)


def _larger(of: Numbers) -> Claim:
    layers = ", ".join(f"{layer} and {site}" for layer, site in of["deeper"])
    by = of["smaller"]
    measured = (f"SqueezeNet with ImageNet weights (the document's VGG-16 is not here) beside the small network, same "
                f"grid of pixels, deeper half at matching depths ({layers}): its share in the strongest tenth is, in "
                f"points, {points(by[MAP])} (whole map), {points(by[UNIT])} (strongest unit); n {by[MAP]['n']}. Its "
                f"resolution and architecture differ too, not only its size and data")  # fmt: skip
    signs = [above(interval) for interval in by.values()]
    verdict = HOLDS if all(signs) else IN_PART if any(signs) else beaten(by[MAP], [])
    return Claim(claim="The larger network, trained on more images, is also excited by smaller regions",
                 measured=measured, verdict=verdict)  # fmt: skip


HOW = (
    "Verdicts follow from the numbers: what lies above its control with all of its interval holds, what lies below "
    f"does not, what contains it cannot be told; equal means apart by {SAME:g} at most. Intervals are 95%: Wilson's "
    "for shares of images, else bootstrap over images. They say nothing about other seeds of the training."
)
