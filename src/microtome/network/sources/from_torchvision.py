"""Networks of torchvision by name, with the preprocessing of their weights entry."""

from pathlib import Path
from typing import Any

from ...checks import known
from ...errors import BadModel
from ...images.preprocessing import Preprocessing
from ..cutting.cuts import Cut
from ..model import Model
from .weights import RANDOM, is_weights_file, load_weights, named, same_random_weights

# heads that only training uses: of GoogLeNet and Inception, and of the segmentation networks
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.", "aux_classifier.")
SEGMENTS = "SemanticSegmentation"  # torchvision's name of the preset


def open_torchvision(source: str, name: str, weights: str, trust_pickle: bool) -> Model:
    """Open `torchvision:NAME[@WEIGHTS]`, a classifier or a network for segmentation.

    Raises: UnknownName, BadModel.
    """
    from torchvision import models

    known("torchvision model", name, models.list_models(), "`torchvision.models.list_models()` lists them")
    entries = models.get_model_weights(name)
    is_file = is_weights_file(weights)
    if weights and not is_file and weights != "DEFAULT":
        known("Weights entry", weights, [each.name for each in entries],
              "Give one of them, DEFAULT, or a file of weights")  # fmt: skip
    entry = entries.DEFAULT if not weights or is_file or weights == "DEFAULT" else entries[weights]
    transforms = entry.transforms()
    preprocessing = _of_entry(transforms, name)
    options = _options(name, type(transforms).__name__, weights, is_file)
    with same_random_weights():
        try:
            module = models.get_model(name, weights=None if is_file or not weights else entry, **options).eval()
        except OSError as error:
            raise BadModel(
                f"The weights {entry} could not be fetched: {error}",
                "Named weights come from the network or from torch's cache",
                "Give a file instead: torchvision:NAME@FILE.safetensors",
            ) from error
    cuts: tuple[Cut, ...] = ()
    if is_file:
        cuts = load_weights(module, Path(weights), trust_pickle=trust_pickle, passed_over=AUXILIARY)
    words = named(weights, cuts) if is_file else (entry.name if weights else RANDOM)
    return Model(
        module=module, name=name, source=source, weights=words, preprocessing=preprocessing,
        preprocessing_from=f"torchvision's entry {entry}", class_names=tuple(entry.meta.get("categories", ())),
        notes=_notes(type(transforms).__name__, preprocessing), cuts=cuts,
    )  # fmt: skip


def _options(name: str, preset: str, weights: str, is_file: bool) -> dict[str, Any]:
    if preset == SEGMENTS:  # else the backbone's weights would be fetched
        return {"weights_backbone": None}
    if name in ("googlenet", "inception_v3") and (is_file or not weights):
        # what torchvision itself sets for these two when it loads weights
        return {"init_weights": False, "aux_logits": False, "transform_input": is_file}
    return {}


def _of_entry(transforms: Any, name: str) -> Preprocessing:
    """Our preprocessing from torchvision's preset for classification or segmentation."""
    preset = type(transforms).__name__
    if preset not in ("ImageClassification", SEGMENTS):
        raise BadModel(
            f"{name} comes with {preset}, which is the preset of no classifier and no segmentation",
            "Models opened by name need a preset for single images with resize, mean and std",
            "Build the model yourself and pass it to open_model with size, mean and std",
        )
    resize = transforms.resize_size[0]
    side = resize if preset == SEGMENTS else transforms.crop_size[0]
    return Preprocessing(
        size=(side, side), resize=resize, mean=tuple(transforms.mean), std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )  # fmt: skip


def _notes(preset: str, preprocessing: Preprocessing) -> tuple[str, ...]:
    if preset != SEGMENTS:
        return ()
    height, width = preprocessing.size
    return (f"torchvision gives this network whole images; here it sees the middle {height} x {width} of each",)
