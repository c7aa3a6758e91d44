"""Which analyses there are: built in and from plugin files."""

import importlib.metadata
from pathlib import Path

import pytest

import microtome as mt
from microtome.analyses import BUILT_IN, choose, general, registry
from microtome.checks import SHOWN_CHOICES
from microtome.errors import UnknownName, UsageError
from microtome.runs.runner import Look
from sketches import Announced
from subjects import COMPARING
from toys import Plain, opened, seeded

PLUGIN = '''
from __future__ import annotations

from dataclasses import dataclass

from microtome import Analysis, Result, setting
from microtome.figures import new_figure


@dataclass(frozen=True, kw_only=True)
class CountResult(Result):
    layers: int

    def cards(self):
        return []

    def plot(self):
        return new_figure()


class Shared(Analysis):
    """A base of this file's analyses, none itself."""


@dataclass(frozen=True, kw_only=True)
class Count(Shared):
    """How many layers are there?"""

    name = "NAME"
    result = CountResult
    more: int = setting(0, help="added to the number")

    def steps(self, specimen):
        return CountResult(layers=len(specimen.layers) + self.more)
'''


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        registry([path])
    return caught.value


def test_the_built_in_analyses_are_there_by_their_names() -> None:
    found = registry()
    assert [found[cls.name] for cls in BUILT_IN] == list(BUILT_IN)
    assert list(found)[:4] == ["decisions", "activity", "deconvnet", "preferences"]


def test_a_plugin_file_brings_its_analysis_and_it_runs(tmp_path: Path) -> None:
    found = registry([written(tmp_path, PLUGIN.replace("NAME", "count"))])
    assert list(found) == [*registry(), "count"]
    outcome = Look(mt.Specimen(model=opened(seeded(Plain)))).run([found["count"](more=4)])
    assert outcome.results["count"].layers == 3 + 4


def test_a_plugin_may_hold_several_analyses(tmp_path: Path) -> None:
    more = 'class Again(Count):\n    name = "again"\n\n\nAlias = Again\n'
    path = written(tmp_path, PLUGIN.replace("NAME", "count") + more)
    assert list(registry([path]))[-2:] == ["count", "again"]


def test_an_installed_package_announces_its_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("sketch", "sketches:Announced", "microtome.analyses")
    groups = {"microtome.analyses": [entry]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: groups[group])
    assert list(registry().values())[-1] is Announced


def test_a_name_that_exists_is_refused(tmp_path: Path) -> None:
    error = refused(written(tmp_path, PLUGIN.replace("NAME", "activity")))
    assert error.given == "mine.py brings an analysis named 'activity', which exists"
    assert error.allowed == f"Taken are: {', '.join(registry())}"
    assert error.next_step == "Rename it"


def test_a_plugin_without_an_analysis_is_refused(tmp_path: Path) -> None:
    error = refused(written(tmp_path, "from microtome import Analysis\n"))
    assert error.given == "Plugin mine.py holds no analysis"
    assert error.allowed == "A plugin defines a subclass of microtome.Analysis"
    assert error.next_step == "examples/your_first_analysis.py is one"


def test_a_plugin_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.py"
    error = refused(path)
    assert error.given == f"There is no file {str(path)!r}"
    assert (error.allowed, error.next_step) == ("A plugin is a Python file that can be imported", "Check the path")


@pytest.mark.parametrize(
    ("text", "problem"), [("def broken(:\n", "SyntaxError"), ("import no_such_module_at_all\n", "ModuleNotFoundError")]
)
def test_a_plugin_that_cannot_be_loaded_is_refused_with_its_error(tmp_path: Path, text, problem) -> None:
    error = refused(written(tmp_path, text))
    assert error.given.startswith(f"mine.py cannot be imported ({problem}: ")
    assert error.allowed == "A plugin is a Python file that can be imported"
    assert error.next_step == "Run it with Python to see the error in place"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("    result = CountResult\n", "", "says no `result` that is a dataclass"),
        ("@dataclass(frozen=True, kw_only=True)\nclass CountR", "class CountR", "says no `result` that is a dataclass"),
        ("@dataclass(frozen=True, kw_only=True)\nclass Count(", "class Count(", "is no dataclass"),
        ('    """How many layers are there?"""\n', "", "has no question ('')"),
        ("layers are there?", "layers there are.", "has no question ('')"),
    ],
)
def test_a_plugin_that_would_go_wrong_late_is_refused_at_once(tmp_path: Path, old, new, what) -> None:
    text = PLUGIN.replace('    """A base of this file\'s analyses, none itself."""\n', "    pass\n")
    assert old in text
    error = refused(written(tmp_path, text.replace("NAME", "count").replace(old, new)))
    assert error.given == f"Analysis count of mine.py {what}"
    assert error.next_step == "examples/your_first_analysis.py is one"


def test_chosen_analyses_come_in_the_order_of_the_registry() -> None:
    available = registry()
    names = [cls.name for cls in choose(["filters", " decisions"], available)]
    assert names == ["decisions", "filters"]
    all_of_them = list(general(available).values())
    assert choose(["all"], available) == all_of_them
    assert choose(["filters", "all"], available) == all_of_them
    special = {"certificate", "channel_cones", "first_layers", "handnet", "history", *COMPARING}
    assert set(available) - set(general(available)) == special
    assert [cls.name for cls in choose(["certificate"], available)] == ["certificate"]


def test_an_analysis_that_does_not_exist_brings_the_closest_one() -> None:
    with pytest.raises(UnknownName) as caught:
        choose(["activty"], registry())
    assert caught.value.given == "Analysis 'activty' does not exist"
    names = list(registry())
    first = ", ".join(names[:SHOWN_CHOICES])
    assert caught.value.allowed == f"There are: {first} and {len(names) - SHOWN_CHOICES} more"
    assert caught.value.next_step == "Did you mean 'activity'? `microtome analyses` lists them"


def test_what_an_analysis_needs_is_chosen_with_it_in_the_order_of_the_registry() -> None:
    assert [cls.name for cls in choose(["deconvnet"], registry())] == ["deconvnet", "specificity", "faithfulness"]
    assert [cls.name for cls in choose(["twins"], registry())] == ["twins"]
