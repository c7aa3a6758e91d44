"""What is left of a network learns on: by our own trainer, or by a command of the user's."""

import copy
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from ...errors import BadModel, RunFailed
from ...images.collection import Images
from ...network.cutting.kept import save_cut
from ...network.model import Model
from ...network.sources.weights import read_state
from ...network.training import Recipe, train
from ...network.zoo import ZOO
from ...progress import Progress

GENTLER = 0.2  # of the rate of SGD that a network of the zoo learnt with: it knows most already
SHOWN = 2000  # characters of what a failed command said


def usual_recipe(source: str, epochs: int, seed: int, rate: float = 0.0) -> Recipe:
    """How a network is retrained: as the zoo's own was trained, but gently; others by SGD at a small rate."""
    entry = ZOO.get(source.removeprefix("zoo:").partition("@")[0]) if source.startswith("zoo:") else None
    recipe = Recipe(optimizer="sgd", rate=0.005, weight_decay=1e-4, flip=True) if entry is None else entry.recipe
    if entry is not None and recipe.optimizer == "sgd":
        recipe = replace(recipe, rate=recipe.rate * GENTLER)
    return replace(recipe, epochs=epochs, batch_size=max(recipe.batch_size, 128), schedule="cosine", seed=seed,
                   drop_last=True, rate=rate or recipe.rate)  # fmt: skip


def retrained(model: Model, images: Images, validation: Images, recipe: Recipe, progress: Progress) -> Model:
    """A copy that has learnt on; of its epochs the one that does best on the validation images."""
    module = copy.deepcopy(model.module)
    with torch.inference_mode(False), torch.enable_grad():
        for parameter in module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        train(module, images, validation, model.preprocessing, recipe, progress=progress)
    return replace(model, module=module)


def by_command(model: Model, command: str, checkpoint: Path, facts: Mapping[str, str]) -> Model:
    """A copy with the weights that the user's command leaves in the checkpoint, a .safetensors file with our list.

    {checkpoint} in the command is the file's path, and {round}, {arm}, ... are what `facts` say; it reads the file
    (`load_pruned`), trains, and writes a state_dict of the same shapes over it.
    Raises: RunFailed if it fails; then nothing that was found before is lost.
    """
    save_cut(model.module, model.cuts, checkpoint)
    words = [_filled(word, {"checkpoint": str(checkpoint), **facts}) for word in shlex.split(command)]
    given = f"The command that retrains, {shlex.join(words)!r}"
    again = "Mend it and run the same `microtome prune` again: it goes on at this round"
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, env=os.environ | {"MICROTOME_ROUND": facts["round"]}
        )
    except OSError as error:
        raise RunFailed(f"{given} cannot be started ({error})", "It is a program with its arguments", again) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-SHOWN:]
        raise RunFailed(f"{given} ended with exit code {done.returncode}: {said}",
                        "It must end with 0; the rounds before are kept", again)  # fmt: skip
    module = copy.deepcopy(model.module)
    try:
        state = read_state(checkpoint)
        module.load_state_dict(dict(state))
    except (BadModel, RuntimeError) as error:
        raise RunFailed(f"{given} left weights that do not fit ({error})",
                        "It must write a state_dict with the shapes that it was given", again) from error  # fmt: skip
    return replace(model, module=module.eval())


def _filled(word: str, facts: Mapping[str, str]) -> str:
    for name, value in facts.items():
        word = word.replace("{" + name + "}", value)
    return word
