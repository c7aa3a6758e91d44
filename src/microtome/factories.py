"""What stands in a Python file of the user's: its module, and what a function of it makes (`file:FILE.py:FACTORY`)."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from .checks import known
from .errors import UsageError


@contextmanager
def imported(path: Path, rule: str, wrong: type[UsageError]) -> Iterator[ModuleType]:
    """The module of a Python file, which is run; inside, the files beside it can be imported, as in a script.

    `rule` says what such a file is, for errors. Running it is the point: only files of one's own should be named.
    Raises: `wrong` if there is no such file, or it cannot be imported.
    """
    spec = importlib.util.spec_from_file_location(f"microtome_file_{path.stem}", path)
    if not path.is_file():
        raise wrong(f"There is no file {str(path)!r}", rule, "Check the path")
    if spec is None or spec.loader is None:
        raise wrong(f"{path.name} is no Python file", rule, "Give it a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[spec.name]
            raise wrong(f"{path.name} cannot be imported ({type(error).__name__}: {error})", rule,
                        "Run it with Python to see the error in place") from error  # fmt: skip
        yield module
    finally:
        sys.path.remove(folder)


def made_by(address: str, wrong: type[UsageError]) -> object:
    """What FACTORY() in FILE.py returns.

    Raises: `wrong` if there is no such file, it cannot be imported, or the factory raises; UnknownName for a factory
    that does not exist.
    """
    file, _, name = address.rpartition(":")
    rule = "A factory is file:FILE.py:FACTORY, a function without arguments"
    if not file or not name:
        raise wrong(f"There is no file {file or name!r}", rule, "Check the path")
    with imported(Path(file), rule, wrong) as module:
        return call(module, name, wrong)


def call(module: ModuleType, name: str, wrong: type[UsageError]) -> object:
    """What a function of a module of `imported` returns.

    Raises: `wrong` if it raises; UnknownName if there is none.
    """
    file = Path(str(module.__file__)).name
    functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    known(f"In {file} the factory", name, functions, "A factory is a function of the file")
    try:
        return getattr(module, name)()
    except Exception as error:
        raise wrong(f"{name}() in {file} raised {type(error).__name__}: {error}",
                    "A factory is called without arguments", "Call it in Python to see the error in place",
                    ) from error  # fmt: skip
