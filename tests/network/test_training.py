"""The small trainer."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from microtome.errors import BadImages, UsageError
from microtome.images.sources import open_images
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


@pytest.mark.parametrize(("drop_last", "first_loss"), [(True, 8), (False, 11)])
def test_the_last_small_batch_is_left_out_if_the_recipe_says_so(digits, drop_last, first_loss):
    module, seen = open_model("zoo:simpleconvnet_pruned").module, []
    module.register_forward_pre_hook(lambda m, given: seen.append(len(given[0])) if m.training else None)
    few = digits.take(range(11))
    recipe = Recipe(epochs=1, batch_size=4, drop_last=drop_last)
    train(module, few, few, open_model("zoo:simpleconvnet_pruned").preprocessing, recipe)
    assert sum(seen) == first_loss
    assert len(seen) == recipe.batches(11)


def test_images_that_fill_no_batch_are_not_left_out():
    assert Recipe(batch_size=4, drop_last=True).batches(3) == 1
    assert [Recipe(batch_size=4).batches(count) for count in (4, 5, 8)] == [1, 2, 2]


def test_the_rate_falls_as_the_schedule_says():
    step = Recipe(schedule="step", drops=(0.2, 0.7))
    assert [step.factor(place, 10) for place in range(10)] == pytest.approx([1, 1, *[0.1] * 5, *[0.01] * 3])
    assert [Recipe(schedule="constant").factor(place, 10) for place in (0, 9)] == [1, 1]
    assert [Recipe(schedule="cosine").factor(place, 10) for place in (0, 5, 10)] == pytest.approx([1, 0.5, 0])


def test_training_steps_at_the_rates_of_the_schedule(digits, monkeypatch):
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, *args):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*args)

    monkeypatch.setattr(torch.optim, "SGD", Watched)
    model = open_model("zoo:simpleconvnet_pruned")
    few = digits.take(range(8))
    recipe = Recipe(epochs=2, batch_size=4, optimizer="sgd", rate=0.5, schedule="step", drops=(0.25, 0.75))
    train(model.module, few, few, model.preprocessing, recipe)
    assert rates == pytest.approx([0.5, 0.05, 0.05, 0.005])


def test_a_recipe_says_itself_in_words():
    assert str(Recipe()) == (
        "12 epochs of batches of 64, AdamW, rate 0.001 falling along a cosine, weight decay 0, seed 0"
    )
    assert str(Recipe(optimizer="sgd", schedule="step", shift=4, flip=True, drop_last=True)) == (
        "12 epochs of batches of 64, SGD with momentum 0.9, rate 0.001 divided by 10 after 50%, 75%, weight decay 0, "
        "shifted by up to 4 pixels, mirrored, last small batches left out, seed 0"
    )


@pytest.mark.parametrize("what", ["epochs", "batch_size"])
def test_a_recipe_without_epochs_or_batches_is_refused(digits, what):
    model = open_model("zoo:simpleconvnet_pruned")
    with pytest.raises(UsageError, match=rf"{what} is 0\. It must be 1 or more\. Give {what} a larger number"):
        train(model.module, digits, digits, model.preprocessing, Recipe(**{what: 0}))


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
