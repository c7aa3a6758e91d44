"""Who feeds whom, on a planted network, and what is said of it."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.dissection import Dissection, DissectionResult
from microtome.cards import Rows
from microtome.network.parts.dissecting import dissect
from microtome.runs.runner import Look
from toys import noise, opened, seeded


class Planted(nn.Module):
    """A unit that copies channel 3, one that negates channel 5, and one that adds up all alike."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3), nn.Linear(6, 4)
        with torch.no_grad():
            self.conv2.weight[:3].zero_()
            self.conv2.weight[0, 3, 1, 1] = 1
            self.conv2.weight[1, 5, 1, 1] = -1
            self.conv2.weight[2, :, 1, 1] = 1

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3)))


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = opened(seeded(Planted))
    return mt.Specimen(model=model, images=noise(model, 40))


@pytest.fixture(scope="module")
def result(specimen) -> DissectionResult:
    return Look(specimen).run([Dissection()]).results["dissection"]


def test_a_copy_is_carried_by_one_channel_and_a_sum_by_many(result) -> None:
    assert result.carrying["conv2"][0] == pytest.approx(1, abs=1e-6)
    assert (result.channel["conv2"][0, 0], result.channel["conv2"][1, 0]) == (3, 5)
    assert result.share["conv2"][0, 0] == pytest.approx(1, abs=1e-6)
    assert result.carrying["conv2"][2] > 2


def test_rows_name_the_units_behind_them_and_say_what_they_make_of_them(result) -> None:
    assert (result.names["conv2"][0][0], result.words["conv2"][0][0]) == ("conv1:3", "conv1:3")
    assert result.words["conv2"][1][0] == "neg(conv1:5)"
    assert (result.layers[result.source["conv2"][0, 0]], result.unit["conv2"][0, 0]) == ("conv1", 3)
    assert result.names["fc"][0][0].startswith("conv2:")
    assert (result.source["conv1"] == -1).all() and result.names["conv1"][0][0].startswith("channel ")


def test_beside_the_name_of_its_channel_a_row_says_plainly_what_it_does_with_it(result) -> None:
    (rows,) = [card.content for card in result.cards() if card.layer == "conv2" and isinstance(card.content, Rows)]
    assert (rows.words[0][0], rows.words[1][0]) == ("conv1:3: passed on", "conv1:5: turned around")


def test_shares_and_the_rest_sum_to_one(result) -> None:
    for layer, share in result.share.items():
        np.testing.assert_allclose(share.sum(1) + result.rest[layer], 1, atol=1e-9)


def test_pictures_are_of_the_image_on_which_the_unit_is_strongest(specimen, result) -> None:
    images = specimen.images
    for unit in (0, 3):
        place = int(result.strongest["conv2"][unit])
        found = dissect(specimen.model, images.pixels(place)[None], "conv2", unit)
        row = int(result.channel["conv2"][unit, 0])
        assert np.sign(result.a["conv2"][unit, 0]).sum() == pytest.approx(
            np.sign(np.round(found.a[0, row], 6)).sum(), abs=0.1 * found.a[0, row].size
        )
        others = [
            dissect(specimen.model, images.pixels(int(p))[None], "conv2", unit).y.max() for p in range(len(images))
        ]
        half = np.argsort(images.hashes, kind="stable")[::2]
        assert found.y.max() == pytest.approx(max(others[p] for p in half), rel=1e-5)


def test_the_last_row_is_the_sum_of_all(result) -> None:
    card = next(card for card in result.cards() if card.layer == "conv2" and isinstance(card.content, Rows))
    assert card.content.words[0][-1] == "2 other rows; y, all together"
    assert card.content.unit[0, -1] == -1 and card.content.pixels.shape[:3] == (6, 7, 2)


def test_the_same_network_shuffled_stands_beside_it(result) -> None:
    assert result.shuffled["conv2"].shape == (6,)
    assert not np.array_equal(result.shuffled["conv2"], result.carrying["conv2"])
    (finding,) = result.findings()
    assert "shuffled" in finding.control


def test_a_layer_that_cannot_be_taken_apart_is_a_limit(specimen) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 3, 3))
    fit = Dissection().fit(dataclasses.replace(specimen, model=opened(module)))
    assert fit.verdict == "approximate" and "2" in fit.reason
    assert Dissection().fit(specimen).verdict == "full"
