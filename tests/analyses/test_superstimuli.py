"""Superstimuli of a whole network: which units, what is said of them, and the control."""

import dataclasses

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.analyses.superstimuli import Superstimuli, SuperstimuliResult
from microtome.cards import Pictures, Text
from microtome.images.sources import open_images
from microtome.network.dreaming.choosing import affordable_units, spread_units
from microtome.network.dreaming.cut import cut
from microtome.network.dreaming.scoring import PLAIN
from microtome.runs.runner import Look
from toys import Plain, noise, opened, seeded

COUNT, STEPS = 30, 12


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet_pruned")
    images = open_images("digits", model.preprocessing).limit(COUNT)
    return mt.Specimen(model=model, images=images, units=("conv3:5",))


@pytest.fixture(scope="module")
def result(specimen: mt.Specimen) -> SuperstimuliResult:
    return look(specimen, units=3)


def look(specimen: mt.Specimen, **settings: int) -> SuperstimuliResult:
    return Look(specimen, batch_size=7).run([Superstimuli(climb=STEPS, **settings)]).results["superstimuli"]


def test_units_are_spread_over_a_layer_and_named_ones_are_among_them(specimen, result) -> None:
    assert {layer: units.tolist() for layer, units in result.units.items()} == {
        "conv1": [0, 4, 7], "conv2": [0, 8, 15], "conv3": [0, 5, 12, 23], "fc4": [0, 8, 15], "fc5": [0, 4, 9],
    }  # fmt: skip
    assert spread_units(specimen, "conv3", 0) == (5,) and spread_units(specimen, "conv3", 99) == tuple(range(24))


def test_the_numbers_are_those_of_the_pictures_and_of_the_data(specimen, result) -> None:
    reading = specimen.reading()
    for layer in ("conv1", "conv3", "fc5"):
        with cut(specimen.model, reading[layer]) as network, torch.no_grad():
            pixels = np.stack([specimen.images[i] for i in range(COUNT)])
            seen = network.run(specimen.model.preprocessing.normalise(torch.from_numpy(pixels)))
        largest = seen.reshape(*seen.shape[:2], -1).amax((0, 2)).numpy()[result.units[layer]]
        np.testing.assert_allclose(result.data_max[layer], largest, rtol=1e-4)
        expected = np.where(largest > 0, result.reached[layer] / np.where(largest > 0, largest, 1), np.nan)
        np.testing.assert_allclose(result.ratio(layer), expected, rtol=1e-4)
        assert np.array_equal(result.plain[layer], result.contrast[layer] < PLAIN)
    sides = [result.pictures[layer].shape[2:] for layer in ("conv1", "conv2")]
    assert sides == [(5, 5), (24, 24)]  # what the unit sees; all but what moves bring in


def test_every_unit_has_a_place_on_its_card_and_only_grown_ones_a_picture(result) -> None:
    cards = {card.layer: card for card in result.cards() if card.per_unit}
    assert list(cards) == list(result.widths)
    for layer, card in cards.items():
        assert isinstance(card.content, Pictures) and card.section == "dreams" and "shuffled" in card.control
        count = 5 if layer == "conv3" else 1
        assert card.content.pixels.shape[:2] == (result.widths[layer], count) and card.content.pixels.shape[-1] == 3
        there = [unit for unit, (caption, *_) in enumerate(card.content.captions) if caption is not None]
        assert there == result.units[layer].tolist()
    best = int(np.nanargmax(result.ratio("conv2")))
    caption = cards["conv2"].content.captions[result.units["conv2"][best]][0]
    assert caption == f"{result.ratio('conv2')[best]:.1f} x the data's largest"


def test_a_named_unit_has_further_pictures_and_one_that_it_is_against(specimen, result) -> None:
    assert result.kinds == ("another",) * 3 + ("against",)
    assert {layer: units.tolist() for layer, units in result.more.items() if len(units)} == {"conv3": [5]}
    pictures, reached = result.more_pictures["conv3"][0], result.more_reached["conv3"][0]
    with cut(specimen.model, specimen.reading()["conv3"]) as network, torch.no_grad():
        pixels = specimen.model.preprocessing.normalise(torch.full((1, 1, 28, 28), 128, dtype=torch.uint8))
        grey = float(network.run(pixels, before=True)[0, 5].amin())
    assert reached[3] < grey and reached[3] < reached[:3].min()
    apart = np.abs(pictures[:3, None].astype(float) - pictures[None, :3]).mean((2, 3, 4))
    assert apart[~np.eye(3, dtype=bool)].min() > 1
    card = next(card for card in result.cards() if card.per_unit and card.layer == "conv3")
    captions = card.content.captions[5]
    assert [caption.partition(":")[0] for caption in captions[1:]] == list(result.kinds)
    assert "unlike each other" in card.how_to_read
    assert card.content.captions[0][1:] == (None,) * 4


def test_what_pictures_reach_stands_beside_the_pictures_of_other_units(result) -> None:
    finding = next(finding for finding in result.findings() if "times the data's largest" in finding.sentence)
    ratios = np.concatenate([result.ratio(layer) for layer in result.units])
    assert finding.number == pytest.approx(np.nanmedian(ratios))
    others = np.concatenate([result.other[k] / np.where(result.data_max[k] > 0, result.data_max[k], np.nan)
                             for k in result.units])  # fmt: skip
    assert f"reach {np.nanmedian(others):.2f} times on the picture of another unit" in finding.control
    assert np.nanmedian(others) < finding.number


def test_columns_hold_numbers_for_grown_units_and_nothing_for_others(result) -> None:
    for column in result.columns():
        for layer, values in column.values.items():
            others = np.setdiff1d(np.arange(result.widths[layer]), result.units[layer])
            assert len(values) == result.widths[layer] and np.isnan(values[others]).all()
    contrast = next(column for column in result.columns() if column.name == "picture contrast")
    assert np.array_equal(contrast.values["conv2"][result.units["conv2"]], result.contrast["conv2"])


def test_a_layer_that_nothing_excites_is_dead_and_plain_ones_are_counted() -> None:
    module = seeded(Plain)
    module.conv2.bias.data.fill_(-1000.0)
    module.conv1.weight.data[0] = 0
    module.bn.weight.data[0] = 0  # a unit that sees nothing: its picture stays the noise that it was
    model = opened(module)
    found = look(mt.Specimen(model=model, images=noise(model)))
    assert found.dead["conv2"].all() and np.isnan(found.ratio("conv2")).all()
    assert found.plain["conv1"].tolist() == [True, False, False, False]
    finding = next(finding for finding in found.findings() if "plain" in finding.sentence)
    plain = sum(int(values.sum()) for values in found.plain.values())
    assert finding.number == plain and finding.sentence.startswith(f"{plain} of 12 (")
    assert "shuffled weights" in finding.control
    card = next(card for card in found.cards() if card.per_unit and card.layer == "conv2")
    assert card.content.captions == (("dead: nothing woke it",),) * 5


def test_the_control_is_grown_on_shuffled_weights_for_the_same_units(specimen, result) -> None:
    assert all(np.isin(units, result.units[layer]).all() for layer, units in result.controls.items())
    assert {layer: len(values) for layer, values in result.shuffled.items()} == {
        layer: len(units) for layer, units in result.controls.items()
    }
    for layer, units in result.controls.items():
        trained = result.contrast[layer][np.isin(result.units[layer], units)]
        assert not np.allclose(trained, result.shuffled[layer])


def test_effort_decides_how_many_and_cheap_layers_come_first(specimen) -> None:
    where, sites = specimen.reading(), list(specimen.sites.values())
    macs = {layer: sum(site.macs for site in sites[: 1 + [s.name for s in sites].index(read)])
            for layer, read in where.items()}  # fmt: skip
    cheapest = sorted(where, key=macs.__getitem__)
    for budget in np.geomspace(1e8, 1e12, 15):
        counts = affordable_units(specimen, where, 100, budget, 32)
        assert sum(3 * 100 * macs[layer] * count for layer, count in counts.items()) <= budget
        some = [counts[layer] > 0 for layer in cheapest]
        assert some == sorted(some, reverse=True) and (all(some) or max(counts.values()) <= 1 or budget < 1e10)
    assert counts == {"conv1": 8, "conv2": 16, "conv3": 24, "fc4": 16, "fc5": 10}
    assert set(affordable_units(specimen, where, 100, 0, 32).values()) == {0}
    assert affordable_units(specimen, where, 100, float("inf"), 4) == dict.fromkeys(where, 4)


def test_a_layer_left_out_says_so_and_a_named_unit_is_grown_all_the_same(specimen, monkeypatch) -> None:
    monkeypatch.setattr("microtome.analyses.superstimuli.BUDGET", {"quick": 0.0})
    found = look(dataclasses.replace(specimen, effort="quick"))
    assert {layer: units.tolist() for layer, units in found.units.items() if len(units)} == {"conv3": [5]}
    card = next(card for card in found.cards() if card.per_unit and card.layer == "conv1")
    assert isinstance(card.content, Text) and "--effort full" in card.content.lines[0]


def test_a_look_again_gives_the_same_bits(specimen, result) -> None:
    again = look(specimen, units=3)
    assert all(np.array_equal(again.pictures[layer], result.pictures[layer]) for layer in result.pictures)
    assert all(np.array_equal(again.reached[layer], result.reached[layer]) for layer in result.reached)
