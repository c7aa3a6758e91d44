"""Networks of double, half and bfloat16 precision: measured in their own, summed up in double."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import microtome as mt
from microtome.network.recording.inputs import prepare
from microtome.network.recording.measure import measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.network.training import Recipe, train
from microtome.statistics import Extremes, Moments
from toys import Plain, noise, opened, prepared, seeded

# Relative error of one rounding to the type: what a convolution over one image rounds otherwise than over several.
ROUNDING = {torch.float64: 1e-12, torch.bfloat16: 2**-7, torch.float16: 2**-10}
each_type = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


def slow_loop(module: Plain, images: torch.Tensor) -> np.ndarray:
    """What the first rectifier gives, image by image, channel by channel."""
    bn, kept = module.bn, []
    for image in images:
        row = []
        for channel in range(4):
            weight = module.conv1.weight[channel : channel + 1].double()
            value = F.conv2d(image[None].double(), weight, module.conv1.bias[channel : channel + 1].double(), padding=1)
            scale = bn.weight[channel].double() / (bn.running_var[channel].double() + bn.eps).sqrt()
            value = (value - bn.running_mean[channel].double()) * scale + bn.bias[channel].double()
            row.append(value.clamp(min=0)[0, 0])
        kept.append(torch.stack(row))
    return torch.stack(kept).detach().numpy()  # (N, 4, H, W)


@each_type
def test_moments_and_extremes_are_those_of_a_slow_loop_over_the_images(dtype) -> None:
    model = opened(seeded(Plain).to(dtype))
    images = noise(model, 7)
    probes = [Probe((model.sites.address("act"),), statistic) for statistic in (Moments(), Extremes(k=3))]
    with untouched(model.module):
        moments, top = (item.compute() for item in measure(model, images, probes, batch_size=4))
    values = slow_loop(model.module, prepared(model, images).to(dtype))
    several = ROUNDING[dtype] * 4  # convolution, normalisation and rectifier round one after the other
    np.testing.assert_allclose(moments.mean, values.mean((0, 2, 3)), rtol=several)
    np.testing.assert_allclose(moments.std, values.std((0, 2, 3)), rtol=several)
    single = max(several, 2**-23)  # the strongest values are kept in float32, whatever the network's type
    np.testing.assert_allclose(top.values, -np.sort(-values.max((2, 3)), axis=0)[:3].T, rtol=single)


@each_type
def test_what_a_network_is_given_has_the_type_of_its_parameters(dtype) -> None:
    model = opened(seeded(Plain).to(dtype))
    pixels = torch.arange(3 * 144, dtype=torch.int64).remainder(256).to(torch.uint8).view(1, 3, 12, 12)
    given = prepare(pixels, model.preprocessing, model.module)
    assert given.dtype == dtype
    assert torch.equal(given, ((pixels.float() / 255 - 0.5) / 0.5).to(dtype))


def test_a_network_without_parameters_is_given_float32() -> None:
    model = opened(torch.nn.Sequential(torch.nn.ReLU()))
    assert prepare(torch.zeros(1, 3, 12, 12).byte(), model.preprocessing, model.module).dtype == torch.float32


@each_type
def test_receptive_fields_do_not_depend_on_the_precision(dtype) -> None:
    fields = [mt.Specimen(model=opened(seeded(Plain).to(kind))).receptive_fields for kind in (dtype, torch.float32)]
    assert fields[0] == fields[1]


def test_a_network_of_double_precision_can_be_trained() -> None:
    model = opened(seeded(Plain).double())
    made = train(model.module, noise(model, 9), noise(model, 3), model.preprocessing, Recipe(epochs=4, rate=0.01))
    assert made.loss[-1] < made.loss[0]
    assert model.module.fc.bias.dtype == torch.float64
