"""Whole trainings: against PyTorch step by step, and again from the same seed."""

import numpy as np
import pytest
import torch
from torch import nn

import microtome.scratch as mts
from microtome.errors import UsageError
from microtome.scratch.learner import batches


def small(dtype: type = np.float64) -> mts.Net:
    random = np.random.default_rng(0)
    return mts.Net([
        mts.Conv2D("conv_1", (2, 9, 9), 5, 3, 3, 1, 1, random=random, dtype=dtype),
        mts.BatchNorm2D("norm", 5, dtype=dtype), mts.ReLU("relu_1"),
        mts.MaxPool2D("pool", (5, 9, 9), 3, 2), mts.Dropout("drop_1", 0.25),
        mts.Conv2D("conv_2", (5, 4, 4), 6, 2, 2, 1, 0, random=random, dtype=dtype), mts.ReLU("relu_2"),
        mts.Flatten("flat"), mts.Dropout("drop_2", 0.5), mts.Linear("fc", 54, 3, random=random, dtype=dtype),
    ])  # fmt: skip


class Masked(nn.Module):
    """Dropout with a mask that is given."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask / (1 - self.p)


def in_torch(net: mts.Net) -> nn.Sequential:
    module = mts.to_torch(net.train())
    for layer in net:
        if isinstance(layer, mts.Dropout):
            setattr(module, layer.name, Masked(layer.p))
    return module


OPTIMISERS = {
    "momentum": (lambda: mts.SGD(0.05, 0.9), lambda p: torch.optim.SGD(p, 0.05, 0.9)),
    "plain": (lambda: mts.SGD(0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "nesterov and decay": (lambda: mts.SGD(0.02, 0.8, 1e-2, True),
                           lambda p: torch.optim.SGD(p, 0.02, 0.8, weight_decay=1e-2, nesterov=True)),
    "adam": (lambda: mts.Adam(3e-3, weight_decay=1e-2), lambda p: torch.optim.Adam(p, 3e-3, weight_decay=1e-2)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMISERS)
def test_fifty_steps_with_shared_dropout_masks_give_the_weights_of_torch(name) -> None:
    net = small()
    module = in_torch(net)
    ours, theirs = OPTIMISERS[name][0](), OPTIMISERS[name][1](module.parameters())
    learner, random = mts.Learner(net, mts.softmax_cross_entropy, ours), np.random.default_rng(1)
    before = net.state_dict()
    for _ in range(50):
        x, y = random.standard_normal((8, 2, 9, 9)), random.integers(0, 3, 8)
        for layer, shape in ((net["drop_1"], (8, 5, 4, 4)), (net["drop_2"], (8, 54))):
            layer.mask = random.random(shape) >= layer.p
            getattr(module, layer.name).mask = torch.from_numpy(layer.mask)
        theirs.zero_grad()
        loss = nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        theirs.step()
        assert learner.step(x, y) == pytest.approx(loss.item(), rel=1e-9)
    state = mts.from_torch(nn.Sequential(*[m for m in module if not isinstance(m, Masked)]), (2, 9, 9)).state_dict()
    moved = 0.0
    for (own, array), expected in zip(net.state_dict().items(), state.values(), strict=True):
        assert np.abs(array - expected).max() <= 1e-12
        moved = max(moved, np.abs(array - before[own]).max())
    assert moved > 0.01


def two_classes(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright square on one side or the other."""
    random = np.random.default_rng(5)
    y = random.integers(0, 2, count)
    x = random.standard_normal((count, 2, 9, 9)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        image[0, 2:6, 1 + 4 * label : 4 + 4 * label] += 2
    return x, y


def test_a_learner_learns_and_tells_what_happened() -> None:
    x, y = two_classes()
    said: list[str] = []
    learner = mts.Learner(small(np.float32), mts.softmax_cross_entropy, mts.SGD(0.05, 0.9))
    history = learner.fit(x[:200], y[:200], epochs=4, batch_size=32, held_out=(x[200:], y[200:]), say=said.append)
    assert history.epochs[-1].accuracy > 0.9 and history.epochs[-1].loss < history.epochs[0].loss
    assert len(history.losses) == 4 * 7 and len(said) == 4 and said[0].startswith("epoch 1 of 4: loss ")
    assert "on 100 held out" in said[-1]
    assert not any(layer.training for layer in learner.model)
    assert all(array.dtype == np.float32 for array in learner.model.state_dict().values())


def test_the_same_seed_gives_the_same_network_and_another_one_another() -> None:
    x, y = two_classes(90)
    states = []
    for seed in (3, 3, 4):
        learner = mts.Learner(small(np.float32), mts.softmax_cross_entropy, mts.SGD(0.05, 0.9))
        learner.fit(x, y, epochs=2, batch_size=32, seed=seed)
        states.append(learner.model.state_dict())
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    assert not np.array_equal(states[0]["fc.weight"], states[2]["fc.weight"])


def test_batches_hold_every_image_once_an_epoch_the_last_one_smaller() -> None:
    found = list(batches(10, 4, np.random.default_rng(0)))
    assert [len(some) for some in found] == [4, 4, 2] and sorted(np.concatenate(found)) == list(range(10))


def test_watchers_see_batches_and_epochs_and_data_are_prepared() -> None:
    x, y = two_classes(20)
    seen: list[object] = []
    learner = mts.Learner(small(np.float32), mts.softmax_cross_entropy, mts.SGD(0.01))
    learner.fit(
        x, y, epochs=1, batch_size=8, watchers=[lambda _, epoch: seen.append(epoch)], prepare=lambda some: 0 * some
    )
    assert seen[:3] == [None] * 3 and seen[3].number == 1
    assert not learner.model["conv_1"].padded.any()


def test_evaluation_changes_nothing() -> None:
    x, y = two_classes(40)
    learner = mts.Learner(small(np.float32).train(), mts.softmax_cross_entropy, mts.SGD(0.01))
    before = learner.model.state_dict()
    first = learner.evaluate(x, y, batch_size=7)
    assert first == pytest.approx(learner.evaluate(x, y))
    assert all(layer.training for layer in learner.model)
    assert all(np.array_equal(before[name], array) for name, array in learner.model.state_dict().items())


def test_a_recorder_is_given_every_output_in_order_and_every_gradient_in_reverse() -> None:
    net, recorder = small(), mts.Recorder()
    x = np.random.default_rng(0).standard_normal((2, 2, 9, 9))
    y = net.forward(x, watch=recorder)
    net.backward(np.ones_like(y), recorder)
    names = [layer.name for layer in net]
    assert recorder.order == [(name, "data") for name in names] + [(name, "gradient") for name in reversed(names)]
    np.testing.assert_array_equal(recorder.data["fc"], y)
    np.testing.assert_array_equal(recorder.gradient["fc"], np.ones_like(y) @ net["fc"].weight.tensor.T)


def test_the_first_layer_need_not_say_what_its_input_should_be() -> None:
    net = small()
    y = net(np.random.default_rng(0).standard_normal((2, 2, 9, 9)))
    whole = net.backward(np.ones_like(y))
    gradients = {name: parameter.gradient.copy() for name, parameter in net.parameters().items()}
    assert whole.shape == (2, 2, 9, 9) and net.backward(np.ones_like(y), input_gradient=False).size == 0
    for name, parameter in net.parameters().items():
        np.testing.assert_array_equal(parameter.gradient, gradients[name])
    np.testing.assert_array_equal(net.backward(np.ones_like(y)), whole)


def test_a_parameter_that_is_not_to_be_learnt_stays() -> None:
    x, y = two_classes(20)
    net = small(np.float32)
    net["fc"].weight.requires_grad = False
    before = net.state_dict()
    mts.Learner(net, mts.softmax_cross_entropy, mts.SGD(0.1, 0.9)).fit(x, y)
    np.testing.assert_array_equal(net["fc"].weight.tensor, before["fc.weight"])
    assert not np.array_equal(net["conv_1"].weight.tensor, before["conv_1.weight"])


@pytest.mark.parametrize("given", [{"epochs": -1}, {"batch_size": 0}])
def test_what_cannot_be_fitted_is_refused(given) -> None:
    x, y = two_classes(8)
    learner = mts.Learner(small(np.float32), mts.softmax_cross_entropy, mts.SGD(0.1))
    with pytest.raises(UsageError, match="as many labels as images"):
        learner.fit(x, y, **given)
    with pytest.raises(UsageError, match="8 images, 7 labels"):
        learner.fit(x, y[:7])
    with pytest.raises(UsageError, match="Labels go from 0 to 4"):
        learner.fit(x, np.arange(8) % 5)


def test_the_networks_of_the_document() -> None:
    net = mts.mnist_net()
    assert net.count() == 1_199_882
    assert net.shapes((1, 28, 28))["maxpool_1"] == (64, 12, 12) and net.shapes((1, 28, 28))["flat_1"] == (9216,)
    tiny = mts.cats_net(32, (4, 4, 8, 8), (16, 8))
    names = [layer.name for layer in tiny]
    assert sum(isinstance(layer, mts.Conv2D) for layer in tiny) == 10 and names[-1] == "fc3"
    x, y = np.random.default_rng(0).random((2, 3, 32, 32), np.float32), np.array([0, 1])
    assert np.isfinite(mts.Learner(tiny, mts.softmax_cross_entropy, mts.SGD(1e-3, 0.9)).step(x, y))


def test_the_large_network_of_the_document_has_68_million_numbers_and_takes_a_step() -> None:
    net = mts.cats_net()
    assert net.count() == 68_001_434
    x = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    learner = mts.Learner(net, mts.softmax_cross_entropy, mts.SGD(1e-3, 0.9))
    assert np.isfinite(learner.step(x, np.array([1])))


def test_no_images_give_no_answers() -> None:
    net = small().eval()
    answer = net(np.zeros((0, 2, 9, 9)))
    assert answer.shape == (0, 3) and net.backward(answer).shape == (0, 2, 9, 9)
