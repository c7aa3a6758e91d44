"""A run's folder: what it takes in, what it refuses, and that killed processes and full disks leave it whole."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import microtome as mt
from house import ROOT
from journeys import assert_same, digits
from microtome.errors import BadRun, MicrotomeError, RunFailed, UsageError
from microtome.runs.run import Run

FEW = ("activity", "filters")


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    return digits()


@pytest.fixture
def run(specimen, tmp_path) -> Run:
    return mt.look(specimen.model, specimen.images, out=tmp_path / "run", analyses=["filters"])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(call, kind: type[MicrotomeError] = BadRun) -> MicrotomeError:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def test_a_finished_run_takes_in_another_analysis_and_keeps_the_first(run, specimen) -> None:
    before = run["filters"].to_state()
    added = mt.look(specimen.model, specimen.images, out=run.folder, analyses=["activity"])
    assert added.names == ["filters", "activity"]
    assert_same(added["filters"].to_state(), before)
    assert set(added.info["settings"]) == set(added.info["seconds"]) == {"filters", "activity"}
    added.report()


def test_an_analysis_with_other_settings_replaces_the_first_and_leaves_no_file_behind(run, specimen) -> None:
    mt.look(specimen.model, specimen.images, out=run.folder, analyses=["activity"])
    settings = {"activity": {"k": 4}}
    four = mt.look(specimen.model, specimen.images, out=run.folder, analyses=["activity"], settings=settings)
    assert four["activity"].top_value["conv1"].shape[1] == 4
    assert len(list((run.folder / "results").iterdir())) == 2
    index = four.image_index
    assert {path.name for path in (run.folder / "images").iterdir()} == {four.info["image_index"], *index["sheets"]}


def test_every_image_that_a_result_refers_to_is_there(run, specimen) -> None:
    found = mt.look(specimen.model, specimen.images, out=run.folder, analyses=["activity"])
    wanted = np.unique(found["activity"].top_index["conv1"])
    assert set(map(str, wanted[wanted >= 0])) <= set(found.image_index["where"])


def test_units_asked_for_one_after_the_other_are_all_remembered(run, specimen) -> None:
    mt.look(specimen.model, specimen.images, out=run.folder, analyses=["filters"], units=["conv1:0"])
    mt.look(specimen.model, specimen.images, out=run.folder, analyses=["filters"], units=["conv2:[1-3]"])
    assert json.loads((run.folder / "plan.json").read_text())["units"] == ["conv1:0", "conv2:[1-3]"]


def test_units_are_named_by_globs(specimen) -> None:
    chosen = dataclasses.replace(specimen, units=("conv2:[13]", "fc*:0", "conv1"))
    assert chosen.named_units == {"conv1": tuple(range(8)), "conv2": (1, 3), "fc4": (0,), "fc5": (0,)}
    error = refused(lambda: dataclasses.replace(specimen, units=("conv9:1",)).named_units, UsageError)
    assert str(error) == (
        "No unit is called 'conv9:1'. Units are LAYER:NUMBER, layers are: conv1, conv2, conv3, fc4, fc5. Mend --units."
    )


def other_weights(specimen: mt.Specimen) -> tuple[mt.Model, mt.Images]:
    model = digits().model
    nn.init.normal_(model.module.conv1.weight)
    return model, specimen.images


def other_images(specimen: mt.Specimen) -> tuple[mt.Model, mt.Images]:
    return specimen.model, specimen.images.take(range(20))


@pytest.mark.parametrize(
    ("other", "what"),
    [(other_weights, "of another model (weights, layers or preprocessing)"), (other_images, "of other images")],
)
def test_a_run_of_something_else_is_refused_and_left_alone(run, specimen, other, what) -> None:
    before = files(run.folder)
    error = refused(lambda: mt.look(*other(specimen), out=run.folder, analyses=["filters"]))
    assert error.given == f"Folder {str(run.folder)!r} holds a run {what}"
    assert error.allowed == "A run has one model and one image set"
    assert error.next_step == "Choose another folder with -o, or remove this one"
    assert files(run.folder) == before


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(specimen, tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    error = refused(lambda: mt.look(specimen.model, specimen.images, out=tmp_path, analyses=["filters"]))
    assert (error.given, error.exit_code) == (f"Folder {str(tmp_path)!r} is not empty and no run", 2)
    assert list(files(tmp_path)) == ["thesis.txt"]


@pytest.mark.parametrize("name", ["run.json", "plan.json"])
def test_a_run_of_a_newer_format_is_refused_and_left_alone(name, run, specimen) -> None:
    path = run.folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    before = files(run.folder)
    call = mt.open_run if name == "run.json" else lambda out: mt.look(specimen.model, specimen.images, out=out)
    error = refused(lambda: call(run.folder))
    assert str(error) == (
        "Run run has format 99. This version reads format 3. "
        "Open it with the version of microtome that stands in its run.json."
    )
    assert files(run.folder) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}', b"\xff", b"[" * 99_999])
def test_a_description_that_cannot_be_read_is_refused(content, run) -> None:
    (run.folder / "run.json").write_bytes(content)
    error = refused(lambda: mt.open_run(run.folder))
    assert error.given.startswith(f"Folder {str(run.folder)!r} is no run (")
    assert error.allowed == "A run is a folder with a readable run.json"


def test_a_run_that_is_not_finished_is_named_so(run) -> None:
    (run.folder / "run.json").unlink()
    error = refused(lambda: mt.open_run(run.folder))
    assert error.given == f"The run in {str(run.folder)!r} is not finished"
    assert error.next_step == "Run the same `microtome look` again: it goes on where it stopped"


ESCAPES = ["../../secret", "/etc/passwd", "..", ".hidden", "a/b", "", 5, "a\x00b"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("entry", ["files", "image_index"])
def test_a_description_that_leads_out_of_the_folder_is_refused(name, entry, run) -> None:
    info = json.loads((run.folder / "run.json").read_text())
    info[entry] = {"filters": name} if entry == "files" else name or "x/y"
    (run.folder / "run.json").write_text(json.dumps(info))
    error = refused(lambda: mt.open_run(run.folder))
    assert (error.given, error.next_step) == ("Run run names files outside of its folder", "Do not trust this run")


@pytest.mark.parametrize("sheet", ["../../secret.webp", "a/b.webp", 5])
def test_an_index_of_images_that_leads_out_of_the_folder_is_refused(sheet, run) -> None:
    path = run.folder / "images" / run.info["image_index"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sheets": [sheet]}))
    error = refused(lambda: mt.open_run(run.folder).image_index)
    assert error.given.startswith("The images of run run cannot be read (")


def test_a_link_in_a_run_is_refused(run, tmp_path) -> None:
    (tmp_path / "secret").write_text("x")
    (run.folder / "images" / "sheet-x.webp").symlink_to(tmp_path / "secret")
    error = refused(lambda: mt.open_run(run.folder))
    assert error.given == "Run run holds a link, images/sheet-x.webp"
    assert (error.allowed, error.next_step[:21]) == ("A run is self-contained", "Do not trust this run")


@pytest.mark.parametrize("state", [{}, {"made": 1, "up": "x"}])
def test_a_result_that_does_not_fit_its_analysis_is_refused(state, run) -> None:
    from microtome.store import write_tree

    write_tree(run.folder / "results" / run.info["files"]["filters"], state)
    error = refused(lambda: mt.open_run(run.folder)["filters"])
    assert error.given.startswith("The result 'filters' of run run does not fit its analysis (")
    assert error.next_step == "Look again with `--analyses filters`"


def test_a_run_says_which_results_it_has(run) -> None:
    error = refused(lambda: run["activity"])
    assert (error.given, error.allowed) == ("Run run has no result 'activity'", "There are: filters")


def test_another_process_at_work_is_respected(run, specimen) -> None:
    from filelock import FileLock

    before = files(run.folder)
    with FileLock(run.folder / ".lock"):
        error = refused(lambda: mt.look(specimen.model, specimen.images, out=run.folder, analyses=["activity"]))
    assert str(error) == (
        "Run run is being worked on by another process. One process works on a run. Wait for it, or stop it."
    )
    assert files(run.folder) == before


def test_shares_with_other_analyses_are_refused(specimen, tmp_path) -> None:
    share = {"out": tmp_path, "batch_size": 40}
    stage = mt.look_share(specimen.model, specimen.images, share=(0, 2), analyses=FEW, **share)
    assert stage.missing == ("share 0 of 2 of the pass for activity is done",)
    error = refused(
        lambda: mt.look_share(specimen.model, specimen.images, share=(1, 2), analyses=["filters"], **share), UsageError
    )
    assert error.given.startswith("This share asks for filters{") and error.given.count("{") == 1
    assert error.next_step == "Give every share the same analyses and settings"


def test_shares_of_a_look_become_its_run(specimen, tmp_path) -> None:
    alone = mt.look(specimen.model, specimen.images, out=tmp_path / "alone", analyses=FEW)
    for index in range(3):
        mt.look_share(specimen.model, specimen.images, out=tmp_path / "shared", share=(index, 3), analyses=FEW)
    merged = mt.merge(specimen.model, specimen.images, out=tmp_path / "shared", analyses=FEW)
    assert isinstance(merged, Run)
    assert_same(merged["activity"].to_state(), alone["activity"].to_state())
    assert merged.image_index["where"] == alone.image_index["where"]


# --- what only the operating system can do -------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
import microtome as mt
from journeys import digits

torch.set_num_threads(1)
specimen = digits()

def look(folder, at_call, name):
    original, calls = getattr(Path, name), [0]

    def killer(path, *args):
        if "run" in path.parts[-4:] or path.is_relative_to(folder):
            calls[0] += 1
            if calls[0] == at_call:
                if name == "write_bytes":  # half a file is on the disk
                    original(path, args[0][: len(args[0]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        return original(path, *args)

    setattr(Path, name, killer)
    mt.look(specimen.model, specimen.images, out=folder, analyses=["activity", "filters"], batch_size=4)

for case in sys.argv[2:]:  # each in a process of its own, whose beginning they share
    process = os.fork()
    if not process:
        at_call, name = case.split("-")
        look(Path(sys.argv[1]) / case / "run", int(at_call), name)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
KILLED = ("2-write_bytes", "4-replace", "6-write_bytes", "8-write_bytes", "11-replace")


@pytest.fixture(scope="module")
def whole(specimen, tmp_path_factory) -> Run:
    return mt.look(specimen.model, specimen.images, out=tmp_path_factory.mktemp("whole") / "run", analyses=FEW)


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A folder with a run for each of KILLED, that a process wrote until it was killed."""
    home, tests = tmp_path_factory.mktemp("killed"), str(ROOT / "tests")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home), *KILLED],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
    )
    assert done.stdout.decode().split() == [str(-signal.SIGKILL)] * len(KILLED), done.stderr.decode()
    return home


@pytest.mark.parametrize("case", KILLED)
def test_a_process_killed_while_it_writes_leaves_a_folder_that_opens_and_goes_on(case, specimen, whole, killed) -> None:
    folder = killed / case / "run"
    assert any(path.name.endswith(".tmp") for path in folder.rglob("*"))
    refused(lambda: mt.open_run(folder))
    run = mt.look(specimen.model, specimen.images, out=folder, analyses=FEW, batch_size=4)
    assert_same(run["activity"].to_state(), whole["activity"].to_state())
    assert not any(path.name.endswith(".tmp") for path in folder.rglob("*"))
    assert not any("-of-" in path.name for path in folder.rglob("*"))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 300 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_room(specimen, whole, small_disk) -> None:
    (small_disk / "ballast").write_bytes(bytes(200 << 10))
    folder = small_disk / "run"
    error = refused(lambda: mt.look(specimen.model, specimen.images, out=folder, analyses=FEW, batch_size=4), RunFailed)
    assert "could not be written in" in error.given and error.given.endswith("(No space left on device)")
    assert (error.allowed, error.exit_code) == ("What was written before is unharmed", 1)
    assert not any(path.name.endswith(".tmp") for path in folder.rglob("*"))
    refused(lambda: mt.open_run(folder))
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    run = mt.look(specimen.model, specimen.images, out=folder, analyses=FEW, batch_size=4)
    assert_same(run["activity"].to_state(), whole["activity"].to_state())


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(
    specimen, tmp_path, monkeypatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(specimen.model.module, "forward", lambda x: pytest.fail("something was measured"))
    error = refused(
        lambda: mt.look(specimen.model, specimen.images, out=tmp_path / "file" / "run", analyses=FEW), RunFailed
    )
    assert error.given.startswith(".microtome could not be written in")
    assert (tmp_path / "file").read_text() == "not a folder"
