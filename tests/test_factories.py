"""Objects made by a function in a file of the user's."""

from pathlib import Path

import pytest

from microtome.errors import BadImages, UnknownName
from microtome.factories import made_by


def made(folder: Path, code: str, name: str = "make") -> object:
    (folder / "data.py").write_text(code)
    return made_by(f"{folder / 'data.py'}:{name}", BadImages)


def test_a_factory_is_called_without_arguments(tmp_path: Path) -> None:
    assert made(tmp_path, "def make():\n    return [1, 2]") == [1, 2]


def test_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass Pair:\n"
    assert made(tmp_path, code + "    a: int = 3", "Pair").a == 3


@pytest.mark.parametrize("address", ["nowhere.py:make", "make", "nowhere.py:", ":make", ""])
def test_an_address_without_a_file_is_refused(address: str) -> None:
    with pytest.raises(BadImages) as caught:
        made_by(address, BadImages)
    named = address.rpartition(":")[0] or address.rpartition(":")[2]
    assert str(caught.value) == (
        f"There is no file {named!r}. A factory is file:FILE.py:FACTORY, a function without arguments. Check the path."
    )


def test_a_factory_that_is_not_there_is_told_of_the_others(tmp_path: Path) -> None:
    code = "number = 3\n\n\ndef make(): ...\n\n\ndef _hidden(): ..."
    with pytest.raises(UnknownName) as caught:
        made(tmp_path, code, "mak")
    assert str(caught.value) == (
        "In data.py the factory 'mak' does not exist. There are: make. Did you mean 'make'? "
        "A factory is a function of the file."
    )


def test_a_factory_that_raises_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadImages) as caught:
        made(tmp_path, "def make():\n    return 1 / 0")
    assert str(caught.value) == (
        "make() in data.py raised ZeroDivisionError: division by zero. A factory is called without arguments. "
        "Call it in Python to see the error in place."
    )


def test_a_file_that_cannot_be_imported_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadImages) as caught:
        made(tmp_path, "import no_such_thing")
    assert str(caught.value) == (
        "data.py cannot be imported (ModuleNotFoundError: No module named 'no_such_thing'). "
        "A factory is file:FILE.py:FACTORY, a function without arguments. Run it with Python to see the error in place."
    )


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("make")
    with pytest.raises(BadImages) as caught:
        made_by(f"{tmp_path / 'data.txt'}:make", BadImages)
    assert str(caught.value) == (
        "data.txt is no Python file. A factory is file:FILE.py:FACTORY, a function without arguments. "
        "Give it a name that ends in .py."
    )
