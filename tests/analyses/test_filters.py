"""What filters says of planted kernels: zeros, copies, patterns of known rank and colour."""

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.analyses.filters import Filters, FiltersResult, kernel_pictures, three_factors
from microtome.errors import NotApplicable
from microtome.figures import BLUE, MIDDLE, ORANGE
from microtome.runs.runner import Look


def look(*layers: nn.Module, size: int = 8, channels: int = 3) -> FiltersResult:
    module = nn.Sequential(*layers).eval()
    model = mt.open_model(module, size=size, mean=(0,) * channels, std=(1,) * channels)
    return Look(mt.Specimen(model=model)).run([Filters()]).results["filters"]


def seeded(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    layer.reset_parameters()
    return layer


def with_copies() -> nn.Conv2d:
    """Unit 5 is twice unit 2, unit 7 its negative, unit 9 nothing."""
    layer = seeded(nn.Conv2d(3, 12, 3))
    with torch.no_grad():
        layer.weight[5], layer.weight[7], layer.weight[9] = 2 * layer.weight[2], -layer.weight[2], 0
    return layer


def test_a_planted_copy_has_cosine_one_with_its_original_and_its_negative_has_not() -> None:
    result = look(with_copies())
    assert result.cosine["0"][[2, 5], 0] == pytest.approx(1)
    assert result.partner["0"][[2, 5], 0].tolist() == [5, 2]
    assert result.cosine["0"][7, 0] < 0.9


def test_copies_are_a_finding_beside_what_random_kernels_reach() -> None:
    result = look(with_copies())
    (finding,) = result.findings()
    assert finding.number == 2
    assert finding.sentence == "2 of 12 kernels are near-duplicates (cosine > 0.95), 2 of them in 0"
    assert finding.control == f"random kernels of these shapes reach {result.null['0']:.2f} at most"
    assert 0 < result.null["0"] < 0.95


def test_random_kernels_are_no_duplicates_and_lie_below_the_null_of_their_shape() -> None:
    result = look(seeded(nn.Conv2d(3, 40, 5)))
    assert result.findings()[0].number == 0
    assert result.cosine["0"].max() < result.null["0"] + 0.15


def test_norms_are_euclidean() -> None:
    layer = with_copies()
    expected = [float(np.sqrt((kernel.astype(np.float64) ** 2).sum())) for kernel in layer.weight.detach().numpy()]
    np.testing.assert_allclose(look(layer).norm["0"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "colour"),
    [
        (nn.Conv2d(3, 4, 3), (4, 3, 3, 3), [128, 128, 128]),
        (nn.Conv2d(1, 4, 3), (4, 3, 3, 3), MIDDLE),
        (nn.Conv2d(8, 4, 3), (4, 3, 3, 3), [128, 128, 128]),
        (nn.Conv2d(20, 4, 1), (4, 2, 16, 3), MIDDLE),
        (nn.Linear(37, 4), (4, 3, 16, 3), MIDDLE),
    ],
)
def test_a_kernel_of_zeros_is_a_picture_of_the_middle_colour(layer, shape, colour) -> None:
    weight = seeded(layer).weight.detach().numpy().copy()
    weight[1] = 0
    pixels, how, _ = kernel_pictures(weight)
    assert (pixels.shape, pixels.dtype) == (shape, np.uint8)
    assert (pixels[1] == np.array(colour, np.uint8)).all()
    assert (pixels[0] != np.array(colour, np.uint8)).any()
    assert how.endswith(".")


def test_every_unit_has_its_own_scale_with_blue_below_and_orange_above_zero() -> None:
    weight = np.array([[[[1.0, -1.0], [0, 0.5]]], [[[100.0, -50.0], [0, 0]]]])
    pixels = kernel_pictures(weight)[0]
    assert pixels[:, 0, 0].tolist() == [ORANGE.tolist()] * 2
    assert pixels[0, 0, 1].tolist() == BLUE.tolist()
    assert pixels[:, 1, 0].tolist() == [MIDDLE.tolist()] * 2
    assert pixels[1, 0, 1].tolist() == np.round((MIDDLE + BLUE) / 2).tolist()


def test_a_kernel_on_colours_is_drawn_in_its_colours() -> None:
    weight = np.zeros((1, 3, 1, 2))
    weight[0, 0, 0, 0], weight[0, 2, 0, 1] = 1.0, -1.0  # red, and no blue
    assert kernel_pictures(weight)[0][0, 0].tolist() == [[255, 128, 128], [128, 128, 0]]


def test_three_factors_hold_all_of_a_layer_that_mixes_three_channels() -> None:
    random = np.random.default_rng(0)
    mixtures = random.normal(size=(3, 10))
    weight = np.einsum("umrc,mk->ukrc", random.normal(size=(6, 3, 3, 3)), mixtures)
    maps, explained = three_factors(weight)
    assert explained == pytest.approx(1)
    np.testing.assert_allclose((maps**2).sum((1, 2, 3)), (weight**2).sum((1, 2, 3)))  # an orthonormal basis


def test_the_sign_of_a_mixture_is_such_that_its_sum_is_positive() -> None:
    kernel = np.array([[1.0, -2.0, 0.5]])
    weight = np.einsum("rc,k->krc", kernel, [1.0, 2.0, 3.0, 4.0])[None]
    for sign in (1, -1):
        first = three_factors(sign * weight)[0][0, 0]
        np.testing.assert_allclose(first, sign * kernel * np.sqrt(30))  # the norm of 1, 2, 3, 4


def test_the_share_of_three_factors_is_that_of_the_singular_values() -> None:
    weight = np.random.default_rng(1).normal(size=(5, 9, 3, 3))
    singular = np.linalg.svd(weight.transpose(0, 2, 3, 1).reshape(-1, 9), compute_uv=False)
    assert three_factors(weight)[1] == pytest.approx((singular[:3] ** 2).sum() / (singular**2).sum())


def test_a_layer_of_two_channels_has_two_factors_and_an_empty_third_colour() -> None:
    maps, explained = three_factors(np.random.default_rng(2).normal(size=(4, 2, 3, 3)))
    assert not maps[:, 2].any()
    assert explained == pytest.approx(1)


def test_a_layer_with_too_many_units_to_compare_says_nothing_about_copies() -> None:
    large = [nn.Flatten(), seeded(nn.Linear(12, 4100))]
    assert look(*large, size=2).findings() == []
    beside = look(seeded(nn.Conv2d(3, 3, 1)), *large, size=2)
    assert (beside.partner["2"] == -1).all()
    (finding,) = beside.findings()
    assert finding.control == f"random kernels of these shapes reach {beside.null['0']:.2f} at most"


def test_transposed_and_grouped_convolutions_have_one_picture_a_unit() -> None:
    result = look(nn.Conv2d(3, 6, 3, groups=3), nn.ConvTranspose2d(6, 10, 3, groups=2), nn.Conv2d(10, 4, (1, 3)))
    assert {layer: len(pixels) for layer, pixels in result.pixels.items()} == {"0": 6, "1": 10, "2": 4}


def test_a_network_without_layers_is_not_applicable() -> None:
    model = mt.open_model(nn.Sequential(nn.ReLU()), size=4)
    with pytest.raises(NotApplicable) as caught:
        Filters().steps(mt.Specimen(model=model))
    assert caught.value.given == "Sequential has no layers"
    assert caught.value.allowed == "Layers are convolutions and linear layers"
    assert caught.value.next_step == "Give a network that has some"
