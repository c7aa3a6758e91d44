"""Runs from the command line: begun, interrupted, gone on with, shared out and put together."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bad_inputs import photos
from journeys import assert_same
from keyboard import typed
from microtome.runs.run import open_run
from microtome.statistics import Batch

NETWORK = "zoo:simpleconvnet_pruned"
LOOK = f"look {NETWORK} photos -q --no-report --analyses activity,twins"
Type = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    photos(tmp_path, 30)
    return tmp_path


@pytest.fixture
def type_(home: Path) -> Type:
    return lambda words: typed(words, home)


def activity(home: Path, run: str) -> dict[str, object]:
    return open_run(home / run)["activity"].to_state()


def test_shards_and_merges_lead_to_the_run_of_one_look(type_, home, monkeypatch) -> None:
    assert type_(f"{LOOK} -o alone")[0] == 0
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    for task in (1, 2, 3):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        code, out, _ = type_(f"{LOOK} -o shared --shard auto")
        assert code == 0
        assert out.splitlines() == [
            f"Stage 1: share {task - 1} of 3 of the pass for activity, twins is done",
            "Once all shards of it are done: microtome merge shared",
        ]
    code, out, _ = type_("merge shared")
    assert code == 0 and out.splitlines()[-1] == "Report: shared/index.html"
    assert (home / "shared" / "index.html").exists()
    assert_same(activity(home, "shared"), activity(home, "alone"))


def test_torchrun_says_which_shard_it_is_too(type_, home, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    _, out, _ = type_(f"{LOOK} -o shared --shard auto --json")
    missing = ["share 1 of 2 of the pass for activity, twins is done"]
    assert json.loads(out) == {"run": "shared", "stage": 1, "missing": missing}


def test_an_interrupted_look_says_how_to_go_on_and_does(type_, home, monkeypatch) -> None:
    original, calls = Batch.__init__, []

    def interrupted(self: Batch, *args: object, **options: object) -> None:
        calls.append(self)
        if len(calls) == 7:
            raise KeyboardInterrupt
        original(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "__init__", interrupted)
        code, _, err = type_(f"{LOOK} -o run --batch-size 4")
    assert (code, err) == (1, "Interrupted. What was measured is kept: the same command goes on from there.\n")
    code, _, err = type_(f"{LOOK.replace(' -q', '')} -o run --batch-size 4")
    assert code == 0
    assert "pass for activity, twins: 20 of 30 images are known, going on" in err
    assert type_(f"{LOOK} -o alone --batch-size 4")[0] == 0
    assert_same(activity(home, "run"), activity(home, "alone"))


def test_a_run_is_gone_on_with_by_its_folder_alone(type_, home) -> None:
    assert type_(f"{LOOK} -o run --limit 20 --seed 3 --set activity.k=5")[0] == 0
    code, _, err = type_("look run --analyses filters --units conv2:1")
    assert code == 0 and "20 images from photos" in err and "seed 3, into run" in err
    run = open_run(home / "run")
    assert run.names == ["activity", "twins", "filters"]
    plan = json.loads((home / "run" / "plan.json").read_text())
    assert plan["units"] == ["conv2:1"]
    assert plan["call"]["set"] == ["activity.k=5"]


def test_a_second_look_measures_nothing_again(type_) -> None:
    assert type_(f"{LOOK} -o run")[0] == 0
    _, _, err = type_("look run")
    assert "pass" not in err.replace("passes", "")
