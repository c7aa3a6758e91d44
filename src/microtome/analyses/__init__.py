"""The analyses: one question a file, none knows another. A new one is a line in `BUILT_IN`; a plugin is none."""

import importlib.metadata
import inspect
from collections.abc import Iterable
from dataclasses import Field
from pathlib import Path
from types import ModuleType

from ..analysis import Analysis, Result
from ..checks import known
from ..errors import UsageError
from ..factories import imported
from .activity import Activity
from .calibrations import Calibrations
from .certificate import Certificate
from .channel_cones import ChannelCones
from .comparison import Comparison
from .cone_depth import ConeDepth
from .counterparts import Counterparts
from .decisions import Decisions
from .deconvnet import Deconvnet
from .dissection import Dissection
from .duality import Duality
from .effects import Effects
from .faithfulness import Faithfulness
from .filters import Filters
from .first_layer import FirstLayer
from .first_layers import FirstLayers
from .handnet import Handnet
from .history import History
from .labels import Labels
from .maps import Maps
from .omission import Omission
from .pathways import Pathways
from .preferences import Preferences
from .pruning import Pruning
from .specificity import Specificity
from .superstimuli import Superstimuli
from .twins import Twins

BUILT_IN: tuple[type[Analysis], ...] = (
    Decisions, Activity, Deconvnet, Preferences, Twins, Filters, Labels, Maps, Specificity, Faithfulness,
    Superstimuli, Dissection, Pathways, Effects, Omission, Duality, Pruning, Certificate, Handnet, Comparison,
    Calibrations, Counterparts, FirstLayer, FirstLayers, ConeDepth, ChannelCones, History,
)  # fmt: skip
EXAMPLE = "examples/your_first_analysis.py"
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
        with imported(path, "A plugin is a Python file that can be imported", UsageError) as module:
            classes = dict.fromkeys(value for value in vars(module).values() if _is_analysis(value, module))
        if not classes:
            raise UsageError(
                f"Plugin {path.name} holds no analysis", "A plugin defines a subclass of microtome.Analysis",
                f"{EXAMPLE} is one",
            )  # fmt: skip
        for cls in classes:
            _add(found, cls, path.name)
    return found


def choose(names: Iterable[str], available: Registry) -> list[type[Analysis]]:
    """The analyses with these names ("all" for every general one) and those whose results they need, in the order of
    the registry.
    """
    wanted = {name.strip() for name in names}
    waiting = list(wanted - {"all"})
    for name in waiting:
        known("Analysis", name, available, "`microtome analyses` lists them")
    while waiting:
        fresh = [name for name in available[waiting.pop()].requires if name in available and name not in wanted]
        wanted.update(fresh)
        waiting += fresh
    return [cls for name, cls in available.items() if name in wanted or ("all" in wanted and cls.general)]


def general(available: Registry) -> Registry:
    """The analyses that `all` stands for."""
    return {name: cls for name, cls in available.items() if cls.general}


def _add(found: Registry, cls: type[Analysis], origin: str) -> None:
    _check(cls, origin)
    if cls.name in found:
        raise UsageError(
            f"{origin} brings an analysis named {cls.name!r}, which exists",
            f"Taken are: {', '.join(found)}",
            "Rename it",
        )
    found[cls.name] = cls


def _check(cls: type[Analysis], origin: str) -> None:
    """Refuse what would go wrong late: after a look, when its result is kept, or by settings that nobody can set."""
    result = getattr(cls, "result", None)
    whole = (
        isinstance(result, type) and issubclass(result, Result)
        and ("__dataclass_params__" in vars(result) or not inspect.get_annotations(result))
    )  # fmt: skip
    wrong = (
        f"has no question ({cls.question!r})" if not cls.question.endswith("?")
        else "says no `result` that is a dataclass" if not whole
        else "is no dataclass" if any(isinstance(value, Field) for value in vars(cls).values())
        else ""
    )  # fmt: skip
    if wrong:
        raise UsageError(
            f"Analysis {cls.name} of {origin} {wrong}", "An analysis and its result are dataclasses, `result` names "
            "the one that it returns, and the first line of its docstring is its question", f"{EXAMPLE} is one",
        )  # fmt: skip


def _is_analysis(value: object, module: ModuleType) -> bool:
    made_here = isinstance(value, type) and issubclass(value, Analysis) and value.__module__ == module.__name__
    return made_here and not inspect.isabstract(value)
