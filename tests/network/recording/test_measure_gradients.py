"""Under a loss statistics get activations and gradients: the ones that autograd finds in a forward pass by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.images.collection import Images
from microtome.network.open import Model
from microtome.network.recording.edits import Edit
from toys import InPlace, Plain, Skip, Tokens, noise, opened, prepared, seeded, seen


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def plain(module: Plain, x: Tensor, edit: Edit | None = None) -> dict[str, Tensor]:
    z1 = module.conv1(x)
    bn = module.bn(z1)
    act = F.relu(bn)
    z2 = module.conv2(act)
    relu = F.relu(z2)
    mean = relu.mean((2, 3))
    return {"conv1": z1, "bn": bn, "act": act, "conv2": z2, "relu": relu, "mean": mean, "fc": module.fc(mean)}


def in_place(module: InPlace, x: Tensor, factor: float = 1.0) -> dict[str, Tensor]:
    """`factor` scales channel 1 behind the first ReLU."""
    z1 = module.conv1(x)
    skip = F.relu(z1) * torch.tensor([1.0, factor, 1.0, 1.0]).view(-1, 1, 1)
    z2 = module.conv2(skip)
    total = z2 + skip
    act = F.relu(total)
    mean = act.mean((2, 3))
    last = F.relu(mean)
    names = ["conv1", "act", "conv2", "add", "act_1", "mean", "relu_", "fc"]
    return dict(zip(names, [z1, skip, z2, total, act, mean, last, module.fc(last)], strict=True))


def by_hand(tensors: dict[str, Tensor], images: Images) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    losses = cross_entropy(list(tensors.values())[-1], torch.from_numpy(images.labels))
    gradients = torch.autograd.grad(losses.sum(), list(tensors.values()))
    return {
        name: (tensor.detach().numpy(), gradient.numpy())
        for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True)
    }


def assert_same(found: list[list[np.ndarray]], known: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for (values, gradients), (name, (activation, gradient)) in zip(found, known.items(), strict=True):
        np.testing.assert_allclose(values, activation, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(gradients, gradient, atol=1e-6, err_msg=name)
        assert np.abs(gradient).max() > 0, name


def image_of(model: Model, images: Images) -> Tensor:
    return prepared(model, images).requires_grad_()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(("build", "compute"), [(Plain, plain), (InPlace, in_place)])
def test_gradients_are_those_of_autograd(build, compute, frozen) -> None:
    model = opened(seeded(build).requires_grad_(not frozen))
    images = noise(model)
    known = by_hand(compute(model.module, image_of(model, images)), images)
    assert_same(seen(model, images, *known, loss=cross_entropy), known)
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_the_gradient_at_an_input_is_that_of_the_tensor_that_was_given() -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    image = image_of(model, images)
    known = by_hand({"image": image} | in_place(model.module, image), images)
    places = {"conv1:in": "image", "act:in": "conv1", "add:in": "conv2", "act_1:in": "add", "fc:in": "relu_"}
    assert_same(seen(model, images, *places, loss=cross_entropy), {at: known[name] for at, name in places.items()})


def test_a_network_that_overwrites_its_own_input_has_gradients_too() -> None:
    class Centring(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x -= 0.5
            return self.conv(x).square().mean((2, 3))

    model = opened(seeded(Centring))
    images = noise(model)
    z = model.module.conv(image_of(model, images) - 0.5)
    known = by_hand({"conv": z, "mean": z.square().mean((2, 3))}, images)
    assert_same(seen(model, images, *known, loss=cross_entropy), known)


def test_gradients_of_a_pair_come_after_both_activations() -> None:
    model = opened(seeded(Plain))
    images = noise(model)
    known = by_hand(plain(model.module, image_of(model, images)), images)
    (found,) = seen(model, images, ("relu", "conv1"), loss=cross_entropy)
    expected = (known["relu"][0], known["conv1"][0], known["relu"][1], known["conv1"][1])
    for values, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, right, atol=1e-5)


def test_gradients_on_tokens_have_channels_in_front_of_positions() -> None:
    model = opened(seeded(Tokens))
    images, module = noise(model), model.module
    mixed = module.mix(module.embed(image_of(model, images)).flatten(2).transpose(1, 2))
    logits = module.head(torch.relu(mixed).mean(1))
    losses = cross_entropy(logits, torch.from_numpy(images.labels))
    (gradient,) = torch.autograd.grad(losses.sum(), mixed)
    _, found = seen(model, images, "mix", loss=cross_entropy)[0]
    assert np.abs(gradient.numpy()).max() > 0
    np.testing.assert_allclose(found, gradient.transpose(1, 2).numpy(), atol=1e-6)


def test_a_tensor_on_which_the_loss_does_not_depend_has_gradient_zero() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.aside = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            aside = torch.relu(self.aside(x)).detach()
            return self.used(x).mean((2, 3)), aside + 1

    model = opened(seeded(Unused))
    for values, gradient in seen(model, noise(model), "aside", "add", loss=cross_entropy):
        assert values.any()
        assert not gradient.any()
        assert gradient.shape == values.shape


def test_a_tensor_without_a_graph_has_gradient_zero_even_where_nothing_else_is_asked_for() -> None:
    class Detaching(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + x.detach().mean((2, 3))

    model = opened(seeded(Detaching))
    images = noise(model)
    ((values, gradients),) = seen(model, images, "detach", loss=cross_entropy)
    np.testing.assert_array_equal(values, prepared(model, images).numpy())
    np.testing.assert_array_equal(gradients, np.zeros_like(values))


@pytest.mark.parametrize("factor", [0.0, 3.0])
def test_gradients_under_an_edit_are_those_of_the_edited_network(factor) -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    known = by_hand(in_place(model.module, image_of(model, images), factor), images)
    edit = Edit(site="act", channels=(1,), factor=factor)
    assert_same(seen(model, images, *known, loss=cross_entropy, edits=[edit]), known)


def test_gradients_under_an_edit_of_an_identity_branch_are_those_of_the_edited_network() -> None:
    model = opened(seeded(Skip))
    images, module = noise(model), model.module
    stem = module.stem(image_of(model, images))
    branch = stem * torch.tensor([1.0, 1.0, 0.0, 1.0]).view(-1, 1, 1)
    known = by_hand({"stem": stem, "skip": branch, "fc": module.fc((module.conv(stem) + branch).mean((2, 3)))}, images)
    assert_same(seen(model, images, *known, loss=cross_entropy, edits=[Edit.silence("skip", 2)]), known)


def test_a_loss_of_every_image_alone_does_not_depend_on_the_batch_size() -> None:
    model = opened(seeded(Plain))
    images = noise(model)
    one, other = (seen(model, images, "conv1", loss=cross_entropy, batch_size=size)[0][1] for size in (1, 7))
    np.testing.assert_allclose(one, other, atol=1e-7)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_are_found_whatever_mode_the_caller_is_in(mode) -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    known = by_hand(in_place(model.module, image_of(model, images)), images)
    with mode():
        found = seen(model, images, *known, loss=cross_entropy)
    assert_same(found, known)
