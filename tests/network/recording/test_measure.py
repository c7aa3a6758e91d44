"""What `measure` sees at a site is what the network computed there."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.errors import CallOrderChanged, UnknownName, UsageError
from microtome.network.recording.measure import LARGEST_BATCH, automatic_batch, measure
from microtome.network.recording.recorder import Probe
from microtome.network.recording.untouched import untouched
from microtome.statistics import ClassMeans, Moments, PatchCovariance
from toys import Answers, InPlace, Plain, Shared, Skip, Tokens, noise, opened, prepared, seeded, seen


def hooked(module: nn.Module, image: Tensor, path: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and outputs of all calls of a leaf module, cloned by plain PyTorch hooks."""
    before, after = [], []
    leaf = module.get_submodule(path)
    handles = [
        leaf.register_forward_pre_hook(lambda _, args: before.append(args[0].clone().numpy())),
        leaf.register_forward_hook(lambda _, args, out: after.append(out.clone().numpy())),
    ]
    with torch.no_grad():
        module(image)
    for handle in handles:
        handle.remove()
    return before, after


@pytest.mark.parametrize("path", ["conv1", "act", "conv2", "fc"])
@pytest.mark.parametrize("build", [Plain, InPlace])
def test_inputs_and_outputs_of_a_module_are_what_plain_hooks_see(build, path) -> None:
    model = opened(seeded(build))
    images = noise(model)
    inputs, outputs = seen(model, images, f"{path}:in", path)
    before, after = hooked(model.module, prepared(model, images), path)
    np.testing.assert_allclose(inputs[0], before[0], atol=1e-6)
    np.testing.assert_allclose(outputs[0], after[0], atol=1e-6)


@pytest.mark.parametrize(("site", "call"), [("first", 0), ("first_1", 1), ("first_2", 2)])
def test_every_call_of_a_shared_module_is_seen_by_itself(site, call) -> None:
    model = opened(seeded(Shared))
    images = noise(model)
    before, after = hooked(model.module, prepared(model, images), "first")
    inputs, outputs = seen(model, images, f"{site}:in", site)
    np.testing.assert_allclose(inputs[0], before[call], atol=1e-6)
    np.testing.assert_allclose(outputs[0], after[call], atol=1e-6)


def by_hand(module: InPlace, image: Tensor) -> dict[str, np.ndarray]:
    """Every tensor of `InPlace`, without overwriting any."""
    with torch.no_grad():
        z1 = module.conv1(image)
        skip = F.relu(z1)
        z2 = module.conv2(skip)
        total = z2 + skip
        act = F.relu(total)
        mean = act.mean((2, 3))
        last = F.relu(mean)
        found = {"conv1": z1, "act": skip, "conv2": z2, "add": total, "act_1": act, "mean": mean, "relu_": last}
        return {name: tensor.numpy() for name, tensor in found.items()} | {"fc": module.fc(last).numpy()}


def test_what_is_overwritten_later_is_seen_as_it_was() -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    expected = by_hand(model.module, prepared(model, images))
    assert list(expected) == list(model.sites)
    for (values,), (name, known) in zip(seen(model, images, *expected), expected.items(), strict=True):
        np.testing.assert_allclose(values, known, atol=1e-6, err_msg=name)


def test_two_statistics_see_a_tensor_before_and_after_it_is_overwritten() -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    expected = by_hand(model.module, prepared(model, images))
    places = ("conv1", "act:in", "act")
    probes = [Probe((model.sites.address(place),), Moments()) for place in places]
    with untouched(model.module):
        found = [accumulator.compute().mean for accumulator in measure(model, images, probes, batch_size=4)]
    for mean, name in zip(found, ("conv1", "conv1", "act"), strict=True):
        np.testing.assert_allclose(mean, expected[name].astype(np.float64).mean((0, 2, 3)), atol=1e-6)


def test_a_pair_sees_both_tensors_of_the_same_images_although_one_overwrites_the_other() -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    expected = by_hand(model.module, prepared(model, images))
    (pair,) = seen(model, images, ("conv1", "act", "add:in"))
    for values, name in zip(pair, ("conv1", "act", "conv2"), strict=True):
        np.testing.assert_allclose(values, expected[name], atol=1e-6)


def test_a_pair_may_name_the_later_site_first() -> None:
    model = opened(seeded(InPlace))
    images = noise(model)
    (turned,), (straight,) = (seen(model, images, pair) for pair in (("act_1", "conv1"), ("conv1", "act_1")))
    np.testing.assert_array_equal(turned[0], straight[1])
    np.testing.assert_array_equal(turned[1], straight[0])


def test_a_linear_layer_on_tokens_is_seen_with_channels_in_front_of_positions() -> None:
    model = opened(seeded(Tokens))
    images = noise(model)
    module, image = model.module, prepared(model, images)
    with torch.no_grad():
        tokens = module.embed(image).flatten(2)  # (N, 6, T)
        mixed = module.mix(tokens.transpose(1, 2)).transpose(1, 2)  # (N, 5, T)
    inputs, outputs, behind = seen(model, images, "mix:in", "mix", "relu")
    np.testing.assert_allclose(inputs[0], tokens.numpy(), atol=1e-6)
    np.testing.assert_allclose(outputs[0], mixed.numpy(), atol=1e-6)
    np.testing.assert_allclose(behind[0], mixed.clamp(min=0).numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", [dict, tuple])
def test_networks_that_answer_with_dictionaries_or_tuples_are_measured(kind) -> None:
    model = opened(seeded(Answers, kind))
    images = noise(model)
    with torch.no_grad():
        logits = model.module.body(prepared(model, images))
    assert model.sites.output == "body.fc"
    np.testing.assert_allclose(seen(model, images, "body.fc")[0][0], logits.numpy(), atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 100])
def test_the_batch_size_does_not_change_what_is_seen(batch_size) -> None:
    model = opened(seeded(Plain))
    images = noise(model)
    places = ("conv1", "relu", "fc:in")
    for (one,), (other,) in zip(
        seen(model, images, *places, batch_size=batch_size), seen(model, images, *places, batch_size=4), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_stopping_early_does_not_change_what_is_seen_and_skips_the_rest() -> None:
    model, ran = opened(seeded(Plain)), []
    images = noise(model)
    whole = dict(zip(model.sites, seen(model, images, *model.sites), strict=True))
    handle = model.module.fc.register_forward_hook(lambda *_: ran.append(1))
    (early,), (_, early_act) = seen(model, images, "bn")[0], seen(model, images, ("conv1:in", "act"))[0]
    handle.remove()
    np.testing.assert_array_equal(early, whole["bn"][0])
    np.testing.assert_array_equal(early_act, whole["act"][0])
    assert ran == []


def test_the_forward_pass_that_is_measured_gives_the_networks_own_answer() -> None:
    model, answers = opened(seeded(Skip)), []
    images, _ = noise(model, 8), model.sites  # two whole batches: nothing is filled up
    handle = model.module.register_forward_hook(lambda _, args, out: answers.append(out))
    seen(model, images, *model.sites, loss=lambda logits, labels: logits.sum(1))
    handle.remove()
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(answers), model.module(prepared(model, images)))


class Whimsical(nn.Module):
    """Does something else with a bright image than with a dark one."""

    def __init__(self, bright: str) -> None:
        super().__init__()
        self.conv, self.bright = nn.Conv2d(3, 3, 1), bright

    def forward(self, x: Tensor) -> Tensor:
        is_bright = len(x) == 5  # the images are measured in batches of 6 and 5
        x = self.conv(x)
        if is_bright and self.bright == "tanh":
            return torch.tanh(x) + 1
        if is_bright and self.bright == "more":
            return torch.relu(x) + 1 + 1
        return x if is_bright else torch.relu(x) + 1


@pytest.mark.parametrize(
    ("bright", "probed", "given", "expected"),
    [
        ("tanh", "add", "Call 1 of the network was 'tanh'", "'relu'"),
        ("less", "add", "Call 1 of the network was the end", "'relu'"),
        ("more", "conv", "Call 3 of the network was 'add'", "the end"),
    ],
)
def test_a_network_that_calls_something_else_is_refused_with_both_names(bright, probed, given, expected) -> None:
    model = opened(seeded(Whimsical, bright))
    # under a loss the whole network runs, whatever is measured
    loss = (lambda outputs, labels: outputs.flatten(1).sum(1)) if bright == "more" else None
    with pytest.raises(CallOrderChanged) as caught:
        seen(model, noise(model, 11), probed, loss=loss, batch_size=6)
    assert caught.value.given == given
    assert caught.value.allowed.startswith(f"When its sites were found it was {expected}; ")
    assert caught.value.next_step.startswith("Look at control flow that depends on the values of a batch")


def test_a_site_without_image_axis_is_refused() -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(0, 1)))
    with pytest.raises(UsageError) as caught:
        seen(model, noise(model), "1")
    assert caught.value.given.startswith("Site 1 gives no tensor with one row an image")
    assert caught.value.allowed == "Statistics need tensors whose first axis is the batch"
    assert caught.value.next_step.startswith("Choose a site before the images are mixed or reshaped")


def test_a_site_that_does_not_exist_is_refused_before_the_network_runs() -> None:
    model, ran = opened(seeded(Plain)), []
    images, _ = noise(model), model.sites
    model.module.register_forward_hook(lambda *_: ran.append(1))
    with pytest.raises(UnknownName, match="Did you mean 'conv1'"):
        seen(model, images, "conv11")
    assert ran == []


def test_probes_that_ask_for_the_same_are_equal() -> None:
    sites = opened(seeded(Plain)).sites
    one, same, other = (Probe((sites.address(name),), Moments()) for name in ("conv1", "conv1", "conv1:in"))
    assert (one == same, hash(one) == hash(same), one == other, one == "conv1") == (True, True, False, False)


@pytest.mark.parametrize(("size", "batch"), [(12, LARGEST_BATCH), (512, (1 << 26) // (4 * 4 * 512 * 512))])
def test_the_automatic_batch_keeps_the_largest_activation_at_64_megabytes(size, batch) -> None:
    assert automatic_batch(opened(seeded(Plain), size).sites) == batch


def test_behind_a_rectifier_the_response_is_that_of_a_clamped_tensor() -> None:
    model = opened(seeded(Plain))
    images = noise(model)
    sites = [site.name for site in model.sites.values() if site.operation in ("relu", "ReLU")]
    assert sites
    probes = [Probe((model.sites.address(name),), ClassMeans(classes=3)) for name in sites]
    with untouched(model.module):
        answers = [accumulator.compute() for accumulator in measure(model, images, probes, batch_size=4)]
    for answer, (values,) in zip(answers, seen(model, images, *sites), strict=True):
        per_image = np.maximum(values, 0).reshape(*values.shape[:2], -1).mean(2)
        expected = [per_image[images.labels == label].mean(0) for label in range(3)]
        np.testing.assert_allclose(answer.mean, expected, rtol=1e-5)


def test_patches_at_the_input_of_a_convolution_are_of_the_normalised_pixels() -> None:
    model = opened(seeded(Plain))
    images = noise(model)
    windows = PatchCovariance(kernel=(3, 3), method="windows", windows=10**6)  # more than there are: every one
    requests = [PatchCovariance(kernel=(3, 3), padding=(1, 1)), PatchCovariance(kernel=(3, 3)), windows]
    with untouched(model.module):
        probes = [Probe((model.sites.address("conv1:in"),), request) for request in requests]
        found = [accumulator.compute() for accumulator in measure(model, images, probes, batch_size=3)]
    for request, patches in zip(requests, found, strict=True):
        pixels = F.unfold(prepared(model, images).double(), 3, padding=request.padding).movedim(1, 0).flatten(1)
        np.testing.assert_allclose(patches.covariance, torch.cov(pixels, correction=0).numpy(), atol=1e-6)
        assert (patches.count, patches.images) == (pixels.shape[1], len(images))
