"""What a look was asked for, written into its folder before anything is measured.

It keeps two looks apart (another model, other images), and says how to go on: `microtome look RUN` reads it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

from ..errors import BadRun, UsageError
from ..network.specimen import Specimen
from ..store import clear_left_over, write_bytes, write_json
from .answers import Answers, Share
from .run import FORMAT, fingerprints, read_description, refuse_links

OTHER = {"weights": "of another model (weights, layers or preprocessing)", "images": "of other images",
         "others": "beside another network, or beside none"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The model and the images by fingerprint; `call` is what opened them (options of the command line by name, empty
    if they were objects of a program); `settings` are those of every analysis asked for so far, by name.
    """

    fingerprints: Mapping[str, str]
    settings: Mapping[str, str]
    call: Mapping[str, Any] = field(default_factory=dict)
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """It is read from a folder: nothing else than what it says."""
        if not all(isinstance(value, Mapping) for value in (self.fingerprints, self.settings, self.call)):
            raise TypeError("its entries are not objects")
        if set(self.fingerprints) - {"others"} != {"weights", "images"}:
            raise TypeError("its fingerprints are not those of weights and images")
        if not all(
            isinstance(text, str) for text in (*self.fingerprints.values(), *self.settings.values(), *self.units)
        ):
            raise TypeError("its entries are not texts")


def read_plan(folder: Path) -> Plan | None:
    """The plan of a run, None if there is no run.

    Raises: BadRun if the folder holds something else, or a plan that cannot be read.
    """
    if not (folder / "plan.json").exists():
        if folder.is_dir() and any(path for path in folder.iterdir() if not path.name.startswith(".")):
            raise BadRun(f"Folder {str(folder)!r} is not empty and no run", "A run needs a folder of its own",
                         "Choose another folder with -o")  # fmt: skip
        return None
    refuse_links(folder)
    found = read_description(folder / "plan.json")
    try:
        del found["format"]
        return Plan(**(found | {"units": tuple(found["units"])}))
    except (TypeError, KeyError) as error:
        raise BadRun(f"The plan of run {folder.name} cannot be read ({error})", "A run holds the plan that began it",
                     "Choose another folder with -o, or remove this one") from error  # fmt: skip


@contextmanager
def holding(
    folder: Path, before: Plan | None, specimen: Specimen, settings: Mapping[str, str], call: Mapping[str, Any] | None,
    share: Share | None, answers: Answers,
) -> Iterator[None]:  # fmt: skip
    """Hold a folder while a look, or a share of one, works in it; the plan is written first.

    Raises: BadRun if it holds a run of another model or other images, or if another process is at work; UsageError
    if shares were begun with other analyses; RunFailed if it cannot be written.
    """
    from filelock import FileLock, Timeout

    sharing = share is not None and share.count > 1
    if before is not None and not grown(before, specimen, answers):
        _agree(folder, before, specimen)
        if sharing and not (folder / "run.json").exists():
            _agree_on_analyses(before, settings)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    write_bytes(folder / ".microtome", b"")  # the first file: it shows whether the folder can be written
    lock = FileLock(folder / f".lock{share or ''}", blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise BadRun(f"Run {folder.name} is being worked on by another process", "One process works on a run",
                     "Wait for it, or stop it") from error  # fmt: skip
    with lock:
        if share is not None and not sharing:
            _wait_for_nobody(folder)
            clear_left_over(folder)
        plan = Plan(
            fingerprints=fingerprints(specimen), settings={**(before.settings if before else {}), **settings},
            call=call or (before.call if before else {}), units=specimen.units,
        )  # fmt: skip
        write_json(folder / "plan.json", {"format": FORMAT, **asdict(plan)})
        if specimen.images is not None:
            answers.keep_images(specimen.images.fingerprint, specimen.images.marks)
        try:
            yield
        except BaseException:
            if before is None and not sharing and not answers.anything:
                _remove(folder, made)
            raise


@contextmanager
def finishing(folder: Path, share: Share | None) -> Iterator[None]:
    """Hold the whole folder while its results are written: shares that find everything done do so one by one."""
    from filelock import FileLock

    with FileLock(folder / ".lock") if share is not None and share.count > 1 else nullcontext():
        yield


def shares_at_work(folder: Path) -> list[str]:
    """The shares that some process is working on right now."""
    from filelock import FileLock, Timeout

    found = []
    for path in sorted(folder.glob(".lock.*-of-*")):
        try:
            FileLock(path, blocking=False).acquire().lock.release()
        except Timeout:
            found.append(path.name.removeprefix(".lock."))
    return found


def _wait_for_nobody(folder: Path) -> None:
    at_work = shares_at_work(folder)
    if at_work:
        raise BadRun(f"Share {at_work[0]} of run {folder.name} is being worked on by another process",
                     "A whole look needs the folder for itself", "Wait for it, or stop it")  # fmt: skip


def _remove(folder: Path, made: list[Path]) -> None:
    """Leave nothing of a run behind in which nothing was found: no file of ours, and no folder that was not there."""
    for path in (folder / "answers", folder / "results", folder / "images"):
        rmtree(path, ignore_errors=True)
    for name in ("plan.json", ".microtome", ".lock"):
        (folder / name).unlink(missing_ok=True)
    for path in made:
        if not any(path.iterdir()):
            path.rmdir()


def grown(before: Plan, specimen: Specimen, answers: Answers) -> bool:
    """Whether the images are those of the run and further ones, in the same order, and the model is the same."""
    here = fingerprints(specimen)
    same_networks = {**before.fingerprints, "images": ""} == {**here, "images": ""}
    if specimen.images is None or not same_networks or before.fingerprints == here:
        return False
    return before.fingerprints["images"] in answers.smaller(specimen.images.marks)


def _agree(folder: Path, before: Plan, specimen: Specimen) -> None:
    here = fingerprints(specimen)
    if before.fingerprints != here:
        what = " and ".join(OTHER[name] for name in OTHER if here.get(name) != before.fingerprints.get(name))
        raise BadRun(f"Folder {str(folder)!r} holds a run {what}", "A run has one model and one image set",
                     "Choose another folder with -o, or remove this one")  # fmt: skip


def _agree_on_analyses(before: Plan, settings: Mapping[str, str]) -> None:
    if dict(before.settings) != dict(settings):
        raise UsageError(
            f"This share asks for {', '.join(sorted(settings.values()))}",
            f"The run was begun for {', '.join(sorted(before.settings.values()))}",
            "Give every share the same analyses and settings",
        )
