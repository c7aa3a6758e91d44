"""How many images and units a network can be run again for: within the budget, every layer some, cheap ones more."""

import numpy as np
import pytest
from torch import nn

import microtome as mt
from microtome.network.trials.effects import halves, parts_of
from microtome.network.trials.silencing import before_the_logits
from microtome.network.trials.silencing_plan import (
    affordable,
    chosen_units,
    cost_of_a_unit,
    images_for_estimate,
    images_together,
    plan,
)
from toys import Plain, noise, opened, seeded

TRIED = (256, 128, 64, 32, 16)


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    model = mt.open_model("zoo:resnet20")
    return mt.Specimen(model=model, images=noise(model, 600, classes=10))


@pytest.fixture(scope="module")
def where(specimen) -> dict[str, str]:
    return before_the_logits(specimen.model, specimen.reading())


def test_a_unit_costs_what_lies_behind_it(specimen, where) -> None:
    cost = cost_of_a_unit(specimen.sites, where, 64)
    macs = {site.name: site.macs for site in specimen.sites.values()}
    order = list(macs)
    for layer, site in where.items():
        behind = 64 * sum(macs[name] for name in order[order.index(site) + 1 :])
        assert behind <= cost[layer] <= behind + 8 * sum(macs.values())
    costs = list(cost.values())
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("budget", [1e9, 1e10, 1e11, 4e11, 1e13])
def test_the_budget_is_kept_and_cheap_layers_come_first(specimen, where, budget) -> None:
    images, counts = affordable(specimen.sites, where, budget, TRIED)
    cost = cost_of_a_unit(specimen.sites, where, images)
    units = {layer: specimen.sites[layer].units for layer in where}
    assert sum(cost[layer] * count for layer, count in counts.items()) <= budget
    assert all(0 <= counts[layer] <= units[layer] for layer in where)
    some = [min(counts[layer], 4) for layer in sorted(where, key=lambda layer: cost[layer])]
    assert some == sorted(some, reverse=True)
    enough = all(count >= 4 for count in counts.values())
    assert enough or images == TRIED[-1]
    if images != TRIED[0]:  # with more images not every layer would have had enough
        more = affordable(specimen.sites, where, budget, [TRIED[TRIED.index(images) - 1]])[1]
        assert min(more.values()) < 4


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_layers_of_few_units_are_silenced_whole(width) -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, width, 3), nn.Flatten(), nn.Linear(100 * width, width)))
    where = before_the_logits(model, mt.Specimen(model=model).reading())
    assert affordable(model.sites, where, float("inf"), [16]) == (16, dict.fromkeys(where, width))


def test_without_a_limit_all_units_are_silenced_on_half_of_the_images(specimen, where) -> None:
    full = mt.Specimen(model=specimen.model, images=specimen.images, effort="full")
    units = {layer: specimen.sites[layer].units for layer in where}
    assert plan(full, where, 0, 0) == (300, units)
    assert images_for_estimate(full) == 600
    assert plan(specimen, where, 50, 3) == (50, dict.fromkeys(where, 3))
    quick = mt.Specimen(model=specimen.model, images=specimen.images, effort="quick")
    assert plan(quick, where, 0, 0)[0] == 16 and 16 <= images_for_estimate(quick) < images_for_estimate(specimen)


def test_half_of_the_units_have_the_largest_estimates_and_the_others_are_random() -> None:
    estimate = np.random.default_rng(0).normal(size=40)
    units, drawn = chosen_units(estimate, 10, (7,), (0, 3))
    largest = np.argsort(-np.abs(estimate))[:5]
    assert set(largest) <= set(units) and not drawn[np.isin(units, largest)].any()
    assert drawn.sum() == 5 and 7 in units and (np.diff(units) > 0).all()
    assert np.array_equal(units, chosen_units(estimate, 10, (7,), (0, 3))[0])
    assert not np.array_equal(units, chosen_units(estimate, 10, (7,), (1, 3))[0])
    everything, all_drawn = chosen_units(estimate, 99, (), (0, 0))
    assert everything.tolist() == list(range(40)) and all_drawn.all()
    unknown, random = chosen_units(np.full(40, np.nan), 6, (), (0, 0))
    assert len(unknown) == 6 and random.all()
    assert len(chosen_units(estimate, 0, (), (0, 0))[0]) == 0


def test_means_and_effects_are_of_different_images_with_labels() -> None:
    model = opened(seeded(Plain))
    images = noise(model, 30)
    images.labels[::5] = -1
    learnt, judged = halves(mt.Specimen(model=model, images=images), 100, 100)
    assert len(learnt) == len(judged) == 12 and not set(learnt) & set(judged)
    assert (images.labels[np.concatenate([learnt, judged])] >= 0).all()
    assert [len(part) for part in parts_of(np.arange(33), 16)] == [11, 11, 11] and parts_of(np.arange(0), 16) == ()


def test_what_is_put_back_fits_into_memory() -> None:
    large, small = mt.open_model(seeded(Plain), size=3000), opened(seeded(Plain))
    for model, images in ((large, 1), (small, 16)):
        where = before_the_logits(model, mt.Specimen(model=model).reading())
        assert images_together(model.sites, where) == images
