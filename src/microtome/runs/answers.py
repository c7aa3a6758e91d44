"""What has been measured and worked out for a specimen, kept by content, so that nothing is done twice.

A finished pass keeps the state of every accumulator under the key of its probe; jobs keep their answers under the key
of each item. Whoever asks for the same thing again (the same look after a kill, another analysis, a later stage) gets
it from here. With a folder the answers outlive the process; without one they last as long as the object.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..errors import BadRun, UsageError
from ..statistics.statistic import Arrays
from ..store import SUFFIX, read_tree, settled, tree_file, write_tree

VERSION = metadata.version("microtome")  # another one may measure differently


def digest(*parts: Any) -> str:
    """A short name for anything that can be written as JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of the work is done here: the `index`-th of `count`; the whole is 0 of 1."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Self:
        """From "I/N", or "auto": what Slurm's job arrays and torchrun say in the environment.

        Raises: UsageError.
        """
        index, slash, count = text.partition("/")
        if text == "auto":
            first = environment.get("SLURM_ARRAY_TASK_MIN", "0")
            pairs = [("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"), ("RANK", "WORLD_SIZE")]
            found = [pair for pair in pairs if all(name in environment for name in pair)]
            if found:
                index, count = (environment[name] for name in found[0])
                index = str(int(index) - int(first)) if found[0] == pairs[0] and index.isdigit() else index
        if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
            raise UsageError(
                f"The shard is {text!r}" + (f", which is {index}/{count} here" if text == "auto" and count else ""),
                "A shard is I/N with I from 0 to N-1, or auto where SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, "
                "or RANK and WORLD_SIZE, say it", "Write for instance --shard 0/4",
            )  # fmt: skip
        return cls(index=int(index), count=int(count))

    def of(self, total: int) -> range:
        """The places of this share among `total`: contiguous, and all shares together are everything."""
        return range(total * self.index // self.count, total * (self.index + 1) // self.count)

    def __str__(self) -> str:
        return "" if self.count == 1 else f".{self.index}-of-{self.count}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """How far one share of a pass has come: `done` of `total` images, and the state of every probe's accumulator.

    `broken` are the images that could not be read, by id, and why.
    """

    probes: tuple[str, ...]
    states: tuple[Arrays, ...]
    done: int
    total: int
    broken: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """It is read from a folder: nothing else than what it says."""
        if not (isinstance(self.probes, tuple) and isinstance(self.states, tuple) and isinstance(self.broken, Mapping)):
            raise TypeError("its entries have other types")
        if len(self.probes) != len(self.states) or not all(isinstance(state, Mapping) for state in self.states):
            raise TypeError("it has not one state a probe")

    @property
    def whole(self) -> bool:
        """Whether there is nothing left to do."""
        return self.done == self.total


class Answers:
    """The store. Names of passes are "GROUP-PROBES", shares of them "GROUP-PROBES.I-of-N"."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._memory: dict[str, dict[str, Any]] = {}
        self._nameless: list[Any] = []

    @property
    def lasting(self) -> bool:
        """Whether what is kept outlives this object."""
        return self.folder is not None

    def number(self, nameless: Any) -> int:
        """A number for what has no name; it stays alive as long as these answers, so that no other takes its place."""
        if not any(each is nameless for each in self._nameless):
            self._nameless.append(nameless)
        return next(place for place, each in enumerate(self._nameless) if each is nameless)

    @property
    def anything(self) -> bool:
        """Whether anything has been measured or worked out."""
        return any(True for _ in self._names("passes/")) or (
            self.folder is not None and (self.folder / "jobs").exists()
        )

    def known(self, group: str) -> tuple[dict[str, Arrays], dict[str, str]]:
        """The states of all probes of a group of passes that are finished, and the images that could not be read."""
        found: dict[str, Arrays] = {}
        broken: dict[str, str] = {}
        for name in self._names(f"passes/{group}-"):
            if "." not in name and "+" not in name:
                part = self.part(name.removeprefix("passes/"))
                if part is not None and part.whole:
                    found |= dict(zip(part.probes, part.states, strict=True))
                    broken |= part.broken
        return found, broken

    def part(self, name: str) -> Part | None:
        """How far a pass, or a share of one, has come; None if it has not begun."""
        tree = self._read(f"passes/{name}")
        if tree is None:
            return None
        try:
            return Part(**tree)
        except TypeError as error:
            raise BadRun(f"{name}{SUFFIX} holds {', '.join(tree)}", f"It must hold {', '.join(Part.__annotations__)}",
                         "Remove it, and run the same command again") from error  # fmt: skip

    def keep_part(self, name: str, part: Part) -> None:
        """Keep how far a pass has come."""
        if self.folder is None:
            self._memory[f"passes/{name}"] = dict(vars(part))
        else:
            write_tree(self.folder / f"passes/{name}", vars(part))

    def keep_images(self, fingerprint: str, marks: Sequence[str]) -> None:
        """Keep what a set of images consists of, so that a larger one can be told from another one."""
        if self.folder is not None and not tree_file(self.folder / "images" / fingerprint).exists():
            write_tree(self.folder / "images" / fingerprint, {"marks": np.array(marks, dtype=str)})

    def smaller(self, marks: Sequence[str]) -> dict[str, np.ndarray]:
        """Sets of images that are parts of one with these marks, in the same order: by fingerprint, their places there.

        The largest comes first.
        """
        where = {mark: place for place, mark in enumerate(marks)}
        found = {}
        for name in self._names("images/"):
            known = (self._read(name) or {}).get("marks")
            if not isinstance(known, np.ndarray):
                continue  # it helps nobody, and harms nobody
            places = np.array([where.get(mark, -1) for mark in known.tolist()], dtype=int)
            if 0 < len(places) < len(marks) and places.min() >= 0 and (np.diff(places) > 0).all():
                found[name.removeprefix("images/")] = places
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def shares(self, name: str) -> dict[int, list[Part]]:
        """The finished shares of a pass in order, by the number of shares that there are to be."""
        found: dict[int, list[Part]] = {}
        for each in sorted(self._names(f"passes/{name}."), key=_share_index):
            part = self.part(each.removeprefix("passes/"))
            if part is not None and part.whole:
                found.setdefault(int(each.rpartition("-")[2]), []).append(part)
        return found

    def forget_shares(self, name: str) -> None:
        """Remove the shares of a pass that has been put together."""
        for each in list(self._names(f"passes/{name}.")):
            self._remove(each)

    def forget_part(self, name: str) -> None:
        """Remove a pass that has become part of another."""
        self._remove(f"passes/{name}")

    def forget_unfinished(self) -> None:
        """Remove what passes left behind that nobody will take up again."""
        for name in list(self._names("passes/")):
            part = self.part(name.removeprefix("passes/"))
            if "." in name or "+" in name or part is None or not part.whole:
                self._remove(name)

    def items(self, context: str) -> dict[str, Any]:
        """The answers to the items of jobs in this context, by the items' keys."""
        found: dict[str, Any] = {}
        for name in self._names(f"jobs/{context}/"):
            tree = self._read(name) or {"items": (), "answers": ()}
            found |= dict(zip(tree["items"], tree["answers"], strict=True))
        return found

    def keep_items(self, context: str, items: Sequence[str], answers: Sequence[Any]) -> list[Any]:
        """Keep the answers to a few items; gives them back as they will be read."""
        tree = settled({"items": list(items), "answers": list(answers)})
        if self.folder is None:
            self._memory[f"jobs/{context}/{items[0]}"] = tree
        else:
            write_tree(self.folder / f"jobs/{context}/{items[0]}", tree)
        kept: list[Any] = tree["answers"]
        return kept

    def _names(self, start: str) -> Iterator[str]:
        if self.folder is None:
            yield from [name for name in self._memory if name.startswith(start)]
            return
        folder, _, begin = start.rpartition("/")
        for path in sorted((self.folder / folder).glob(f"{begin}*{SUFFIX}")):
            if not path.name.startswith("."):
                yield f"{folder}/{path.name.removesuffix(SUFFIX)}"

    def _read(self, name: str) -> dict[str, Any] | None:
        if self.folder is None:
            return self._memory.get(name)
        return read_tree(self.folder / name) if tree_file(self.folder / name).exists() else None

    def _remove(self, name: str) -> None:
        if self.folder is None:
            self._memory.pop(name, None)
        else:
            tree_file(self.folder / name).unlink(missing_ok=True)


def merged(parts: Iterable[Part]) -> dict[str, list[Arrays]]:
    """The states of every probe in several shares."""
    found: dict[str, list[Arrays]] = {}
    for part in parts:
        for key, state in zip(part.probes, part.states, strict=True):
            found.setdefault(key, []).append(state)
    return found


def _share_index(name: str) -> tuple[int, int]:
    index, _, count = name.rpartition(".")[2].partition("-of-")
    return int(count), int(index)
