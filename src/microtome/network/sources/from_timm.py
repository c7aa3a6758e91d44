"""Networks of timm by name, with the preprocessing of their configuration."""

from pathlib import Path
from types import ModuleType
from typing import Any

from ...checks import known
from ...errors import BadModel
from ...images.preprocessing import RESAMPLING, Preprocessing
from ..cutting.cuts import Cut
from ..model import Model
from .weights import RANDOM, is_weights_file, load_weights, named, same_random_weights

NAMED = "DEFAULT"  # the weights that the name stands for in timm


def open_timm(source: str, name: str, weights: str, trust_pickle: bool) -> Model:
    """Open `timm:NAME[@WEIGHTS]`; WEIGHTS is a file, or DEFAULT for timm's own, which it fetches.

    Raises: BadModel also if timm is not installed; UnknownName.
    """
    timm = _timm()
    is_file = is_weights_file(weights)
    if weights and not is_file:
        known("Weights entry", weights, [NAMED], "Give DEFAULT or a file of weights")
    known("timm model", name.partition(".")[0], timm.list_models(), "`timm.list_models()` lists them")
    with same_random_weights():
        try:
            module = timm.create_model(name, pretrained=weights == NAMED).eval()
        except Exception as error:  # a missing network has many types, by the version of what fetches
            raise BadModel(
                f"timm could not build {name} ({type(error).__name__}: {error})",
                "NAME is an architecture of timm, with a dot and a tag for one of its weights",
                "Check the tag and the network, or give a file instead: timm:NAME@FILE.safetensors",
            ) from error
    cuts: tuple[Cut, ...] = ()
    if is_file:
        cuts = load_weights(module, Path(weights), trust_pickle=trust_pickle)
    expected = timm.data.resolve_model_data_config(module)
    own = getattr(module, "pretrained_cfg", None) or {}
    return Model(
        module=module, name=name, source=source,
        weights=named(weights, cuts) if is_file else f"timm's own for {name}" if weights else RANDOM,
        preprocessing=_of_config(expected, name), preprocessing_from=f"timm's configuration of {name}",
        class_names=tuple(own.get("label_names") or ()), notes=_notes(expected), cuts=cuts,
    )  # fmt: skip


def _timm() -> ModuleType:
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise BadModel(
            f"timm is not installed here ({error})", "timm:NAME needs it, and it comes as an extra",
            "pip install 'microtome[timm]'",
        ) from error  # fmt: skip
    return timm


def _of_config(expected: dict[str, Any], name: str) -> Preprocessing:
    """Our preprocessing from timm's: the short side is resized to the side divided by the part that is kept."""
    _, height, width = expected["input_size"]
    if height != width or expected["interpolation"] not in RESAMPLING:
        raise BadModel(
            f"{name} expects {height} x {width} images, resized by {expected['interpolation']}",
            f"From timm are opened networks for squares, resized by one of: {', '.join(RESAMPLING)}",
            "Build the model with timm.create_model and pass it to open_model with size, mean and std",
        )
    return Preprocessing(
        size=(height, width), resize=int(height / expected["crop_pct"]), mean=tuple(expected["mean"]),
        std=tuple(expected["std"]), interpolation=expected["interpolation"],
    )  # fmt: skip


def _notes(expected: dict[str, Any]) -> tuple[str, ...]:
    mode = expected.get("crop_mode", "center")
    if mode == "center":
        return ()
    return (f"timm prepares images that are not square by {mode!r} for this network; here their middle is cut out",)
