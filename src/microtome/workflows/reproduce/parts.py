"""What has been measured already, a file a part, and the same numbers as JSON has them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadRun
from ...progress import Progress
from ...store import read_tree, tree_file, write_tree


class Parts:
    """What has been measured already, a file a part: a call that was broken off goes on behind the last one."""

    def __init__(self, folder: Path, key: Any, progress: Progress) -> None:
        self.folder, self.key, self.progress = folder, json.dumps(key, sort_keys=True), progress

    def __call__(self, name: str, words: str, work: Callable[[], Any]) -> dict[str, Any]:
        """What `work` gives, a tree of arrays, numbers and texts; from the folder if it is known."""
        stem = self.folder / name
        found = kept(stem, self.key)
        if found is not None:
            self.progress.say(f"{words}: known already")
            return found
        self.progress.say(words)
        write_tree(stem, {"key": self.key, "found": work()})
        again = kept(stem, self.key)
        assert again is not None  # it has just been written
        return again


def kept(stem: Path, key: str) -> dict[str, Any] | None:
    """What a file holds that was made under this key; None if there is none, or another, or it is damaged."""
    if not tree_file(stem).is_file():
        return None
    try:
        tree = read_tree(stem)
    except BadRun:
        return None  # damaged: made again
    return tree["found"] if tree.get("key") == key else None


def plain(value: Any) -> Any:
    """As JSON has it: arrays as lists, what is no number as null."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value
