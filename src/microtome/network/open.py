"""Open a network by name: torchvision's, the zoo's, or a module of your own."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checks import known
from ..errors import BadModel, UnknownName
from ..preprocessing import Preprocessing
from .receptive_field import Field, receptive_fields
from .sites import Sites, find_sites
from .untouched import untouched
from .zoo import ZOO

DEFAULT_SIDE = 224  # for a module of unknown input size
LISTED_KEYS = 6
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads that only the training of GoogLeNet and Inception uses
WRAPPED = "module."  # in front of every key that was saved from nn.DataParallel


@dataclass(frozen=True, kw_only=True)
class Model:
    """One network with what is known about it. `source` is how it was opened, `weights` says in words which it has."""

    module: nn.Module
    name: str
    source: str
    weights: str
    preprocessing: Preprocessing
    preprocessing_from: str
    class_names: tuple[str, ...] = ()

    @cached_property
    def sites(self) -> Sites:
        """Every place one can look at, found by running the network on two images."""
        with untouched(self.module) as module:
            # smooth and not constant, and no random state is touched
            ramp = torch.linspace(-1, 1, 2 * int(torch.Size(self.preprocessing.shape).numel())).sin()
            image = ramp.view(2, *self.preprocessing.shape)
            parameter = next(module.parameters(), image)
            return find_sites(module, image.to(parameter.device, parameter.dtype))

    @cached_property
    def receptive_fields(self) -> Mapping[str, Field]:
        """What each site's positions see of the image; None for the whole image."""
        with untouched(self.module) as module:
            return receptive_fields(module, self.sites, self.preprocessing.shape)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of every parameter and buffer."""
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in self.module.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def weight(self, layer: str) -> torch.Tensor:
        """The weights of a layer: (units, channels in per group, kernel rows, kernel columns) or (units, inputs).

        Raises: UnknownName if there is no such site, or none with weights.
        """
        site = self.sites[layer]
        if site.weight is None:
            names = ", ".join(each.name for each in self.sites.layers)
            raise UnknownName(f"Site {layer!r} holds no weights", f"Layers with weights are: {names}",
                              "Name one of them")  # fmt: skip
        owner, _, attribute = site.weight.rpartition(".")
        tensor: torch.Tensor = getattr(self.module.get_submodule(owner), attribute)
        weight = tensor.detach()
        if "ranspose" in site.operation:  # stored as (channels in, units per group, rows, columns)
            groups = site.units // weight.shape[1]
            weight = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
        return weight


def open_model(
    source: str | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] = (),
) -> Model:
    """Open `torchvision:NAME[@WEIGHTS]`, `zoo:NAME[@WEIGHTS]` or a module of yours.

    WEIGHTS is the path of a .safetensors file or, for torchvision, DEFAULT or the name of a weights entry. For a
    module, `size`, `mean` and `std` say what it expects (default: 224 x 224, ImageNet's numbers).
    Raises: UnknownName, BadModel.
    """
    if isinstance(source, nn.Module):
        return _wrap(source, size, mean, std, class_names)
    if size is not None or mean is not None or std is not None or class_names:
        raise BadModel(
            f"{source!r} was given with a size, mean, std or class names of your own",
            "A network opened by name brings its own", "Leave them out, or pass the module itself",
        )  # fmt: skip
    scheme, _, rest = source.partition(":")
    known("Model scheme", scheme, ("torchvision", "zoo"), "Write torchvision:NAME[@WEIGHTS] or zoo:NAME[@WEIGHTS]")
    name, _, weights = rest.partition("@")
    return (_open_torchvision if scheme == "torchvision" else _open_zoo)(source, name, weights)


def _open_zoo(source: str, name: str, weights: str) -> Model:
    known("Zoo network", name, ZOO, "Write zoo:NAME or zoo:NAME@FILE.safetensors")
    entry = ZOO[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = entry.build().eval()
    if weights:
        load_weights(module, Path(weights))
    return Model(
        module=module, name=name, source=source, weights=Path(weights).name if weights else "random weights (seed 0)",
        preprocessing=entry.preprocessing, preprocessing_from=f"zoo entry {name}", class_names=entry.class_names,
    )  # fmt: skip


def _open_torchvision(source: str, name: str, weights: str) -> Model:
    from torchvision import models

    known("torchvision model", name, models.list_models(), "`torchvision.models.list_models()` lists them")
    entries = models.get_model_weights(name)
    is_file = weights.endswith(".safetensors")
    if weights and not is_file and weights != "DEFAULT":
        known(
            "Weights entry",
            weights,
            [entry.name for entry in entries],
            "Give one of them, DEFAULT, or a .safetensors file",
        )
    entry = entries.DEFAULT if not weights or is_file or weights == "DEFAULT" else entries[weights]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # what torchvision itself sets for these two when it loads weights
        bare = {"init_weights": False, "aux_logits": False, "transform_input": is_file}
        options = bare if name in ("googlenet", "inception_v3") and (is_file or not weights) else {}
        try:
            module = models.get_model(name, weights=None if is_file or not weights else entry, **options).eval()
        except OSError as error:
            raise BadModel(
                f"The weights {entry} could not be fetched: {error}",
                "Named weights come from the network or from torch's cache",
                "Give a file instead: torchvision:NAME@FILE.safetensors",
            ) from error
    if is_file:
        load_weights(module, Path(weights))
    named = Path(weights).name if is_file else (entry.name if weights else "random weights (seed 0)")
    return Model(
        module=module, name=name, source=source, weights=named, preprocessing=_of_entry(entry.transforms(), name),
        preprocessing_from=f"torchvision's entry {entry}", class_names=tuple(entry.meta.get("categories", ())),
    )  # fmt: skip


def _of_entry(transforms: Any, name: str) -> Preprocessing:
    """Our preprocessing from torchvision's preset for classification."""
    if not hasattr(transforms, "crop_size"):
        raise BadModel(
            f"{name} comes with {type(transforms).__name__}, which is not the preset of a classifier",
            "Models opened by name need a preset with resize, crop, mean and std",
            "Build the model yourself and pass it to open_model with size, mean and std",
        )
    side = transforms.crop_size[0]
    return Preprocessing(
        size=(side, side), resize=transforms.resize_size[0], mean=tuple(transforms.mean), std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )  # fmt: skip


def _wrap(
    module: nn.Module, size: int | tuple[int, int] | None, mean: Sequence[float] | None, std: Sequence[float] | None,
    class_names: Sequence[str],
) -> Model:  # fmt: skip
    first = next((m for m in module.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    channels = first.in_channels if first is not None else 3
    defaults = (
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if channels == 3 else ((0.0,) * channels, (1.0,) * channels)
    )
    pair = (size, size) if isinstance(size, int) else size or (DEFAULT_SIDE, DEFAULT_SIDE)
    given = [word for word, value in (("size", size), ("mean", mean), ("std", std)) if value is not None]
    return Model(
        module=module, name=type(module).__name__, source=f"module {type(module).__name__}", weights="as given",
        preprocessing=Preprocessing(
            size=pair, resize=min(pair), mean=tuple(mean or defaults[0]), std=tuple(std or defaults[1])
        ),
        preprocessing_from=f"given: {', '.join(given)}" if given else "defaults (nothing was given)",
        class_names=tuple(class_names),
    )  # fmt: skip


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a .safetensors file into a module; every key must fit.

    Raises: BadModel, with the keys that are missing, unexpected or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise BadModel(f"There is no file {str(path)!r}", "Weights are a .safetensors file", "Check the path")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise BadModel(
            f"{path.name} is no .safetensors file ({error})", "Weights are a .safetensors file", "Convert it first"
        ) from error
    wanted = module.state_dict()
    if all(key.startswith(WRAPPED) for key in state) and not any(key.startswith(WRAPPED) for key in wanted):
        state = {key.removeprefix(WRAPPED): tensor for key, tensor in state.items()}
    # a counter that only training with cumulative averages reads; many files leave it out
    missing = sorted(k for k in set(wanted) - set(state) if not k.endswith("num_batches_tracked"))
    unexpected = sorted(k for k in set(state) - set(wanted) if not k.startswith(AUXILIARY))
    shapes = [k for k in sorted(set(state) & set(wanted)) if state[k].shape != wanted[k].shape]
    if missing or unexpected or shapes:
        faults = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        raise BadModel(
            f"{path.name} does not fit the network: " + "; ".join(f"{k}: {_listed(v)}" for k, v in faults.items() if v),
            "Every parameter and buffer must be there, in its shape",
            "Check that the architecture and the file belong together",
        )
    module.load_state_dict(state, strict=False)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - LISTED_KEYS} more" if len(keys) > LISTED_KEYS else ""
    return f"{len(keys)} ({', '.join(keys[:LISTED_KEYS])}{more})"
