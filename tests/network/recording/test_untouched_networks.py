"""Promise 1, network by network: the model comes back bit for bit, in every mode that the caller may be in."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from microtome.analyses import general, registry
from microtome.analyses.filters import Filters
from microtome.analyses.superstimuli import Superstimuli
from microtome.analyses.twins import Twins
from microtome.network.recording.sites import Sites, find_sites
from portrait import differences, portrait
from untouched_subjects import BUILDS, MODES, TOYS, lived_in, look, model_of, one_thread, trained

SLOW = (Filters, Twins)  # minutes on wide layers, and never near the network: they see weights and answers
FEWER = 50
# These are left to the other tests below: all analyses look at networks of the same operations (resnet20, resnet18,
# squeezenet, googlenet), and take longest on these.
LIKE_OTHERS = ("resnet32", "resnet44", "resnet56", "vgg11_bn", "inception_v3")
ASKED = 2  # layers of a large network, and its last one
BRIEF = {Superstimuli: lambda: Superstimuli(climb=2)}  # what a network does in two steps it does in a hundred
SMALL = (*TOYS, "resnet20")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_thread():
        yield


def with_few_layers(*words) -> Sites:
    """The sites of a network of whose layers only a few, in even steps, are there to be asked about."""
    sites = find_sites(*words)
    names = [site.name for site in sites.layers]
    kept = {*names[:: math.ceil(len(names) / ASKED)], names[-1]}
    listed = [
        site if site.name in kept else dataclasses.replace(site, units=0, weight=None, read=None)
        for site in sites.values()
    ]
    return Sites(listed, sites.output, sites.containers)


@pytest.mark.parametrize("name", [name for name in BUILDS if name not in LIKE_OTHERS])
def test_after_a_look_with_all_analyses_everything_is_as_it_was(name, monkeypatch) -> None:
    if name not in SMALL:  # the same steps through the whole network, fewer of them
        monkeypatch.setattr("microtome.network.model.find_sites", with_few_layers)
        for cls in general(registry()).values():
            budget = getattr(inspect.getmodule(cls), "BUDGET", {})
            monkeypatch.setitem(budget, "quick", budget.get("quick", 0.0) / FEWER)
    module = lived_in(name)
    MODES["mixed"][0](module)
    slow = {cls.name for cls in SLOW}
    analyses = [BRIEF.get(cls, cls)() for cls in general(registry()).values()
                if name in SMALL or not slow & {cls.name, *cls.requires}]  # fmt: skip
    global_hook = register_module_forward_hook(lambda *_: None)
    before = portrait(module)
    look(model_of(name, module), analyses)
    assert differences(before, portrait(module)) == []
    global_hook.remove()


@pytest.mark.parametrize("name", BUILDS)
def test_in_every_mode_of_the_caller_everything_is_as_it_was(name) -> None:
    module = lived_in(name)
    for prepare, mode in MODES.values():
        prepare(module)
        with mode():
            before = portrait(module)
            look(model_of(name, module), count=2)
            assert differences(before, portrait(module)) == []


@pytest.mark.parametrize("name", BUILDS)
def test_a_training_step_afterwards_is_the_one_without_a_look(name) -> None:
    expected = trained(name, lived_in(name))
    looked_at = lived_in(name)
    look(model_of(name, looked_at))
    found = trained(name, looked_at)
    assert list(found) == list(expected)
    assert [key for key, tensor in expected.items() if not torch.equal(found[key], tensor)] == []
    assert sum(key.endswith(".grad") and bool(tensor.any()) for key, tensor in expected.items()) > 1


@pytest.mark.parametrize("name", ["in-place", "functional", "reused", "shared", "dictionary", "resnet20"])
def test_what_is_found_does_not_depend_on_the_mode_of_the_caller(name) -> None:
    module = lived_in(name)
    expected = look(model_of(name, module)).found
    for prepare, mode in MODES.values():
        prepare(module)
        with mode():
            found = look(model_of(name, module)).found
        assert all(np.array_equal(found["means"][site], mean) for site, mean in expected["means"].items())
        assert all(map(np.array_equal, found["pushed"], expected["pushed"]))
