"""Make the gallery's sheet of reconstructions, and its page with what they are worth.

The strongest unit of six layers of SqueezeNet (ImageNet weights) over 500 photographs, led back by three methods. The
photographs and weights are the project's shared data; the sheet shows reconstructions alone.

    MICROTOME_DATA=... python docs/gallery/make_deconvnet.py [--checked 64]
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

import microtome as mt
from microtome.analyses.deconvnet import Deconvnet, DeconvnetResult
from microtome.analyses.faithfulness import Faithfulness, FaithfulnessResult
from microtome.analyses.specificity import Specificity, SpecificityResult, interval
from microtome.figures import sheet
from microtome.formulas.resampling import percent_in_words
from microtome.network.backward.rules import Method
from microtome.network.specimen import Specimen
from microtome.network.trials.pointing import GRAD_CAM, SHUFFLED
from microtome.progress import Terminal
from microtome.runs.runner import Look

HERE = Path(__file__).parent
METHODS: tuple[Method, ...] = ("deconvnet", "guided", "gradient")
SIDE = 128  # pixels of one picture


def centred(picture: np.ndarray) -> np.ndarray:
    """A picture on a grey square. Shapes: (h, w, 3) uint8 -> (SIDE, SIDE, 3)."""
    zoom = SIDE / max(picture.shape[:2])
    small = Image.fromarray(picture).resize((round(picture.shape[1] * zoom), round(picture.shape[0] * zoom)))
    out = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    out.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return np.asarray(out)


def worth(result: SpecificityResult) -> list[str]:
    """How much the reconstructions of each layer depend on their unit, in Markdown."""
    parts = [(method, of) for method in METHODS for of in (result.specific, result.specific_shuffled)]
    lines = ["| layer | deconvnet | shuffled | guided | shuffled | gradient | shuffled | energy | shuffled |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for layer in result.layers:
        cells = [interval(of[method][layer]) for method, of in parts]
        cells += [interval(of["deconvnet"][layer]) for of in (result.focused, result.focused_shuffled)]
        lines.append(f"| {layer} | " + " | ".join(cells) + " |")
    return lines


def falls(truth: FaithfulnessResult) -> list[str]:
    """How far units and the answer fall, in percent, in Markdown."""
    lines = ["| tested | tests | deconvnet | shuffled | guided | gradient | Grad-CAM | random areas | edges | middle |",
             "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for layer, by_source in truth.falls.items():
        cells = [percent_in_words(by_source[name]) if name in by_source else "–"
                 for name in ("deconvnet", SHUFFLED, "guided", "gradient", GRAD_CAM)]  # fmt: skip
        beside = (truth.random[layer]["deconvnet"], truth.edges[layer], truth.middle[layer])
        cells += [f"{values.mean():.0%}" for values in beside]
        lines.append(f"| {layer} | {len(truth.edges[layer])} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Look, and write the sheet and its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checked", type=int, default=64, help="images on which specificity is measured")
    options = parser.parse_args()
    data = os.environ["MICROTOME_DATA"]
    model = mt.open_model(f"torchvision:squeezenet1_0@{data}/squeezenet1_0_imagenet.safetensors")
    images = mt.open_images(f"{data}/imagenet500", model)
    specimen = Specimen(model=model, images=images, effort="quick")
    asked = [Specificity(images=options.checked), Faithfulness(units=16, images=64), Deconvnet(images=1)]
    found = Look(specimen, progress=Terminal()).run(asked).results
    result = cast(DeconvnetResult, found["deconvnet"])
    pictures = []
    for method in METHODS:
        for unit, name in zip(result.sheet_units, result.sheet_images, strict=True):
            layer, _, channel = unit.rpartition(":")
            site = specimen.reading()[layer]
            place = images.ids.index(name)
            made = mt.reconstruct(model, place, f"{site}:{channel}", method=method, images=images)
            pictures.append(centred(made.crops()[0]))
    path = HERE / "deconvnet.png"
    Image.fromarray(sheet(np.stack(pictures), len(result.sheet_units), gap=4)).quantize(256).save(path, optimize=True)
    (HERE / "deconvnet.md").write_text("\n".join(page(len(images), found)))


def page(images: int, found: Mapping[str, Any]) -> list[str]:
    """The page, in Markdown."""
    result, specific, truth = (found[name] for name in ("deconvnet", "specificity", "faithfulness"))
    units = ", ".join(f"`{unit}`" for unit in result.sheet_units)
    return [
        "# Reconstructions, and what they are worth",
        "",
        "![Reconstructions of six units by three methods](deconvnet.png)",
        "",
        f"SqueezeNet 1.0 with ImageNet weights, {images} photographs. Columns: the strongest unit of six layers, in",
        f"order of depth ({units}), each on the photograph",
        "that excites it most, within what it can see. Rows: deconvnet, guided, gradient. Grey is 0; every picture has",
        "its own scale.",
        "",
        "## Do they depend on their unit?",
        "",
        f"Specificity over {specific.images} photographs, one unit each (mean, 95% bootstrap intervals; units that are",
        "silent on a photograph left out): 1 - mean |cosine| with the pictures of 8 other units of the layer at the",
        "same position; 0: all give the same picture. Energy: the share of a deconvnet picture in the strongest tenth",
        "of its area; a flat picture has 0.10. Shuffled: the same network with the numbers of every parameter in",
        "random order.",
        "",
        *worth(specific),
        "",
        "## Do they point at the pixels that matter?",
        "",
        f"How far a unit or the answer falls when the strongest {truth.share:.0%} of what it can see, by a map of it,",
        "is blurred; beside random areas of equal size and shape, the strongest edges and the middle of what it can",
        "see.",
        "",
        *falls(truth),
        "",
        "## Rectify on the way back, or mask by the forward ReLU?",
        "",
        *(line for sentence in result.verdict for line in (sentence, "")),
        "Made by `python docs/gallery/make_deconvnet.py`, seed 0.",
        "",
    ]


if __name__ == "__main__":
    main()
