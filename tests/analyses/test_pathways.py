"""How few connections carry the answers, on a network in which only some can."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.analyses.pathways import ORDERS, SHARES, Pathways, PathwaysResult
from microtome.cards import Circuit
from microtome.errors import NotApplicable
from microtome.runs.runner import Look
from toys import noise, opened, seeded


class Few(nn.Module):
    """Of eight channels two carry the answer; the others have large filters that lead nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)
        with torch.no_grad():
            self.one.weight[2:] *= 5
            self.two.weight[:, 2:] = 0
            self.two.weight[:, :2] = torch.tensor([[9.0, 0], [0, 9.0], [0, 0]])
            self.two.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.relu(self.one(x)).amax((2, 3)))


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    module = seeded(Few)
    model = opened(module)
    images = noise(model, 120, 3)
    with torch.no_grad():  # each class wins on some images
        x = model.preprocessing.normalise(torch.from_numpy(np.stack([images.pixels(place) for place in range(120)])))
        module.two.bias -= module(x).median(0).values
    return mt.Specimen(model=opened(module), images=images)


@pytest.fixture(scope="module")
def result(specimen) -> PathwaysResult:
    return Look(specimen).run([Pathways()]).results["pathways"]


def test_connections_that_do_something_carry_the_answers_where_the_largest_do_not(result) -> None:
    assert result.total == 8 * 3 + 3 * 8
    kept = {order: result.same[order].mean(1) for order in ORDERS}
    half = SHARES.index(0.5)
    assert kept["contribution"][half] > 0.9 > kept["magnitude"][half]
    assert result.needed["contribution"] < result.needed["magnitude"]


def test_images_are_others_than_those_on_which_orders_are_found(specimen, result) -> None:
    assert result.images == 60 and result.fitted == 60
    assert result.right["random"].shape == (len(SHARES), 60)
    held = specimen.images.labels[np.argsort(specimen.images.hashes, kind="stable")[1::2]]
    model = specimen.model
    pixels = np.stack([specimen.images.pixels(int(p)) for p in np.argsort(specimen.images.hashes, kind="stable")[1::2]])
    with torch.no_grad():
        answers = model.module(model.preprocessing.normalise(torch.from_numpy(pixels))).argmax(1).numpy()
    assert np.array_equal(result.whole, answers == held)


def test_the_circuit_is_made_of_the_connections_that_do_most(result) -> None:
    layers = result.layers
    assert (np.diff(result.effect) <= 0).all()
    into_two = result.target[:, 0] == layers.index("two")
    assert set(result.source[into_two][:3, 1].tolist()) <= {0, 1}
    assert (result.source[~into_two] == -1).all()  # the picture's colours are no units
    circuit = next(card for card in result.cards() if isinstance(card.content, Circuit))
    assert str(len(result.effect)) in circuit.how_to_read


def test_what_is_said_stands_beside_the_other_orders(result) -> None:
    (finding,) = result.findings()
    assert "magnitude" in finding.control and "random" in finding.control
    assert set(result.left) == {"one", "two"} and all(((v >= 0) & (v <= 1)).all() for v in result.left.values())


def test_a_network_without_classes_is_refused(specimen) -> None:
    with pytest.raises(NotApplicable, match="classes"):
        Pathways().check(dataclasses.replace(specimen, model=opened(nn.Sequential(nn.Conv2d(3, 4, 3)))))
