"""Whether one map points at the pixels that matter, on a network whose truth is known."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.formulas.perturbation import blurred, strength, strongest_area
from microtome.sheets.map_truth import DRAWS, MapTruth, truth_of_map, with_truth

SIDE = 12
PATCH = (slice(1, 4), slice(6, 10))  # rows and columns that unit 0 sums


class Patches(nn.Module):
    """Two classes, each the sum of a patch of one colour; a third one is constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, SIDE)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.copy_(torch.tensor([0.0, 0.0, 3.0]))
            self.conv.weight[0, 0][PATCH] = self.conv.weight[1, 1, 9:, :4] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(torch.relu(self.conv(x)).flatten(1), 1)


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model(Patches().eval(), size=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    pixels = np.zeros((3, SIDE, SIDE), np.uint8)
    pixels[0][PATCH] = 255
    pixels[1, 9:, :4] = 200
    return pixels


WHOLE = (0, 0, SIDE, SIDE)


def patch_map() -> np.ndarray:
    map_ = np.zeros((SIDE, SIDE))
    map_[PATCH] = 1.0 + np.arange(12).reshape(3, 4)
    return map_


def test_the_fall_of_a_unit_is_that_written_out(model, picture) -> None:
    found = truth_of_map(model, picture, "relu", (0, 0, 0), WHOLE, patch_map())
    image = torch.from_numpy(picture[None]).float() / 255
    area = torch.from_numpy(strongest_area(patch_map(), 0.1))
    changed = torch.where(area, blurred(image, 0.1), image)
    with torch.no_grad():
        before, after = (float(model.module.conv(each)[0, 0]) for each in (image, changed))
    assert found.fall == pytest.approx(1 - after / before, rel=1e-5)
    assert found.what == "the unit" and len(found.random) == DRAWS
    assert found.fall >= max(found.random) and np.mean(found.random) < found.fall / 2 > found.middle


def test_the_logit_of_a_class_is_taken_above_the_mean_of_all_where_a_softmax_takes_it_from(model, picture) -> None:
    found = truth_of_map(model, picture, "flatten", (0,), WHOLE, patch_map())
    image = torch.from_numpy(picture[None]).float() / 255
    area = torch.from_numpy(strongest_area(patch_map(), 0.1))
    with torch.no_grad():
        logits = torch.relu(model.module.conv(torch.cat([image, torch.where(area, blurred(image, 0.1), image)])))
    above = (logits.flatten(1)[:, 0] - logits.flatten(1).mean(1)).tolist()
    assert found.fall == pytest.approx(1 - above[1] / above[0], rel=1e-5)
    assert found.what == "the logit above the mean of all classes"


def test_what_lies_outside_of_the_box_is_not_blurred(model, picture) -> None:
    elsewhere = truth_of_map(model, picture, "relu", (0, 0, 0), (8, 0, SIDE, 5), patch_map() + 1e-3)
    assert elsewhere.fall == pytest.approx(0, abs=1e-6) and max(elsewhere.random) == pytest.approx(0, abs=1e-6)


def test_there_is_no_truth_without_a_map_or_without_anything_that_can_fall(model, picture) -> None:
    assert truth_of_map(model, picture, "relu", (0, 0, 0), WHOLE, np.zeros((SIDE, SIDE))) is None
    assert truth_of_map(model, np.zeros_like(picture), "relu", (0, 0, 0), WHOLE, patch_map()) is None


def test_the_sentence_counts_the_random_areas_that_are_beaten() -> None:
    truth = MapTruth(what="the unit", share=0.1, fall=0.5, random=(0.1, 0.2, 0.5, 0.8), edges=0.3, middle=-0.1)
    assert truth.sentence() == (
        "Blurring the map's strongest 10% lowers the unit by 50%: more than 2 of 4 random areas (mean 40%); the "
        "strongest edges 30%, the middle -10%"
    )
    assert json.loads(json.dumps(truth.numbers()))["random"] == [0.1, 0.2, 0.5, 0.8]
    assert with_truth("How to read", truth) == f"How to read\n{truth.sentence()}."
    assert with_truth("How to read", None) == "How to read"


def test_every_way_of_explaining_tells_the_truth_of_its_map(model, picture) -> None:
    image = np.moveaxis(picture, 0, -1)
    (entry,) = mt.reconstruct(model, image, "relu:0", method="gradient").entries
    assert entry.truth == truth_of_map(model, picture, "relu", (0, 0, 0), WHOLE, strength(entry.map))
    assert entry.truth.sentence() in mt.reconstruct(model, image, "relu:0", method="gradient").sentences()
    assert mt.reconstruct(model, image, "relu:0", truth=False).entries[0].truth is None
    (of_class,) = mt.reconstruct(model, image, "flatten:0", method="gradient").entries
    assert of_class.truth.what == "the logit above the mean of all classes"
    covered = mt.occlusion(model, image, "conv:0", size=3, stride=3)
    falls = covered.found.over_pixels(covered.found.drop, (SIDE, SIDE)).clip(min=0)
    assert covered.truth == truth_of_map(model, picture, covered.found.site, (0, 0, 0), WHOLE, falls)
    answer = mt.occlusion(model, image, size=3, stride=3)
    assert answer.truth.what.startswith("the logit") and answer.sentences()[-1] == answer.truth.sentence()
    assert mt.occlusion(model, image, "conv:0", at="anywhere").truth is None
