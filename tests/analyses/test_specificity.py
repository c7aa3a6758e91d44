"""How much reconstructions depend on their unit: against the maps themselves, and against shuffled weights."""

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.analyses.specificity import METHODS, OTHERS, Specificity, SpecificityResult
from microtome.errors import NotApplicable
from microtome.formulas.specificity import concentration, specificity
from microtome.network.backward.projection import Projector, strongest
from microtome.network.backward.reconstructing import fields
from microtome.network.backward.tracing import tracing
from microtome.network.randomised import randomised
from microtome.network.sampling import drawn_channels
from microtome.runs.runner import Look
from toys import Plain, noise, opened, prepared, seeded

COUNT = 5


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet_pruned")
    return mt.Specimen(model=model, images=mt.open_images("digits", like=model).limit(20))


@pytest.fixture(scope="module")
def result(specimen: mt.Specimen) -> SpecificityResult:
    return look(specimen, images=COUNT)


def look(specimen: mt.Specimen, **settings: int) -> SpecificityResult:
    return Look(specimen).run([Specificity(**settings)]).results["specificity"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_numbers_are_those_of_whole_maps_from_one_position(specimen, result, method, shuffled) -> None:
    images = specimen.images
    chosen = np.sort(np.argsort(images.hashes, kind="stable")[:COUNT])
    model = randomised(specimen.model, specimen.seed) if shuffled else specimen.model
    specific, focused = ((result.specific_shuffled, result.focused_shuffled) if shuffled
                         else (result.specific, result.focused))  # fmt: skip
    site = specimen.reading()["conv2"]
    for number, place in enumerate(chosen):
        channels = drawn_channels(specimen, site, OTHERS + 1, int(place))
        with tracing(model, prepared(model, images.take([place])), site) as trace:
            (first,) = strongest(trace, [0], [int(channels[0])])
            units = [(0, int(channel), *first[2:]) for channel in channels]
            maps = Projector(trace, method, "never").project(units, [1.0] * len(units)).in_place().double().numpy()
            box = fields(model, trace, [first])[0]
            silent = float(trace.activation[first]) == 0
        if silent:
            assert np.isnan(specific[method]["conv2"][number])
            continue
        assert specific[method]["conv2"][number] == pytest.approx(specificity(maps[0], maps[1:]), rel=1e-4, nan_ok=True)
        inside = maps[0][:, box[0] : box[2], box[1] : box[3]]
        assert focused[method]["conv2"][number] == pytest.approx(concentration(inside), rel=1e-4, nan_ok=True)


def test_the_finding_names_the_least_specific_layer_with_its_control(result) -> None:
    (finding,) = result.findings()
    means = {layer: np.nanmean(values) for layer, values in result.specific["deconvnet"].items()}
    assert finding.number == pytest.approx(min(means.values()))
    worst = min(means, key=means.__getitem__)
    assert worst in finding.sentence
    assert finding.control == f"with shuffled weights {np.nanmean(result.specific_shuffled['deconvnet'][worst]):.2f}"


def made(**values: float) -> SpecificityResult:
    """Two layers; the second one is less specific by 0.1. Names: method, or method_shuffled."""
    random = np.random.default_rng(0)

    def part(ending: str) -> dict[str, dict[str, np.ndarray]]:
        return {
            method: {layer: values[method + ending] - fall + 0.01 * random.standard_normal(12)
                     for layer, fall in (("a", 0.0), ("c", 0.1))}
            for method in ("deconvnet", "gradient")
        }  # fmt: skip

    specific, shuffled = part(""), part("_shuffled")
    return SpecificityResult(specific=specific, specific_shuffled=shuffled, focused=specific, focused_shuffled=shuffled,
                             order=("a", "b", "c", "d"), images=12)  # fmt: skip


@pytest.mark.parametrize(
    ("deconvnet", "shuffled", "said", "of_the_method"),
    [
        (0.3, 0.3, "less", True),
        (0.3, 0.78, "less", False),
        (0.9, 0.8, "more", False),
        (0.8, 0.3, "neither more", False),
    ],
)
def test_the_verdict_says_whether_the_difference_was_learnt(deconvnet, shuffled, said, of_the_method) -> None:
    found = made(deconvnet=deconvnet, gradient=0.8, deconvnet_shuffled=shuffled, gradient_shuffled=0.8)
    assert f"depend {said}" in found.verdict()
    assert ("the method's, not what the network has learnt" in found.verdict()) is of_the_method
    mean, low, high = found.rectified_or_masked()
    assert low < mean < high and mean == pytest.approx(deconvnet - 0.8, abs=0.01)


def test_a_layer_that_was_not_measured_is_told_of_by_the_nearest() -> None:
    found = made(deconvnet=0.5, gradient=0.8, deconvnet_shuffled=0.2, gradient_shuffled=0.8)
    for layer, start in (("a", "0.50"), ("c", "0.40"), ("d", "0.40")):
        line, control = found.line(layer, "deconvnet")
        assert line.startswith(f"Specificity {start} [") and line.endswith(" (of c)." if layer == "d" else "].")
        assert control.startswith("With shuffled weights: 0.")
    assert found.line("elsewhere", "deconvnet") == found.line("a", "guided") == ("", "")


def test_the_card_has_every_method_beside_its_control(result) -> None:
    (card,) = result.cards()
    assert card.content.header == ("layer", "deconvnet", "shuffled", "guided", "shuffled", "gradient", "shuffled",
                                   "energy, deconvnet", "shuffled")  # fmt: skip
    assert [row[0] for row in card.content.rows] == result.layers
    assert result.verdict() in card.how_to_read
    figure = result.plot()
    figure.draw_without_rendering()
    assert len(figure.axes[0].containers) == 6


def test_a_network_that_cannot_be_copied_has_no_control_and_everything_else(specimen, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise NotApplicable("It cannot be copied", "A copy is needed", "None")

    monkeypatch.setattr("microtome.network.specimen.randomised", refuse)
    found = look(specimen, images=2)
    assert all(np.isnan(values).all() for part in found.specific_shuffled.values() for values in part.values())
    assert any(np.isfinite(values).any() for values in found.specific["deconvnet"].values())
    assert found.findings() and found.cards() and found.plot().axes


def test_without_a_rule_the_gradient_alone_is_measured_and_there_is_no_verdict() -> None:
    class Smooth(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.SiLU()

    model = opened(seeded(Smooth))
    found = mt.Specimen(model=model, images=noise(model))
    fit = Specificity().fit(found)
    assert fit.verdict == "approximate" and "SiLU" in fit.reason
    result = look(found, images=2)
    assert list(result.specific) == ["gradient"] and result.verdict() == ""
    assert torch.isfinite(torch.tensor(result.specific["gradient"]["conv1"])).any()
