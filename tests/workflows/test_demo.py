"""The demo from beginning to end."""

import dataclasses

import numpy as np
import pytest
import torch

from microtome.errors import BadModel
from microtome.network.open import open_model
from microtome.network.training import Recipe
from microtome.network.zoo import ZOO
from microtome.workflows.demo import demo
from microtome.workflows.train import train_zoo


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return demo(tmp_path_factory.mktemp("demo") / "microtome-demo")


def test_the_demo_learns_the_digits(made):
    assert made.trained.accuracy >= 0.95  # the mean of five seeds is claimed to be 97% or more


def test_the_demo_looks_at_images_that_were_not_trained_on(made):
    assert made.run.info["images"]["count"] == len(made.trained.held_out)


def test_the_demo_reports_what_its_network_really_does(made):
    assert made.run["decisions"].accuracy == pytest.approx(made.trained.accuracy)


def test_the_demo_keeps_weights_that_can_be_opened_again(made):
    weights = made.page.parent / "simpleconvnet.safetensors"
    again = open_model(f"zoo:simpleconvnet@{weights}")
    assert torch.equal(
        again.module.state_dict()["conv1.weight"], made.trained.model.module.state_dict()["conv1.weight"]
    )


def test_training_twice_with_one_seed_gives_the_same_bits():
    recipe = Recipe(epochs=1, batch_size=64, seed=3, shift=1, flip=True)
    first, second = (train_zoo("zoo:simpleconvnet_pruned", "digits", recipe) for _ in range(2))
    assert np.array_equal(first.trained.loss, second.trained.loss)


def test_only_networks_of_the_zoo_are_trained():
    with pytest.raises(
        BadModel, match=r"'torchvision:alexnet' cannot be trained\. .*zoo:simpleconvnet.*\. Train other"
    ):
        train_zoo("torchvision:alexnet", "digits", Recipe())


def test_a_network_is_trained_by_its_own_recipe_unless_another_is_given(monkeypatch):
    entry = dataclasses.replace(ZOO["simpleconvnet_pruned"], recipe=Recipe(epochs=2, batch_size=500))
    monkeypatch.setitem(ZOO, "simpleconvnet_pruned", entry)
    assert len(train_zoo("zoo:simpleconvnet_pruned", "digits").trained.loss) == 2
    assert len(train_zoo("zoo:simpleconvnet_pruned", "digits", Recipe(epochs=1, batch_size=500)).trained.loss) == 1
