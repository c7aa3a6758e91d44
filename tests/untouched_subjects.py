"""The networks of promise 1, as users bring them, and a look that uses every way of running them."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.analysis import Analysis, Pass, Steps, at, each
from microtome.network.open import Model
from microtome.network.recording.calls import first_tensor
from microtome.network.zoo import ZOO
from microtome.runs.runner import Look
from microtome.statistics import Moments
from sketches import Sketch, SketchResult
from toys import SIDE, Answers, Caching, Everything, Functional, InPlace, Reused, Shared, noise, opened, seeded
from toys import with_random_weights as torchvision

TOYS: dict[str, Callable[[], nn.Module]] = {
    "in-place": lambda: seeded(InPlace),
    "functional": lambda: seeded(Functional),
    "reused": lambda: seeded(Reused),
    "shared": lambda: seeded(Shared),
    "cached tensor": lambda: seeded(Caching),
    "dictionary": lambda: seeded(Answers, dict),
}
RESIDUAL = ("resnet20", "resnet32", "resnet44", "resnet56")
TORCHVISION = (
    "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small", "resnet18",
    "shufflenet_v2_x0_5", "squeezenet1_0", "vgg11_bn", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "vit_b_16",
)  # fmt: skip
BUILDS = TOYS | {name: lambda name=name: seeded(ZOO[name].build) for name in RESIDUAL}
BUILDS |= {name: lambda name=name: torchvision(name) for name in TORCHVISION}


def side(name: str) -> int:
    """Pixels of an image: as few as the architecture takes."""
    return {**dict.fromkeys(TOYS, SIDE), "inception_v3": 75}.get(name, 32)


def mixed(module: nn.Module) -> None:
    """Some parts in train mode and others not, some weights frozen, some with gradients."""
    for place, part in enumerate(module.modules()):
        part.training = place % 3 != 0
    for place, parameter in enumerate(module.parameters()):
        parameter.requires_grad = place % 2 == 0
        parameter.grad = torch.ones_like(parameter) if place % 4 == 0 else None


def frozen(module: nn.Module) -> None:
    module.requires_grad_(False)


# What the caller has done to the network, and the mode that the caller is in.
MODES: dict[str, tuple[Callable[[nn.Module], object], Callable[[], AbstractContextManager[object]]]] = {
    "train": (nn.Module.train, nullcontext),
    "eval": (nn.Module.eval, nullcontext),
    "mixed": (mixed, nullcontext),
    "frozen": (frozen, nullcontext),
    "no_grad": (mixed, torch.no_grad),
    "inference_mode": (mixed, torch.inference_mode),
    "autocast": (mixed, lambda: torch.autocast("cpu")),
}


@contextmanager
def one_thread() -> Iterator[None]:
    """Small images: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lived_in(name: str) -> nn.Module:
    """The network after a forward pass in train mode, with hooks of the user's own; all random states begin anew."""
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - one of the toys draws from it
    module = BUILDS[name]().train()
    if name in TOYS:
        module(image(name))  # what it keeps has a graph now
    module.register_forward_hook(lambda *_: None)
    module.register_forward_hook(lambda *_, **__: None, with_kwargs=True, always_call=True, prepend=True)
    part = [part for part in module.modules() if next(part.children(), None) is None][0]
    part.register_forward_pre_hook(lambda *_: None)
    part.register_forward_hook(lambda *_: None)
    part.register_state_dict_pre_hook(lambda *_: None)
    return module


def image(name: str) -> Tensor:
    """Two images as the network takes them."""
    return torch.linspace(-1, 1, 2 * 3 * side(name) ** 2).sin().view(2, 3, side(name), side(name))


def summed(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True, kw_only=True)
class EveryWay(Sketch):
    """A pass under an edit, one that keeps everything, and one with gradients."""

    name = "every_way"

    def steps(self, specimen: mt.Specimen) -> Steps:
        first, output = specimen.sites.layers[0].name, specimen.sites.output
        reading = dict(list(specimen.reading().items())[:3])
        edited = yield Pass(means=each(reading, Moments()), under=[mt.Edit.silence(first, 0)])
        pushed = yield Pass(all=at((first, output), Everything()), loss=summed)
        return SketchResult(found={"means": {k: v.mean for k, v in edited["means"].items()}, "pushed": pushed["all"]})


def look(model: Model, analyses: Sequence[Analysis] = (), count: int = 3) -> SketchResult:
    """Sites, receptive fields and a look, through every entrance; what `EveryWay` has found."""
    classes = mt.Specimen(model=model).classes
    specimen = mt.Specimen(model=model, images=noise(model, count, classes), effort="quick")
    assert len(specimen.receptive_fields) == len(specimen.sites)
    outcome = Look(specimen, batch_size=2, device="cpu").run([EveryWay(), *analyses])
    assert outcome.skipped.keys() <= {"deconvnet"}  # it has no rule for smooth activations
    done = [analysis.name for analysis in analyses if analysis.name not in outcome.skipped]
    assert list(outcome.results) == ["every_way", *done]
    return outcome.results["every_way"]


def model_of(name: str, module: nn.Module) -> Model:
    return opened(module, side(name))


def trained(name: str, module: nn.Module) -> dict[str, Tensor]:
    """Gradients and state after one training step."""
    module.train().requires_grad_(True)
    module.zero_grad()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    logits = first_tensor(module(image(name)))
    assert logits is not None
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()
    gradients = {f"{n}.grad": p.grad for n, p in module.named_parameters() if p.grad is not None}
    optimizer.step()
    return gradients | module.state_dict()
