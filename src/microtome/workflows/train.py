"""Train a zoo network on an image source and keep its weights."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..api import open_images
from ..errors import BadModel
from ..formulas.proportions import wilson_interval
from ..images.collection import DECODERS, Images
from ..images.sources import has_parts
from ..network.open import Model, open_model
from ..network.recording.untouched import choose_device
from ..network.training import AfterStep, Recipe, Trained, accuracy, train
from ..network.zoo import ZOO
from ..progress import Progress
from ..runs.run import Run
from ..store import write_bytes
from .track.schedule import SHARE
from .track.tracker import Tracker

HELD_OUT = 0.25  # of a source that brings no test set
VALIDATION = 0.1  # of the training images, to choose the best epoch with


@dataclass(frozen=True, kw_only=True)
class Track:
    """How a training is followed: by which analyses, on how many of the validation images, into which folder."""

    analyses: tuple[str, ...]
    out: Path
    probe: int = 200
    share: float = SHARE


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained network, what it was tested on, and how well it does there.

    `broken` are the images that could not be read, of those to train on and those to test on: id and reason. `history`
    is the run of a training that was followed: up to its last step, which need not be the epoch that was kept.
    """

    model: Model
    held_out: Images
    trained: Trained
    accuracy: float
    interval: tuple[float, float]
    broken: dict[str, str]
    history: Run | None = None

    @property
    def tested(self) -> int:
        """Number of images that the accuracy is over."""
        return len(self.held_out) - len(self.held_out.broken)


def train_zoo(
    source: str,
    images: str | Path,
    recipe: Recipe | None = None,
    *,
    test: str | Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    strict: bool = False,
    download: bool = False,
    decoders: int = DECODERS,
    track: Track | None = None,
) -> TrainedModel:
    """Train `zoo:NAME` (by default as its own recipe says); test it on images that played no part in the training.

    With `track` it is followed while it learns, which changes nothing of what it learns.
    Neither the weights nor the choice of the best epoch have seen the test images. Raises: BadModel, BadImages.
    """
    recipe = recipe or recipe_of(source)
    name = _name(source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = dataclasses.replace(open_model(source), module=ZOO[name].build(), weights="trained here")
    learning, held_out = parts(model, images, test, strict=strict, download=download, decoders=decoders)
    validation, fitted = learning.split("validation", VALIDATION, recipe.seed)
    place = choose_device(model.module, device)
    following = _begun(model, validation, track, place, recipe.seed) if track is not None else None
    trained = train(model.module, fitted, validation, model.preprocessing, recipe, device=place, progress=progress,
                    after_step=_told(following) if following is not None else None)  # fmt: skip
    share = accuracy(model.module, held_out, model.preprocessing, place)
    model.module.cpu()
    if out is not None:
        save_weights(model, out, recipe, share)
    seen = len(held_out) - len(held_out.broken)
    low, high = wilson_interval(np.array(round(share * seen)), np.array(seen))
    return TrainedModel(
        model=model,
        held_out=held_out,
        trained=trained,
        accuracy=share,
        interval=(float(low), float(high)),
        broken=learning.broken | held_out.broken,
        history=following.run if following is not None else None,
    )


def _begun(model: Model, probe: Images, track: Track, place: torch.device, seed: int) -> Tracker:
    model.module.to(place)
    tracker = Tracker(model, probe.limit(track.probe, seed), out=track.out, analyses=track.analyses, share=track.share,
                      seed=seed)  # fmt: skip
    tracker.begin()
    return tracker


def _told(tracker: Tracker) -> AfterStep:
    """Tell a tracker of every step; after the last one the module still is what it learnt, not its best epoch."""

    def after_step(step: int, steps: int, epoch: int, loss: torch.Tensor) -> None:
        tracker.expect(steps)
        tracker.step(step=step, epoch=epoch, loss=loss)
        if step == steps:
            tracker.finish()

    return after_step


def recipe_of(source: str) -> Recipe:
    """How `zoo:NAME` is trained unless one says otherwise.

    Raises: BadModel if it is not of the zoo.
    """
    return ZOO[_name(source)].recipe


def _name(source: str) -> str:
    scheme, _, name = source.partition(":")
    if scheme != "zoo" or name not in ZOO:
        raise BadModel(f"{source!r} cannot be trained", f"Trained are: {', '.join(f'zoo:{n}' for n in ZOO)}",
                       "Train other networks with your own script and look at them with `microtome look`")  # fmt: skip
    return name


def parts(model: Model, images: str | Path, test: str | Path | None, **how: Any) -> tuple[Images, Images]:
    """What is trained on, and what is tested on: the source's own parts, or a quarter held out."""
    learning = open_images(images, model, split="train", **how)
    if test is not None:
        return learning, open_images(test, model, **how | {"download": how["download"] and has_parts(test)})
    if has_parts(images):
        return learning, open_images(images, model, split="test", **how)
    held_out, rest = learning.split("held-out", HELD_OUT)
    return rest, held_out


def save_weights(model: Model, out: Path, recipe: Recipe, share: float) -> None:
    """Write a .safetensors file; how it was trained stands in its metadata."""
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in model.module.state_dict().items()}
    about = {"source": model.source, "recipe": json.dumps(dataclasses.asdict(recipe)), "accuracy": f"{share:.4f}"}
    write_bytes(out, save(state, metadata=about))
