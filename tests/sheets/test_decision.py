"""A decision in words, by Python."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.errors import NotApplicable, UnknownName
from microtome.network.parts.filters_on_pictures import words_of_filters
from microtome.sheets.decision import DecisionSheet, percent
from toys import UNet, noise, opened, seeded

NET = "zoo:simpleconvnet_pruned"


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model(NET)


@pytest.fixture(scope="module")
def found(model) -> DecisionSheet:
    return mt.decision(model, "line:45", images=mt.open_images("digits", model))


def test_numbers_are_plain_and_multiply(found) -> None:
    told = json.loads(json.dumps(found.numbers()))
    shares = [step["share"] for step in told["steps"]]
    np.testing.assert_allclose([step["product"] for step in told["steps"]], np.cumprod(shares), rtol=1e-9)
    assert told["share"] == pytest.approx(np.prod(shares)) and told["random_paths"] == 200
    assert [step["layer"] for step in told["steps"]] == ["fc5", "fc4", "conv3", "conv2", "conv1"]
    assert all(step["share"] >= step["even_share"] for step in told["steps"])
    fall = told["falls"]
    assert fall["first"] == pytest.approx(told["steps"][0]["share"] * told["steps"][0]["excess"], rel=1e-3)
    assert len(fall["random"]) == 20


def test_each_step_is_said_with_unit_label_share_and_an_even_one(model, found) -> None:
    lines = found.sentences()
    steps = found.path.steps
    for line, step, name in zip(lines[1 : 1 + len(steps)], steps, found.names, strict=True):
        assert line.split()[0] == percent(step.share) and f" {name}" in line
        assert f"of {step.count} channels, an even share is {percent(1 / step.count)}" in line
    assert ", at row" in lines[3] and ", at row" not in lines[1]
    first = steps[-2].source
    assert first.layer == "conv1" and found.labels[-2] == words_of_filters(model)["conv1"][first.unit]
    assert lines[1 + len(steps)] == "The path ends there: the picture itself"


def test_labels_can_be_given_and_are_only_words(model, found) -> None:
    given = {"conv2": [f"pattern {number}" for number in range(16)]}
    again = mt.decision(model, "line:45", images=mt.open_images("digits", model), labels=given)
    assert again.path == found.path
    assert any(f"(pattern {step.source.unit})" in line for line, step in zip(again.sentences()[1:], again.path.steps,
               strict=False) if step.source and step.source.layer == "conv2")  # fmt: skip


def test_a_class_is_a_number_or_a_name_and_without_images_background_is_usual(model) -> None:
    sheets = [mt.decision(model, "dot", target) for target in (3, "3", "class:3")]
    assert sheets[0].path == sheets[1].path == sheets[2].path and sheets[0].number == 3
    assert "background only" in sheets[0].sentences()[0]
    with pytest.raises(UnknownName, match="Class 12"):
        mt.decision(model, "dot", 12)


def test_what_a_step_leads_to_is_shown_by_what_it_sees(found) -> None:
    sides = found.boxes[:, 2] - found.boxes[:, 0]
    assert len(sides) == len(found.path.steps) + 1 and (np.diff(sides) <= 0).all() and sides[-1] < sides[0] == 28
    figure = found.plot()
    figure.draw_without_rendering()
    grid = np.array(figure.axes).reshape(len(found.path.steps) + 1, 3)
    assert grid[-2, 1].texts[0].get_text().startswith(found.names[-2])
    assert grid[1, 2].patches[0].get_width() == pytest.approx(min(1, found.path.steps[0].share))


def test_a_network_whose_weights_are_made_anew_in_every_pass_is_cut_too() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    model = opened(seeded(lambda: nn.Sequential(normed, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                                nn.Linear(4, 3))))  # fmt: skip
    images = noise(model, 4)
    sheet = mt.decision(model, 0, 1, images=images)
    channel = sheet.path.steps[0].channel
    with torch.no_grad():
        x = torch.from_numpy(np.stack([images.pixels(place) for place in range(4)]))
        added = model.module[:-1](model.preprocessing.normalise(x))[:, channel] * model.module[-1].weight[1, channel]
    assert sheet.falls.first == pytest.approx(float(added[0] - added.mean()), rel=1e-4)
    assert sheet.names[-1].startswith("the ") and sheet.names[-1].endswith(" of the picture")


def test_a_network_without_classes_is_refused() -> None:
    model = opened(seeded(UNet))
    with pytest.raises(NotApplicable, match="no row of classes"):
        mt.decision(model, "dot")


def test_the_sheet_is_the_same_every_time_and_draws_nothing_of_the_callers(model) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (mt.decision(model, "line:45").numbers() for _ in range(2))
    assert one == two and torch.equal(before, torch.get_rng_state())
