"""Make the gallery's sheet of reconstructions, and its page with what they are worth.

The strongest unit of six layers of SqueezeNet (ImageNet weights) over 500 photographs, led back by three methods. The
photographs and weights are the project's shared data; the sheet shows reconstructions alone.

    MICROTOME_DATA=... python docs/gallery/make_deconvnet.py [--checked 64]
"""

import argparse
import os
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

import microtome as mt
from microtome.analyses.deconvnet import Deconvnet, DeconvnetResult
from microtome.analyses.faithfulness import Faithfulness, FaithfulnessResult
from microtome.figures import sheet
from microtome.formulas.resampling import bootstrap_mean
from microtome.network.rules import Method
from microtome.network.specimen import Specimen
from microtome.progress import Terminal
from microtome.runner import Look

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


def in_words(values: np.ndarray) -> str:
    """A mean with its interval."""
    mean, low, high = bootstrap_mean(values[~np.isnan(values)])
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def table(result: DeconvnetResult) -> list[str]:
    """What the reconstructions of each layer are worth, in Markdown."""
    lines = ["| layer | specificity | weights shuffled | energy in the strongest tenth | weights shuffled |",
             "|---|---|---|---|---|"]  # fmt: skip
    for layer in result.specific:
        parts = (result.specific, result.specific_shuffled, result.focused, result.focused_shuffled)
        lines.append(f"| {layer} | " + " | ".join(in_words(part[layer]) for part in parts) + " |")
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
    asked = [Faithfulness(units=16, images=64), Deconvnet(checked=options.checked)]
    found = Look(specimen, progress=Terminal()).run(asked).results
    result, truth = cast(DeconvnetResult, found["deconvnet"]), cast(FaithfulnessResult, found["faithfulness"])
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
    (HERE / "deconvnet.md").write_text("\n".join(page(len(images), result, truth)))


def page(images: int, result: DeconvnetResult, truth: FaithfulnessResult) -> list[str]:
    """The page, in Markdown."""
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
        f"How far deconvnet pictures depend on the unit, over {result.images} photographs, one unit each (mean, 95%",
        "bootstrap intervals; units that are silent on a photograph left out). Specificity is 1 - mean |cosine| with",
        "the pictures of 8 other units of the layer at the same position; 0: all give the same picture. A flat picture",
        "has 0.10 of its energy in a tenth of its area.",
        "",
        *table(result),
        "",
        f"Do they point at the pixels that matter? {truth.verdict()}",
        "",
        "| layer | deconvnet | guided | gradient |",
        "|---|---|---|---|",
        *(
            f"| {layer} | " + " | ".join(truth.line(layer, method) for method in METHODS) + " |"
            for layer in truth.layers
        ),
        "",
        "Made by `python docs/gallery/make_deconvnet.py`, seed 0.",
        "",
    ]


if __name__ == "__main__":
    main()
