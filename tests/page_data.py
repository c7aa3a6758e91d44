"""What a data file of a report hands to the page."""

import json
import re
from pathlib import Path
from typing import Any


def read(path: Path) -> Any:
    """The content that a data file hands to the page."""
    return json.loads(re.fullmatch(r"microtome\.receive\((\".*?\"), (.*)\);\n", path.read_text(), re.S)[2])
