"""What was seen of a network at moments of its training, a file each: written whole or not at all, and found again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...analysis import Result
from ...errors import BadRun
from ...store import SUFFIX, clear_left_over, read_tree, tree_file, write_json, write_tree

FORMAT = 1
DIGITS = 9  # of a step in the name of its file, so that names sort as steps do
ABOUT = "track.json"
OTHER = {"network": "another network", "images": "other probe images", "analyses": "other analyses or settings",
         "looking": "another effort or seed"}  # fmt: skip

Values = dict[str, dict[str, dict[str, float | np.ndarray]]]  # by analysis, quantity and line


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A network after `step` steps. `facts` are what the training loop said, such as its loss.

    Units, seconds: `elapsed` since the training began, snapshots included; `cost` of this snapshot, `spent` of all so
    far. `values` are numbers or quartiles (3,); `how` says how to read each quantity, `said` the first finding.
    """

    step: int
    elapsed: float
    cost: float
    spent: float
    weights: str
    facts: dict[str, float]
    values: Values
    how: dict[str, dict[str, str]]
    said: dict[str, str]
    skipped: dict[str, str]


def seen(results: Mapping[str, Result]) -> dict[str, Any]:
    """What a moment keeps of results: `values`, `how` and `said`."""
    series = {name: result.series() for name, result in results.items()}
    findings = {name: result.findings()[:1] for name, result in results.items()}
    return {
        "values": {name: {one.name: dict(one.values) for one in found} for name, found in series.items()},
        "how": {name: {one.name: one.how_to_read for one in found} for name, found in series.items()},
        "said": {name: first[0].sentence for name, first in findings.items() if first},
    }


class Moments:
    """The folder of a training that is followed.

    Raises: BadRun if it holds something else, or a tracking already and `resume` is not asked for, or one of something
    else than `about` says.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = folder
        self.all: list[Moment] = []
        begun = {"format": FORMAT, **about}
        if (folder / ABOUT).exists():
            self._agree(begun, resume)
            clear_left_over(folder)
            paths = (folder / "moments").glob(f"{'[0-9]' * DIGITS}{SUFFIX}")
            self.all = [self._read(int(path.name.removesuffix(SUFFIX))) for path in sorted(paths)]
        elif folder.is_dir() and any(path for path in folder.iterdir() if not path.name.startswith(".")):
            raise BadRun(f"Folder {str(folder)!r} is not empty and holds no tracking",
                         "A training is tracked in a folder of its own", "Choose another folder")  # fmt: skip
        else:
            write_json(folder / ABOUT, begun)

    def _agree(self, begun: Mapping[str, Any], resume: bool) -> None:
        there = _description(self.folder / ABOUT)
        if not resume:
            raise BadRun(f"Folder {str(self.folder)!r} holds a training that was tracked before",
                         "A tracking goes on only where it is told to", "Say resume=True if this is the same training, "
                         "or else choose another folder or remove this one")  # fmt: skip
        apart = [words for name, words in OTHER.items() if there.get(name) != begun[name]]
        if there.get("format") != FORMAT or apart:
            raise BadRun(f"Folder {str(self.folder)!r} holds a tracking of {' and '.join(apart) or 'another format'}",
                         "A tracking goes on with the network, probe images and analyses that it began with",
                         "Give those, or choose another folder")  # fmt: skip

    def _stem(self, step: int) -> Path:
        return self.folder / "moments" / f"{step:0{DIGITS}d}"

    def _read(self, step: int) -> Moment:
        tree = read_tree(self._stem(step))
        tree.pop("results", None)
        try:
            moment = Moment(**tree)
        except TypeError as error:
            raise BadRun(f"Snapshot {step} of {self.folder.name} holds {', '.join(tree)}",
                         f"It must hold {', '.join(Moment.__annotations__)}",
                         "Remove it, and go on without it") from error  # fmt: skip
        return moment

    def keep(self, moment: Moment, results: Mapping[str, Result]) -> None:
        """Keep a moment, and the results that were found in it."""
        states = {name: result.to_state() for name, result in results.items()}
        write_tree(self._stem(moment.step), vars(moment) | {"results": states})
        self.all.append(moment)

    def results(self, step: int) -> dict[str, Any]:
        """The results of the snapshot at a step, as trees, by analysis."""
        return dict(read_tree(self._stem(step))["results"])

    def forget_from(self, step: int) -> None:
        """Remove moments from a step on: the training goes on from before them."""
        for moment in [moment for moment in self.all if moment.step >= step]:
            tree_file(self._stem(moment.step)).unlink(missing_ok=True)
            self.all.remove(moment)


def _description(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BadRun(
            f"{path.name} of {path.parent.name} cannot be read ({type(error).__name__})",
            "It must be what this program wrote",
            "Choose another folder, or remove this one",
        ) from error


def together(moments: Sequence[Moment], part: str) -> dict[str, Any]:
    """The numbers of all moments as curves: `facts`, or `values` by analysis, quantity and line.

    Shapes: (T,), of quartiles (T, 3); NaN where a moment has none.
    """
    return _joined([getattr(moment, part) for moment in moments])


def _joined(found: Sequence[Any]) -> Any:
    some = next(one for one in found if one is not None)
    if isinstance(some, Mapping):
        names = dict.fromkeys(name for one in found if one is not None for name in one)
        return {name: _joined([None if one is None else one.get(name) for one in found]) for name in names}
    shape = np.shape(some)
    return np.array([np.full(shape, np.nan) if one is None else one for one in found], np.float64)
