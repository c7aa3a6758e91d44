"""A look that was killed goes on and finds what an uninterrupted one finds; hardly anything is done twice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import microtome as mt
from journeys import ANALYSES, BATCH, IMAGES, PIECES, WORKED, Journey, Killed, assert_same, digits, killing, tree_of
from microtome.network.recording.measure import measure
from microtome.runs import walk
from microtome.runs.answers import Answers, Share
from microtome.runs.replay import Replay
from microtome.runs.runner import Look
from microtome.statistics import Batch
from microtome.store import clear_left_over

TWO_PASSES = 2 * IMAGES


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    return digits()


@pytest.fixture(scope="module")
def expected(specimen) -> dict[str, Any]:
    return tree_of(Look(specimen, batch_size=BATCH).run(ANALYSES).results)


@pytest.fixture
def journey(specimen, tmp_path, monkeypatch):
    made = Journey(specimen, tmp_path / "answers", monkeypatch)
    WORKED.clear()
    yield made
    made.handle.remove()


# (where the process ends, at which call, after it or before it)
KILLS = {
    "in the first batch": (Batch, "__init__", 1, False),
    "before anything was saved": (Batch, "__init__", 4, False),
    "right after a save": (Batch, "__init__", 6, False),
    "in the middle of the first pass": (Batch, "__init__", 13, False),
    "in the last batch of the first pass": (Batch, "__init__", 25, False),
    "in the middle of the second pass": (Batch, "__init__", 40, False),
    "inside the first save": (Path, "replace", 1, False),
    "inside a later save": (Path, "replace", 4, False),
    "inside the save that ends the first pass": (Path, "replace", 6, False),
    "between two stages": (Replay, "send", 4, False),
    "while a job runs": (WORKED, "extend", 3, True),
    "after everything was measured": (Replay, "send", 8, True),
}


@pytest.mark.parametrize("kill", KILLS)
def test_a_killed_look_goes_on_and_finds_the_same(kill, journey, expected, monkeypatch) -> None:
    home, name, at_call, after = KILLS[kill]
    if home is WORKED:
        home, name, at_call = _Works, "extend", at_call
        monkeypatch.setattr("journeys.WORKED", _Works(WORKED))
    with pytest.raises(Killed), killing(monkeypatch, home, name, at_call, after):
        journey.go()
    clear_left_over(journey.folder)
    outcome = journey.go()
    assert outcome.missing == ()
    assert_same(tree_of(outcome.results), expected)
    # filled-up last batches count four images instead of one
    again = journey.images - TWO_PASSES - 2 * (BATCH - 1)
    assert again <= walk.SAVED_BATCHES * BATCH
    assert len(WORKED) - PIECES <= 3


class _Works(list):
    """A list whose `extend` can be replaced."""

    def __init__(self, behind: list[int]) -> None:
        super().__init__()
        self.behind = behind

    def extend(self, items: Any) -> None:
        self.behind.extend(items)


def test_a_look_that_is_killed_again_and_again_still_arrives(journey, expected, monkeypatch) -> None:
    for _ in range(30):
        try:
            with killing(monkeypatch, Batch, "__init__", 8, False):
                outcome = journey.go()
            break
        except Killed:
            clear_left_over(journey.folder)
    assert_same(tree_of(outcome.results), expected)


def test_a_finished_look_is_not_measured_again(journey, expected) -> None:
    journey.go()
    journey.images, done = 0, len(WORKED)
    outcome = journey.go()
    assert (journey.images, len(WORKED), outcome.passes) == (0, done, 0)
    assert_same(tree_of(outcome.results), expected)


def test_another_batch_size_goes_on_with_what_is_known(journey, expected, monkeypatch) -> None:
    with pytest.raises(Killed), killing(monkeypatch, Batch, "__init__", 13, False):
        journey.go()
    seen = journey.images
    outcome = journey.go(batch_size=7)
    assert_same(tree_of(outcome.results), expected)
    assert journey.images - seen < TWO_PASSES - 2 * BATCH * 4


@pytest.mark.parametrize("change", ["weights", "seed of the jobs"])
def test_what_was_found_for_something_else_is_not_taken(change, tmp_path, monkeypatch) -> None:
    specimen = digits()
    journey = Journey(specimen, tmp_path, monkeypatch)
    journey.go()
    seen, worked = journey.images, len(WORKED)
    if change == "weights":
        nn.init.normal_(specimen.model.module.conv1.weight)
        vars(specimen.model).pop("fingerprint")
    else:
        journey.specimen = mt.Specimen(model=specimen.model, images=specimen.images, seed=1)
    journey.go()
    assert journey.images - seen == (seen if change == "weights" else 0)
    assert len(WORKED) - worked == PIECES
    journey.handle.remove()


def test_measuring_some_places_after_others_is_measuring_them_all(specimen) -> None:
    from microtome.network.recording.recorder import Probe
    from microtome.network.recording.untouched import untouched
    from microtome.statistics import Extremes, Moments

    probes = [Probe((specimen.sites.address("conv1"),), statistic) for statistic in (Moments(), Extremes(k=5))]
    order = np.random.default_rng(0).permutation(IMAGES)
    with untouched(specimen.model.module):
        whole = measure(specimen.model, specimen.images, probes, batch_size=10)
        first = measure(specimen.model, specimen.images, probes, batch_size=10, places=order[:30])
        states = [accumulator.state() for accumulator in first]
        both = measure(specimen.model, specimen.images, probes, batch_size=8, places=order[30:], known=states)
    for one, other in zip(whole, both, strict=True):
        assert_same(vars(other.compute()), vars(one.compute()))


SHARES = [(4, (0, 1, 2, 3)), (3, (2, 0, 1)), (7, tuple(range(7)))]


@pytest.mark.parametrize(("count", "order"), SHARES)
def test_shares_put_together_are_one_look(count, order, journey, expected) -> None:
    stages = 0
    for _ in range(5):
        for index in order:
            outcome = journey.go(Share(index=index, count=count))
            assert outcome.missing
        outcome = journey.go(None)
        stages += 1
        if not outcome.missing:
            break
    assert stages == 2  # one-pass analyses need one, two passes two; the jobs come with the second
    assert_same(tree_of(outcome.results), expected)
    assert sorted(WORKED) == list(range(PIECES))
    filled = sum(-len(Share(index=i, count=count).of(IMAGES)) % BATCH for i in range(count))
    assert journey.images <= 2 * (IMAGES + filled)


def test_putting_together_says_which_shares_are_missing(journey) -> None:
    journey.go(Share(index=1, count=3))
    outcome = journey.go(None)
    assert outcome.missing == ("the pass for activity, axes, pieces: 1 of 3 shares are done",)
    assert (outcome.stage, outcome.results) == (1, {})
    assert journey.go(Share(index=1, count=3)).missing  # it is there already
    assert journey.images == 32 + (-33 % BATCH) + 1 or journey.images <= 36


def test_a_share_that_was_killed_goes_on_and_the_whole_is_the_same(journey, expected, monkeypatch) -> None:
    for stage in range(2):
        for index in range(3):
            if index == 1:
                with pytest.raises(Killed), killing(monkeypatch, Batch, "__init__", 7, False):
                    journey.go(Share(index=index, count=3))
            journey.go(Share(index=index, count=3))
        outcome = journey.go(None)
        assert bool(outcome.missing) == (stage == 0)
    assert_same(tree_of(outcome.results), expected)


def test_equal_bits_come_of_equal_looks_whether_or_not_they_are_saved(specimen, tmp_path, monkeypatch) -> None:
    found = []
    for folder, anyway in ((None, 0.05), (tmp_path / "a", 0.05), (tmp_path / "b", -1.0)):
        monkeypatch.setattr(walk, "SAVED_ANYWAY", anyway)
        monkeypatch.setattr(walk, "SAVED_SHARE", 0.0 if anyway < 0 else 0.05)
        results = Look(specimen, batch_size=BATCH, answers=Answers(folder)).run(ANALYSES).results
        found.append(results["activity"].to_state())
    for other in found[1:]:
        assert np.array_equal(other["mean"]["conv1"], found[0]["mean"]["conv1"])
