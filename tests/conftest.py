import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The shared real data; tests that take it carry the marker `data`."""
    folder = os.environ.get("MICROTOME_DATA")
    if not folder:
        pytest.skip("MICROTOME_DATA is not set: needs the shared real data")
    return Path(folder)
