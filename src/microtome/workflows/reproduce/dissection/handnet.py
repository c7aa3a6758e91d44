"""Networks built by hand beside the trained ones: without training, with the read-out trained, and all their numbers.

The document announces such a network and describes none, so its blocks and architectures are ours.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....formulas.labels import label_kernels
from ....formulas.templates import in_words, unit
from ....images.collection import Images
from ....network.open import Model, open_model
from ....network.recording.inputs import prepare
from ....network.training import EVALUATION_BATCH, Recipe, in_memory, train
from ....network.zoo import ZOO
from ....network.zoo.handnet import LABELS, HandNet, HandNet2, fit_prototypes
from ....network.zoo.handnet_blocks import Line, LineConv
from ....progress import Progress
from ...train import VALIDATION, parts, save_weights
from .networks import Net, Nets, Settings

TWO, WIDE, THREE, RANDOM = "handnet2", "handnet2_wide", "handnet3", "random lines"
BY_HAND = (TWO, WIDE, THREE)
RATE = 2e-2  # chosen of 0.01, 0.02 and 0.04 on images held aside of the training images
PROTOTYPES = 1000  # images of each class, at most, that a read-out in closed form is made from
DRAWS = 3  # controls of each kind and seed
FURTHEST = 2.0  # pixels: half a filter of 5
DRIFT = ("theta", "offset", "sigma", "gain", "threshold")


def measure_handnet(nets: Nets, images: str, settings: Settings, out: Path, progress: Progress) -> dict[str, Any]:
    """Every kind of network, seed by seed, trained on the images of the network beside it for as many steps.

    All in numbers of right answers on the images held out; `lost` and `gained` are those that only the network beside
    it, or only this one, has right. The trained networks are kept in `handnets`.
    """
    like = open_model(f"zoo:{TWO}")
    learning, held_out = parts(like, images, None, strict=False, download=False)
    found = [_seed(net, like, learning, held_out, nets, settings, out, progress) for net in nets.trained]
    return {
        "tested": len(held_out), "seeds": [net.seed for net in nets.trained], "rate": RATE, "epochs": settings.epochs,
        "parameters": {name: open_model(f"zoo:{name}").parameters for name in BY_HAND},
        "beside": nets.trained[0].model.parameters, "prototypes": found[0].pop("prototypes"),
        "trained": found,
    }  # fmt: skip


def _seed(
    net: Net, like: Model, learning: Images, held_out: Images, nets: Nets, settings: Settings, out: Path,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    recipe = replace(settings.recipe(net.seed), rate=RATE)
    validation, fitted = learning.split("validation", VALIDATION, recipe.seed)  # as the network beside it
    pixels, labels = in_memory(fitted)
    some = balanced(labels.numpy(), PROTOTYPES, recipe.seed)
    shown = prepare(pixels[some], like.preprocessing, like.module), labels[some]
    test, truth = in_memory(held_out)
    test = prepare(test, like.preprocessing, like.module)
    right = right_of(net.model.module, held_out, net.model)
    found: dict[str, Any] = {"free": int(right.sum()), "prototypes": len(some)}
    for name in (*BY_HAND, RANDOM):
        progress.say(f"{name}, seed {net.seed}")
        model = _built(name, net.seed)
        module = model.module
        assert isinstance(module, HandNet)
        fit_prototypes(module, *shown)
        raw = answers(module, test, truth)
        found[name] = {"by hand": int(raw.sum()), "raw_lost": int((right & ~raw).sum()),
                       "raw_gained": int((raw & ~right).sum())}  # fmt: skip
        before = {key: value.clone() for key, value in module.state_dict().items()}
        if name == TWO:
            found[name]["read-out"] = int(_read_out(module, fitted, validation, model, recipe, test, truth).sum())
            module.load_state_dict(before)
        train(module, fitted, validation, model.preprocessing, recipe, progress=progress)
        tuned = answers(module, test, truth)
        found[name] |= {"tuned": int(tuned.sum()), "lost": int((right & ~tuned).sum()),
                        "gained": int((tuned & ~right).sum()), **changed(module.conv1)}  # fmt: skip
        if name != RANDOM:
            save_weights(model, out / "handnets" / f"{name}-{net.seed}.safetensors", recipe, float(tuned.mean()))
    found["controls"] = {
        "lines": [_closed(random_lines(net.seed, draw), shown, test, truth) for draw in range(DRAWS)],
        "noise": [_closed(noise_kernels(net.seed, draw), shown, test, truth) for draw in range(DRAWS)],
    }
    return found


def _built(name: str, seed: int) -> Model:
    """A network as it is built; what is not chosen by hand is drawn by seed."""
    like = open_model(f"zoo:{TWO if name == RANDOM else name}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = random_lines(seed, 0) if name == RANDOM else ZOO[name].build()
    return replace(like, module=module.eval(), weights="built here")


def _read_out(
    module: HandNet, fitted: Images, validation: Images, model: Model, recipe: Recipe, test: Tensor, truth: Tensor
) -> np.ndarray:
    """With the read-out alone trained; afterwards all may learn again."""
    module.requires_grad_(False).readout.requires_grad_(True)
    train(module, fitted, validation, model.preprocessing, recipe)
    module.requires_grad_(True)
    return answers(module, test, truth)


def _closed(module: HandNet, shown: tuple[Tensor, Tensor], test: Tensor, truth: Tensor) -> int:
    fit_prototypes(module, *shown)
    return int(answers(module, test, truth).sum())


def random_lines(seed: int, draw: int) -> HandNet2:
    """The network by hand with as many lines at random, as wide and with the same thresholds."""
    random = np.random.default_rng([seed, draw])
    angles, offsets = random.uniform(0, 180, len(LABELS)), random.uniform(-FURTHEST, FURTHEST, len(LABELS))
    return HandNet2([Line(theta=theta, offset=offset) for theta, offset in zip(angles, offsets, strict=True)])


def noise_kernels(seed: int, draw: int) -> HandNet2:
    """The network by hand with Gaussian noise in the place of its lines, of mean 0 and norm 1 as these."""
    net = HandNet2.from_labels()
    side = net.conv1.kernel_size[0]
    kernels = unit(np.random.default_rng([seed, draw]).standard_normal((len(LABELS), 1, side, side)))
    free = nn.Conv2d(1, len(LABELS), side, padding=side // 2)
    with torch.no_grad():
        free.weight.copy_(torch.from_numpy(kernels))
        assert free.bias is not None and net.conv1.bias is not None
        free.bias.copy_(net.conv1.bias)
    net.conv1 = free  # type: ignore[assignment]
    return net.eval()


def balanced(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Places of so many images of each class, all of a class that has fewer; drawn by seed. Shapes: (N,) -> (n,)."""
    random = np.random.default_rng(seed)
    each = [random.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(each))


def answers(module: nn.Module, images: Tensor, labels: Tensor) -> np.ndarray:
    """Which images are classified correctly. Shapes: prepared (N, C, H, W), (N,) -> (N,) bool."""
    module.eval()
    with torch.no_grad():
        said = torch.cat([module(some).argmax(1) for some in images.split(EVALUATION_BATCH)])  # type: ignore[no-untyped-call]
    return (said == labels).numpy()


def right_of(module: nn.Module, images: Images, model: Model) -> np.ndarray:
    """The same with images as they are kept."""
    pixels, labels = in_memory(images)
    return answers(module, prepare(pixels, model.preprocessing, module), labels)


def changed(conv: LineConv) -> dict[str, Any]:
    """How the lines were built and what they are now, in numbers and in words; and how many words would be the same
    if those of now were dealt out at random.
    """
    built, now = conv.built.numpy(), conv.numbers().detach().numpy()
    asked = [in_words("line", float(theta), float(offset)) for theta, offset in built[:, :2]]
    labels = label_kernels(conv.weight.detach()[:, 0].double().numpy())
    words = [label.words for label in labels]
    return {"asked": asked, "words": words, "kept": sum(map(str.__eq__, asked, words)), "of": len(asked),
            "kept_by_chance": by_chance(asked, words), "built": built.tolist(), "now": now.tolist()}  # fmt: skip


def by_chance(asked: Sequence[str], words: Sequence[str]) -> float:
    """How many of two lists of words are the same, on average over all orders of one of them."""
    return sum(words.count(word) for word in asked) / len(asked)
