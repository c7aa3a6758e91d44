"""Pattern or place: planted detectors of either, what the control says, and a real network."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.duality import Duality, DualityResult
from microtome.errors import NotApplicable
from microtome.formulas.templates import ANGLES, distance, grid
from microtome.images.sources import open_images
from microtome.runs.runner import Look


class Places(nn.Module):
    """Line detectors, which a second layer of the same kind passes on; then units that each look at one place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 9, 7)
        with torch.no_grad():
            for part in (self.conv1, self.conv2, self.conv3):
                part.weight.zero_()
                part.bias.zero_()
            for unit, theta in enumerate(ANGLES):
                pattern = np.clip(1 - np.abs(distance(*grid(5), theta)), 0, 1)
                self.conv1.weight[unit, 0] = torch.from_numpy(pattern - pattern.mean())
                self.conv2.weight[unit, unit, 1, 1] = 1.0
            for unit in range(9):
                row, column = 1 + 2 * (unit // 3), 1 + 2 * (unit % 3)
                self.conv3.weight[unit, :, row - 1 : row + 2, column - 1 : column + 2] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.conv3(x)).flatten(1)


def look(specimen: mt.Specimen, **settings: int) -> DualityResult:
    return Look(specimen).run([Duality(**settings)]).results["duality"]


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model(Places().eval(), size=28, mean=(0.0,), std=(1.0,))
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(60))


@pytest.fixture(scope="module")
def result(specimen: mt.Specimen) -> DualityResult:
    return look(specimen)


def test_line_detectors_answer_to_patterns_and_units_that_look_at_one_place_to_places(result) -> None:
    assert (result.angles, result.grid, result.images) == (8, 6, 60)
    assert result.pattern["conv1"].min() > 0.95 and result.pattern["conv2"].min() > 0.9
    assert (result.position["conv3"] + result.interaction["conv3"]).min() > 0.5
    assert (result.position["conv3"] > result.pattern["conv3"]).all()
    for layer in result.pattern:
        whole = result.pattern[layer] + result.position[layer] + result.interaction[layer]
        np.testing.assert_allclose(whole, 1, atol=1e-9)


def test_a_unit_at_one_place_of_a_map_answers_to_where_the_bar_is(result) -> None:
    assert result.single["conv1"].shape == (3,) and np.isnan(result.single["conv1"]).all()  # 784 places
    assert np.isnan(result.single["conv3"]).all()  # one place


def test_kernels_that_stand_for_a_place_have_few_places_that_carry_them(result) -> None:
    np.testing.assert_allclose(result.kernel["conv2"], 1 / 9)
    np.testing.assert_allclose(result.kernel["conv3"], 9 / 49)
    assert result.kernel["conv1"].min() > 0.2


def test_the_location_index_is_that_of_the_maps(specimen, result) -> None:
    pixels = np.stack([specimen.images[i] for i in range(60)])
    with torch.no_grad():
        maps = F.relu(specimen.model.module.conv1(specimen.model.preprocessing.normalise(torch.from_numpy(pixels))))
    maps = maps.flatten(2).double()
    expected = maps.mean(0).var(1, unbiased=False) / maps.transpose(0, 1).flatten(1).var(1, unbiased=False)
    np.testing.assert_allclose(result.location["conv1"], expected, rtol=1e-4)
    assert np.isnan(result.location["conv3"]).all()


def test_the_finding_the_table_and_the_columns_say_the_same(result) -> None:
    (finding,) = result.findings()
    assert finding.sentence.startswith("Units become detectors of places in conv3, the first of 3 layers")
    assert finding.number == pytest.approx(np.median(result.position["conv3"]))
    assert (
        "with shuffled weights pattern" in finding.control and "at random pattern 2%, position 12%" in finding.control
    )
    alike = result.shuffled["conv3"].argmax() == 1  # a 7 x 7 kernel on a 7 x 7 map sees places with any weights
    assert alike and finding.sentence.endswith("with shuffled weights too, so this much is the architecture")
    table, through, *units = result.cards()
    assert table.content.rows[2][2] == f"{finding.number:.0%}"
    assert through.content.rows[1] == "position" and through.content.columns[2] == "conv3"
    np.testing.assert_allclose(through.content.values[1, 2], finding.number)
    np.testing.assert_allclose(through.content.values[3:, 2], result.shuffled["conv3"])
    np.testing.assert_allclose(units[2].content.series[0][1][:, 1], result.position["conv3"])
    names = {column.name: column.values for column in result.columns()}
    assert names["position share"]["conv3"] is result.position["conv3"] and "location index" in names
    result.plot().draw_without_rendering()


def test_without_images_there_is_no_location_index_and_that_is_said(specimen) -> None:
    blind = mt.Specimen(model=specimen.model)
    found = look(blind, grid=3)
    assert found.images == 0 and np.isnan(found.location["conv1"]).all() and found.grid == 3
    assert [column.name for column in found.columns()] == ["pattern share", "position share"]
    assert "no location index" in Duality().fit(blind).reason and found.cards()


def test_a_network_that_answers_nothing_has_no_finding() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).eval()
    with torch.no_grad():
        module[0].weight.zero_()
    found = look(mt.Specimen(model=mt.open_model(module, size=28, mean=(0.0,), std=(1.0,))), grid=3)
    assert np.isnan(found.pattern["0"]).all() and found.findings() == [] and found.cards()


def test_a_network_that_cannot_be_copied_has_no_control_and_says_so(specimen, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise NotApplicable("It cannot be copied", "A copy is needed", "None")

    monkeypatch.setattr("microtome.network.specimen.randomised", refuse)
    found = look(specimen, grid=3)
    assert np.isnan(found.shuffled["conv1"]).all() and "cannot be copied" in found.findings()[0].control


def test_bars_are_fewer_where_the_network_is_dear(specimen, monkeypatch) -> None:
    macs = sum(site.macs for site in specimen.sites.values())
    monkeypatch.setattr("microtome.analyses.duality.BUDGET", {"normal": macs * (2 * 8 * 16 + 20.0)})
    found = look(specimen)
    assert (found.angles, found.grid, found.images) == (8, 4, 20)


@pytest.mark.data
def test_first_layers_of_a_trained_network_answer_to_patterns_and_last_ones_less(data_folder: Path) -> None:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10jpeg.safetensors'}")
    images = open_images(str(data_folder / "cifar10" / "test"), model.preprocessing).limit(16)
    found = look(mt.Specimen(model=model, images=images), grid=4)
    place = found.single["layer3.2.conv2"]  # of a single place of 8 x 8, against the largest of them
    assert place[0] < found.medians("layer3.2.conv2")[0] and place[1] > found.medians("layer3.2.conv2")[1]
    assert found.medians("conv1")[0] > 0.95 > found.medians("layer3.2.conv2")[0] + 0.2
