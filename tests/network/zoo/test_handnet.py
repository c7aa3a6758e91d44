"""Networks built by hand: kernels, constraints that training keeps, read-outs in closed form, and what a look sees."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestCentroid

import microtome as mt
from microtome.errors import BadImages, UnknownName
from microtome.formulas.labels import label_kernels
from microtome.formulas.templates import in_words
from microtome.network.zoo.handnet import LABELS, HandNet2, HandNet3, fit_prototypes
from microtome.network.zoo.handnet_blocks import NAMED, ComboConv, Line, LineConv, WindowConv
from microtome.store import write_bytes

EVERY = [Line(theta=theta, offset=offset, sigma=sigma) for theta in np.arange(-100, 200, 17.0)
         for offset in (-6.0, -1.5, 0.0, 0.7, 40.0) for sigma in (0.0, 0.4, -0.8, 3.0, 1e6)]  # fmt: skip


def kernels(conv) -> np.ndarray:
    return conv.weight.detach()[:, 0].double().numpy()


def pixel_by_pixel(line: Line, side: int = 5) -> np.ndarray:
    """The kernel of a line, written out: how far each pixel is from it, row 0 at the top."""
    out = np.zeros((side, side))
    normal = (-math.sin(math.radians(line.theta)), math.cos(math.radians(line.theta)))
    for row in range(side):
        for column in range(side):
            right, up = column - side // 2, side // 2 - row
            away = right * normal[0] + up * normal[1] - line.offset
            out[row, column] = math.exp(-(away**2) / (2 * line.sigma**2))
    out -= out.mean()
    return line.gain * out / math.sqrt((out**2).sum())


def test_kernels_of_lines_have_mean_0_and_the_norm_of_their_gain_however_they_lie() -> None:
    found = kernels(LineConv(EVERY))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=(1, 2)), 1, atol=1e-4)
    scaled = kernels(LineConv([Line(theta=30, gain=-2.5), Line(theta=30, gain=0.0)]))
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=(1, 2)), [2.5, 0], atol=1e-6)


@pytest.mark.parametrize("line", [Line(theta=45), Line(theta=0, offset=1.5), Line(theta=117, offset=-0.6, sigma=1.3,
                                                                                 gain=-2)])  # fmt: skip
def test_a_kernel_is_the_one_written_out_pixel_by_pixel(line) -> None:
    np.testing.assert_allclose(kernels(LineConv([line]))[0], pixel_by_pixel(line), atol=1e-5)


def test_angles_count_upwards_from_horizontal_and_sides_are_those_of_the_unit() -> None:
    slash, upper, right = kernels(LineConv([Line(theta=45), Line(theta=0, offset=1.5), Line(theta=90, offset=1.5)]))
    assert slash[0, 4] > 0.2 and slash[4, 0] > 0.2 and slash[0, 0] < 0
    assert (upper[0] > 0).all() and (upper[3:] < 0).all()  # a line above: the unit is on its lower side
    assert (right[:, 0] > 0).all() and (right[:, 3:] < 0).all()  # a line on the left: the unit is on its right side


CENTRED = [words for words, (_, offset) in NAMED.items() if not offset]  # the absence of others is a bright half


@pytest.mark.parametrize("words", [*NAMED, *(f"neg({words})" for words in CENTRED)])
def test_a_kernel_built_from_a_label_is_labelled_by_it(words) -> None:
    (label,) = label_kernels(kernels(LineConv([Line.from_label(words)])))
    assert label.words == words
    assert label.p < 0.01 and label.confidence > 0.6


def test_there_are_four_directions_and_two_sides_of_each() -> None:
    assert len(NAMED) == 12 and set(LABELS) <= set(NAMED)
    assert [in_words("line", *NAMED[words]) for words in NAMED] == list(NAMED)


def test_a_label_of_no_line_is_refused() -> None:
    with pytest.raises(UnknownName) as caught:
        HandNet2.from_labels(["vertical line", "blob"])
    assert caught.value.given == "No line is called 'blob'"
    assert caught.value.allowed.startswith("Lines are: horizontal line, lower side of horizontal line,")
    assert caught.value.next_step == "Take labels of lines; blobs and filters without words have no angle"


def test_a_combination_is_a_spot_at_its_place_upwards_and_to_the_right() -> None:
    shape = torch.ones(1, 2)
    conv = ComboConv(torch.tensor([[2.0, -3.0]]), 2 * shape, torch.tensor([[1.0, -1.0]]), 0.3 * shape)
    first, second = conv.weight.detach()[0].numpy()
    assert first.argmax() == 0 * 5 + 3 and second.argmin() == 0 * 5 + 1
    np.testing.assert_allclose([first.sum(), second.sum()], [2, -3], rtol=1e-5)
    far = ComboConv(shape, 50 * shape, 0 * shape, 0.01 * shape).weight
    np.testing.assert_allclose(far.detach().sum((2, 3)), [[1, 1]], rtol=1e-5)


def test_windows_are_means_under_gaussians_of_each_channel_by_itself() -> None:
    conv = WindowConv(3, torch.tensor([2.0, -1.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5, 2.0]), 7)
    maps = torch.rand(4, 3, 7, 7)
    found = conv(maps).detach()
    assert found.shape == (4, 6, 1, 1)
    y, x = np.mgrid[3:-4:-1, -3:4]
    for channel in range(3):
        for place, (up, right, sigma) in enumerate([(2, 0, 0.5), (-1, 1, 2.0)]):
            weights = np.exp(-((x - right) ** 2 + (y - up) ** 2) / (2 * sigma**2))
            expected = (maps[:, channel].numpy() * weights).sum((1, 2)) / weights.sum()
            np.testing.assert_allclose(found[:, 2 * channel + place, 0, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(conv(torch.ones(1, 3, 7, 7)).detach(), np.ones((1, 6, 1, 1)), rtol=1e-6)


def test_the_networks_have_as_many_parameters_as_their_numbers() -> None:
    two, wide, three = (mt.open_model(f"zoo:handnet{layers}") for layers in ("2", "2_wide", "3"))
    lines = 8 * 5  # angle, offset, width, gain, threshold
    assert two.parameters == lines + 8 * 9 * 3 + (72 * 10 + 10) == 986
    assert wide.parameters == 12 * 5 + 12 * 16 * 3 + (192 * 10 + 10) == 2566
    combined = (16 * 8 * 4 + 16) + (24 * 16 * 4 + 24)
    assert three.parameters == lines + combined + (24 * 16 + 16) + (16 * 10 + 10) == 2698
    assert [site.parameters for site in two.sites.layers] == [40, 216, 730]
    assert [site.units for site in three.sites.layers] == [8, 16, 24, 16, 10]
    assert two.weight("windows").shape == (72, 1, 7, 7) and three.weight("conv2").shape == (16, 8, 5, 5)


def test_a_units_place_is_known_and_conv1_is_read_behind_its_rectifier() -> None:
    model = mt.open_model("zoo:handnet3")
    rows = [model.receptive_fields[name].rows for name in ("conv1", "conv2")]
    assert [(axis.low, axis.high) for axis in rows] == [(-2, 2), (-6, 7)]
    assert model.sites["conv1"].read == "relu"


def test_a_black_picture_with_its_border_answers_no_line() -> None:
    net = HandNet2.from_labels()
    assert not F.relu(net.conv1(torch.zeros(1, 1, 28, 28))).any()
    model = mt.open_model("zoo:handnet2")
    assert (model.preprocessing.mean, model.preprocessing.std) == ((0.0,), (1.0,))


@pytest.mark.parametrize("build", [HandNet2.from_labels, HandNet3.from_labels])
def test_gradients_reach_every_number_as_finite_differences_say(build) -> None:
    torch.manual_seed(0)
    net = build().double()
    x, y = torch.rand(6, 1, 28, 28, dtype=torch.float64), torch.arange(6)
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    for name, parameter in net.named_parameters():
        place = int(parameter.grad.abs().argmax())
        flat, ends = parameter.data.view(-1), []
        for step in (1e-6, -1e-6):
            flat[place] += step
            ends.append(float(F.cross_entropy(net(x), y).detach()))
            flat[place] -= step
        assert float(parameter.grad.view(-1)[place]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-9)
        assert parameter.grad.any(), name


def trained(net, steps: int = 12):
    random = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    for _ in range(steps):
        x = torch.rand(16, 1, 28, 28, generator=random)
        loss = F.cross_entropy(net(x), torch.randint(10, (16,), generator=random))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def test_training_keeps_the_constraints_and_the_memory_of_how_it_was_built() -> None:
    torch.manual_seed(0)
    net = HandNet3.from_labels()
    before = copy.deepcopy(net)
    trained(net)
    now = net.conv1.numbers().detach()
    assert (now - before.conv1.numbers().detach()).abs().amax(0).min() > 1e-4  # every kind of number has moved
    for theta, offset, sigma, gain, _ in now.tolist():
        place = (now[:, 0] == theta).nonzero()[0, 0]
        line = Line(theta=theta, offset=offset, sigma=sigma, gain=gain)
        np.testing.assert_allclose(kernels(net.conv1)[place], pixel_by_pixel(line), atol=1e-5)
    np.testing.assert_allclose(net.conv2.weight.detach().sum((2, 3)), net.conv2.numbers()[..., 0].detach(), atol=1e-5)
    for conv in ("conv1", "conv2", "conv3"):
        built = net.get_submodule(conv).built
        assert torch.equal(built, before.get_submodule(conv).numbers().detach())
        assert built.shape[-1] == len(net.get_submodule(conv).columns)
        as_built = net.get_submodule(conv).as_built()
        torch.testing.assert_close(as_built, before.get_submodule(conv).weight.detach())
        assert not torch.allclose(as_built, net.get_submodule(conv).weight, atol=1e-3)


def test_a_network_comes_back_from_its_file(tmp_path) -> None:
    from safetensors.torch import save

    net = trained(HandNet2.from_labels(["vertical line", "neg(line at slope 45)"]), 3)
    other = HandNet2.from_labels(["vertical line"] * 2)
    other.load_state_dict(net.state_dict())
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(other(x), net(x)) and torch.equal(other.conv1.built, net.conv1.built)
    whole = trained(HandNet2.from_labels(), 3)
    write_bytes(tmp_path / "hand.safetensors", save(dict(whole.state_dict())))
    model = mt.open_model(f"zoo:handnet2@{tmp_path / 'hand.safetensors'}")
    assert torch.equal(model.module(x), whole.eval()(x))
    assert model.fingerprint != mt.open_model("zoo:handnet2").fingerprint


def digits_like(count: int = 300):
    """A bar in one of ten places and much noise; of a third of them the label is wrong."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 10
    x = torch.zeros(count, 1, 28, 28)
    for place, label in enumerate(labels.tolist()):
        x[place, 0, 2 + 2 * label : 5 + 2 * label, 6:22] = 1
    labels[::3] = torch.randint(10, (len(labels[::3]),), generator=random)
    return (x + torch.rand(x.shape, generator=random)) / 2, labels


def test_prototypes_are_the_nearest_mean_in_units_of_what_features_vary_within_classes() -> None:
    net = HandNet2.from_labels()
    x, y = digits_like()
    fit_prototypes(net, x, y, batch=70)
    with torch.no_grad():
        features, answers = net.features(x).double().numpy(), net(x)
    within = np.sqrt(sum(((features[y == k] - features[y == k].mean(0)) ** 2).sum(0) for k in range(10)) / len(y))
    within = np.sqrt(np.maximum(within**2, 1e-3 * (within**2).mean()))  # what hardly varies does not count for more
    beside = NearestCentroid().fit(features / within, y.numpy())
    np.testing.assert_array_equal(answers.argmax(1), beside.predict(features / within))
    means = np.stack([(features[y == k] / within).mean(0) for k in range(10)])
    distance = -((features[:, None] / within - means) ** 2).sum(2) / 2
    expected = distance - distance.mean(1, keepdims=True)
    found = (answers - answers.mean(1, keepdims=True)).numpy()
    slope = (found * expected).sum() / (expected**2).sum()  # one scale is free
    np.testing.assert_allclose(found, slope * expected, atol=1e-3 * np.abs(found).max())


def test_answers_of_prototypes_are_as_sure_as_the_labels_allow() -> None:
    net = HandNet2.from_labels()
    x, y = digits_like()
    fit_prototypes(net, x, y)
    with torch.no_grad():
        logits = net(x)
        losses = [float(F.cross_entropy(factor * logits, y)) for factor in (0.9, 1.0, 1.1)]
    assert losses[1] == min(losses)


def test_prototypes_need_images_of_every_class() -> None:
    x, y = digits_like(20)
    with pytest.raises(BadImages) as caught:
        fit_prototypes(HandNet2.from_labels(), x, y.clamp(max=6))
    assert caught.value.given == "The labels of 20 images go from 0 to 6, without 7, 8, 9"
    assert caught.value.next_step == "Give images of every class, and of no other"


@pytest.mark.data
def test_built_by_hand_it_tells_digits_without_training(data_folder) -> None:
    model = mt.open_model("zoo:handnet2")
    learning, tested = (mt.open_images(f"mnist:{data_folder}", model, split=part) for part in ("train", "test"))
    pixels = [
        (
            torch.from_numpy(np.stack([images[place] for place in range(count)])).float() / 255,
            torch.from_numpy(images.labels[:count]),
        )
        for images, count in ((learning, 2000), (tested, 2000))
    ]
    fit_prototypes(model.module, *pixels[0])
    x, y = pixels[1]
    with torch.no_grad():
        assert float((model.module(x).argmax(1) == y).float().mean()) >= 0.75
