"""Which tensors a unit's map goes through, and what the pool behind it throws away."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import UnknownName
from microtome.network.stages import Stages, pool_loss, stages
from toys import InPlace, Plain, Tokens, opened, seeded


class Pooled(nn.Module):
    """A ReLU with an overlapping pool behind it, a bare convolution with a global one."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.conv, self.bn, self.act, self.pool = nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), pool
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.pool(self.act(self.bn(self.conv(x)))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


class Late(nn.Module):
    """A batch norm between the ReLU and the next layer: units are read behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.bn(F.relu(self.conv(x))).mean((2, 3)))


class Forked(nn.Module):
    """The output of the ReLU goes on past its pool as well, that of the convolution past its ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.one(x))
        y = self.other(F.max_pool2d(x, 2))
        return F.relu(y).mean((2, 3)) + y.mean((2, 3)) + x.mean((2, 3))


def model(pool: nn.Module) -> mt.Model:
    return opened(seeded(Pooled, pool), size=20)


@pytest.mark.parametrize(
    ("build", "site", "expected"),
    [
        (Plain, "conv1", Stages(before="act:in", after="act", pool=None)),
        (Plain, "conv2", Stages(before="relu:in", after="relu", pool=None)),
        (Plain, "fc", Stages(before=None, after="fc", pool=None)),
        (Plain, "relu", Stages(before="relu:in", after="relu", pool=None)),
        (Plain, "bn", Stages(before="act:in", after="act", pool=None)),
        (InPlace, "conv2", Stages(before=None, after="conv2", pool=None)),
        (InPlace, "add", Stages(before="act_1:in", after="act_1", pool=None)),
        (Tokens, "mix", Stages(before="relu:in", after="relu", pool=None)),
        (Forked, "one", Stages(before="relu:in", after="relu", pool=None)),
        (Forked, "other", Stages(before=None, after="other", pool=None)),
        (Late, "conv", Stages(before=None, after="bn", pool=None)),
    ],
)
def test_the_stages_of_a_site(build, site, expected) -> None:
    assert stages(opened(seeded(build)).sites, site) == expected


def test_a_layer_behind_a_norm_and_a_rectifier_has_a_pool() -> None:
    assert stages(model(nn.MaxPool2d(3, 2)).sites, "conv").addresses == {
        "before": "act:in",
        "after": "act",
        "pool": "pool",
    }


def test_a_layer_without_rectifier_may_have_a_pool() -> None:
    assert stages(model(nn.MaxPool2d(3, 2)).sites, "last") == Stages(
        before=None, after="last", pool="adaptive_avg_pool2d"
    )


def test_a_container_means_the_site_that_makes_its_output() -> None:
    sites = mt.open_model("zoo:resnet20").sites
    assert stages(sites, "layer1") == Stages(before="layer1.2.relu_1:in", after="layer1.2.relu_1", pool=None)


def test_an_unknown_site_is_answered_with_the_right_one() -> None:
    with pytest.raises(UnknownName, match=r"Site 'layre1' does not exist\. .* Did you mean 'layer1'\?"):
        stages(mt.open_model("zoo:resnet20").sites, "layre1")


@pytest.mark.parametrize("arguments", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)])
def test_a_max_pool_throws_away_what_its_own_indices_leave_out(arguments) -> None:
    opened_model = model(nn.MaxPool2d(*arguments))
    size = opened_model.sites["act"].extent
    maps = torch.rand(4, *size, generator=torch.Generator().manual_seed(0))
    _, indices = F.max_pool2d(maps[None], *arguments, return_indices=True)
    kept = torch.zeros(4, size[0] * size[1]).scatter(1, indices[0].flatten(1), 1.0)
    expected = 1 - (kept * maps.flatten(1) ** 2).sum(1) / (maps**2).sum((1, 2))
    specimen = mt.Specimen(model=opened_model)
    found = pool_loss(specimen, stages(opened_model.sites, "conv"), maps.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(4, 4, ceil_mode=True)])
def test_a_window_that_reaches_beyond_the_border_is_cut(pool) -> None:
    opened_model = model(pool)
    maps = torch.rand(4, 9, 9, generator=torch.Generator().manual_seed(0))
    assert opened_model.sites["act"].extent == (9, 9)
    _, indices = F.max_pool2d(maps[None], pool.kernel_size, ceil_mode=True, return_indices=True)
    kept = torch.zeros(4, 81).scatter(1, indices[0].flatten(1), 1.0)
    expected = 1 - (kept * maps.flatten(1) ** 2).sum(1) / (maps**2).sum((1, 2))
    found = pool_loss(mt.Specimen(model=opened_model), stages(opened_model.sites, "conv"), maps.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_global_average_keeps_only_the_mean() -> None:
    opened_model = model(nn.MaxPool2d(3, 2))
    found = stages(opened_model.sites, "last")
    size = opened_model.sites["last"].extent
    maps = np.random.default_rng(0).normal(2, 1, (3, *size))
    expected = 1 - maps.mean((1, 2)) ** 2 / (maps**2).mean((1, 2))
    np.testing.assert_allclose(pool_loss(mt.Specimen(model=opened_model), found, maps), expected, atol=1e-12)


def test_where_there_is_no_pool_nothing_is_said() -> None:
    plain = opened(seeded(Plain))
    assert np.isnan(pool_loss(mt.Specimen(model=plain), stages(plain.sites, "conv1"), np.ones((4, 12, 12)))).all()


def test_windows_that_cannot_be_told_are_not_guessed() -> None:
    opened_model = model(nn.AdaptiveMaxPool2d(4))
    found = pool_loss(mt.Specimen(model=opened_model), stages(opened_model.sites, "conv"), np.ones((4, 9, 9)))
    assert np.isnan(found).all()
