"""Products with the derivative of a site, beside autograd's own Jacobian of a copy of the network."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable
from microtome.network.preimage.local_map import Reading, local_map
from toys import InPlace, Plain, Reused, Shared, UNet, opened, seeded


def picture(seed: int = 0) -> Tensor:
    return torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jacobian(module: nn.Module, x: Tensor) -> np.ndarray:
    """Of the output, by autograd on a copy in double precision."""
    twin = copy.deepcopy(module).double()
    found = torch.autograd.functional.jacobian(lambda given: twin(given[None])[0].flatten(), x)
    return found.flatten(1).numpy()


@pytest.mark.parametrize("kind", [Plain, InPlace, Shared, UNet, Reused])
def test_every_row_and_column_is_autograds(kind: type[nn.Module]) -> None:
    module = seeded(kind)
    model = opened(module)
    wanted = jacobian(module, picture())
    numbers = np.random.default_rng(0)
    with local_map(Reading(model=model, site=model.sites[model.sites.output]), picture()) as local:
        assert local.shape == wanted.shape
        seeds, directions = (numbers.standard_normal((20, size)) for size in wanted.shape)
        np.testing.assert_allclose(local.matrix(np.arange(len(wanted))), wanted, atol=1e-13)
        np.testing.assert_allclose(local.rows(np.arange(len(wanted))), wanted, atol=1e-13)
        np.testing.assert_allclose(local.times(directions), directions @ wanted.T, atol=1e-12)
        np.testing.assert_allclose(local.transposed(seeds), seeds @ wanted, atol=1e-12)


def test_a_part_of_a_site_has_the_rows_of_that_part() -> None:
    model = opened(seeded(InPlace))
    site = model.sites["act_1"]
    with local_map(Reading(model=model, site=site), picture()) as local:
        whole = local.matrix(np.arange(4 * 144)).reshape(4, 12, 12, -1)
    with local_map(Reading(model=model, site=site, part=(2,)), picture()) as local:
        np.testing.assert_allclose(local.matrix(np.arange(144)), whole[2].reshape(144, -1), atol=1e-14)
        assert len(local.value) == 144
    with local_map(Reading(model=model, site=site, part=(2, 5, 6)), picture()) as local:
        np.testing.assert_allclose(local.rows(np.arange(1))[0], whole[2, 5, 6], atol=1e-14)
        np.testing.assert_allclose(local.times(np.eye(432)[:3])[:, 0], whole[2, 5, 6, :3], atol=1e-14)


def test_many_more_outputs_than_inputs_are_found_column_by_column() -> None:
    wide = opened(nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()), size=4)
    x = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    with local_map(Reading(model=wide, site=wide.sites["1"]), x) as local:
        places = np.arange(0, 512, dtype=int)
        np.testing.assert_allclose(local.matrix(places), local.rows(places), atol=1e-14)


def test_the_network_comes_back_as_it_was() -> None:
    module = seeded(Plain)
    before = {name: (tensor.dtype, tensor.data_ptr()) for name, tensor in module.state_dict().items()}
    model = opened(module)
    with local_map(Reading(model=model, site=model.sites["fc"]), picture()) as local:
        local.times(np.eye(432)[:2])
    assert {name: (tensor.dtype, tensor.data_ptr()) for name, tensor in module.state_dict().items()} == before
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_a_network_that_is_not_made_of_linear_pieces_is_refused() -> None:
    model = mt.open_model(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3), nn.ReLU()), size=12)
    said = "3 lies behind GELU. Linear regions are those of networks of ReLU and its like, with max pools."
    with (
        pytest.raises(NotApplicable, match=said),
        local_map(Reading(model=model, site=model.sites["3"]), picture()),
    ):
        pass
