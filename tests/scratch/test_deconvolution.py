"""The way back to the pixels: adjoints, and the whole deconvnet against our torch code."""

import numpy as np
import pytest
import torch

import microtome as mt
import microtome.scratch as mts
from microtome.errors import UnknownName, UsageError


def net(overlapping: bool = False) -> mts.Net:
    random = np.random.default_rng(2)
    size, stride, after = (3, 2, 4) if overlapping else (2, 2, 5)
    layers = [
        mts.Conv2D("conv_1", (3, 10, 10), 4, 3, 3, 1, 1, random=random, dtype=np.float64), mts.ReLU("relu_1"),
        mts.MaxPool2D("pool", (4, 10, 10), size, stride), mts.BatchNorm2D("norm", 4, dtype=np.float64),
        mts.Conv2D("conv_2", (4, after, after), 5, 3, 3, 2, 1, random=random, dtype=np.float64), mts.ReLU("relu_2"),
        mts.AvgPool2D("mean", (5, (after + 1) // 2, (after + 1) // 2), 2, 1), mts.Flatten("flat"), mts.Dropout("drop"),
        mts.Linear("fc", 5 * ((after + 1) // 2 - 1) ** 2, 3, random=random, dtype=np.float64),
    ]  # fmt: skip
    made = mts.Net(layers)
    made["norm"].weight.tensor[:] = [1.0, -0.5, 2.0, 0.3]
    made["norm"].running_mean[:], made["norm"].running_var[:] = [0.1, 0.2, -0.1, 0], [1.5, 0.5, 1, 2]
    return made.eval()


IMAGES = np.random.default_rng(0).standard_normal((3, 3, 10, 10))


@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
@pytest.mark.parametrize(("layer", "unit"), [("conv_1", 2), ("relu_1", 1), ("pool", 3), ("conv_2", 1), ("relu_2", 4),
                                             ("mean", 0), ("fc", 2)])  # fmt: skip
@pytest.mark.parametrize("overlapping", [False, True])
def test_it_is_what_the_torch_route_gives(rule, layer, unit, overlapping) -> None:
    from microtome.network.backward.projection import Projector, strongest
    from microtome.network.backward.tracing import tracing

    numpy_net = net(overlapping)
    model = mt.open_model(mts.to_torch(numpy_net), size=10, mean=(0.0,) * 3, std=(1.0,) * 3)
    found = mts.deconvnet(numpy_net, IMAGES, layer, unit, rule=rule)
    with tracing(model, torch.from_numpy(IMAGES), layer) as trace:
        units = strongest(trace, [0, 1, 2], [unit] * 3)
        expected = Projector(trace, rule, "never").project(units)
    np.testing.assert_allclose(found.activation, expected.activation, rtol=1e-10)
    if found.maps.any():
        assert np.abs(found.maps - expected.in_place().numpy()).max() <= 1e-10 * np.abs(found.maps).max()
    assert [tuple(unit[2:]) or (0, 0) for unit in units] == [tuple(place) for place in found.place.tolist()]


def test_a_place_that_is_given_is_taken() -> None:
    found = mts.deconvnet(net(), IMAGES, "conv_2", 1, at=(2, 0))
    assert found.place.tolist() == [[2, 0]] * 3
    np.testing.assert_array_equal(found.activation, _until(net(), "conv_2")[:, 1, 2, 0])


def _until(made: mts.Net, name: str) -> np.ndarray:
    recorder = mts.Recorder()
    made.forward(IMAGES, watch=recorder)
    return recorder.data[name]


def test_of_one_convolution_it_is_the_filter_where_it_stands() -> None:
    made = net()
    found = mts.deconvnet(made, IMAGES, "conv_1", 2, at=(4, 6))
    for image in range(3):
        expected = found.activation[image] * made["conv_1"].weight.tensor[2]
        np.testing.assert_allclose(found.maps[image, :, 3:6, 5:8], expected)
        rest = found.maps[image].copy()
        rest[:, 3:6, 5:8] = 0
        assert not rest.any()


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_the_deconvolution_is_the_adjoint_and_not_the_inverse(stride, padding) -> None:
    layer = mts.Conv2D("c", (3, 9, 8), 4, 3, 2, stride, padding, bias_there=False, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 8))
    y = np.random.default_rng(1).standard_normal((2, *layer.out_shape((3, 9, 8))))
    back = mts.Deconv2D("d", layer).forward(y)
    assert (layer(x) * y).sum() == pytest.approx((x * back).sum(), rel=1e-12)
    assert np.abs(mts.Deconv2D("d", layer).forward(layer(x)) - x).max() > 0.1
    np.testing.assert_allclose(mts.unroll(layer.weight.tensor, (3, 9, 8), stride, padding).T @ y[0].ravel(),
                               back[0].ravel(), atol=1e-12)  # fmt: skip


def test_it_grows_with_its_seed_and_leaves_the_network_as_it_was() -> None:
    made = net().train()
    before = made.state_dict()
    found = mts.deconvnet(made, IMAGES, "relu_2", 0)
    assert all(layer.training for layer in made)
    assert all(np.array_equal(before[name], array) for name, array in made.state_dict().items())
    again = mts.deconvnet(made, IMAGES, "relu_2", 0)
    np.testing.assert_array_equal(found.maps, again.maps)


def test_what_cannot_be_led_back_is_refused() -> None:
    with pytest.raises(UnknownName, match="Unit 9 of conv_2"):
        mts.deconvnet(net(), IMAGES, "conv_2", 9)
    with pytest.raises(UnknownName, match="Layer 'conv_3' does not exist"):
        mts.deconvnet(net(), IMAGES, "conv_3", 0)
    with pytest.raises(UnknownName, match="Rule 'lrp'"):
        mts.deconvnet(net(), IMAGES, "conv_2", 0, rule="lrp")
    with pytest.raises(UsageError, match="is not in conv_2"):
        mts.deconvnet(net(), IMAGES, "conv_2", 0, at=(0, 7))
    with pytest.raises(UsageError, match="no switches of that shape"):
        mts.MaxUnpool2D("u", (1, 4, 4)).forward(np.ones((1, 1, 2, 2)))
    soft = mts.Net([mts.Linear("l", 3, 3), mts.Softmax("s")])
    with pytest.raises(UsageError, match="Softmax 's' has no way back"):
        mts.deconvnet(soft, np.ones((1, 3), np.float32), "s", 0)


def test_pictures_go_from_the_smallest_to_the_largest_or_have_0_in_the_middle() -> None:
    maps = np.array([[[[-1.0, 0.0], [1.0, 3.0]]], [[[2.0, 2.0], [2.0, 2.0]]]])
    assert mts.to_bytes(maps)[0, ..., 0].tolist() == [[0, 64], [128, 255]]
    assert not mts.to_bytes(maps)[1].any()
    assert mts.to_bytes(maps, "symmetric")[0, ..., 0].tolist() == [[86, 128], [170, 255]]
    assert (mts.to_bytes(0 * maps, "symmetric") == 128).all() and mts.to_bytes(maps).shape == (2, 2, 2, 1)
