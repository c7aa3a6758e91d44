"""House rules that no linter knows: sizes, errors, silence, and what the package promises to hold."""

import ast
import builtins
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import types

import pytest

import microtome
from house import ROOT, SOURCES, Source, functions
from microtome import errors

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_DOCSTRING = 300, 50, 25
EXCEPTIONS = {name for name, value in vars(builtins).items() if inspect.isclass(value) and issubclass(value, Exception)}
OURS = {name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__}

# The one call that may run what a file brings: only when its user says that they trust it.
TRUSTED = ["torch.load(path, map_location='cpu', weights_only=not trust_pickle)"]

each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name or "microtome")


def raised(source: Source) -> list[ast.expr]:
    return [node.exc for node in ast.walk(source.tree) if isinstance(node, ast.Raise) and node.exc is not None]


def length_of(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    document = function.body[0] if ast.get_docstring(function) else None
    return function.end_lineno - function.lineno + 1 - (document.end_lineno - document.lineno + 1 if document else 0)


def called(node: ast.expr) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


@each_source
def test_a_file_and_its_functions_can_be_taken_in_at_a_glance(source: Source) -> None:
    assert len(source.text.splitlines()) <= LONGEST_FILE
    lengths = {function.name: length_of(function) for function in functions(source)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@each_source
def test_what_is_raised_is_an_error_and_no_text_or_tuple(source: Source) -> None:
    wrong = (ast.Constant, ast.Tuple, ast.JoinedStr, ast.BinOp, ast.List)
    assert [ast.unparse(node) for node in raised(source) if isinstance(node, wrong)] == []


@each_source
def test_a_builtin_error_has_one_text_and_no_stray_comma(source: Source) -> None:
    calls = [node for node in raised(source) if called(node) in EXCEPTIONS]
    assert [ast.unparse(node) for node in calls if len(node.args) > 1] == []


@each_source
def test_an_error_of_ours_has_three_parts(source: Source) -> None:
    made = [node for node in ast.walk(source.tree) if called(node) in OURS]
    assert [ast.unparse(node) for node in made if len(node.args) != 3 or node.keywords] == []


@each_source
def test_no_error_is_swallowed(source: Source) -> None:
    handlers = [node for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler)]
    assert [node.lineno for node in handlers if node.type is None] == []
    silent = (ast.Pass, ast.Continue)
    assert [node.lineno for node in handlers if all(isinstance(step, silent) for step in node.body)] == []


@each_source
def test_only_the_command_line_prints(source: Source) -> None:
    printing = [node.lineno for node in ast.walk(source.tree) if isinstance(node, ast.expr) and called(node) == "print"]
    assert printing == [] or source.part == "cli"


@each_source
def test_nothing_is_loaded_that_could_be_executed(source: Source) -> None:
    nodes = list(ast.walk(source.tree))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in modules} & {"pickle", "dill", "joblib", "shelve", "marshal"} == set()
    loads = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    loads = [text for text in loads if re.match(r"(torch|np|numpy)\.load\(", text)]
    unsafe = [text for text in loads if not re.search("weights_only=True|allow_pickle=False", text)]
    assert unsafe == (TRUSTED if source.name == "network.sources.weights" else [])


@each_source
def test_docstrings_are_short(source: Source) -> None:
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
    documents = [ast.get_docstring(node) or "" for node in ast.walk(source.tree) if isinstance(node, kinds)]
    assert [text for text in documents if len(text.splitlines()) > LONGEST_DOCSTRING] == []


def classes() -> list[type]:
    """Every public class of the package."""
    names = [f"microtome.{source.name}".rstrip(".") for source in SOURCES if source.name != "__main__"]
    modules = [importlib.import_module(name) for name in names]
    found = [value for module in modules for value in vars(module).values() if inspect.isclass(value)]
    return [cls for cls in dict.fromkeys(found) if cls.__module__.startswith("microtome") and cls.__name__[0] != "_"]


def test_every_public_method_is_documented_where_it_is_declared_first() -> None:
    kinds = (types.FunctionType, property, classmethod)
    members = [(cls, name) for cls in classes() for name, value in vars(cls).items() if isinstance(value, kinds)]
    members = [(cls, name) for cls, name in members if name[0] != "_"]
    # a class that fits a Protocol without inheriting from it is documented there
    explained = {name for cls, name in members if inspect.getdoc(getattr(cls, name))}
    assert {f"{cls.__name__}.{name}" for cls, name in members if name not in explained} == set()


def test_public_dataclasses_are_frozen() -> None:
    found = [cls for cls in classes() if dataclasses.is_dataclass(cls)]
    assert len(found) > 20
    assert [cls.__name__ for cls in found if not cls.__dataclass_params__.frozen] == []


def test_public_names_are_sorted_complete_and_lead_somewhere() -> None:
    assert microtome.__all__ == sorted(microtome.__all__)
    (source,) = [source for source in SOURCES if source.name == ""]
    (checking,) = [node for node in source.tree.body if isinstance(node, ast.If)]
    homes = {alias.name: line.module for line in checking.body for alias in line.names}
    assert sorted(homes) == microtome.__all__
    for name, home in homes.items():
        assert getattr(microtome, name) is getattr(importlib.import_module(f"microtome.{home}"), name)
    assert not hasattr(microtome, "no_such_name")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, microtome; print(sorted({'torch', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_no_committed_text_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"/(?:root|home|work|Users)/\w")
    homes = [ROOT / name for name in ("src", "tests", "docs", "examples", "benchmarks")]
    paths = [*ROOT.glob("*"), *(path for home in homes for path in home.rglob("*"))]
    texts = [path for path in paths if path.suffix in (".py", ".md", ".toml", ".js", ".cff")]
    assert [path.name for path in texts if place.search(path.read_text())] == []


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([\w/]+\.(?:py|js))\b", text))
    there = {
        str(path.relative_to(ROOT)) for folder in ("src", "tests", "examples") for path in (ROOT / folder).rglob("*.*")
    }
    assert {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)} == set()
    rooms = set(re.findall(r"`([\w/]+)/`", text))
    assert {room for room in rooms if not any(f"/{room}/" in f"/{path}" for path in there)} == set()
