"""What each channel makes of a picture: the analysis against the network itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import microtome as mt
from microtome.analyses.maps import Maps, MapsResult, side_of
from microtome.cards import Sheets
from microtome.figures import BLUE, LEVELS, MIDDLE, ORANGE, levels_to_colour
from microtome.formulas.stimuli import stimulus
from microtome.images.sources import open_images
from microtome.runs.runner import Look
from toys import Plain, noise, opened, prepared, seeded

COUNT = 24


def specimen(effort: str = "normal") -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet")
    return mt.Specimen(model=model, images=open_images("digits", model.preprocessing).limit(COUNT), effort=effort)


def look(found: mt.Specimen, **settings: int) -> MapsResult:
    return Look(found, batch_size=7).run([Maps(**settings)]).results["maps"]


@pytest.fixture(scope="module")
def looked() -> tuple[mt.Specimen, MapsResult]:
    found = specimen()
    return found, look(found)


def conv2(model: mt.Model, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """The stages of the second layer, written out."""
    with torch.no_grad():
        below = F.max_pool2d(F.relu(model.module.conv1(pixels)), 2)
        before = model.module.conv2(below)
    return {"before": before, "after": F.relu(before), "pool": F.max_pool2d(F.relu(before), 2)}


def in_steps(maps: torch.Tensor, scale: float) -> np.ndarray:
    values = maps.double().numpy() / scale
    return LEVELS * np.sign(values) * np.sqrt(np.minimum(np.abs(values), 1))


def test_the_maps_of_every_stage_are_the_networks_own(looked) -> None:
    found, result = looked
    expected = conv2(found.model, prepared(found.model, found.images.take(result.samples)))
    assert list(result.maps["conv2"]) == ["before", "after", "pool"]
    for stage, maps in expected.items():
        got = result.maps["conv2"][stage]
        assert got.dtype == np.int8
        np.testing.assert_allclose(got, in_steps(maps, result.scale["conv2"]), atol=0.51)


def test_one_scale_holds_all_but_a_thousandth_of_a_layers_values(looked) -> None:
    found, result = looked
    names = list(result.stimuli)
    drawn = np.stack([stimulus(name, (28, 28), 1) for name in names])
    on_samples = conv2(found.model, prepared(found.model, found.images.take(result.samples)))
    on_stimuli = conv2(found.model, found.model.preprocessing.normalise(torch.from_numpy(drawn)))["after"]
    values = torch.cat([*(maps.flatten() for maps in on_samples.values()), on_stimuli.flatten()]).abs().numpy()
    assert result.scale["conv2"] == pytest.approx(np.quantile(values, 0.999), rel=1e-5)
    np.testing.assert_allclose(result.drawn["conv2"], in_steps(on_stimuli, result.scale["conv2"]), atol=0.51)


def test_what_the_stages_throw_away_of_the_samples(looked) -> None:
    found, result = looked
    maps = conv2(found.model, prepared(found.model, found.images.take(result.samples)))
    energy = {stage: (values**2).sum((2, 3)) for stage, values in maps.items()}
    np.testing.assert_allclose(result.lost["conv2"]["after"], 1 - energy["after"] / energy["before"], atol=1e-5)
    # windows lie apart, so what is kept is exactly what comes out
    known = energy["after"] > 0
    expected = (1 - energy["pool"] / energy["after"])[known]
    np.testing.assert_allclose(result.lost["conv2"]["pool"][known.numpy()], expected, atol=1e-5)


def test_what_a_pool_throws_away_is_read_off_whole_maps(looked) -> None:
    found, result = looked
    assert result.maps["conv1"]["after"].shape[-1] == 25 < 28  # shown smaller than they are
    with torch.no_grad():
        whole = F.relu(found.model.module.conv1(prepared(found.model, found.images.take(result.samples))))
    energy, kept = (whole**2).sum((2, 3)), (F.max_pool2d(whole, 2) ** 2).sum((2, 3))
    known = energy > 0
    np.testing.assert_allclose(result.lost["conv1"]["pool"][known.numpy()], (1 - kept / energy)[known], atol=1e-5)


def test_what_the_rectifier_discards_of_all_images(looked) -> None:
    found, result = looked
    maps = conv2(found.model, prepared(found.model, found.images))
    before, after = ((maps[stage].double() ** 2).sum((0, 2, 3)) for stage in ("before", "after"))
    np.testing.assert_allclose(result.discards["conv2"], 1 - after / before, atol=1e-5)
    assert result.discarded["conv2"] == pytest.approx(float(1 - after.sum() / before.sum()), abs=1e-5)
    np.testing.assert_array_equal(result.columns()[0].values["conv2"], result.discards["conv2"])


def test_a_layer_without_rectifier_has_maps_and_no_share() -> None:
    model = opened(seeded(Plain))
    result = look(mt.Specimen(model=model, images=noise(model)))
    assert np.isnan(result.discards["fc"]).all()
    assert "fc" not in result.columns()[0].values
    assert set(result.maps) == {"conv1", "conv2"}


def test_samples_are_those_with_the_lowest_hashes(looked) -> None:
    found, result = looked
    assert set(result.samples) == set(np.argsort(found.images.hashes)[:2])
    assert result.names == tuple(found.images.ids[place] for place in result.samples)


@pytest.mark.parametrize(("effort", "samples", "stimuli"), [("quick", 1, 0), ("normal", 2, 6), ("full", 4, 10)])
def test_effort_bounds_the_pictures(effort, samples, stimuli) -> None:
    result = look(specimen(effort))
    assert (len(result.samples), len(result.stimuli)) == (samples, stimuli)
    assert result.drawn["conv1"].shape[0] == stimuli


def test_the_number_of_samples_can_be_set() -> None:
    assert len(look(specimen("quick"), samples=3).samples) == 3


def test_the_layer_that_loses_most_is_a_finding_with_what_noise_would_lose(looked) -> None:
    _, result = looked
    known = {layer: share for layer, share in result.discarded.items() if not np.isnan(share)}
    worst = max(known, key=known.get)
    (finding,) = result.findings()
    assert finding.sentence == (
        f"The rectifier behind {worst} throws away {known[worst]:.0%} of its input's energy, the largest share of any "
        f"layer (median {np.median(list(known.values())):.0%})"
    )
    assert finding.number == known[worst]
    assert finding.control == "a signal that is symmetric around 0 would lose 50%"
    assert finding.link == f"#/layer/{worst}?sort=rectifier+discards"


def test_a_planted_rectifier_that_blocks_everything_is_the_finding() -> None:
    found = specimen()
    with torch.no_grad():
        found.model.module.conv3.bias -= 100
    (finding,) = look(found).findings()
    assert finding.number == pytest.approx(1)
    assert "behind conv3 throws away 100%" in finding.sentence
    assert finding.weight == pytest.approx(0.35)


def test_a_layer_has_one_card_with_a_sheet_for_every_picture_and_stage(looked) -> None:
    _, result = looked
    (card,) = [card for card in result.cards() if card.layer == "conv2"]
    assert isinstance(card.content, Sheets)
    captions = [view.caption for view in card.content.views]
    stages = [f"{name} · {where} the {what}" for name in result.names
              for where, what in (("before", "rectifier"), ("after", "rectifier"), ("after", "pool"))]  # fmt: skip
    assert captions == [*stages, *(f"{name} · after the rectifier" for name in result.stimuli)]
    assert [view.index for view in card.content.views] == [*result.samples.repeat(3), *[-1] * 6]
    assert {len(view.pixels) for view in card.content.views} == {64}
    assert "full colour from " in card.how_to_read
    assert card.control == "A rectifier throws away 50% of a signal that is symmetric around 0."


def test_steps_of_colour_are_blue_below_white_at_and_orange_above_zero() -> None:
    colours = levels_to_colour(np.array([[-LEVELS, 0, LEVELS]], np.int8))
    assert colours.tolist() == [[BLUE.tolist(), MIDDLE.tolist(), ORANGE.tolist()]]


@pytest.mark.parametrize(("units", "side"), [(1, 28), (16, 28), (64, 17), (256, 8), (1000, 6), (4096, 6)])
def test_the_more_units_the_smaller_their_maps(units, side) -> None:
    assert side_of(units) == side
