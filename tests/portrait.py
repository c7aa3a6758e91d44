"""Everything about a module and about the process around it that a look could have changed."""

import random
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

CONTAINERS = (dict, list, tuple, set, frozenset, deque)
Facts = tuple[object, tuple[Any, ...]]  # the object itself, which is kept so that its id stays its own, and its facts
Portrait = dict[str, Facts]


def portrait(module: nn.Module) -> Portrait:
    """Every attribute of every submodule, down to the bits of the tensors in nested containers, by path."""
    found: Portrait = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for name, value in vars(part).items():
            _draw(f"{path}|{name}", value, found)
    return found | surroundings()


def surroundings() -> Portrait:
    """The random states, the modes of torch, and the hooks of all modules."""
    hooks = {name: list(v.items()) for name, v in vars(torch_module).items() if name.startswith("_global_") and
             isinstance(v, dict)}  # fmt: skip
    assert len(hooks) > 5
    states = {
        "random": (torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()),  # noqa: NPY002
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "defaults": (torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"),
                     torch.is_autocast_cache_enabled()),
        "determinism": (torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()),
        "cudnn": [getattr(torch.backends.cudnn, n) for n in ("enabled", "benchmark", "deterministic", "allow_tf32")],
        "overrides": (torch._C._is_torch_function_enabled(), torch._C._len_torch_function_stack(),
                      torch._C._is_torch_function_all_disabled()),
        "saving": (torch._C._autograd._top_saved_tensors_default_hooks(True),),
        "hooks": (repr(hooks),),
    }  # fmt: skip
    return {f"torch: {name}": (None, tuple(facts)) for name, facts in states.items()}


def differences(before: Portrait, after: Portrait) -> list[str]:
    """What is no longer the same object with the same facts; empty if nothing has changed."""
    if list(before) != list(after):
        return [f"not in both: {path}" for path in before.keys() ^ after.keys()] or ["the order of attributes"]
    return [path for path, facts in before.items() if not _same(facts, after[path])]


def _draw(path: str, value: Any, found: Portrait) -> None:
    if isinstance(value, Tensor):
        # what the network itself writes into is put back, and that is one more write
        version = value._version if isinstance(value, nn.Parameter) and not value.is_inference() else None
        grad = value.grad if value.is_leaf else None
        kind = (value.dtype, value.device, value.shape, value.stride(), value.data_ptr(), version)
        found[path] = value, (*kind, value.requires_grad, value.is_inference(), value.detach().clone())
        found[f"{path}.graph"] = value.grad_fn, ()
        if grad is not None:
            _draw(f"{path}.grad", grad, found)
    elif isinstance(value, CONTAINERS):
        found[path] = value, (len(value),)
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for place, (key, item) in enumerate(items):
            _draw(f"{path}[{place}: {key!r}]", item, found)
    else:
        found[path] = value, ()


def _same(one: Facts, other: Facts) -> bool:
    (value, facts), (still, now) = one, other
    identical = value is still or (isinstance(value, (bool, int, float, str)) and value == still)
    return identical and len(facts) == len(now) and all(map(_equal, facts, now))


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(_bits(one), _bits(other))  # NaN equals itself
    return bool(one == other)


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
