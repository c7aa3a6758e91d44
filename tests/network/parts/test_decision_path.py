"""One way from a class down to the picture, beside networks of which the way is known."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable
from microtome.network.parts.decision_controls import falls, usual
from microtome.network.parts.decision_path import PICTURE, UNTOLD, decision_paths
from microtome.network.parts.linear_layers import linear_layers
from portrait import differences, portrait
from toys import SIDE, InPlace, Plain, UNet, noise, opened, seeded


class Three(nn.Module):
    """Two convolutions and a linear layer: class 2 hangs on one channel, that on one channel, that on green alone."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.two(torch.relu(self.one(x)))).amax((2, 3)))


def planted() -> mt.Model:
    """Only 2 <- two:4 <- one:3 <- green has weights, at the middle of each filter."""
    module = seeded(Three)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.one.weight[3, 1, 1, 1] = 1.0
        module.two.weight[4, 3, 1, 1] = 2.0
        module.head.weight[2, 4] = 3.0
    return opened(module)


def bright_at(row: int, column: int) -> np.ndarray:
    picture = np.full((3, SIDE, SIDE), 100, np.uint8)
    picture[1, row, column] = 255
    return picture


def test_where_one_path_carries_everything_it_is_found_and_has_all() -> None:
    model, pixels = planted(), bright_at(4, 7)
    mean, words = usual(model, pixels, None)
    path, random = decision_paths(model, pixels, 2, mean, count=50)
    found = [(step.place.layer, step.place.unit, step.channel) for step in path.steps]
    assert found == [("head", 2, 4), ("two", 4, 3), ("one", 3, 1)]
    assert [step.place.at for step in path.steps] == [(0, 0), (4, 7), (4, 7)]
    assert path.share == pytest.approx(1) and path.placed == pytest.approx(1) and path.end == PICTURE
    assert "background" in words
    others = [other for other in random if [step.channel for step in other.steps] != [4, 3, 1]]
    assert len(others) > 40 and max(abs(other.share) for other in others) < 1e-6
    fall = falls(model, pixels, 2, path, mean)
    assert fall.first == pytest.approx(path.steps[0].excess, rel=1e-4) and fall.path == pytest.approx(fall.first)
    assert fall.rest == pytest.approx(fall.first) and fall.random_rest.mean() < fall.rest
    assert {round(each, 4) for each in fall.random_rest.tolist()} == {0.0, round(fall.first, 4)}  # hit by chance or not


def test_what_is_missing_is_followed_too() -> None:
    """Class 2 is low because green is dark at one place: excess is negative, shares and place are right."""
    model = planted()
    with torch.no_grad():
        model.module.head.weight[2, 4] = -3.0
    path, _ = decision_paths(model, bright_at(9, 2), 2, usual(model, bright_at(9, 2), None)[0], count=0)
    assert path.steps[0].excess < 0 < path.steps[1].excess
    assert [step.channel for step in path.steps] == [4, 3, 1] and path.steps[2].place.at == (9, 2)
    assert path.share == pytest.approx(1)


class Grouped(nn.Module):
    """Groups, dilation, stride and reflected borders."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, stride=2, padding=1, padding_mode="reflect")
        self.two = nn.Conv2d(4, 6, 3, dilation=2, padding=2, groups=2)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.two(torch.relu(self.one(x)))).mean((2, 3)))


@pytest.mark.parametrize("build", [Plain, InPlace, Three, Grouped])
def test_shares_are_of_exactly_what_is_above_the_mean(build) -> None:
    model = opened(seeded(build))
    images = noise(model, 8)
    mean, words = usual(model, images[0], images)
    assert words == "8 images of noise"
    before = portrait(model.module.eval())
    path, random = decision_paths(model, images[0], 1, mean, count=30)
    assert differences(before, portrait(model.module)) == []
    layers = linear_layers(model)
    inputs = model.preprocessing.normalise(torch.from_numpy(images[0])[None])
    seen = {}

    def keep(name: str) -> object:
        return lambda _module, given: seen.update({name: given[0].clone()})

    handles = [model.module.get_submodule(name).register_forward_pre_hook(keep(name)) for name in layers]
    with torch.no_grad():
        logits = model.module(inputs)[0]
    for handle in handles:
        handle.remove()
    for other in (path, *random):
        for step in other.steps:
            place, layer = step.place, layers[step.place.layer]
            parts = layer.parts(seen[place.layer], place.unit)[0, :, place.at[0], place.at[1]].double().numpy()
            above = parts - mean[place.layer][place.unit]
            assert step.excess == pytest.approx(above.sum(), rel=1e-4, abs=1e-5)
            assert step.share * step.excess == pytest.approx(above[step.row], rel=1e-4, abs=1e-5)
            if other is path:
                assert above[step.row] / above.sum() == pytest.approx((above / above.sum()).max(), rel=1e-3)
    fall = falls(model, images[0], 1, path, mean, draws=5)
    assert fall.logit == pytest.approx(float(logits[1]), rel=1e-5, abs=1e-6)
    assert fall.first == pytest.approx(path.steps[0].share * path.steps[0].excess, rel=1e-3, abs=1e-5)
    assert fall.random.shape == fall.random_rest.shape == (5,)


def test_a_channel_that_is_off_leads_to_where_its_unit_is_furthest_below_its_mean() -> None:
    """Green is usually bright and speaks against class 2; here it is dark, darkest at one place."""
    model = planted()
    with torch.no_grad():
        model.module.head.weight[2, 4] = -3.0
        model.module.one.bias[3], model.module.two.bias[4] = 1.0, -2.0
    bright = noise(model, 8)
    dark = np.full((3, SIDE, SIDE), 40, np.uint8)
    dark[1, 3, 8] = 10
    path, _ = decision_paths(model, dark, 2, usual(model, dark, bright)[0], count=0)
    above, below = path.steps[1].source, path.steps[0].source
    assert not below.passed and (above.layer, above.unit) == ("one", 3) and above.at == (3, 8)
    assert path.steps[0].share == pytest.approx(1) and path.steps[0].excess > 0 > path.steps[2].excess


class Joined(nn.Module):
    """The channel below the head is a sum of two layers, of which the second gives a hundred times as much."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.small(x) + 100 * self.large(x)).mean((2, 3)))


class Shuffled(nn.Module):
    """Channels are put in another order, which shapes do not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).reshape(len(x), 2, 2, *x.shape[2:]).transpose(1, 2).reshape(len(x), 4, *x.shape[2:])
        return self.head(torch.relu(self.two(x)).mean((2, 3)))


def test_of_several_units_behind_a_channel_the_one_that_adds_most_is_taken() -> None:
    model = opened(seeded(Joined))
    with torch.no_grad():
        model.module.large.weight.copy_(model.module.small.weight)
    images = noise(model, 8)
    path, _ = decision_paths(model, images[0], 1, usual(model, images[0], images)[0], count=0)
    assert path.steps[0].behind == 2 and path.steps[1].place.layer == "large"


def test_where_it_cannot_be_told_who_feeds_whom_the_path_ends_and_says_so() -> None:
    model = opened(seeded(Shuffled))
    images = noise(model, 8)
    path, random = decision_paths(model, images[0], 1, usual(model, images[0], images)[0], count=5)
    assert [step.place.layer for step in path.steps] == ["head", "two"] and path.end == UNTOLD
    assert {other.end for other in random} == {UNTOLD} and path.steps[-1].source is None


def test_a_shortcut_that_pads_its_channels_is_followed() -> None:
    model = mt.open_model("zoo:resnet20")
    images = noise(model, 4)
    path, random = decision_paths(model, images[0], 3, usual(model, images[0], images)[0], count=20)
    layers = {step.place.layer for each in (path, *random) for step in each.steps}
    assert path.end == PICTURE and "conv1" in layers and all(name in linear_layers(model) for name in layers)


def test_networks_without_classes_or_of_zeros_are_refused() -> None:
    model = opened(seeded(UNet))
    dead = opened(seeded(Plain))
    with torch.no_grad():
        for parameter in dead.module.parameters():
            parameter.zero_()
    images = noise(dead, 4)
    with pytest.raises(NotApplicable, match="at its mean"):
        decision_paths(dead, images[0], 1, usual(dead, images[0], images)[0], count=0)
    with pytest.raises(NotApplicable, match="no row of classes"):
        decision_paths(model, images[0], 1, usual(model, images[0], images)[0], count=0)


@pytest.mark.data
def test_on_a_trained_network_the_first_cut_costs_what_its_share_says(data_folder) -> None:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10.safetensors'}")
    images = mt.open_images(data_folder / "cifar10", model)
    mean, _ = usual(model, images[0], images)
    for place, number in ((700, 5), (7000, 7)):
        path, _ = decision_paths(model, images[place], number, mean, count=0)
        fall = falls(model, images[place], number, path, mean, draws=1)
        first = path.steps[0]
        assert path.end == PICTURE and first.place.layer == "linear"
        assert fall.first == pytest.approx(first.share * first.excess, rel=1e-3)
