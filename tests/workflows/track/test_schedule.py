"""Snapshots come early, and take no more than their share of the time."""

import numpy as np
import pytest

import microtome as mt
from lessons import Lesson
from microtome.analyses.filters import Filters
from microtome.errors import UsageError
from microtome.network.specimen import Specimen
from microtome.runs.runner import Look
from microtome.workflows.track import tracker as home
from microtome.workflows.track.schedule import Pace, Schedule


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """A training of steps that take a second each, with snapshots that take their own time: its history."""
    lesson, clock = Lesson(), Clock()
    seen = Look(Specimen(model=lesson.model)).run([Filters()])

    def going(length: int, cost: float, first: float = 1.0, **words: object):
        clock.now = 0.0

        class Taking:
            def __init__(self, *about: object, **more: object) -> None: ...

            def run(self, analyses: object) -> object:
                clock.now += cost
                return seen

        monkeypatch.setattr(home, "Look", Taking)
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        tracker = mt.Tracker(lesson.model, out=out, analyses=["filters"], clock=clock, **words)
        tracker.begin()
        for step in range(length):
            clock.now += first if step == 0 else 1.0
            tracker.step()
        tracker.finish()
        return tracker.run["history"]

    return going


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("share", "cost"), [(0.05, 1.0), (0.05, 0.01), (0.2, 3.0), (0.01, 0.5), (0.5, 7.0)])
def test_all_snapshots_together_stay_within_the_share(follow, share, cost, known) -> None:
    history = follow(600, cost, share=share, steps=600 if known else None)
    count = len(history.step)
    assert history.spent == pytest.approx(count * cost)
    assert history.total == pytest.approx(600 + count * cost)
    assert history.spent <= share * history.total * (1 + 1e-9)
    assert history.step[0] == 0 and history.step[-1] == 600
    most = len([step for step in wanted(600) if step <= 600])
    affordable = 600 * share / (1 - share) / cost
    assert count >= 0.5 * min(affordable, most), "and they do not stay far below it"


def wanted(last: int) -> set[int]:
    found, schedule = {0}, Schedule()
    while max(found) <= last:
        found.add(schedule.following(max(found)))
    return found


def test_where_the_number_of_steps_is_known_the_beginning_is_seen_too(follow) -> None:
    blind, seeing = (follow(2000, 2.0, share=0.05, steps=steps).step for steps in (None, 2000))
    assert (blind[1:] >= 70).all(), "else there is no time behind the first steps yet"
    assert ((seeing > 0) & (seeing < 70)).sum() >= 10
    # spent evenly over powers of ten, as far as steps are whole
    decades = np.histogram(seeing, [5, 50, 500])[0]
    assert decades.min() >= 0.6 * decades.max()


def test_a_slow_first_step_does_not_promise_a_long_training(follow) -> None:
    history = follow(300, 1.0, first=40.0, share=0.05, steps=300)
    assert history.spent <= 0.05 * history.total


def test_first_and_last_are_taken_even_where_they_alone_cost_more(follow) -> None:
    history = follow(10, 4.0, share=0.05)
    assert history.step.tolist() == [0, 10]
    (finding,) = history.findings()[:1]
    assert "took 44.4% of the 18.0 s of training" in finding.sentence
    assert "allowed were 5.0%, and the first and the last snapshot, which are taken whatever" in finding.control


def test_with_every_snapshots_are_at_even_steps(follow) -> None:
    assert follow(50, 0.01, share=0.5, every=10).step.tolist() == [0, 10, 20, 30, 40, 50]
    assert follow(23, 0.01, share=0.5, every=10).step.tolist() == [0, 10, 20, 23]


def test_wanted_steps_are_dense_at_first_and_then_a_sixteenth_apart() -> None:
    schedule = Schedule()
    found = [0]
    while found[-1] < 10_000:
        found.append(schedule.following(found[-1]))
    assert found[:33] == list(range(33))
    gaps = np.diff(found[33:]) / found[33:-1]
    assert (gaps <= 1 / 16).all() and (gaps > 1 / 24).all()
    assert all(schedule.following(step) == next(w for w in found if w > step) for step in (0, 5, 33, 100, 101, 4321))


@pytest.mark.parametrize(
    ("words", "given"),
    [({"share": 0}, "The share of the training time is 0"), ({"share": 1.5}, "The share of the training time is 1.5"),
     ({"every": 0}, "every is 0"), ({"steps": 0}, "steps is 0")],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(words, given) -> None:
    with pytest.raises(UsageError) as caught:
        Schedule(**words)
    assert caught.value.given == given


def test_pace_is_the_median_step_and_unknown_at_first() -> None:
    pace = Pace()
    now = 0.0
    for seconds in (9.0, 1.0):
        pace.left(now)
        now += seconds
        pace.arrived(now, 1)
        assert np.isnan(pace.seconds)
    pace.left(now)
    pace.arrived(now + 6.0, 3)  # three steps at once
    assert pace.seconds == 2.0
