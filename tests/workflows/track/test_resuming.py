"""A training that was killed goes on with its history; another one is refused."""

import json

import numpy as np
import pytest
from torch import nn

import microtome as mt
from lessons import Lesson
from microtome.errors import BadRun, MicrotomeError, NotApplicable, UnknownName, UsageError
from microtome.store import read_tree, write_tree

NAMES = ("activity", "filters")


def tracker_of(lesson: Lesson, out, **words: object) -> mt.Tracker:
    return mt.Tracker(lesson.model, lesson.probe, out=out, **({"analyses": NAMES, "share": 1.0} | words))


def telling(tracker: mt.Tracker):
    return lambda module, step, loss: tracker.step(module, step=step, loss=loss)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing happened to."""
    lesson = Lesson()
    with tracker_of(lesson, tmp_path_factory.mktemp("whole") / "run") as tracker:
        lesson.learn(24, telling(tracker))
    return tracker.run["history"]


def same(one, other) -> None:
    assert one.step.tolist() == other.step.tolist()
    for part in ("facts", "curves"):
        left, right = getattr(one, part), getattr(other, part)
        assert json.dumps(left, default=lambda a: a.tolist()) == json.dumps(right, default=lambda a: a.tolist())
    assert (one.how, one.said, one.images) == (other.how, other.said, other.images)


@pytest.mark.parametrize("checkpoint", [0, 5, 11])
def test_killed_and_gone_on_from_a_checkpoint_gives_the_same_history(whole, tmp_path, checkpoint) -> None:
    lesson = Lesson()
    tracker = tracker_of(lesson, tmp_path / "run")
    tracker.begin()
    lesson.learn(checkpoint, telling(tracker))
    state = lesson.state
    lesson.learn(13 - checkpoint, telling(tracker))
    (tmp_path / "run" / "moments" / ".000000014.safetensors.ab.tmp").write_bytes(b"half")  # killed while it wrote
    del tracker
    again = Lesson()
    again.go_back(state)
    with tracker_of(again, tmp_path / "run", resume=True) as tracker:
        assert [moment.step for moment in tracker.moments.all] == list(range(14))
        again.learn(24 - checkpoint, telling(tracker))
    same(tracker.run["history"], whole)
    assert not list((tmp_path / "run").rglob("*.tmp"))
    elapsed = tracker.run["history"].elapsed
    assert (np.diff(elapsed) > 0).all() and elapsed[-1] <= tracker.run["history"].total


def test_begin_after_a_checkpoint_keeps_the_snapshot_of_that_step(tmp_path) -> None:
    lesson = Lesson()
    tracker = tracker_of(lesson, tmp_path / "run")
    tracker.begin()
    lesson.learn(6, telling(tracker))
    again = tracker_of(lesson, tmp_path / "run", resume=True)
    again.begin(step=4)
    assert [moment.step for moment in again.moments.all] == [0, 1, 2, 3, 4]


def test_resume_of_nothing_begins(tmp_path) -> None:
    lesson = Lesson()
    with tracker_of(lesson, tmp_path / "run", resume=True) as tracker:
        lesson.learn(2, telling(tracker))
    assert tracker.run["history"].step.tolist() == [0, 1, 2]


def test_an_error_in_the_training_writes_no_run_and_keeps_what_was_seen(tmp_path) -> None:
    lesson = Lesson()
    with pytest.raises(ZeroDivisionError), tracker_of(lesson, tmp_path / "run") as tracker:
        lesson.learn(2, telling(tracker))
        _ = 1 / 0
    assert tracker.run is None and not (tmp_path / "run" / "run.json").exists()
    assert len(list((tmp_path / "run" / "moments").iterdir())) == 3


def refused(kind: type[MicrotomeError], given: str, call) -> MicrotomeError:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.given.startswith(given), caught.value.given
    assert caught.value.allowed and caught.value.next_step
    return caught.value


@pytest.fixture
def begun(tmp_path):
    lesson = Lesson()
    tracker_of(lesson, tmp_path / "run").begin()
    return lesson, tmp_path / "run"


def test_a_folder_with_a_tracking_is_not_written_over(begun) -> None:
    lesson, out = begun
    refused(BadRun, f"Folder {str(out)!r} holds a training that was tracked before", lambda: tracker_of(lesson, out))


@pytest.mark.parametrize(
    ("words", "what"),
    [({"analyses": ["activity"]}, "other analyses or settings"),
     ({"settings": {"activity": {"k": 3}}}, "other analyses or settings"), ({"seed": 3}, "another effort or seed")],
)  # fmt: skip
def test_a_tracking_goes_on_with_what_it_began_with(begun, words, what) -> None:
    lesson, out = begun
    refused(BadRun, f"Folder {str(out)!r} holds a tracking of {what}",
            lambda: tracker_of(lesson, out, resume=True, **words))  # fmt: skip


def test_other_probe_images_and_another_network_are_refused(begun) -> None:
    lesson, out = begun
    lesson.probe = lesson.probe.take(range(50))
    refused(BadRun, f"Folder {str(out)!r} holds a tracking of other probe images",
            lambda: tracker_of(lesson, out, resume=True))  # fmt: skip
    refused(BadRun, f"Folder {str(out)!r} holds a tracking of another network",
            lambda: tracker_of(Lesson(wide=5), out, resume=True))  # fmt: skip


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    refused(BadRun, f"Folder {str(tmp_path / 'run')!r} is not empty and holds no tracking",
            lambda: tracker_of(Lesson(), tmp_path / "run"))  # fmt: skip
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_damaged_files_are_named(begun) -> None:
    lesson, out = begun
    (path,) = (out / "moments").iterdir()
    write_tree(path.with_suffix(""), {"step": 0, "results": read_tree(path.with_suffix(""))["results"]})
    refused(BadRun, "Snapshot 0 of run holds step", lambda: tracker_of(lesson, out, resume=True))
    (out / "track.json").write_text("{")
    refused(BadRun, "track.json of run cannot be read", lambda: tracker_of(lesson, out, resume=True))


def test_a_network_whose_layers_change_is_refused_and_the_history_stays(tmp_path) -> None:
    lesson = Lesson()
    tracker = tracker_of(lesson, tmp_path / "run")
    tracker.begin()
    lesson.learn(1, telling(tracker))
    lesson.module.conv2 = nn.Conv2d(6, 9, 3)
    lesson.module.fc = nn.Linear(9, 10)
    error = refused(UsageError, "After 2 steps the network has other layers", lambda: tracker.step(lesson.module))
    assert error.allowed == "A tracker follows one architecture, whose weights alone change"
    assert tracker.history().step.tolist() == [0, 1]


def test_steps_are_told_where_they_cannot_be_counted_and_go_up(begun) -> None:
    lesson, out = begun
    tracker = tracker_of(lesson, out, resume=True)
    error = refused(UsageError, "The tracking in run goes on after 0 steps or fewer", tracker.step)
    assert error.next_step == "Call step(..., step=n)"
    refused(UsageError, "The tracker is to finish, and was told of no step", tracker.finish)
    tracker.step(step=5)
    refused(UsageError, "Step 4 came after step 5", lambda: tracker.step(step=4))


def test_what_cannot_be_asked_is_said_before_the_training(tmp_path) -> None:
    lesson = Lesson()
    refused(UnknownName, "Analysis 'activty' does not exist", lambda: tracker_of(lesson, tmp_path / "a",
                                                                                 analyses=["activty"]))  # fmt: skip
    refused(UsageError, "The tracker has seen no network yet", tracker_of(lesson, tmp_path / "b").history)
    tracker = tracker_of(lesson, tmp_path / "c", analyses=["handnet"])
    refused(NotApplicable, "No analysis can be followed; handnet: ", tracker.begin)
