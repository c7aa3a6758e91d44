"""The small trainer."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from microtome.errors import BadImages
from microtome.image_sources import open_images
from microtome.network.open import open_model
from microtome.network.training import Recipe, accuracy, augment, in_memory, train


@pytest.fixture(scope="module")
def digits():
    model = open_model("zoo:simpleconvnet_pruned")
    return open_images("digits", model.preprocessing).limit(300)


def test_one_step_of_sgd_is_the_textbooks(digits):
    model = open_model("zoo:simpleconvnet_pruned")
    few = digits.take(range(8))
    module, by_hand = model.module, open_model("zoo:simpleconvnet_pruned").module
    train(module, few, few, model.preprocessing, Recipe(epochs=1, batch_size=8, optimizer="sgd", rate=0.1, momentum=0.0,
                                                       schedule="constant"))  # fmt: skip
    pixels, labels = in_memory(few)
    loss = nn.functional.nll_loss(by_hand(model.preprocessing.normalise(pixels)), labels)
    gradient = torch.autograd.grad(loss, by_hand.fc5.bias)[0]
    assert torch.allclose(module.fc5.bias, by_hand.fc5.bias - 0.1 * gradient, atol=1e-6)


def test_the_best_epoch_is_kept(digits):
    model = open_model("zoo:simpleconvnet_pruned")
    learning, validation = digits.split("validation", 0.7)
    made = train(model.module, learning, validation, model.preprocessing, Recipe(epochs=4, rate=3e-3))
    reached = accuracy(model.module, validation, model.preprocessing, torch.device("cpu"))
    assert reached == made.validation.max() == made.validation[made.best]


def test_training_lowers_the_loss(digits):
    model = open_model("zoo:simpleconvnet_pruned")
    made = train(model.module, digits, digits, model.preprocessing, Recipe(epochs=8, rate=1e-2))
    assert made.loss[-1] < 0.7 * made.loss[0]


def test_training_leaves_the_callers_random_state_alone(digits):
    model = open_model("zoo:simpleconvnet_pruned")
    before = torch.get_rng_state()
    train(model.module, digits, digits, model.preprocessing, Recipe(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_unlabelled_images_are_refused(digits):
    bare = dataclasses.replace(digits, labels=np.full(len(digits), -1))
    model = open_model("zoo:simpleconvnet_pruned")
    with pytest.raises(BadImages, match=r"300 images, 300 without a label\. Training needs labelled.*\. Give images"):
        train(model.module, bare, bare, model.preprocessing, Recipe(epochs=1))


def test_a_shift_moves_every_image_by_its_own_few_pixels():
    image = torch.zeros(64, 1, 9, 9, dtype=torch.uint8)
    image[:, :, 4, 4] = 1
    moved = augment(image, Recipe(shift=2), torch.Generator().manual_seed(0))
    places = moved.flatten(1).argmax(1)
    rows, columns = places // 9 - 4, places % 9 - 4
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}


def test_a_flip_mirrors_about_half_of_the_images():
    image = torch.zeros(400, 1, 1, 2, dtype=torch.uint8)
    image[..., 0] = 1
    flipped = augment(image, Recipe(flip=True), torch.Generator().manual_seed(0))[..., 1].sum()
    assert 160 < int(flipped) < 240


def without(images, *places):
    """The images, of which those at `places` cannot be read."""

    def read(place):
        if place in places:
            raise OSError("broken")
        return images.read(place)

    return dataclasses.replace(images, read=read, _kept={}, _broken={})


def test_labels_stay_with_their_images_where_one_cannot_be_read(digits):
    pixels, labels = in_memory(without(digits.take(range(6)), 2, 4))
    assert labels.tolist() == digits.labels[[0, 1, 3, 5]].tolist()
    assert torch.equal(pixels[2], torch.from_numpy(digits[3]))


def test_accuracy_is_over_the_images_that_can_be_read(digits):
    model = open_model("zoo:simpleconvnet_pruned")
    half = without(digits, *range(0, 300, 2))
    expected = accuracy(model.module, digits.take(range(1, 300, 2)), model.preprocessing, torch.device("cpu"))
    assert accuracy(model.module, half, model.preprocessing, torch.device("cpu")) == expected
