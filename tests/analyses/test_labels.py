"""Units in words: planted line detectors of the first and of a deeper layer, and an untrained network beside."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.labels import Labels, LabelsResult
from microtome.errors import NotApplicable
from microtome.formulas.templates import ANGLES, distance, grid
from microtome.network.trials.tuning import line_tuning
from microtome.runs.runner import Look
from toys import opened

ORIENTATIONS = (0, 45, 90, 135)
WORDS = ("horizontal line", "line at slope 45", "vertical line", "line at slope 135")


class Lines(nn.Module):
    """Four line detectors, noise beside them, and a second layer of which half the units each read one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 5, padding=2), nn.Conv2d(16, 64, 3, padding=1)
        with torch.no_grad():
            self.conv1.bias.zero_()
            self.conv2.bias.zero_()
            self.conv2.weight.mul_(0.05)
            for place, theta in enumerate(ORIENTATIONS):
                pattern = np.clip(1 - np.abs(distance(*grid(5), theta)), 0, 1)
                self.conv1.weight[place, 0] = torch.from_numpy(pattern - pattern.mean())
                self.conv2.weight[place:32:4].zero_()
                self.conv2.weight[place:32:4, place, 1, 1] = 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv2(torch.relu(self.conv1(x))))


def specimen(module: nn.Module) -> mt.Specimen:
    return mt.Specimen(model=mt.open_model(module.eval(), size=28, mean=(0.0,), std=(1.0,)))


@pytest.fixture(scope="module")
def result() -> LabelsResult:
    torch.manual_seed(3)
    return look(dataclasses.replace(specimen(Lines()), effort="full"))


def look(of: mt.Specimen, **settings: float) -> LabelsResult:
    return Look(of).run([Labels(**settings)]).results["labels"]


def test_planted_detectors_are_put_into_words_in_the_first_layer_by_their_filters(result) -> None:
    assert result.how == {"conv1": "filter", "conv2": "lines"}
    assert result.words["conv1"][:4] == WORDS
    assert (result.confidence["conv1"][:4] > 0.9).all() and sum(map(bool, result.words["conv1"][4:])) <= 1


def test_units_behind_them_have_a_tuning_curve_that_peaks_at_their_angle(result) -> None:
    assert np.isnan(result.p["conv2"]).all()
    for place in range(32):
        assert result.words["conv2"][place] == WORDS[place % 4] and result.confidence["conv2"][place] > 0.9
        assert ANGLES[int(result.tuning["conv2"][place].argmax())] == ORIENTATIONS[place % 4]
        assert result.tuning["conv2"][place].max() == 1
    assert np.median(result.selectivity["conv2"][:32]) > 1.5 * np.median(result.selectivity["conv2"][32:])


def test_an_untrained_network_has_few_words_and_the_control_says_how_many() -> None:
    torch.manual_seed(0)
    found = look(specimen(nn.Sequential(nn.Conv2d(1, 64, 5), nn.ReLU(), nn.Conv2d(64, 64, 5), nn.ReLU())))
    assert sum(map(bool, found.words["0"])) <= 6 and found.control["0"] <= 0.1


def test_the_finding_and_the_cards_say_the_same(result) -> None:
    finding, deeper = result.findings()
    assert finding.number == sum(map(bool, result.words["conv1"])) and "of 16 filters of conv1" in finding.sentence
    assert deeper.number == result.labelled("conv2") >= 32 and "of 64 units of later layers" in deeper.sentence
    assert "with shuffled weights" in finding.control
    table, *units = result.cards()
    assert [row[1] for row in table.content.rows] == [f"{finding.number} of 16", f"{deeper.number} of 64"]
    headline = next(card for card in units if card.section == "headline" and card.layer == "conv1")
    assert headline.content.lines[1].startswith("line at slope 45")
    label = next(column for column in result.columns() if column.name == "label")
    assert label.kind == "text" and tuple(label.values["conv2"]) == result.words["conv2"]
    result.plot().draw_without_rendering()


def test_lines_are_measured_from_the_middle_of_what_a_unit_sees() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 5, stride=4), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        module[0].weight.zero_()
        module[0].bias.zero_()
        module[0].weight[0, 0, :, 2] = 1.0
    model = specimen(module).model
    tuning = line_tuning(model, {"0": "0"})["0"]
    vertical = ANGLES.index(90)
    response, offset = tuning.response[0, vertical], tuning.offset[vertical]
    centre = (offset * response).sum() / response.sum()
    assert abs(centre) < 0.1  # the unit's own middle is half a pixel off that of the picture
    assert abs(offset[len(offset) // 2]) == pytest.approx(0.5)


def test_the_answer_is_that_of_the_network_to_the_same_line() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())
    model = specimen(module).model
    tuning = line_tuning(model, {"0": "1:in"})["0"]
    up, right = np.meshgrid(13.5 - np.arange(28), np.arange(28) - 13.5, indexing="ij")
    picture = np.round(255 * np.clip(1.5 - np.abs(distance(right, up, 45.0)), 0, 1)) / 255
    with torch.no_grad():
        maps = module[0](torch.from_numpy(np.stack([picture, 0 * picture])[:, None]).float())
    middle = len(tuning.offset[0]) // 2
    expected = (maps[0] - maps[1])[:, 13, 13]
    np.testing.assert_allclose(tuning.response[:, ANGLES.index(45), middle], expected, atol=1e-5)


def test_a_network_that_cannot_be_copied_has_words_by_filters_alone(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise NotApplicable("It cannot be copied", "A copy is needed", "None")

    monkeypatch.setattr("microtome.analyses.labels.randomised", refuse)
    found = look(specimen(Lines()))
    assert found.words["conv1"][:4] == WORDS
    assert all(np.isnan(share) for share in found.control.values()) and found.findings() and found.cards()


def test_without_maps_it_is_refused() -> None:
    model = opened(nn.Sequential(nn.Flatten(), nn.Linear(432, 3)).eval())
    fit = Labels().fit(mt.Specimen(model=model))
    assert fit.verdict == "refused" and "has no layer with maps" in fit.reason
