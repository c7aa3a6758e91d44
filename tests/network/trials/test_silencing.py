"""Units silenced one by one, worked out behind them alone: the answers are those of the whole network under an Edit."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.model import Model
from microtome.network.recording.edits import Edit
from microtome.network.specimen import Specimen
from microtome.network.trials.first_order import added, slopes
from microtome.network.trials.silencing import before_the_logits, needed_behind, not_in_parts, silenced
from portrait import differences, portrait
from toys import (
    Functional,
    InPlace,
    Plain,
    Reused,
    Shared,
    Skip,
    Tokens,
    noise,
    opened,
    prepared,
    seeded,
    seen,
    with_random_weights,
)

IMAGES = 6


class Aside(nn.Module):
    """What the first rectifier returns is thrown away: the network goes on with what it has overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        F.relu_(x)
        return self.fc(F.relu(self.conv2(x)).mean((2, 3)))


class Twice(nn.Module):
    """Looks at the image a second time, behind its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv2(F.relu(self.conv1(x)) + x)).mean((2, 3)))


class Probabilities(nn.Module):
    """Gives what a softmax makes of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Plain()

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.body(x), 1)


TOYS = [Plain, InPlace, Shared, Functional, Reused, Skip, Tokens, Aside, Twice, Probabilities]


def places(model: Model) -> dict[str, str]:
    return before_the_logits(model, Specimen(model=model).reading())


def by_hand(model: Model, images, where: dict[str, str], means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The logits above the mean of all with every unit silenced by an Edit of its own: (U, n, K) by layer."""
    site = model.sites[model.sites.output]
    logits = f"{site.name}:in" if site.operation == "softmax" else site.name
    found = {}
    for layer, name in where.items():
        edits = [Edit(site=name, channels=(unit,), offset=(float(mean),)) for unit, mean in enumerate(means[layer])]
        rows = np.stack([seen(model, images, logits, edits=[edit])[0][0] for edit in edits])
        found[layer] = rows - rows.mean(-1, keepdims=True)
    return found


@pytest.mark.parametrize("build", TOYS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("in_parts", [True, False], ids=["in parts", "whole"])
def test_every_unit_of_every_layer_is_silenced_as_by_an_edit(build, in_parts) -> None:
    model = opened(seeded(build))
    images, where = noise(model, IMAGES), places(model)
    pixels = prepared(model, images)
    means = {k: np.random.default_rng(0).normal(size=model.sites[site].channels) for k, site in where.items()}
    units = {k: tuple(range(len(mean))) for k, mean in means.items()}
    whole = not_in_parts(model, pixels, where) if in_parts else tuple(where)
    found = silenced(model, pixels, where, units, means, whole)
    for layer, expected in by_hand(model, images, where, means).items():
        np.testing.assert_allclose(found.after[layer], expected, atol=2e-5)
    assert set(found.after) == set(where) and len(where) >= 2
    assert all(np.abs(found.after[layer] - found.before).max() > 1e-3 for layer in where)


@pytest.mark.parametrize("build", TOYS, ids=lambda build: build.__name__)
def test_networks_are_run_in_parts_but_where_that_gives_other_answers(build) -> None:
    model = opened(seeded(build))
    expected = {"Aside": ("conv1",), "Twice": ("conv1",)}
    found = not_in_parts(model, prepared(model, noise(model, IMAGES)), places(model))
    assert found == expected.get(build.__name__, ())


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_torchvisions_networks_can_be_run_in_parts(name) -> None:
    model = opened(with_random_weights(name), 64)
    images, where = noise(model, 4), places(model)
    pixels = prepared(model, images)
    assert not_in_parts(model, pixels, where) == ()
    chosen = list(where)[1 :: max(1, len(where) // 4)]
    some = {layer: where[layer] for layer in chosen}
    means = {layer: np.full(model.sites[site].channels, 0.5) for layer, site in some.items()}
    found = silenced(model, pixels, where, dict.fromkeys(some, (1,)), means)
    site = model.sites.output
    for layer, read in some.items():
        ((expected,),) = [seen(model, images, site, edits=[Edit(site=read, channels=(1,), offset=(0.5,))])]
        rows = expected[0] - expected[0].mean(-1, keepdims=True)
        np.testing.assert_allclose(found.after[layer][0], rows, atol=1e-4 * np.abs(rows).max())


def test_in_front_of_a_unit_the_network_sees_one_image_alone() -> None:
    module = seeded(Plain)
    model = opened(module)
    where, pixels = places(model), prepared(model, noise(model, IMAGES))
    rows = []
    handle = module.conv1.register_forward_hook(lambda _module, _given, output: rows.append(len(output)))
    means = {k: np.full(model.sites[site].channels, 9.0) for k, site in where.items()}
    silenced(model, pixels, where, {"conv2": (0, 3)}, means)
    handle.remove()
    assert rows == [IMAGES, 1]  # once for what is put back, and once for both units together


def test_a_unit_that_is_its_mean_changes_nothing_at_all() -> None:
    module = seeded(Plain)
    with torch.no_grad():
        module.conv2.weight[2] = 0
        module.conv2.bias[2] = 0.3
    model = opened(module)
    where, pixels = places(model), prepared(model, noise(model, IMAGES))
    sums = slopes(model, pixels, where)
    means = {k: each.mean for k, each in sums.items()}
    found = silenced(model, pixels, where, {"conv2": (1, 2)}, means)
    assert np.array_equal(found.after["conv2"][1], found.before)
    assert not np.array_equal(found.after["conv2"][0], found.before)
    assert abs(sums["conv2"].fall[2]) < 1e-6


def test_what_is_needed_behind_a_site_is_what_is_taken_behind_it() -> None:
    sites = opened(seeded(InPlace)).sites
    assert needed_behind(sites, "conv2") == ("act", "conv2")
    assert needed_behind(sites, "act") == ("act",)


@pytest.mark.parametrize("build", [Plain, InPlace, Tokens, Twice], ids=lambda build: build.__name__)
def test_the_model_comes_back_as_it_was(build) -> None:
    module = seeded(build).train()
    model = opened(module)
    where, pixels = places(model), prepared(model, noise(model, IMAGES))
    before, given = portrait(module), pixels.clone()
    sums = slopes(model, pixels, where)
    means = {k: each.mean for k, each in sums.items()}
    silenced(model, pixels, where, dict.fromkeys(where, (0,)), means, not_in_parts(model, pixels, where))
    assert differences(before, portrait(module)) == [] and torch.equal(given, pixels)


class Linear(nn.Module):
    """No rectifier anywhere: what silencing does is what the first order says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.fc = nn.Conv2d(3, 5, 3), nn.AvgPool2d(5), nn.Linear(20, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.conv(x)).flatten(1))


@pytest.mark.parametrize("own", [True, False], ids=["own answers", "labels"])
def test_the_estimate_is_the_effect_if_the_network_is_linear(own) -> None:
    model = opened(seeded(Linear).double())
    images, where = noise(model, IMAGES), places(model)
    pixels = prepared(model, images)
    parts = [slopes(model, pixels[some], where, None if own else images.labels[some])
             for some in (slice(0, 4), slice(4, None))]  # fmt: skip
    sums = {k: added([part[k] for part in parts]) for k in where}
    units = {k: tuple(range(len(each.mean))) for k, each in sums.items()}
    found = silenced(model, pixels, where, units, {k: each.mean for k, each in sums.items()})
    label = found.before.argmax(1) if own else images.labels
    rows, largest = np.arange(IMAGES), 0.0
    for layer, each in sums.items():
        falls = (found.before[rows, label] - found.after[layer][:, rows, label]).mean(1)
        np.testing.assert_allclose(each.fall, falls, atol=1e-12)
        largest = max(largest, float(np.abs(falls).max()))
    assert largest > 1e-3


def test_without_a_gradient_there_is_no_estimate() -> None:
    class Detached(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    model = opened(seeded(Detached))
    found = slopes(model, prepared(model, noise(model, IMAGES)), places(model))
    assert all(np.isnan(each.fall).all() and np.isfinite(each.mean).all() for each in found.values())


@pytest.mark.data
def test_on_a_trained_network_it_is_the_edit_too(data_folder: Path) -> None:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10jpeg.safetensors'}")
    images = mt.open_images(data_folder / "cifar10" / "test", like=model).limit(8)
    where, pixels = places(model), prepared(model, images)
    assert not_in_parts(model, pixels, where) == ()
    means = {k: each.mean for k, each in slopes(model, pixels, where).items()}
    units = {"conv1": (9, 12), "layer2.0.conv2": (27,), "layer3.2.conv1": (45, 3), "linear": (6,)}
    found = silenced(model, pixels, where, units, means)
    for layer, some in units.items():
        for place, unit in enumerate(some):
            edit = Edit(site=where[layer], channels=(unit,), offset=(float(means[layer][unit]),))
            rows = seen(model, images, model.sites.output, edits=[edit])[0][0]
            np.testing.assert_allclose(found.after[layer][place], rows - rows.mean(1, keepdims=True), atol=1e-4)
