"""Connections cut and attributed, beside arithmetic by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from microtome.network.parts.contributions import contributions
from microtome.network.parts.linear_layers import linear_layers
from microtome.network.parts.pathways import Thinned, attributed, ranked
from portrait import differences, portrait
from toys import noise, opened, seeded


class Two(nn.Module):
    """Two layers without bias and a batch norm between them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5)
        self.two = nn.Linear(5, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.relu(self.norm(self.one(x))).mean((2, 3)))


def means(model, images, count):
    layers = linear_layers(model)
    return {name: table.mean for name, table in contributions(model, images, range(count), layers).items()}


@pytest.fixture
def made():
    model = opened(seeded(Two))
    images = noise(model, 8)
    return model, images, means(model, images, 8), np.stack([images.pixels(place) for place in range(8)])


def everything(mean, value: bool):
    return {name: np.full(values.shape, value) for name, values in mean.items()}


def test_with_all_connections_the_network_is_itself_and_with_none_it_is_constant(made) -> None:
    model, _, mean, pixels = made
    before = portrait(model.module.eval())
    thinned = Thinned(model, mean)
    with torch.no_grad():
        expected = model.module(model.preprocessing.normalise(torch.from_numpy(pixels)))
    np.testing.assert_allclose(thinned.answers(everything(mean, True), pixels), expected, rtol=1e-5, atol=1e-6)
    none = thinned.answers(everything(mean, False), pixels)
    assert np.ptp(none, axis=0).max() < 1e-6
    np.testing.assert_allclose(none[0], mean["two"].sum(1), rtol=1e-4, atol=1e-5)
    assert differences(before, portrait(model.module)) == []


def test_a_connection_that_is_cut_adds_its_mean(made) -> None:
    model, _, mean, pixels = made
    kept = everything(mean, True)
    kept["two"][1, 2] = False
    module = model.module.eval()
    with torch.no_grad():
        x = model.preprocessing.normalise(torch.from_numpy(pixels))
        rows = torch.relu(module.norm(module.one(x))).mean((2, 3))
        expected = rows @ module.two.weight.T
        expected[:, 1] += mean["two"][1, 2] - rows[:, 2] * module.two.weight[1, 2]
    np.testing.assert_allclose(Thinned(model, mean).answers(kept, pixels), expected, rtol=1e-5, atol=1e-6)


def test_in_the_last_layer_the_attribution_is_the_change_itself(made) -> None:
    model, images, mean, pixels = made
    found = attributed(model, images, range(8), mean)
    with torch.no_grad():
        module = model.module.eval()
        rows = torch.relu(module.norm(module.one(model.preprocessing.normalise(torch.from_numpy(pixels))))).mean((2, 3))
        logits = module.two(rows)
        weight = (torch.nn.functional.one_hot(logits.argmax(1), 4) - 0.25)[:, :, None]
        expected = ((rows[:, None] * module.two.weight - torch.from_numpy(mean["two"])) * weight).abs().mean(0)
    np.testing.assert_allclose(found["two"], expected, rtol=1e-4, atol=1e-6)
    assert found["one"].shape == (5, 3) and (found["one"] > 0).any()


def test_connections_are_ranked_over_all_layers() -> None:
    places = ranked({"a": np.array([[3.0, 1.0]]), "b": np.array([[2.0], [5.0]])})
    assert places["a"].tolist() == [[1, 3]] and places["b"].tolist() == [[2], [0]]


def test_weights_that_are_made_anew_in_every_pass_can_be_cut_too() -> None:
    module = seeded(lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.Flatten(),
                                          nn.LazyLinear(3)))  # fmt: skip
    module(torch.zeros(1, 3, 12, 12))
    model = opened(module, 12)
    images = noise(model, 4)
    mean = means(model, images, 4)
    none = Thinned(model, mean).answers(everything(mean, False), np.stack([images.pixels(place) for place in range(4)]))
    assert "0" in mean and np.ptp(none, axis=0).max() < 1e-6
