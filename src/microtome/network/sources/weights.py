"""Weights from a file: read without running anything that it brings, and loaded only if every key fits."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ...errors import BadModel
from ..cutting.cuts import Cut, in_words
from ..cutting.kept import cuts_in, replay

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
ALLOWED = (
    f"Weights are a .safetensors file, or a {', '.join(TORCH_SUFFIXES[:-1])} or {TORCH_SUFFIXES[-1]} of torch.save"
)
WRAPPERS = ("state_dict", "model", "model_state_dict")  # under which training scripts keep the weights
DEEPEST = 3  # wrappers within wrappers; a hostile file may hold itself
PREFIXES = ("module.", "_orig_mod.")  # in front of every key that was saved from nn.DataParallel or torch.compile
RANDOM = "random weights (seed 0)"
LISTED_KEYS = 6
LONGEST_CAUSE = 200  # characters of another library's message


def is_weights_file(text: str) -> bool:
    """Whether a name ends like a file of weights."""
    return Path(text).suffix.lower() in (".safetensors", *TORCH_SUFFIXES)


@contextmanager
def same_random_weights() -> Iterator[None]:
    """Modules built inside have the same weights every time, and the caller's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def load_weights(
    module: nn.Module, path: Path, *, trust_pickle: bool = False, passed_over: tuple[str, ...] = ()
) -> tuple[Cut, ...]:
    """Load a file of weights into a module; every key must fit, numbers are cast to the module's type.

    If the file says that channels were removed, they are taken out of the module first; which, is the answer.
    Keys of the file that begin like one of `passed_over` may have no place in the module.

    Raises: BadModel, with the keys that are missing, unexpected, of another shape or no such numbers.
    """
    cuts = cuts_in(path)
    replay(module, cuts, path.name)
    wanted = module.state_dict()
    state = _without_prefixes(read_state(path, trust_pickle=trust_pickle), wanted)
    shared = sorted(set(state) & set(wanted))
    faults = {
        # a counter that only training with cumulative averages reads; many files leave it out
        "missing": sorted(k for k in set(wanted) - set(state) if not k.endswith("num_batches_tracked")),
        "unexpected": sorted(k for k in set(state) - set(wanted) if not k.startswith(passed_over)),
        "of another shape": [k for k in shared if state[k].shape != wanted[k].shape],
        "of another kind": [f"{k}: {_kind(state[k])}" for k in shared if not _castable(state[k], wanted[k])],
    }
    if any(faults.values()):
        raise BadModel(
            f"{path.name} does not fit the network: " + "; ".join(f"{k}: {_listed(v)}" for k, v in faults.items() if v),
            "Every parameter and buffer must be there, in its shape and kind of number",
            "Check that the architecture and the file belong together",
        )
    module.load_state_dict(state, strict=False)
    return cuts


def read_state(path: Path, *, trust_pickle: bool = False) -> Mapping[str, Tensor]:
    """The tensors of a file of weights by name; nothing that the file brings is run, unless `trust_pickle`.

    Raises: BadModel if there is no such file, if it is damaged, or if it holds more than tensors.
    """
    if not path.is_file():
        raise BadModel(f"There is no file {str(path)!r}", ALLOWED, "Check the path")
    if not is_weights_file(path.name):
        raise BadModel(f"{path.name} ends in {path.suffix!r}", ALLOWED, "Convert it, or name it as what it is")
    is_safe = path.suffix.lower() == ".safetensors"
    return _state(_read_safetensors(path) if is_safe else _read_torch(path, trust_pickle), path)


def named(weights: str, cuts: tuple[Cut, ...]) -> str:
    """What a file of weights is called, and how many channels it is without."""
    return in_words(Path(weights).name, cuts)


def odd_numbers(module: nn.Module) -> tuple[str, ...]:
    """A sentence if a parameter is NaN or infinite, or a buffer NaN (masks may well be infinite); else none."""
    parameters = {name for name, _ in module.named_parameters()}
    counts = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor) or tensor.is_meta or not tensor.is_floating_point():
            continue
        odd = ~torch.isfinite(tensor.detach()) if name in parameters else torch.isnan(tensor)
        counts[name] = int(odd.sum())
    where = [name for name, count in counts.items() if count]
    if not where:
        return ()
    return (
        f"{sum(counts.values()):,} weights are NaN or infinite, in {_listed(where)}: what they reach means nothing",
    )


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # a hostile header meets more than one kind of error
        raise _damaged(path, error) from error


def _read_torch(path: Path, trust_pickle: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except Exception as error:  # what a pickle asks for may raise anything
        if trust_pickle:
            raise BadModel(
                f"{path.name} cannot be unpickled ({_cause(error)})", "A pickle needs the code of everything in it",
                "Put that code where Python finds it (PYTHONPATH), or save the state_dict alone",
            ) from error  # fmt: skip
        if "weights_only" not in str(error) or not _begins_like_a_pickle(path):
            raise _damaged(path, error) from error
        asked = re.search(r"GLOBAL (\S{1,80})", str(error))
        raise BadModel(
            f"{path.name} is a pickle of more than tensors" + (f" (it asks for {asked[1]})" if asked else ""),
            "Nothing is executed on load, and such a file runs code",
            "Save the state_dict alone; if you trust the file, --trust-pickle or open_model(..., trust_pickle=True)",
        ) from error


def _begins_like_a_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) in (b"P", b"\x80")  # of a zip with a pickle in it, or of the pickle itself


def _damaged(path: Path, error: Exception) -> BadModel:
    return BadModel(f"{path.name} is damaged or holds no weights ({_cause(error)})", ALLOWED, "Fetch or save it again")


def _cause(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text[:LONGEST_CAUSE]}".rstrip(": .")


def _state(loaded: Any, path: Path) -> Mapping[str, Tensor]:
    """What is inside the wrappers."""
    for _ in range(DEEPEST):
        if isinstance(loaded, nn.Module):
            loaded = loaded.state_dict()
        names = [name for name in WRAPPERS if isinstance(loaded, Mapping) and name in loaded]
        inner = next((loaded[name] for name in names if isinstance(loaded[name], Mapping | nn.Module)), None)
        if inner is None:
            break
        loaded = inner
    entries = loaded.items() if isinstance(loaded, Mapping) else [("the whole", loaded)]
    others = [f"{key!r:.60} is a {type(value).__name__}" for key, value in entries
              if not (isinstance(key, str) and isinstance(value, Tensor))]  # fmt: skip
    if others or not entries:
        raise BadModel(
            f"{path.name} holds no state_dict" + (f": {_listed(others)}" if others else ", it is empty"),
            f"Weights are tensors by name, alone or under one of: {', '.join(WRAPPERS)}",
            "Save module.state_dict()",
        )
    return dict(loaded)


def _without_prefixes(state: Mapping[str, Tensor], wanted: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """Keys as the module has them: wrappers put their prefix in front of every key, several wrappers several."""
    while state:
        fits = [p for p in PREFIXES if all(k.startswith(p) for k in state) and not any(k.startswith(p) for k in wanted)]
        if not fits:
            break
        state = {key.removeprefix(fits[0]): tensor for key, tensor in state.items()}
    return state


def _castable(given: Tensor, wanted: Tensor) -> bool:
    """Whether copying changes no more than the precision: a meta tensor would be passed over without a word."""
    there = given.layout is torch.strided and not given.is_meta and not given.is_quantized
    return there and _numbers(given) == _numbers(wanted)


def _numbers(tensor: Tensor) -> str:
    return "complex" if tensor.is_complex() else "floating" if tensor.is_floating_point() else "whole"


def _kind(tensor: Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_meta:
        return f"{name} without values"
    return name if tensor.layout is torch.strided else f"{name}, {str(tensor.layout).removeprefix('torch.')}"


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - LISTED_KEYS} more" if len(keys) > LISTED_KEYS else ""
    return f"{len(keys)} ({', '.join(keys[:LISTED_KEYS])}{more})"


def load_pruned(build: Callable[[], nn.Module] | nn.Module, path: str | Path) -> nn.Module:
    """A pruned network from its constructor (or a whole network, which is copied) and the file that was kept of it.

    Raises: BadModel if they do not belong together, or if the file is damaged.
    """
    if not (isinstance(build, nn.Module) or callable(build)):
        raise BadModel(f"load_pruned was given {build!r} to build the network with",
                       "A network is built by a function or class, or is a module",
                       "Open networks by name with open_model, as zoo:resnet20@FILE")  # fmt: skip
    module = copy.deepcopy(build) if isinstance(build, nn.Module) else build()
    load_weights(module, Path(path))
    return module.eval()
