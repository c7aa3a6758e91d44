"""Reconstructions of a whole network: the analysis against single reconstructions, and against its own control."""

import dataclasses

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.analyses.deconvnet import SHEET, Deconvnet, DeconvnetResult, K
from microtome.analyses.faithfulness import Faithfulness
from microtome.analyses.specificity import Specificity
from microtome.cards import Pictures, Text
from microtome.errors import NotApplicable, UnknownName
from microtome.formulas.specificity import concentration
from microtome.images.sources import open_images
from microtome.network.backward.reconstructing import LEVELS
from microtome.network.randomised import randomised
from microtome.network.sampling import CALL, affordable, by_image, channels_first, spread_over_depth
from microtome.runs.runner import Look
from microtome.sheets.reconstruction import reconstruct
from toys import Plain, noise, opened, seeded

COUNT = 30


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet_pruned")
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(COUNT))


@pytest.fixture(scope="module")
def result(specimen: mt.Specimen) -> DeconvnetResult:
    return look(specimen)


def look(specimen: mt.Specimen, **settings: object) -> DeconvnetResult:
    asked = [Specificity(images=3), Faithfulness(units=2, images=2), Deconvnet(**settings)]
    return Look(specimen, batch_size=7).run(asked).results["deconvnet"]


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "fc5"])
def test_the_pictures_of_a_unit_are_its_reconstructions_on_its_strongest_images(specimen, result, layer) -> None:
    site = specimen.reading()[layer]
    for unit in range(0, len(result.index[layer]), 5):
        for rank in (0, K - 1):
            image = int(result.index[layer][unit, rank])
            (entry,) = reconstruct(specimen.model, image, f"{site}:{unit}", images=specimen.images).entries
            tile = result.maps[layer][unit, rank].astype(float)
            if not entry.map.any():
                assert not tile.any()
                continue
            assert np.abs(tile).max() == LEVELS
            high, wide = entry.map.shape[1:]
            top, left = (tile.shape[1] - high) // 2, (tile.shape[2] - wide) // 2
            inside = tile[:, top : top + high, left : left + wide]
            assert np.abs(tile).sum() == np.abs(inside).sum()
            scale = np.quantile(np.abs(entry.map), 0.999)
            expected = np.clip(entry.map / (scale or np.abs(entry.map).max()), -1, 1) * LEVELS
            np.testing.assert_allclose(inside, expected, atol=1.0)


def test_every_unit_has_a_card_with_as_many_pictures_as_strongest_images(result) -> None:
    cards = {card.layer: card for card in result.cards() if card.per_unit}
    assert list(cards) == list(result.maps)
    for layer, card in cards.items():
        assert isinstance(card.content, Pictures)
        assert card.content.pixels.shape[:2] == result.index[layer].shape and card.content.pixels.shape[-1] == 3
    silent = result.index["conv1"] < 0
    assert (cards["conv1"].content.pixels[silent] == 128).all()


def test_the_sheet_shows_small_fields_enlarged(specimen, result) -> None:
    for unit, name, picture in zip(result.sheet_units, result.sheet_images, result.sheet, strict=True):
        layer, _, channel = unit.rpartition(":")
        where = f"{specimen.reading()[layer]}:{channel}"
        place = specimen.images.ids.index(name)
        (entry,) = reconstruct(specimen.model, place, where, images=specimen.images).entries
        high, wide = entry.map.shape[1:]
        zoom = SHEET // max(high, wide)
        assert zoom > 1 and entry.map.any()
        scale = np.quantile(np.abs(entry.map), 0.999) or np.abs(entry.map).max()
        expected = (np.clip(entry.map / scale, -1, 1) * LEVELS).repeat(zoom, 1).repeat(zoom, 2)
        top, left = (SHEET - zoom * high) // 2, (SHEET - zoom * wide) // 2
        np.testing.assert_allclose(picture[:, top : top + zoom * high, left : left + zoom * wide], expected, atol=1.0)


def test_a_few_images_a_unit_are_the_first_of_many(specimen, result) -> None:
    few = look(specimen, images=2)
    for layer in result.maps:
        assert np.array_equal(few.index[layer], result.index[layer][:, :2])


def test_a_layer_that_costs_more_than_the_effort_allows_says_so_and_what_to_do(specimen, monkeypatch) -> None:
    counts = affordable(specimen, channels_first(specimen), 1e7, K)
    assert 0 in counts.values() and max(counts.values()) > 0
    monkeypatch.setattr("microtome.analyses.deconvnet.BUDGET", {"quick": 1e7})
    quick = look(dataclasses.replace(specimen, effort="quick"))
    assert {layer: maps.shape[1] for layer, maps in quick.maps.items()} == counts and len(quick.sheet)
    for card in (card for card in quick.cards() if card.per_unit):
        if counts[card.layer]:
            assert isinstance(card.content, Pictures)
        else:
            assert card.content.lines[0].endswith("--set deconvnet.images=3.")
            assert len(card.content.lines) == len(quick.maps[card.layer])


def test_the_budget_is_spent_on_the_cheapest_layers_first_and_every_layer_gets_one_before_any_gets_three(
    specimen,
) -> None:
    where = channels_first(specimen)
    cost, so_far = {}, 0
    for place, site in enumerate(specimen.sites.values()):
        so_far += site.macs
        for layer, read in where.items():
            if read == site.name:
                field = specimen.receptive_fields[read]
                seen = 28 if field is None else min(28, field.rows.high - field.rows.low + 1)
                cost[layer] = specimen.sites[layer].units * (so_far * (seen / 28) ** 2 + (place + 1) * CALL)
    for budget in np.geomspace(1e5, 1e11, 25):
        counts = affordable(specimen, where, budget, K)
        assert sum(cost[layer] * count for layer, count in counts.items()) <= budget
        ordered = [counts[layer] for layer in sorted(cost, key=cost.__getitem__)]
        assert ordered == sorted(ordered, reverse=True)
        assert min(ordered) > 0 or max(ordered) == 1 or budget < 1e9
    assert set(affordable(specimen, where, float("inf"), K).values()) == {K}


def test_the_verdict_rests_on_dependence_and_on_pointing(specimen, result) -> None:
    specific, faithful = (Look(specimen).run([each]).results[each.name]
                          for each in (Specificity(images=3), Faithfulness(units=2, images=2)))  # fmt: skip
    assert result.verdict[:2] == (specific.verdict(), faithful.verdict())
    ends = [specific.rectified_or_masked()[1], faithful.rectified_or_masked()[1]]
    holds = {2: "holds here", 1: "holds in part here", 0: "does not hold here"}[sum(low > 0 for low in ends)]
    assert holds in result.verdict[2] and result.verdict in [card.content.lines for card in result.cards()
                                                             if isinstance(card.content, Text)]  # fmt: skip


def test_shuffled_weights_are_the_same_numbers_and_the_model_keeps_its_own(specimen) -> None:
    before = {name: tensor.clone() for name, tensor in specimen.model.module.state_dict().items()}
    shuffled = randomised(specimen.model, 3)
    for name, tensor in shuffled.module.state_dict().items():
        assert torch.equal(tensor.flatten().sort()[0], before[name].flatten().sort()[0])
        assert tensor.numel() < 9 or not torch.equal(tensor, before[name])
        assert torch.equal(specimen.model.module.state_dict()[name], before[name])
    again = randomised(specimen.model, 3).module.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in shuffled.module.state_dict().items())
    assert shuffled.fingerprint != specimen.model.fingerprint


def test_another_method_than_these_is_refused(specimen) -> None:
    with pytest.raises(UnknownName, match="There are: deconvnet, guided, gradient"):
        look(specimen, method="lrp")


def test_smooth_activations_are_refused_with_what_to_do() -> None:
    class Smooth(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.act = torch.nn.SiLU()

    model = opened(seeded(Smooth))
    found = mt.Specimen(model=model, images=noise(model))
    fit = Deconvnet().fit(found)
    assert fit.verdict == "refused" and "deconvnet.method=gradient" in fit.instead
    with pytest.raises(NotApplicable, match="SiLU"):
        next(Deconvnet().steps(found))
    assert look(found, method="gradient").maps


def test_layers_are_spread_over_the_depth_with_the_first_and_the_last() -> None:
    names = [str(place) for place in range(26)]
    assert spread_over_depth(names, 8) == ["0", "4", "7", "11", "14", "18", "21", "25"]
    assert spread_over_depth(names[:3], 8) == ["0", "1", "2"]


def test_work_by_image_holds_every_unit_once() -> None:
    index, place = np.array([[3, 1], [1, -1]]), np.array([[10, 11], [12, 0]])
    assert by_image({"a": "s"}, {"a": index}, {"a": place}) == {1: {"s": [(0, 11), (1, 12)]}, 3: {"s": [(0, 10)]}}


@pytest.mark.parametrize(("share", "expected"), [(0.1, 0.1), (0.25, 0.25), (1.0, 1.0)])
def test_a_flat_map_has_its_share_of_energy_in_a_share_of_the_area(share, expected) -> None:
    assert concentration(np.ones((3, 7, 9)), share) == pytest.approx(expected)


def test_energy_in_the_strongest_tenth_is_what_sorting_gives() -> None:
    map_ = np.random.default_rng(0).standard_normal((3, 10, 10))
    energy = sorted((map_**2).sum(0).ravel(), reverse=True)
    assert concentration(map_) == pytest.approx(sum(energy[:10]) / sum(energy))
    assert np.isnan(concentration(np.zeros((3, 4, 4))))
