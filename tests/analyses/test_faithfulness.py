"""Where reconstructions point: on networks whose truth is known, and on a real one."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.faithfulness import LOGIT, METHODS, PROBABILITY, Faithfulness, FaithfulnessResult
from microtome.formulas.perturbation import blurred, strongest_area
from microtome.network.backward.gradcam import grad_cam
from microtome.network.backward.projection import Projector
from microtome.network.backward.tracing import tracing
from microtome.network.chosen_units import drawn, layers_in_depth
from microtome.network.responses import responses, unit_at
from microtome.network.trials.pointing import GRAD_CAM, SHUFFLED, Pointer, Target, strengths_of
from microtome.runs.runner import Look
from microtome.statistics.extremes import ExtremesAnswer
from toys import Caching, Plain, Tokens, noise, opened, prepared, seeded

SIDE = 12
PATCH = (slice(1, 4), slice(6, 10))  # rows and columns that the planted unit sums


class Planted(nn.Module):
    """Unit 0 sums a patch of the image, unit 1 another one, unit 2 never fires; each sees the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, SIDE)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
            self.conv.weight[0, 0][PATCH] = self.conv.weight[1, 1, 9:, :4] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x)).flatten(1)


def checkered(count: int = 12) -> np.ndarray:
    """Images that a blur wipes out: fields of -1 and 1 that are white where the planted unit looks."""
    random = np.random.default_rng(0)
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    for image in pixels:
        image[PATCH[0], PATCH[1], 0] = 255 - random.integers(0, 30)
        image[9:, :4, 1] = 255
    return pixels


def planted(effort: str = "quick") -> mt.Specimen:
    model = mt.open_model(Planted().eval(), size=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)
    images = mt.open_images(checkered(), like=model)
    return mt.Specimen(model=model, images=images, effort=effort)


def look(specimen: mt.Specimen, **settings: float) -> FaithfulnessResult:
    return Look(specimen).run([Faithfulness(**settings)]).results["faithfulness"]


@pytest.fixture(scope="module")
def found() -> FaithfulnessResult:
    # the patch has 12 of 144 pixels
    return look(planted(), share=12 / 144, units=3, images=3, draws=8, sigma=0.5)


def test_without_the_pixels_that_it_sums_a_unit_falls_and_without_others_it_does_not(found) -> None:
    for method in METHODS:
        np.testing.assert_array_less(0.7, found.falls["conv"][method])
        np.testing.assert_array_less(found.random["conv"][method], 0.35)
        assert (found.falls["conv"][method] > found.edges["conv"]).all()
    assert (np.abs(found.middle["conv"]) < 0.35).all()
    assert sorted(found.unit["conv"]) == [0, 1]


def test_the_fall_is_that_of_the_unit_written_out(found) -> None:
    specimen = planted()
    model, images = specimen.model, specimen.images
    for unit, index, fall in zip(*(found.unit["conv"], found.index["conv"]), found.falls["conv"]["gradient"],
                                 strict=True):  # fmt: skip
        image = model.preprocessing.normalise(torch.from_numpy(images.pixels(index))[None])
        weight = model.module.conv.weight[unit].detach()
        area = strongest_area(weight.abs().sum(0).numpy(), 12 / 144)
        changed = torch.where(torch.from_numpy(area), blurred(image, 0.5), image)
        before, after = ((each[0] * weight).sum() for each in (image, changed))
        assert fall == pytest.approx(float(1 - after / before), rel=1e-5)


def test_what_never_fires_is_left_out_and_counted(found) -> None:
    assert found.silent["conv"] == 1
    assert 2 not in found.unit["conv"]


def test_shuffled_weights_point_elsewhere(found) -> None:
    assert found.falls["conv"][SHUFFLED].mean() < 0.4


def test_one_line_for_under_a_picture(found) -> None:
    falls = found.falls["conv"]["guided"]
    line = found.line("conv", "guided")
    assert line.startswith(f"Blurring the strongest 8% of such maps lowers the unit by {falls.mean():.0%} [")
    assert line.endswith(f"the middle {found.middle['conv'].mean():.0%}; 2 tests)")
    assert found.line("conv", "lrp") == "Whether lrp maps point at the pixels that matter could not be measured"
    answer = found.line(LOGIT, "guided")
    assert f"lowers the {LOGIT} by" in answer


def test_a_layer_that_was_not_tested_is_told_of_by_the_nearest(found) -> None:
    more = dataclasses.replace(found, order=("stem", "conv", "head"))
    assert more.line("head", "guided") == found.line("conv", "guided")[:-1] + ", measured in conv)"


def with_falls(**falls: float) -> FaithfulnessResult:
    """Twenty tests of one layer in which everything falls by the same; edges and middle as given."""
    arrays = {name: np.full(20, value) for name, value in falls.items()}
    beside = {name: {"conv": arrays.pop(name)} for name in ("edges", "middle")}
    if "shuffled" in arrays:
        arrays[SHUFFLED] = arrays.pop("shuffled")
    none = {"conv": np.zeros(20, int)}
    return FaithfulnessResult(
        share=0.1, sigma=0.1, draws=1, order=("conv",), falls={"conv": arrays}, silent={"conv": 0}, refused={},
        random={"conv": {name: np.full(20, 0.05) for name in arrays}}, unit=none, index=none, **beside,
    )  # fmt: skip


def test_the_finding_is_the_best_method_if_all_beat_every_control() -> None:
    (finding,) = with_falls(deconvnet=0.6, gradient=0.7, edges=0.2, middle=0.3, shuffled=0.1).findings()
    assert finding.sentence == ("Of the maps, gradient points best at what matters: blurring their strongest 10% "
                                "lowers units by 70% [70, 70]")  # fmt: skip
    assert finding.control == "random areas 5%, an edge filter 20%, the middle of what a unit can see 30%"


BESIDE = {"edges": 0.2, "middle": 0.3, "shuffled": 0.1}
RIVALS = {"edges": "an edge filter", "middle": "the middle of what a unit can see",
          "shuffled": "a copy whose weights are shuffled"}  # fmt: skip


@pytest.mark.parametrize("rival", RIVALS)
def test_the_finding_is_a_method_that_is_worse_than_a_control(rival) -> None:
    (finding,) = with_falls(deconvnet=0.5, gradient=0.7, **BESIDE | {rival: 0.6}).findings()
    assert finding.sentence == (f"In conv deconvnet maps point worse than {RIVALS[rival]}: blurring their strongest "
                                "10% lowers units by 50% [50, 50], there 60%; gradient, the best, by 70%")  # fmt: skip


@pytest.mark.parametrize("rival", RIVALS)
def test_or_over_all_layers_one_that_is_no_better_than_a_control(rival) -> None:
    (finding,) = with_falls(deconvnet=0.5, gradient=0.7, **BESIDE | {rival: 0.5}).findings()
    assert finding.sentence == (f"Deconvnet maps point no better than {RIVALS[rival]}: blurring their strongest 10% "
                                "lowers units by 50% [50, 50], there 50%; gradient, the best, by 70%")  # fmt: skip


def test_a_failure_in_one_layer_is_named_with_that_layer() -> None:
    good = with_falls(deconvnet=0.6, gradient=0.5, **BESIDE)
    bad = with_falls(deconvnet=0.1, gradient=0.5, **BESIDE)
    names = ("falls", "random", "edges", "middle", "unit", "index", "silent")
    both = {name: {"conv": getattr(good, name)["conv"], "last": getattr(bad, name)["conv"]} for name in names}
    (finding,) = dataclasses.replace(good, order=("conv", "last"), **both).findings()
    assert finding.sentence.startswith("In last deconvnet maps point worse than the middle of what a unit can see")
    assert "10% [10, 10], there 30%; gradient, the best, by 50%" in finding.sentence


@pytest.mark.parametrize(("deconvnet", "better", "worse", "points"), [(0.8, 1, 0, "+10 [+10, +10]"),
                                                                     (0.6, 0, 1, "-10 [-10, -10]"),
                                                                     (0.7, 0, 0, "+0 [+0, +0]")])  # fmt: skip
def test_the_verdict_on_masking_by_the_forward_pass(deconvnet, better, worse, points) -> None:
    said = with_falls(deconvnet=deconvnet, gradient=0.7, edges=0.2, middle=0.3).verdict()
    assert said == (
        "Rectifying the reconstruction (deconvnet) instead of masking by the forward ReLU (gradient) points better in "
        f"{better} and worse in {worse} of 1 layers ({points} points of fall over all)."
    )
    assert with_falls(gradient=0.7, edges=0.2, middle=0.3).verdict() == ""


def test_logits_that_are_free_up_to_a_constant_fall_by_the_same() -> None:
    falls = []
    for shift in (0.0, -100.0):
        module = seeded(Plain)
        module.fc.bias.data += shift
        model = opened(module)
        falls.append(look(mt.Specimen(model=model, images=noise(model), effort="quick")).falls)
    for name in (LOGIT, PROBABILITY):
        for method in METHODS:
            np.testing.assert_allclose(falls[0][name][method], falls[1][name][method], rtol=1e-3, atol=1e-4)


def test_grad_cam_is_one_more_kind_of_map_for_the_answer() -> None:
    model = opened(seeded(Plain))
    images = noise(model, 3)
    pointer = Pointer(model=model, methods=METHODS, share=0.1, draws=1, sigma=0.1, seed=0)
    answers, found = pointer.answers([images.pixels(n) for n in range(3)], range(3))
    x = prepared(model, images)
    heat = grad_cam(model, x, answers.tolist()).enlarged(model.preprocessing.size)
    for n, answer in enumerate(answers):
        area = torch.from_numpy(strongest_area(heat[n], 0.1))
        changed = torch.where(area, blurred(x[n : n + 1], 0.1), x[n : n + 1])
        with torch.no_grad():
            logits = model.module(changed)[0]
        assert found.after[GRAD_CAM][n, 0] == pytest.approx(float(logits[answer] - logits.mean()), abs=1e-5)
        assert found.after[GRAD_CAM][n, 1] == pytest.approx(float(logits.softmax(0)[answer]), abs=1e-5)


def test_a_network_without_positions_has_no_grad_cam_and_says_why() -> None:
    model = opened(nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.ReLU(), nn.Linear(5, 3)).eval())
    result = look(mt.Specimen(model=model, images=noise(model), effort="quick"))
    assert set(result.falls[LOGIT]) == {*METHODS, SHUFFLED}
    assert "No gradcam maps: " in result.cards()[0].how_to_read


def test_maps_are_those_of_the_projector() -> None:
    model = opened(seeded(Plain))
    images, site = prepared(model, noise(model, 2)), model.sites["conv2"].read
    units = [unit_at(model.sites[site], channel, 7) for channel in (0, 3)]
    found, refused = strengths_of(model, images, site, units, METHODS)
    assert not refused
    with tracing(model, images, site) as trace:
        for method in METHODS:
            for image, unit in enumerate(units):
                activation = float(trace.activation[(image, *unit)])
                if activation > 0:
                    maps = Projector(trace, method).project([(image, *unit)]).in_place()[0]
                    expected = maps.double().square().sum(0).sqrt().numpy() / activation
                    np.testing.assert_allclose(found[method][image], expected, atol=1e-6)


def test_areas_lie_within_what_the_unit_sees_and_have_equal_size() -> None:
    model = opened(seeded(Plain))
    pointer = Pointer(model=model, methods=METHODS, share=0.25, draws=3, sigma=0.1, seed=0)
    target = Target(pixels=noise(model, 1).pixels(0), image=0, channel=1, place=0, box=(2, 3, 6, 8))
    areas = pointer._areas(target, {method: np.random.default_rng(0).random((SIDE, SIDE)) for method in METHODS})
    assert len(areas) == 2 + 3 * (1 + 3)
    for area in areas:
        assert area.sum() == area[2:6, 3:8].sum() == 5


def test_a_target_falls_by_the_same_alone_and_among_others() -> None:
    model = opened(seeded(Plain))
    images = noise(model, 3)
    pointer = Pointer(model=model, methods=METHODS, share=0.1, draws=2, sigma=0.1, seed=0)
    targets = [Target(pixels=images.pixels(n), image=n, channel=n, place=5 * n, box=(0, 0, 6, 6)) for n in range(3)]
    together = pointer.units("relu", targets)
    for n, target in enumerate(targets):
        alone = pointer.units("relu", [target])
        np.testing.assert_allclose(alone.edges[0], together.edges[n], atol=1e-6)
        for name, values in alone.random.items():
            np.testing.assert_allclose(values[0], together.random[name][n], atol=1e-6)


def test_responses_stop_at_the_site_and_read_any_axis() -> None:
    model = opened(seeded(Tokens))
    images = prepared(model, noise(model, 3))
    with torch.no_grad():
        expected = model.module.mix(model.module.embed(images).flatten(2).transpose(1, 2))
    unit = unit_at(model.sites["mix"], channel=4, place=7)
    assert unit == (7, 4)
    got = responses(model, images, "mix", lambda tensor: tensor[:, 7, 4])
    np.testing.assert_allclose(got, expected[:, 7, 4].numpy(), rtol=1e-5)


def test_six_layers_are_spread_from_the_first_to_the_last_convolution_and_named_units_join() -> None:
    model = opened(nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(11)], nn.Flatten(), nn.Linear(432, 2)).eval())
    specimen = mt.Specimen(model=model, images=noise(model, 4))
    assert list(layers_in_depth(specimen)) == ["0", "2", "4", "6", "8", "10"]
    assert list(layers_in_depth(dataclasses.replace(specimen, units=("5:1", "12:*")))) == [
        "0", "2", "4", "5", "6", "8", "10", "12",
    ]  # fmt: skip


def strong(fires: list[bool]) -> ExtremesAnswer:
    """Units that fire on both of their images, or on none."""
    values = np.where(np.array(fires)[:, None], np.array([2.0, 1.0]), 0.0)
    index = np.arange(2 * len(fires)).reshape(-1, 2)
    return ExtremesAnswer(values=values, index=index, place=index + 100)


def test_units_are_drawn_among_those_that_fire_each_on_one_of_its_images() -> None:
    model = opened(seeded(Plain))
    specimen = mt.Specimen(model=model, images=noise(model))
    answer = strong([True, False, True, True, False])
    seats, silent = drawn(specimen, "conv2", answer, 2)
    assert silent == 2
    assert len(seats) == len({unit for unit, *_ in seats}) == 2
    for unit, index, place in seats:
        assert unit in (0, 2, 3)
        assert index in (2 * unit, 2 * unit + 1)
        assert place == index + 100
    assert drawn(specimen, "conv2", answer, 2)[0] == seats
    several = {drawn(dataclasses.replace(specimen, seed=seed), "conv2", answer, 2)[0] for seed in range(40)}
    assert {unit for seats in several for unit, *_ in seats} == {0, 2, 3}
    assert {index for seats in several for _, index, _ in seats} == {0, 1, 4, 5, 6, 7}


def test_named_units_are_tested_first() -> None:
    model = opened(seeded(Plain))
    specimen = mt.Specimen(model=model, images=noise(model), units=("conv2:3", "conv2:1"))
    seats, _ = drawn(specimen, "conv2", strong([True, False, True, True, True]), 1)
    assert [unit for unit, *_ in seats] == [3]  # unit 1 does not fire


def test_without_a_rule_for_an_activation_the_gradient_alone_is_tested_and_the_reason_told() -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3), nn.GELU()).eval())
    result = look(mt.Specimen(model=model, images=noise(model), effort="quick"))
    assert set(result.falls["2"]) == {"gradient"}
    assert set(result.refused) == {"deconvnet", "guided"}
    assert "defined for rectifiers" in result.cards()[0].how_to_read


def test_a_network_that_cannot_be_copied_has_no_shuffled_maps() -> None:
    module = seeded(Caching)
    module.kept = module.conv.weight * 2  # no leaf
    model = opened(module)
    pointer = Pointer(model=model, methods=METHODS, share=0.1, draws=1, sigma=0.1, seed=0)
    assert "cannot be copied (" in str(pointer.shuffled)


def test_shuffling_keeps_the_numbers_of_every_parameter_and_the_model_itself() -> None:
    model = opened(seeded(Plain))
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    pointer = Pointer(model=model, methods=METHODS, share=0.1, draws=1, sigma=0.1, seed=0)
    shuffled = dict(pointer.shuffled.module.named_parameters())
    for name, parameter in model.module.named_parameters():
        assert torch.equal(parameter.flatten().sort().values, shuffled[name].flatten().sort().values)
    assert not torch.equal(shuffled["conv2.weight"], model.module.conv2.weight)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


def test_it_is_skipped_with_the_reason_where_no_method_has_a_rule(monkeypatch) -> None:
    monkeypatch.setattr("microtome.analyses.faithfulness.METHODS", ("deconvnet", "guided"))
    model = opened(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()).eval())
    outcome = Look(mt.Specimen(model=model, images=noise(model), effort="quick")).run([Faithfulness()])
    assert "The deconvnet method is defined for rectifiers" in outcome.skipped["faithfulness"]


@pytest.mark.data
def test_on_photographs_gradients_of_squeezenet_point_better_than_edges(data_folder: Path) -> None:
    weights = data_folder / "squeezenet1_0_imagenet.safetensors"
    model = mt.open_model(f"torchvision:squeezenet1_0@{weights}")
    images = mt.open_images(data_folder / "imagenet500", like=model).limit(6)
    result = look(mt.Specimen(model=model, images=images, effort="quick"), units=1, images=2)
    assert len(result.layers) == 6
    assert result.layers[-1] == "classifier.1"
    falls = np.concatenate([result.falls[layer]["gradient"] for layer in result.layers])
    edges = np.concatenate([result.edges[layer] for layer in result.layers])
    assert falls.mean() > edges.mean() + 0.2
    assert len(result.falls[PROBABILITY]["guided"]) == 2
