"""Pictures moved where a layer is blind, judged by a copy of the network in double precision."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.network.preimage.blindness import blindness
from microtome.network.preimage.local_map import Reading, local_map
from microtome.network.preimage.moving import UNCHANGED, invariant_direction, straight, walked
from toys import opened


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(),
                         nn.Linear(54, 20), nn.ReLU()).eval()  # fmt: skip


@pytest.fixture(scope="module")
def model(module: nn.Module) -> mt.Model:
    return opened(module, size=12)


def pictures() -> Tensor:
    """Two, well within the range of pixels."""
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 1.6 - 0.8


def read(module: nn.Module, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        return copy.deepcopy(module).double()(x[None])[0].numpy()


def test_a_direction_is_the_nearest_that_is_not_seen(module: nn.Module, model: mt.Model) -> None:
    x, y = pictures()
    reading = Reading(model=model, site=model.sites["7"])
    known = blindness(reading, x).directions
    wanted = (y - x).flatten().numpy()
    with local_map(reading, x, copies=1) as local:
        matrix = local.matrix(np.arange(20))
        closed = wanted - np.linalg.pinv(matrix) @ (matrix @ wanted)
        np.testing.assert_allclose(invariant_direction(local, wanted, known), closed, atol=1e-12)
        np.testing.assert_allclose(invariant_direction(local, wanted, None), closed, atol=1e-7)


def test_along_a_straight_line_nothing_changes_up_to_the_next_bend(module: nn.Module, model: mt.Model) -> None:
    x, y = pictures()
    reading = Reading(model=model, site=model.sites["7"])
    found = straight(reading, x, y, blindness(reading, x).directions)
    assert 0.9 < found.kept < 1
    assert found.change < 1e-12
    step = torch.from_numpy(found.direction)
    share = found.to_bend / float((255 * 0.5 * step).square().mean().sqrt())
    before = read(module, x)
    np.testing.assert_allclose(read(module, x + 0.999 * share * step), before, rtol=1e-12)
    pattern = [read(module[:end], x + at * share * step).ravel() > 0 for end in (1, 4, 7) for at in (0.0, 0.999, 1.001)]
    turned = [(pattern[3 * k] != pattern[3 * k + 2]).sum() for k in range(3)]
    assert all((pattern[3 * k] == pattern[3 * k + 1]).all() for k in range(3))
    assert sum(turned) <= 1  # one unit, or a pool's choice


def test_a_moved_picture_is_read_as_before_and_a_shuffled_change_is_not(module: nn.Module, model: mt.Model) -> None:
    x, y = pictures()
    found = walked(Reading(model=model, site=model.sites["7"]), x, y)
    assert found.share == 1.0
    assert found.pixels.min() >= 0
    assert found.pixels.max() <= 255
    there = torch.from_numpy(found.pixels) / 127.5 - 1
    before, after = read(module, x), read(module, there)
    change = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert change < UNCHANGED
    assert found.change == pytest.approx(change, abs=1e-9)
    assert found.distance == pytest.approx(float((127.5 * (there - x)).square().mean().sqrt()))
    assert found.distance > 20
    assert found.random_change > 100 * UNCHANGED
    assert found.change < found.rounded_change < found.random_change


def test_a_derivative_that_is_only_known_by_its_products_leads_there_too(model: mt.Model, monkeypatch) -> None:
    monkeypatch.setattr("microtome.network.preimage.moving.DENSE", 0)
    x, y = pictures()
    found = walked(Reading(model=model, site=model.sites["7"]), x, y)
    assert found.share >= 0.3
    assert found.change < UNCHANGED


def test_from_a_layer_that_sees_everything_the_way_leads_back_to_the_picture() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 9, 3, padding=1))
    model = opened(module, size=6)
    x, y = pictures()[:, :, :6, :6]
    assert blindness(Reading(model=model, site=model.sites["1"]), x).dimension == (0, 0)
    assert walked(Reading(model=model, site=model.sites["1"]), x, y).distance < 1e-6
