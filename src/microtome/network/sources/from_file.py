"""Networks that a Python file of the user's builds."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ...checks import known
from ...errors import BadModel
from ..model import Model
from .from_module import wrap_module
from .weights import RANDOM, load_weights, same_random_weights

WRITE = "Write file:PATH.py:FACTORY or file:PATH.py:FACTORY@WEIGHTS"
FACTS = ("SIZE", "MEAN", "STD", "CLASS_NAMES")


def open_file(source: str, rest: str, trust_pickle: bool) -> Model:
    """Open `file:PATH.py:FACTORY[@WEIGHTS]`: this runs the Python file, then calls FACTORY, which gives a module.

    The file may say what the network expects: SIZE (a side or rows and columns), MEAN and STD (one number a channel),
    CLASS_NAMES. What it does not say is as for a module of one's own. It may import the files beside it.
    Raises: BadModel if the file cannot be run or FACTORY gives no module; UnknownName if it has no FACTORY.
    """
    head, ending, tail = rest.rpartition(".py:")
    factory, _, weights = tail.partition("@")
    if not head or not factory:
        raise BadModel(f"{source!r} names no Python file with a factory", "A network of a file is file:PATH.py:FACTORY",
                       WRITE)  # fmt: skip
    path = Path(head + ending.removesuffix(":"))
    with _neighbours(path):
        file = _run(path)
        callables = [name for name, value in vars(file).items() if callable(value) and not name.startswith("_")]
        known(f"In {path.name} the factory", factory, callables, WRITE)
        module = _build(getattr(file, factory), f"{factory} of {path.name}")
    facts = {name.lower(): getattr(file, name) for name in FACTS if hasattr(file, name)}
    opened = wrap_module(module, origin=f"{path.name} holds", **facts)
    if weights:
        load_weights(module, Path(weights), trust_pickle=trust_pickle)
    given = [name for name in FACTS[:3] if name.lower() in facts]
    return replace(
        opened, name=factory, source=source, weights=Path(weights).name if weights else RANDOM,
        preprocessing_from=f"{', '.join(given)} of {path.name}" if given else f"defaults ({path.name} says nothing)",
    )  # fmt: skip


@contextmanager
def _neighbours(path: Path) -> Iterator[None]:
    """The files beside `path` can be imported, as they could if it were run as a script."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"microtome_network_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise BadModel(f"There is no file {str(path)!r}", "A network of a file is file:PATH.py:FACTORY",
                       "Check the path")  # fmt: skip
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise BadModel(
            f"{path.name} cannot be run ({type(error).__name__}: {error})",
            "A network's file is a Python file that can be imported", "Run it with Python to see the error in place",
        ) from error  # fmt: skip
    return module


def _build(factory: Any, what: str) -> nn.Module:
    try:
        with same_random_weights():
            made = factory()
    except Exception as error:
        raise BadModel(f"{what} raised {type(error).__name__}: {error}", "A factory is called without arguments",
                       "Call it yourself to see the error in place") from error  # fmt: skip
    if not isinstance(made, nn.Module):
        raise BadModel(f"{what} gave something of type {type(made).__name__}", "A factory gives a torch.nn.Module",
                       "Return the network itself")  # fmt: skip
    return made.eval()
