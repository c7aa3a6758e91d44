"""What the first layer has learnt: against NumPy by hand, planted banks, and pretrained networks."""

import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import pearsonr
from torch import nn

import microtome as mt
from microtome.analyses.first_layer import FirstLayer, FirstLayerResult
from microtome.analyses.first_layers import FirstLayers, FirstLayersResult
from microtome.errors import BadModel, NotApplicable
from microtome.images.collection import Images, wrap
from microtome.network.model import Model
from microtome.runs.runner import Look

SIDE, COUNT = 32, 60
DATA = Path(os.environ.get("MICROTOME_DATA", "missing"))
shared = pytest.mark.skipif(not (DATA / "cifar10").is_dir(), reason="needs CIFAR-10 in $MICROTOME_DATA")


class Net(nn.Module):
    """One convolution of the picture, and a row of classes."""

    def __init__(self, filters: int = 16, channels: int = 3, side: int = 3) -> None:
        super().__init__()
        torch.manual_seed(filters)
        self.conv, self.fc = nn.Conv2d(channels, filters, side), nn.Linear(filters, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def opened(module: nn.Module, channels: int = 3) -> Model:
    return mt.open_model(module.eval(), size=SIDE, mean=(0.5,) * channels, std=(0.25,) * channels)


def clouds(model: Model, change=lambda picture: picture) -> Images:
    """Pictures whose neighbouring pixels are alike, as in photographs, in brightness more than in colour."""
    random = np.random.default_rng(0)
    down, right = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    falling = 1 / np.maximum(np.hypot(down, right), 1 / SIDE)
    mix = np.array([[1, 1, 1], [0.3, 0.3, -0.6], [0.2, -0.2, 0]]) * 3  # brightness and two axes of colour
    pictures = []
    for _ in range(COUNT):
        noise = np.fft.ifft2(np.fft.fft2(random.normal(size=(3, SIDE, SIDE))) * falling).real
        picture = 128 + 4 * np.einsum("chw,cd->hwd", noise, mix)
        pictures.append(change(np.clip(picture, 0, 255).astype(np.uint8)))
    pixels = np.stack(pictures) if model.preprocessing.channels == 3 else np.stack(pictures)[..., 0]
    return wrap("clouds", pixels, np.arange(COUNT) % 2, ("a", "b"), model.preprocessing)


def look(model: Model, images: Images, **settings: object) -> FirstLayerResult:
    outcome = Look(mt.Specimen(model=model, images=images)).run([FirstLayer(**settings)])
    assert not outcome.skipped, outcome.skipped
    return outcome.results["first_layer"]


@pytest.fixture(scope="module")
def network() -> tuple[Model, Images]:
    model = opened(Net())
    return model, clouds(model)


@pytest.fixture(scope="module")
def result(network) -> FirstLayerResult:
    return look(*network)


def patches(model: Model, images: Images) -> np.ndarray:
    """All windows, flattened channel by channel. Shapes: -> (n, D)."""
    pixels = torch.from_numpy(np.stack([images.pixels(place) for place in range(len(images))]))
    seen = model.preprocessing.normalise(pixels).double()
    side = model.module.conv.kernel_size
    return nn.functional.unfold(seen, side).transpose(1, 2).reshape(-1, seen.shape[1] * side[0] * side[1]).numpy()


def test_profile_and_variances_are_those_of_all_patches(network, result) -> None:
    seen = patches(*network)
    variance, axes = np.linalg.eigh(np.cov(seen.T, bias=True))
    assert np.allclose(result.variance, variance[::-1], rtol=1e-8, atol=1e-10 * variance[-1])
    assert (result.patches, result.images, result.exact) == (len(seen), COUNT, True)
    weights = network[0].module.conv.weight.detach().double().flatten(1).numpy()
    strongest = np.sqrt(((weights @ axes[:, -1]) ** 2).mean())
    assert result.profile.energy[0] == pytest.approx(strongest, rel=1e-8)
    assert (result.profile.energy**2).sum() == pytest.approx((weights**2).sum() / 16, rel=1e-10)


def test_answers_vary_as_those_of_the_convolution(network, result) -> None:
    weights = network[0].module.conv.weight.detach().double().flatten(1).numpy()
    assert np.allclose(result.responses.deviation, (patches(*network) @ weights.T).std(0), rtol=1e-8)


def planted(result: FirstLayerResult, s: float) -> Model:
    """A network whose filters are the axes, as strong as theory says they are after a time."""
    module = Net(filters=len(result.variance))
    strength = -np.expm1(-s * result.variance) / np.sqrt(result.variance)
    with torch.no_grad():
        weight = (result.basis.axes * strength).T.reshape(-1, 3, 3, 3)
        module.conv.weight.copy_(torch.from_numpy(weight.copy()).float())
    return opened(module)


def test_a_bank_that_was_planted_is_found_with_its_time(network, result) -> None:
    s = 4 / result.variance[3]
    found = look(planted(result, s), network[1])
    assert found.fit.r > 0.99999 and found.fit.s == pytest.approx(s, rel=1e-3)
    assert found.null.p_value(found.fit.r) == pytest.approx(1 / 1001)
    assert found.fit.whitened == (result.variance > 1.2564 / s).sum()
    first = found.findings()[0]
    assert "predicts how the filters of conv share their energy out over 27 axes with r 1.00" in first.sentence
    assert first.weight > result.findings()[0].weight, "random filters are not predicted"


def test_filters_that_whiten_answer_along_all_axes_alike(network, result) -> None:
    found = look(planted(result, 1e9), network[1])
    assert found.whitening.slope == pytest.approx(-1, abs=1e-3)
    assert found.whitening.rank_out == pytest.approx(27, rel=1e-3)
    assert np.allclose(found.places[1, :3], found.places[3, :3], atol=1e-6), "whitened is what these filters do"
    assert found.places[3, 3] < 0.5 * found.places[0, 3]


def test_what_training_began_with_is_subtracted(network, tmp_path) -> None:
    model, images = network
    before = Net()
    with torch.no_grad():
        before.conv.weight.add_(torch.randn(before.conv.weight.shape, generator=torch.Generator().manual_seed(1)))
    save_file(before.state_dict(), tmp_path / "before.safetensors")
    found = look(model, images, initial=str(tmp_path / "before.safetensors"))
    apart = (model.module.conv.weight - before.conv.weight).detach().double().flatten(1).numpy()
    assert np.allclose(found.filters.reshape(16, -1), apart)
    assert next(iter(found.fits)) == "since" and found.against == "before.safetensors"
    save_file({"conv.weight": torch.zeros(16, 3, 5, 5)}, tmp_path / "other.safetensors")
    with pytest.raises(BadModel) as caught:
        look(model, images, initial=str(tmp_path / "other.safetensors"))
    assert caught.value.given == "other.safetensors holds 16 x 3 x 5 x 5 for conv.weight"
    assert caught.value.allowed == "conv.weight has the shape 16 x 3 x 3 x 3"


def halved(picture: np.ndarray) -> np.ndarray:
    kept = io.BytesIO()
    Image.fromarray(picture).save(kept, "JPEG", quality=95, subsampling=2)
    return np.asarray(Image.open(kept).convert("RGB"))


def whole(picture: np.ndarray) -> np.ndarray:
    kept = io.BytesIO()
    Image.fromarray(picture).save(kept, "JPEG", quality=95, subsampling=0)
    return np.asarray(Image.open(kept).convert("RGB"))


@pytest.mark.parametrize(("change", "warned"), [(halved, True), (whole, False), (lambda picture: picture, False)])
def test_colour_that_a_jpeg_has_halved_is_noticed(network, change, warned) -> None:
    model, _ = network
    found = look(model, clouds(model, change))
    assert any("has been halved in resolution" in each for each in found.unsafe()) == warned, found.colour_detail()
    assert any("has been halved" in each.sentence for each in found.findings()) == warned


def test_grey_pictures_in_three_channels_are_noticed(network) -> None:
    model, _ = network
    found = look(model, clouds(model, lambda picture: picture.mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)))
    assert found.basis.rank == 9
    assert "the pictures are grey: they vary along a third of the axes" in found.unsafe()


def test_pictures_that_are_not_centred_are_noticed(network) -> None:
    _, images = network
    bare = mt.open_model(Net().eval(), size=SIDE, mean=(0.0,) * 3, std=(0.25,) * 3)
    found = look(bare, dataclasses.replace(images, _kept={}))
    assert any(each.startswith("what the layer sees is not centred") for each in found.unsafe())


def test_few_patches_and_few_images_are_said(network) -> None:
    model, images = network
    assert any("from 60 images" in each for each in look(model, images).unsafe())
    assert any(
        "are too few for 27 axes" in each for each in dataclasses.replace(look(model, images), patches=200).unsafe()
    )


def test_grey_networks_have_no_colours_and_all_cards() -> None:
    model = opened(Net(channels=1, side=5), channels=1)
    found = look(model, clouds(model))
    assert found.components.names == ("luminance",) and found.light.all()
    titles = [card.title for card in found.cards()]
    assert titles.count("Axes by variance") == titles.count("Axes by frequency") == 1


def test_filters_of_zeros_and_pictures_of_one_colour_are_said(network) -> None:
    model, images = network
    empty = opened(Net())
    with torch.no_grad():
        empty.module.conv.weight.zero_()
    (finding,) = look(empty, images).findings()
    assert finding.sentence == "All 16 filters of conv are 0"
    flat = clouds(model, lambda picture: np.full_like(picture, 100))
    outcome = Look(mt.Specimen(model=model, images=flat)).run([FirstLayer()])
    assert outcome.skipped["first_layer"] == (
        "What the first layer sees varies along 0 of 27 axes. A profile is along 3 axes or more. "
        "Give images that are not all of one colour."
    )


def side_by_side(*models: Model, images: Images) -> FirstLayersResult:
    others = dict(zip("BCD", models[1:], strict=False))
    outcome = Look(mt.Specimen(model=models[0], images=images, others=others)).run([FirstLayers()])
    assert not outcome.skipped, outcome.skipped
    return outcome.results["first_layers"]


def test_several_networks_stand_on_the_same_axes(network, result) -> None:
    model, images = network
    late, early = (planted(result, s) for s in (1e9, 1e-3))
    found = side_by_side(model, late, early, images=images)
    banks = [each.module.conv.weight.detach().double().flatten(1).numpy() for each in (model, late, early)]
    energies = [np.sqrt(((bank @ result.basis.axes) ** 2).mean(0)) for bank in banks]
    for i in range(3):
        for j in range(3):
            assert found.r[i, j] == pytest.approx(pearsonr(energies[i], energies[j])[0], abs=1e-6)
    assert found.r[1, 2] < -0.5, "one along the variance, the other against it"
    assert np.quantile(found.chance, 0.99) > 0.3
    answers = [patches(model, images) @ each.module.conv.weight.detach().double().flatten(1).numpy().T
               for each in (model, late)]  # fmt: skip
    x, y = (each - each.mean(0) for each in answers)
    cka = ((x.T @ y) ** 2).sum() / np.sqrt(((x.T @ x) ** 2).sum() * ((y.T @ y) ** 2).sum())
    assert found.cka[0, 1] == pytest.approx(cka, rel=1e-6)


def test_networks_with_other_kernels_are_named_and_shown_by_frequency(network) -> None:
    model, images = network
    found = side_by_side(model, opened(Net(8)), opened(Net(8, side=5)), images=images)
    assert found.names == ("A (Net)", "B (Net)")
    assert found.left_out == ("C: Net has first filters of 3 x 5 x 5, A of 3 x 3 x 3",)
    assert list(found.all_filters) == ["A (Net)", "B (Net)", "C (Net)"]
    assert [card.title for card in found.cards()].count("By frequency, C (Net)") == 1


def test_without_another_network_of_the_kind_nothing_is_compared(network) -> None:
    model, images = network
    for others, given in (
        ({}, "Net is looked at by itself"),
        ({"B": opened(Net(side=5))}, "B: Net has first filters of 3 x 5 x 5, A of 3 x 3 x 3"),
    ):
        with pytest.raises(NotApplicable) as caught:
            FirstLayers().check(mt.Specimen(model=model, images=images, others=others))
        assert caught.value.given == given


@shared
def test_pretrained_networks_have_the_profiles_that_were_measured_before() -> None:
    """Correlations and fits as in the study of these weights, from other images than its, within .03."""
    names = [f"zoo:resnet{depth}@{DATA / f'resnet{depth}_cifar10.safetensors'}" for depth in (20, 32, 44)]
    models = [mt.open_model(name) for name in names]
    images = mt.open_images(DATA / "cifar10" / "test", models[0]).limit(1500)
    found = side_by_side(*models, images=images)
    for (i, j), r in {(0, 1): 0.866, (0, 2): 0.941, (1, 2): 0.914}.items():
        assert found.r[i, j] == pytest.approx(r, abs=0.03)
    for scale, wanted in {"raw": (0.628, 0.703, 0.596), "unit": (0.779, 0.766, 0.775)}.items():
        assert [each.fits[scale].r for each in found.filters] == pytest.approx(wanted, abs=0.03)
    assert [int(each.responses.dead.sum()) for each in found.filters] == [2, 3, 2]
    null = found.filters[0].null
    assert [null.quantile(q) for q in (0.5, 0.95, 0.99)] == pytest.approx([0.26, 0.48, 0.57], abs=0.03)
    with torch.no_grad():
        models[0].module.conv1.weight.normal_(generator=torch.Generator().manual_seed(0))
    shuffled = side_by_side(*models, images=images)
    assert abs(shuffled.r[0, 1]) < 0.6 < found.r[0, 1] and shuffled.filters[0].fit.r < 0.6
