"""Grad-CAM of one picture, by Python."""

import json

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.errors import UsageError
from microtome.figures import COVERING, ORANGE
from microtome.network.backward.gradcam import grad_cam
from microtome.sheets.evidence import EvidenceSheet
from toys import Plain, noise, opened, prepared, seeded


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model("zoo:simpleconvnet_pruned")


@pytest.fixture(scope="module")
def found(model) -> EvidenceSheet:
    return mt.grad_cam(model, "line:45")


def sketch(heat: list[list[float]], **changes: object) -> EvidenceSheet:
    values = dict.fromkeys(("model", "picture", "site", "words", "answer", "rival"), "x") | {
        "pixels": np.full((1, 4, 4), 99, np.uint8), "default": True, "target": 1, "heat": np.array(heat),
        "rival_heat": np.array(heat), "logits": np.array([0.0, np.log(3)]), "truth": None,
    }  # fmt: skip
    return EvidenceSheet(**(values | changes))


def test_it_is_the_networks_own_answer_unless_a_class_is_given(model, found) -> None:
    pixels = found.pixels
    with torch.no_grad():
        logits = model.module(model.preprocessing.normalise(torch.from_numpy(pixels[None])))[0]
    assert found.target == int(logits.argmax())
    assert found.probability == pytest.approx(float(logits.softmax(0).max()), abs=1e-6)
    assert found.answer == found.words != found.rival
    other = mt.grad_cam(model, "line:45", "class:3")
    assert (other.target, other.answer, other.rival) == (3, found.answer, found.answer)


def test_the_heat_and_the_rivals_are_the_networks() -> None:
    model = opened(seeded(Plain))
    x = prepared(model, noise(model, 1))
    best, second = (int(number) for number in model.module(x)[0].argsort(descending=True)[:2])
    found = mt.grad_cam(model, 0, images=noise(model, 1), site="act")
    assert (found.site, found.default, found.rival) == ("act", False, f"class {second}")
    np.testing.assert_array_equal(found.heat, grad_cam(model, x, [best], "act").heat[0])
    np.testing.assert_array_equal(found.rival_heat, grad_cam(model, x, [second], "act").heat[0])
    correlation = np.corrcoef(found.heat.ravel(), found.rival_heat.ravel())[0, 1]
    assert found.agreement == pytest.approx(correlation)


def test_the_area_of_half_the_heat() -> None:
    assert sketch([[1.0] * 4] * 4).area_of_half == 0.5
    assert sketch([[0.0] * 4] * 3 + [[0, 0, 0, 7.0]]).area_of_half == 1 / 16
    assert np.isnan(sketch([[0.0] * 4] * 4).area_of_half)


def test_numbers_are_plain(found) -> None:
    told = json.loads(json.dumps(found.numbers()))
    assert (told["method"], told["site"], told["site_by_default"]) == ("gradcam", found.site, True)
    np.testing.assert_allclose(told["heat"], found.heat)
    assert told["probability"] == found.probability
    assert json.loads(json.dumps(sketch([[0.0, 0.0]]).numbers()))["area_of_half"] is None


def test_the_sentences_say_what_was_chosen_and_the_control(found) -> None:
    lines = sketch([[1.0, 0.0], [0.0, 0.0]], answer="y", rival="z").sentences()
    assert lines == [
        "x, x on x: logit 1.1, probability 75.0% (its answer is y)",
        "Grad-CAM at x (2 x 2), the last with positions through which all of the logit flows",
        "Half of the heat lies in 19% of the picture (evenly spread it would be 50%)",
        "Control: it correlates 1.00 with the heat of z (at 1 it would say nothing about the class)",
    ]
    assert sketch([[0.0]], default=False).sentences()[1:] == [
        "Grad-CAM at x (1 x 1), as asked", "No heat: nothing at this site speaks for the class"]  # fmt: skip
    assert "(the network's answer)" in found.sentences()[0]


def test_the_plot_shows_the_picture_beside_the_heat_with_its_unit(found) -> None:
    figure = found.plot()
    picture, over, bar = figure.axes
    assert bar.get_ylabel() == "heat (units of the logit)"
    assert picture.images[0].get_array().shape == over.images[0].get_array().shape == (28, 28, 3)
    colours = over.images[0].get_array()
    share = found.enlarged / found.enlarged.max()
    orange = (colours[..., 0] - colours[..., 2]) / (ORANGE[0] - ORANGE[2]) * 255 / COVERING
    np.testing.assert_allclose(orange, share, atol=1e-6)
    figure.draw_without_rendering()
    sketch([[0.0]]).plot().draw_without_rendering()


def test_a_unit_is_no_class(model) -> None:
    with pytest.raises(UsageError, match=r"^conv1:2 is a unit\. Grad-CAM explains a class: class, class:NAME or "
                       r"class:NUMBER\. Use occlusion, deconvnet, guided or gradient for units\.$"):  # fmt: skip
        mt.grad_cam(model, "dot", "conv1:2")
