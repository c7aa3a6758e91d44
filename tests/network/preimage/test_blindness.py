"""How many directions a layer does not see, on networks whose ranks are known."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.network.preimage import blindness as home
from microtome.network.preimage.blindness import Blindness, blindness
from microtome.network.preimage.local_map import Reading
from toys import opened


def found(model: mt.Model, site: str, x: Tensor) -> Blindness:
    return blindness(Reading(model=model, site=model.sites[site]), x)


def picture(size: int = 4) -> Tensor:
    return torch.randn(3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("rank", [1, 7, 20])
def test_a_linear_network_has_the_rank_of_its_matrix(rank: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, rank), nn.Linear(rank, 30))
    here = found(opened(module, size=4), "2", picture())
    product = module[2].weight.double() @ module[1].weight.double()
    assert here.rank.lowest == here.rank.highest == np.linalg.matrix_rank(product.detach().numpy()) == rank
    assert here.dimension == (48 - rank, 48 - rank)
    np.testing.assert_allclose(product.detach().numpy() @ (np.eye(48) - here.directions.T @ here.directions), 0,
                               atol=1e-12)  # fmt: skip


def test_units_that_are_off_see_nothing() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 30), nn.ReLU())
    module[1].bias.data[:12] = -1000
    model, x = opened(module, size=4), picture()
    on = int((module[1](x.float().flatten()) > 0).sum())
    assert 0 < on < 18
    assert found(model, "1", x).rank.lowest == 30
    behind = found(model, "2", x)
    assert (behind.rank.lowest, behind.on, behind.outputs, behind.dimension) == (on, on, 30, (48 - on, 48 - on))
    module[1].bias.data[:] = -1000
    silent = found(model, "2", x)
    assert (silent.rank.lowest, silent.dimension, silent.on) == (0, (48, 48), 0)


def test_a_convolution_of_one_pixel_sees_as_many_directions_as_it_has_channels() -> None:
    torch.manual_seed(0)
    model = opened(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 8, 1)), size=5)
    assert found(model, "0", picture(5)).rank.lowest == found(model, "1", picture(5)).rank.lowest == 2 * 25


def test_a_pool_sees_one_pixel_of_each_window() -> None:
    model = opened(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 3, 1)), size=6)
    assert found(model, "0", picture(6)).dimension == (108 - 27, 108 - 27)


def test_random_projections_agree_with_singular_values(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    narrow = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3), nn.Conv2d(2, 40, 3, padding=1), nn.ReLU())
    model, x = opened(narrow, size=10), picture(10)
    exact = found(model, "4", x)
    assert exact.rank.method == "singular values"
    assert exact.rank.lowest == 72  # 2 channels of 6 x 6 are all that gets through
    monkeypatch.setattr(home, "LONGEST", 71)
    short = found(model, "4", x)
    assert (short.rank.lowest, short.rank.highest, short.directions) == (71, 300, None)
    assert short.dimension == (0, 300 - 71)
    monkeypatch.setattr(home, "LONGEST", 200)
    enough = found(model, "4", x)
    assert (enough.rank.method, enough.rank.lowest, enough.rank.highest) == ("random projections", 72, 72)


def test_products_may_be_added_up_without_losing_rank() -> None:
    numbers = np.random.default_rng(0)
    products = numbers.standard_normal((60, 40)) @ numbers.standard_normal((40, 5000))
    added = home._added_up(products, 200)
    assert added.shape == (60, 200)
    assert np.linalg.matrix_rank(added) == 40
    np.testing.assert_array_equal(home._added_up(products, 5000), products)
