"""Networks that a Python file of the user's builds."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from torch import nn

from ...errors import BadModel
from ...factories import call, imported
from ..model import Model
from .from_module import wrap_module
from .weights import RANDOM, load_weights, named, same_random_weights

RULE = "A network of a file is file:PATH.py:FACTORY"
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
        raise BadModel(f"{source!r} names no Python file with a factory", RULE, WRITE)
    path = Path(head + ending.removesuffix(":"))
    with imported(path, RULE, BadModel) as file:
        module = _build(file, factory, f"{factory}() in {path.name}")
    facts = {name.lower(): getattr(file, name) for name in FACTS if hasattr(file, name)}
    opened = wrap_module(module, origin=f"{path.name} holds", **facts)
    cuts = load_weights(module, Path(weights), trust_pickle=trust_pickle) if weights else ()
    given = [name for name in FACTS[:3] if name.lower() in facts]
    return replace(
        opened, name=factory, source=source, weights=named(weights, cuts) if weights else RANDOM, cuts=cuts,
        preprocessing_from=f"{', '.join(given)} of {path.name}" if given else f"defaults ({path.name} says nothing)",
    )  # fmt: skip


def _build(file: ModuleType, factory: str, what: str) -> nn.Module:
    with same_random_weights():
        made = call(file, factory, BadModel)
    if not isinstance(made, nn.Module):
        raise BadModel(f"{what} gave something of type {type(made).__name__}", "A factory gives a torch.nn.Module",
                       "Return the network itself")  # fmt: skip
    return made.eval()
