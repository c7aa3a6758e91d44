"""Every activation of a network, and its turns, beside the network's own tensors."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import microtome as mt
from microtome.formulas.rotation import activation_turn, selective_rotation
from microtome.network.parts.rotations import Turned, activation_sites, turned_by
from microtome.statistics.confusion import PredictionsAnswer
from toys import Functional, InPlace, Plain, Tokens, noise, opened, prepared, seeded

COUNT = 12


class Mixed(nn.Module):
    """A ReLU in place, a GELU and a tanh, with a softmax that is no activation."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.fc = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, 3)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.two(F.relu_(self.one(x))))
        return torch.softmax(self.fc(torch.tanh(x.mean((2, 3)))), 1)


@pytest.fixture(scope="module")
def found() -> tuple[dict[str, Turned], PredictionsAnswer, list[tuple[np.ndarray, np.ndarray]]]:
    """What is found, and input and output of each of the three activations (N, C, P)."""
    model = opened(seeded(Mixed))
    images = noise(model, COUNT)
    turned, said = turned_by(model, images, np.arange(COUNT))
    net = model.module
    with torch.no_grad():
        first = net.one(prepared(model, images))
        second = net.two(first.relu())
        third = F.gelu(second).mean((2, 3))
    pairs = [(first, first.relu()), (second, F.gelu(second)), (third, third.tanh())]
    return turned, said, [tuple(each.reshape(*each.shape[:2], -1).double().numpy() for each in pair) for pair in pairs]


@pytest.mark.parametrize("build, count", [(Plain, 2), (InPlace, None), (Functional, None), (Tokens, 1)])
def test_modules_and_functions_are_found_alike(build: type[nn.Module], count: int | None) -> None:
    model = opened(seeded(build))
    kinds = activation_sites(model.sites)
    words = [site.operation.lower().rstrip("_") for site in model.sites.values()]
    assert len(kinds) == words.count("relu") > 0
    assert count in (None, len(kinds)) and set(kinds.values()) == {"ReLU"}


def test_a_residual_network_of_twenty_layers_has_nineteen() -> None:
    assert len(activation_sites(mt.open_model("zoo:resnet20").sites)) == 19


def test_activations_of_other_kinds_are_found_and_a_softmax_is_none(found) -> None:
    assert [each.kind for each in found[0].values()] == ["ReLU", "GELU", "Tanh"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_angle_of_a_map_is_that_between_input_and_output(found, place: int) -> None:
    turned, (before, after) = list(found[0].values())[place], found[2][place]
    expected = activation_turn(before.reshape(COUNT, -1), after.reshape(COUNT, -1))
    np.testing.assert_allclose(turned.angle(), expected.angle, rtol=1e-4)
    np.testing.assert_allclose(turned.log_gain, np.log(expected.gain), rtol=1e-4)
    np.testing.assert_allclose(turned.means, after.mean(2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_channels_are_chosen_image_by_image(found, place: int) -> None:
    turned, (before, after) = list(found[0].values())[place], found[2][place]
    chosen = np.random.default_rng(0).random(before.shape[:2]) < 0.5
    chosen[:, 0] = True
    slow = [activation_turn(b[c].ravel(), a[c].ravel()).angle for b, a, c in zip(before, after, chosen, strict=True)]
    np.testing.assert_allclose(turned.angle(chosen), slow, rtol=1e-4, atol=1e-6)


def test_a_channel_is_turned_over_all_images_together(found) -> None:
    turned, (before, _) = next(iter(found[0].values())), found[2][0]
    expected = selective_rotation(before.transpose(1, 0, 2).reshape(6, -1)).angle
    np.testing.assert_allclose(turned.by_channel, expected, rtol=1e-5)


def test_a_rectifier_keeps_the_cosine_of_its_angle_of_the_length(found) -> None:
    turned = next(iter(found[0].values()))
    np.testing.assert_allclose(turned.log_gain, np.log(np.cos(turned.angle())), rtol=1e-10)


def test_answers_are_those_to_the_same_images(found) -> None:
    model = opened(seeded(Mixed))
    images = noise(model, COUNT)
    some = np.array([1, 4, 5, 10])
    turned, said = turned_by(model, images, some)
    assert said.index.tolist() == some.tolist()
    assert said.classes[:, 0].tolist() == found[1].classes[some, 0].tolist()
    whole = next(iter(found[0].values())).angle()
    np.testing.assert_allclose(next(iter(turned.values())).angle(), whole[some], rtol=1e-5)
