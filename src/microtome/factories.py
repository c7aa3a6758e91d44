"""Objects that a function in a Python file of the user's makes: `file:FILE.py:FACTORY`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from .checks import known
from .errors import UsageError


def made_by(address: str, wrong: type[UsageError]) -> object:
    """What FACTORY() in FILE.py returns. Running it is the point: only files of one's own should be named.

    Raises: `wrong` if there is no such file, it cannot be imported, or the factory raises; UnknownName for a factory
    that does not exist.
    """
    file, colon, name = address.rpartition(":")
    if not colon or not name or not Path(file).is_file():
        raise wrong(f"There is no file {file or name!r}", "A factory is file:FILE.py:FACTORY, a function without "
                    "arguments", "Check the path")  # fmt: skip
    module = _imported(Path(file), wrong)
    functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    known(f"Factory in {Path(file).name}", name, functions, "Name a function of this file")
    try:
        return getattr(module, name)()
    except Exception as error:
        raise wrong(f"{name}() in {Path(file).name} raised {type(error).__name__}: {error}",
                    "A factory is called without arguments", "Call it in Python to see the error in place",
                    ) from error  # fmt: skip


def _imported(path: Path, wrong: type[UsageError]) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"microtome_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise wrong(f"{path.name} is no Python file", "A factory stands in a file that ends in .py", "Rename it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise wrong(f"{path.name} cannot be imported ({type(error).__name__}: {error})",
                    "A factory stands in a Python file that can be imported", "Run it with Python to see the error",
                    ) from error  # fmt: skip
    return module
