"""The analyses: one question a file, none knows another. A new one is a line in `BUILT_IN`; a plugin is none."""

import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from ..analysis import Analysis
from ..checks import known
from ..errors import UsageError
from .activity import Activity
from .decisions import Decisions
from .deconvnet import Deconvnet
from .dissection import Dissection
from .duality import Duality
from .faithfulness import Faithfulness
from .filters import Filters
from .labels import Labels
from .maps import Maps
from .omission import Omission
from .pathways import Pathways
from .preferences import Preferences
from .specificity import Specificity
from .superstimuli import Superstimuli
from .twins import Twins

BUILT_IN: tuple[type[Analysis], ...] = (
    Decisions, Activity, Deconvnet, Preferences, Twins, Filters, Labels, Maps, Specificity, Faithfulness,
    Superstimuli, Dissection, Omission, Duality, Pathways,
)  # fmt: skip
ENTRY_POINTS = "microtome.analyses"  # the group under which installed packages announce theirs

Registry = dict[str, type[Analysis]]


def registry(plugins: Iterable[Path] = ()) -> Registry:
    """Every analysis by name: built in, from installed packages, and from plugin files.

    Raises: UsageError if a plugin cannot be loaded, holds no analysis, or takes a name that exists.
    """
    found: Registry = {cls.name: cls for cls in BUILT_IN}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _add(found, entry.load(), entry.value)
    for path in plugins:
        module = _load(path)
        classes = dict.fromkeys(value for value in vars(module).values() if _is_analysis(value, module))
        if not classes:
            raise UsageError(
                f"Plugin {path.name} holds no analysis", "A plugin defines a subclass of microtome.Analysis",
                "CONTRIBUTING.md shows one",
            )  # fmt: skip
        for cls in classes:
            _add(found, cls, path.name)
    return found


def choose(names: Iterable[str], available: Registry) -> list[type[Analysis]]:
    """The analyses with these names ("all" for every one) and those whose results they need, in the order of the
    registry.
    """
    wanted = {name.strip() for name in names}
    waiting = list(wanted - {"all"})
    for name in waiting:
        known("Analysis", name, available, "`microtome analyses` lists them")
    while waiting:
        fresh = [name for name in available[waiting.pop()].requires if name in available and name not in wanted]
        wanted.update(fresh)
        waiting += fresh
    return [cls for name, cls in available.items() if name in wanted or "all" in wanted]


def _add(found: Registry, cls: type[Analysis], origin: str) -> None:
    if cls.name in found:
        raise UsageError(
            f"{origin} brings an analysis named {cls.name!r}, which exists",
            f"Taken are: {', '.join(found)}",
            "Rename it",
        )
    found[cls.name] = cls


def _is_analysis(value: object, module: ModuleType) -> bool:
    made_here = isinstance(value, type) and issubclass(value, Analysis) and value.__module__ == module.__name__
    return made_here and not inspect.isabstract(value)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"microtome_plugin_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"There is no plugin file {str(path)!r}", "A plugin is a Python file", "Check the path")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise UsageError(
            f"Plugin {path.name} cannot be loaded ({type(error).__name__}: {error})",
            "A plugin is a Python file that can be imported", "Run it with Python to see the error in place",
        ) from error  # fmt: skip
    return module
