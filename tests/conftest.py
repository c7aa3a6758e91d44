import os
from pathlib import Path

import pytest

from keyboard import typed

# There is a worker a core; torch's own threads would only wait for each other. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The shared real data; tests that take it carry the marker `data`."""
    folder = os.environ.get("MICROTOME_DATA")
    if not folder:
        pytest.skip("MICROTOME_DATA is not set: needs the shared real data")
    return Path(folder)


@pytest.fixture
def type_():
    """Type a command, word by word, in the current folder: exit code, standard output, standard error."""
    return lambda *words: typed(words, Path.cwd())
