"""The package's own source, parsed: what the tests of the house rules read."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "microtome"


@dataclass(frozen=True)
class Source:
    """One module: its dotted name below the package ("" for the package itself), its text and its tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def part(self) -> str:
        """The module or sub-package right below the package."""
        return self.name.partition(".")[0]


def sources() -> list[Source]:
    """Every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text()
        found.append(Source(name, path, text, ast.parse(text)))
    return found


SOURCES = sources()
NAMES = {source.name for source in SOURCES}


@dataclass(frozen=True)
class Import:
    """One import of a module of ours by another; `inside` is the function it stands in ("" for none)."""

    by: str
    of: str
    inside: str


def imports(source: Source) -> Iterator[Import]:
    """Every import of the package's own modules, wherever it stands."""

    def walk(node: ast.AST, inside: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from walk(child, f"{inside}.{child.name}".strip("."))
            elif isinstance(child, ast.ImportFrom):
                for of in _targets(source, child):
                    yield Import(source.name, of, inside)
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.partition(".")[0] == "microtome":
                        yield Import(source.name, alias.name.partition(".")[2], inside)
            else:
                yield from walk(child, inside)

    yield from walk(source.tree, "")


def _targets(source: Source, node: ast.ImportFrom) -> list[str]:
    if node.level == 0:
        if (node.module or "").partition(".")[0] != "microtome":
            return []
        base = (node.module or "").partition(".")[2]
    else:
        package = source.name.split(".") if source.name else []
        if source.path.name != "__init__.py":
            package = package[:-1]
        kept = package[: len(package) - (node.level - 1)]
        base = ".".join([*kept, *([node.module] if node.module else [])])
    names = [f"{base}.{alias.name}".strip(".") for alias in node.names]
    return sorted({name if name in NAMES else base for name in names})


def functions(source: Source) -> Iterator[ast.FunctionDef]:
    """Every function and method."""
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef))
