"""The loop on networks whose answer is known, and what it promises of every network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import CallOrderChanged, UnknownName, UsageError
from microtome.network.dreaming.cut import cut
from microtome.network.dreaming.loop import superstimuli
from microtome.network.dreaming.objective import Objective, likeness, of_class, usual_place
from microtome.network.dreaming.palette import Palette, assumed, measured
from microtome.network.dreaming.recipe import Recipe, usual
from microtome.network.dreaming.transforms import Transforms
from toys import SIDE, Caching, InPlace, Plain, Tokens, noise, opened, seeded

FAST = Recipe(canvas="pixels", transforms=Transforms(jitter=1), steps=25, rate=0.1, variation=0.0, copies=4)
STILL = replace(FAST, transforms=Transforms(), steps=100)


class Planted(nn.Module):
    """One convolution with given kernels, a rectifier, and a mean; the bias keeps one channel silent at the start."""

    def __init__(self, kernels: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(kernels.shape[1], len(kernels), kernels.shape[2:]), nn.Linear(len(kernels), 2)
        self.conv.weight.data, self.conv.bias.data = kernels, bias

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv(x)).mean((2, 3)))


def planted(channels: int, bias: float = 0.0) -> mt.Model:
    kernels = torch.randn(2, channels, 5, 5, generator=torch.Generator().manual_seed(2))
    module = seeded(Planted, kernels, torch.tensor([0.0, bias])).eval()
    return mt.open_model(module, size=SIDE, mean=(0.5,) * channels, std=(0.5,) * channels)


def grey(model: mt.Model) -> Palette:
    return assumed(model)


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return opened(seeded(Plain))


def seen_by_middle(model: mt.Model, picture: np.ndarray) -> np.ndarray:
    """The 5 x 5 pixels under the middle position of the map, in the numbers that the network is given."""
    prepared = model.preprocessing.normalise(torch.from_numpy(picture[None]))[0].numpy()
    top = (SIDE - 4) // 2
    return prepared[:, top : top + 5, top : top + 5]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_picture_of_a_convolution_is_the_best_there_is_within_bounds(channels, kind, sign) -> None:
    model = planted(channels)
    objective = Objective(site="relu", channels=(0, 1), where=usual_place(model, "conv"), sign=sign)
    assert objective.where == "centre"
    found = superstimuli(model, objective, grey(model), replace(STILL, canvas=kind))
    for kernel, picture in zip(model.weight("conv").numpy(), found.pictures[:, 0], strict=True):
        best = sign * np.sign(kernel)
        seen = seen_by_middle(model, picture)
        assert np.corrcoef(seen.ravel(), best.ravel())[0, 1] > 0.9
        assert (seen * kernel).sum() * sign > 0.9 * np.abs(kernel).sum()
    assert found.box == (4, 4, 9, 9) and not found.plain.any() and not found.dead.any()
    if sign > 0:
        np.testing.assert_array_less(0.9 * np.abs(model.weight("conv").numpy()).sum((1, 2, 3)), found.reached[:, 0])


def test_a_position_is_where_the_picture_grows(model) -> None:
    still = planted(1)
    found = superstimuli(still, Objective(site="relu", channels=(0,), where=(0, 7)), grey(still), STILL)
    assert found.box == (0, 7, 5, 12)
    patch = found.pictures[0, 0, 0, 0:5, 7:12].astype(float)
    kernel = still.weight("conv")[0, 0].numpy()
    assert np.corrcoef(patch.ravel(), np.sign(kernel).ravel())[0, 1] > 0.9
    assert found.pictures[0, 0, 0, :, :6].std() < 30


def test_a_start_that_is_dead_grows_before_its_rectifier_and_is_begun_again() -> None:
    silent = planted(1, bias=-8.0)
    objective = Objective(site="relu", channels=(0, 1))
    blind = superstimuli(silent, objective, grey(silent), replace(STILL, warm=0, restarts=0))
    assert blind.dead.ravel().tolist() == [False, True] and blind.reached[1, 0] == 0
    warm = superstimuli(silent, objective, grey(silent), replace(STILL, restarts=0))
    again = superstimuli(silent, objective, grey(silent), replace(STILL, warm=2, restarts=2, steps=60, rate=0.05))
    assert not warm.dead.any() and warm.reached[1, 0] > 0
    assert not again.dead.any() and again.starts[0, 0] == 1 and again.starts[1, 0] > 1


def test_a_unit_that_nothing_excites_is_dead_and_says_so() -> None:
    silent = planted(1, bias=-1000.0)
    found = superstimuli(silent, Objective(site="relu", channels=(1,)), grey(silent), FAST)
    assert found.dead.all() and found.starts.max() == 1 + FAST.restarts


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_equal_seeds_give_equal_bits_and_another_seed_another_picture(model, kind) -> None:
    objective = Objective(site="relu", channels=(0, 3, 4))
    recipe = replace(FAST, canvas=kind, transforms=Transforms(jitter=1, scale=(0.9, 1.1), degrees=5))
    one, other, third = (superstimuli(model, objective, grey(model), recipe, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.pictures, other.pictures) and np.array_equal(one.reached, other.reached)
    assert not np.array_equal(one.pictures, third.pictures)


def test_a_picture_does_not_depend_on_which_others_grow_with_it(model) -> None:
    many = superstimuli(model, Objective(site="relu", channels=(0, 1, 2, 3, 4)), grey(model), FAST)
    few = superstimuli(model, Objective(site="relu", channels=(2, 3, 4, 1)), grey(model), FAST)
    close = np.abs(many.pictures[2:].astype(int) - few.pictures[:3])
    assert np.quantile(close, 0.99) <= 2  # rounding of other batch sizes, which Adam enlarges


def test_only_what_lies_before_the_site_is_run(model, monkeypatch) -> None:
    monkeypatch.setattr(model.module.conv2, "forward", lambda *_: pytest.fail("conv2 was run"))
    with cut(model, "act") as network:
        images = torch.zeros(2, 3, SIDE, SIDE)
        given, got = network.run(images, before=True), network.run(images)
        assert torch.equal(got, given.relu()) and got.shape == (2, 4, SIDE, SIDE)
        assert not any(parameter.requires_grad for parameter in model.module.parameters())


def test_weights_get_no_gradient_though_pixels_do(model) -> None:
    with cut(model, "relu") as network:
        images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).requires_grad_()
        network.run(images).sum().backward()
        assert images.grad.abs().sum() > 0
        assert all(parameter.grad is None for parameter in model.module.parameters())


@pytest.mark.parametrize("build", [Plain, InPlace, Caching])
def test_the_model_is_as_it_was(build) -> None:
    module = seeded(build).train()
    next(module.parameters()).requires_grad_(False)
    found = opened(module)
    module.train()
    site = found.sites.layers[0].read or found.sites.layers[0].name
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    state = torch.random.get_rng_state()
    superstimuli(found, Objective(site=site, channels=(0, 1)), grey(found), FAST)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert [parameter.requires_grad for parameter in module.parameters()] == wanted
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_class_logit_grows_and_falls(model) -> None:
    more, less = (superstimuli(model, of_class(model, 1, sign), grey(model), FAST) for sign in (1, -1))
    assert more.pictures.shape == (1, 1, 3, SIDE, SIDE)
    with cut(model, "fc") as network:
        start = float(network.run(torch.zeros(1, 3, SIDE, SIDE))[0, 1])
    assert less.reached[0, 0] < start < more.reached[0, 0]


def test_diversity_makes_the_pictures_of_a_unit_less_alike(model) -> None:
    alike = {}
    for weight in (0.0, 5.0):
        objective = Objective(site="relu", channels=(0, 2), diversity=weight)
        found = superstimuli(model, objective, grey(model), replace(FAST, steps=60), each=3)
        assert found.pictures.shape[:2] == (2, 3)
        with cut(model, "relu") as network:
            prepared = model.preprocessing.normalise(torch.from_numpy(found.pictures.reshape(-1, 3, SIDE, SIDE)))
            alike[weight] = likeness(network.run(prepared), 3).mean()
    assert alike[5.0] < alike[0.0] - 0.05


def test_likeness_is_one_for_copies_and_zero_for_what_shares_no_channel() -> None:
    maps = torch.rand(1, 4, 5, 5).expand(3, -1, -1, -1)
    assert float(likeness(maps, 3)) == pytest.approx(1)
    apart = torch.zeros(2, 4, 5, 5)
    apart[0, :2], apart[1, 2:] = 1, 1
    assert float(likeness(apart, 2)) == pytest.approx(0)


def test_a_picture_may_begin_with_the_data(model) -> None:
    image = model.preprocessing.normalise(torch.from_numpy(noise(model)[3][None]))[0].numpy()
    gentle = replace(FAST, steps=1, rate=1e-6)
    found = superstimuli(model, Objective(site="relu", channels=(0,)), grey(model), gentle, start=image)
    begun = found.pictures[0, 0].astype(float).ravel()
    assert np.corrcoef(begun, noise(model)[3].ravel())[0, 1] > 0.95


def test_variation_makes_neighbours_more_alike(model) -> None:
    rough, smooth = (
        superstimuli(model, Objective(site="act", channels=(0, 1, 2, 3)), grey(model), replace(STILL, variation=weight))
        for weight in (0.0, 2.0)
    )
    steps = [np.abs(np.diff(found.pictures.astype(float), axis=-1)).mean() for found in (rough, smooth)]
    assert steps[1] < 0.7 * steps[0]


def test_tokens_whose_channels_come_last_and_half_precision_work() -> None:
    last = opened(seeded(Tokens))
    found = superstimuli(last, Objective(site="relu", channels=(0, 4)), grey(last), FAST)
    assert found.pictures.shape == (2, 1, 3, SIDE, SIDE) and np.isfinite(found.reached).all()
    half = opened(seeded(Plain).bfloat16())
    assert np.isfinite(superstimuli(half, Objective(site="relu", channels=(0,)), grey(half), FAST).reached).all()


def test_scores_are_of_the_picture_that_is_shown(model) -> None:
    found = superstimuli(model, Objective(site="act", channels=(0, 3)), measured(model, noise(model)), STILL,
                         data_max=np.array([2.0, 0.0]))  # fmt: skip
    with cut(model, "act") as network, torch.no_grad():
        seen = network.run(model.preprocessing.normalise(torch.from_numpy(found.pictures[:, 0])))
    expected = [float(seen[0, 0].max()), float(seen[1, 3].max())]
    np.testing.assert_allclose(found.reached[:, 0], expected, rtol=1e-5)
    assert found.ratio[0, 0] == pytest.approx(expected[0] / 2) and np.isnan(found.ratio[1, 0])


def test_what_cannot_be_asked_for_is_refused(model) -> None:
    for wrong, error, words in [
        (Objective(site="relu", channels=(5,)), UnknownName, "channels are 0 to 4"),
        (Objective(site="relu", channels=()), UsageError, "0 channels"),
        (Objective(site="relu", channels=(0,), sign=2), UsageError, "sign 2"),
        (Objective(site="relu", channels=(0,), where=(9, 0)), UsageError, "no position"),
        (Objective(site="fc", channels=(0,), where=(0,)), UsageError, "no position"),
        (Objective(site="nowhere", channels=(0,)), UnknownName, "nowhere"),
    ]:
        with pytest.raises(error, match=words):
            superstimuli(model, wrong, grey(model), FAST)


def test_a_network_that_calls_something_else_is_refused(model) -> None:
    found = opened(seeded(Plain))
    assert found.sites
    found.module.act = nn.Tanh()
    with pytest.raises(CallOrderChanged, match="'act'"), cut(found, "relu") as network:
        network.run(torch.zeros(2, 3, SIDE, SIDE))


def test_small_pictures_are_written_as_pixels_and_large_ones_as_a_spectrum() -> None:
    assert usual((28, 28)).canvas == usual((32, 32)).canvas == "pixels"
    assert usual((224, 224)).canvas == "fourier"
    with pytest.raises(UsageError, match="steps"):
        replace(usual((28, 28)), steps=0)


def test_what_a_unit_makes_of_the_picture_of_the_one_before_it_stands_beside(model) -> None:
    found = superstimuli(model, Objective(site="act", channels=(0, 3, 1)), grey(model), STILL)
    with cut(model, "act") as network, torch.no_grad():
        seen = network.run(model.preprocessing.normalise(torch.from_numpy(found.pictures[:, 0])))
    expected = [float(seen[2, 0].max()), float(seen[0, 3].max()), float(seen[1, 1].max())]
    np.testing.assert_allclose(found.other[:, 0], expected, rtol=1e-5)
    alone = superstimuli(model, Objective(site="act", channels=(3,)), grey(model), FAST)
    assert np.isnan(alone.other).all()


def test_every_step_is_told(model) -> None:
    told: list[int] = []
    superstimuli(model, Objective(site="fc", channels=(0, 2)), grey(model), FAST, each=2, after=told.append)
    assert sum(told) == 4 * FAST.steps


def test_a_picture_that_reaches_less_than_the_data_is_begun_again_and_the_best_is_kept(model) -> None:
    objective = Objective(site="conv2", channels=(0, 1, 2))
    first = superstimuli(model, objective, grey(model), FAST)
    wanted = np.array([0.5, 1.001, 1e6]) * np.abs(first.reached[:, 0])
    again = superstimuli(model, objective, grey(model), FAST, data_max=wanted)
    assert again.starts[:, 0].tolist()[::2] == [1, 1 + FAST.restarts] and again.starts[1, 0] > 1
    assert (again.reached >= first.reached).all() and (again.reached[1:] > first.reached[1:]).any()
    assert np.array_equal(again.pictures[0], first.pictures[0])


def test_the_strongest_place_counts_beside_the_mean_of_the_map(model) -> None:
    maps = torch.tensor([[[[1.0, 5.0], [2.0, 0.0]]], [[[-3.0, 1.0], [1.0, 1.0]]]])
    for where, sign, spread, expected in [
        ("mean", 1, 0.0, [2.0, 0.0]), ("map", 1, 0.0, [7.0, 1.0]), ("map", 1, 0.5, [4.5, 0.5]),
        ("map", -1, 0.0, [2.0, -3.0]), ("centre", 1, 0.0, [0.0, 1.0]),
    ]:  # fmt: skip
        asked = Objective(site="relu", channels=(0, 0), where=where, sign=sign)
        assert asked.value(maps, 1, spread).tolist() == expected
    alone, both = (superstimuli(model, Objective(site="act", channels=(0, 1, 2, 3), where=where), grey(model), STILL)
                   for where in ("mean", "map"))  # fmt: skip
    assert (both.reached >= alone.reached).all() and both.reached.sum() > 1.02 * alone.reached.sum()


def test_the_rate_falls_to_nothing_over_the_last_steps() -> None:
    rates = [replace(FAST, steps=10, rate=2.0, cooling=0.5).rate_at(step) for step in range(10)]
    assert rates[:6] == [2.0] * 6 and rates[6:] == pytest.approx([1.6, 1.2, 0.8, 0.4])
    assert replace(FAST, cooling=0.0).rate_at(FAST.steps - 1) == FAST.rate
