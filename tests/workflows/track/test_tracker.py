"""A network that is followed learns the same, and its curves are what a look at its weights says."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from lessons import Lesson
from microtome.network.training import Recipe, train
from microtome.workflows.track.tracker import Tracker
from page_data import read
from portrait import differences, portrait

STEPS = 24
NAMES = ("activity", "filters", "decisions")


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> tuple[Tracker, Lesson, dict[int, dict]]:
    """A training with its tracker, and the weights at every snapshot."""
    lesson, kept = Lesson(), {}
    with mt.Tracker(lesson.model, lesson.probe, out=tmp_path_factory.mktemp("track") / "run", analyses=NAMES,
                    share=1.0) as tracker:  # fmt: skip
        kept[0] = copy.deepcopy(lesson.module.state_dict())

        def told(module: nn.Module, step: int, loss: torch.Tensor) -> None:
            if tracker.step(module, loss=loss, epoch=1):
                kept[step] = copy.deepcopy(module.state_dict())

        lesson.learn(STEPS, told)
    lesson.random = torch.get_rng_state()
    return tracker, lesson, kept


def test_weights_and_random_numbers_are_bit_for_bit_those_of_a_training_alone(followed) -> None:
    _, lesson, _ = followed
    alone = Lesson()
    alone.learn(STEPS)
    theirs = alone.module.state_dict()
    assert [name for name, tensor in lesson.module.state_dict().items() if not torch.equal(tensor, theirs[name])] == []
    assert torch.equal(lesson.random, torch.get_rng_state())
    assert lesson.module.training


def test_a_snapshot_leaves_modes_gradients_hooks_and_random_numbers_as_they_were(tmp_path) -> None:
    lesson = Lesson()
    lesson.learn(2)
    tracker = mt.Tracker(lesson.model, lesson.probe, out=tmp_path / "run", analyses=NAMES)
    before = portrait(lesson.module)
    tracker.begin(step=2)
    assert differences(before, portrait(lesson.module)) == []
    assert lesson.module.conv1.weight.grad is not None and len(tracker.moments.all) == 1


def test_our_trainer_learns_the_same_with_a_tracker_and_tells_step_and_epoch(tmp_path) -> None:
    images = mt.open_images("digits", mt.open_model("zoo:simpleconvnet_pruned")).limit(200)
    validation, fitted = images.split("validation", 0.3)
    recipe, states, told = Recipe(epochs=2, batch_size=32, shift=1), [], []
    for track in (False, True):
        model = mt.open_model("zoo:simpleconvnet_pruned")
        after = None
        if track:
            tracker = mt.Tracker(model, validation, out=tmp_path / "run", analyses=["filters"], share=1.0)

            def after(step: int, steps: int, epoch: int, loss: torch.Tensor, tracker: Tracker = tracker) -> None:
                told.append((step, steps, epoch))
                tracker.step(step=step, loss=loss)

        made = train(model.module, fitted, validation, model.preprocessing, recipe, after_step=after)
        states.append(model.module.state_dict())
    assert [name for name, tensor in states[0].items() if not torch.equal(tensor, states[1][name])] == []
    each = -(-len(fitted) // 32)
    assert told == [(k + 1, 2 * each, k // each + 1) for k in range(2 * each)]
    losses = tracker.history().facts["loss"]
    assert len(losses) == 2 * each and np.isfinite(losses).all() and made.loss[0] > 0


def test_curves_are_what_a_look_at_the_weights_of_that_step_says(followed, tmp_path) -> None:
    tracker, _, kept = followed
    history = tracker.run["history"]
    assert history.step.tolist() == sorted(kept) == list(range(STEPS + 1))
    for place in (0, 7, 24):
        fresh = Lesson()
        fresh.module.load_state_dict(kept[place])
        run = mt.look(fresh.model, fresh.probe, out=tmp_path / str(place), analyses=NAMES, effort="quick")
        curves = {name: history.curves[name] for name in NAMES}
        for layer, values in run["activity"].active.items():
            by_hand = [np.percentile(values, level) for level in (25, 50, 75)]
            np.testing.assert_array_equal(curves["activity"]["active"][layer][place], by_hand)
        for layer, values in run["activity"].dead.items():
            assert curves["activity"]["dead"][layer][place] == values.sum() / len(values)
        for layer, values in run["filters"].norm.items():
            assert curves["filters"]["norm"][layer][place][1] == np.median(values.astype(float))
        assert curves["decisions"]["accuracy"]["accuracy"][place] == run["decisions"].correct.mean()
        assert tracker.moments.all[place].weights == fresh.model.fingerprint
        kept_tree = tracker.moments.results(place)["activity"]
        assert np.array_equal(kept_tree["mean"]["conv2"], run["activity"].mean["conv2"])


def test_the_run_holds_the_last_network_and_can_be_asked_more(followed) -> None:
    tracker, lesson, _ = followed
    run = mt.open_run(tracker.moments.folder)
    assert run.names == ["history", *(name for name in run.names if name != "history")]
    assert set(run.names) == {"history", *NAMES}
    assert run.info["model"]["weights"] == f"after {STEPS} steps of training"
    assert run.info["fingerprints"]["weights"] == tracker.moments.all[-1].weights
    again = mt.look(lesson.model, lesson.probe, out=run.folder, analyses=["twins"], effort="quick")
    assert {"history", "twins"} <= set(again.names)
    assert again["history"].step[-1] == STEPS


def test_the_page_draws_every_curve_over_the_steps_and_says_what_it_cost(followed) -> None:
    tracker, _, _ = followed
    page = tracker.run.report()
    network = read(page.parent / "data" / "network.js")
    (asked,) = [q for topic in network["topics"] for q in topic["questions"] if "while it learnt" in q["question"]]
    charts = {card["title"]: card for card in asked["cards"] if card["kind"] == "lines"}
    assert {"The training's loss", "active while it learnt (activity)", "accuracy while it learnt (decisions)"} <= set(
        charts
    )
    chart = charts["active while it learnt (activity)"]
    history = tracker.run["history"]
    assert (chart["x"], chart["log"]) == (history.step.tolist(), "1+x")
    assert chart["x_label"] == "steps of the optimiser"
    assert [one["name"] for one in chart["series"]] == ["conv1", "conv2", "fc"]
    np.testing.assert_allclose(chart["series"][1]["y"], history.curves["activity"]["active"]["conv2"][:, 1], rtol=1e-3)
    layer = read(page.parent / "data" / "layer-1.js")
    (spread,) = [card for card in layer if card["title"] == "active while it learnt (activity)"]
    assert [one["name"] for one in spread["series"]] == ["median", "lower quartile", "upper quartile"]
    assert f"took {tracker.run['history'].spent / tracker.run['history'].total:.1%} of the" in page.read_text()


def test_findings_compare_a_movement_with_what_the_curve_still_does_late(followed) -> None:
    history = followed[0].run["history"]
    found = {one.sentence.partition(":")[0]: one for one in history.findings()[1:]}
    assert set(found) == set(NAMES)
    for name, one in found.items():
        values = {key: curve for key, curve in history.middle().items() if key[0] == name}
        went = {key: curve[-1] - curve[0] for key, curve in values.items()}
        late = {key: max(abs(a - b) for a, b in zip(curve[12:], curve[13:], strict=False))
                for key, curve in values.items()}  # fmt: skip
        clear = [key for key in values if abs(went[key]) > late[key]]
        assert f"of {len(values)} curves, {len(clear)} of which moved further" in one.sentence
        assert one.number in went.values() and "from step 12 on" in one.control
    assert history.plot().axes[0].get_xlabel() == "steps of the optimiser"


def test_the_profile_of_the_first_layer_is_followed_axis_by_axis(tmp_path) -> None:
    lesson, weights = Lesson(), []
    with mt.Tracker(lesson.model, lesson.probe, out=tmp_path / "run", analyses=["first_layer"], share=1.0) as tracker:
        weights.append(lesson.module.conv1.weight.detach().flatten(1).double().numpy().copy())
        lesson.learn(1, lambda module, step, loss: tracker.step(loss=loss))
    weights.append(lesson.module.conv1.weight.detach().flatten(1).double().numpy())
    history, last = tracker.run["history"], tracker.run["first_layer"]
    for line, values in history.curves["first_layer"]["energy along axes"].items():
        axis = last.basis.axes[:, int(line.removeprefix("axis "))]
        by_hand = [np.sqrt(np.mean([(kernel @ axis) ** 2 for kernel in bank])) for bank in weights]
        np.testing.assert_allclose(values, by_hand, rtol=1e-5)
    assert set(history.curves["first_layer"]) == {"energy along axes", "theory's fit", "spread over axes"}
