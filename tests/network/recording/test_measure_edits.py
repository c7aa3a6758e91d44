"""A pass under Edits is the pass of a network that was changed by hand, and measures what was changed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.errors import UnknownName, UsageError
from microtome.network.recording.edits import Edit
from toys import InPlace, Plain, Skip, Tokens, noise, opened, prepared, seeded, seen


def changed(tensor: Tensor, edit: Edit, axis: int = 1) -> Tensor:
    """Slowly: channel by channel, a factor and an offset."""
    parts = list(tensor.unbind(axis))
    for place, channel in enumerate(edit.channels):
        parts[channel] = parts[channel] * edit.factor + edit.offset[place % len(edit.offset)]
    return torch.stack(parts, axis)


EDITS = [
    Edit.silence("", 1, 3),
    Edit(site="", channels=(0,), factor=-2.5),
    Edit(site="", channels=(2, 0), offset=(0.25, -4.0)),
    Edit(site="", channels=(1, 2, 3), factor=0.5, offset=(3.0,)),
]


def of_in_place(module: InPlace, image: Tensor, edit: Edit) -> tuple[Tensor, Tensor]:
    """The edited tensor and the answer of `InPlace` with one tensor changed on the way, overwriting nothing."""
    found = {}

    def passed(name: str, tensor: Tensor) -> Tensor:
        found[name] = changed(tensor, edit) if name == edit.site else tensor
        return found[name]

    skip = passed("act", F.relu(passed("conv1", module.conv1(image))))
    total = passed("add", passed("conv2", module.conv2(skip)) + skip)
    mean = passed("mean", passed("act_1", F.relu(total)).mean((2, 3)))
    return found, module.fc(passed("relu_", F.relu(mean)))


@pytest.mark.parametrize("edit", EDITS, ids=["silence", "scale", "replace", "scale and shift"])
@pytest.mark.parametrize("site", ["conv1", "act", "conv2", "add", "act_1", "mean", "relu_"])
def test_output_under_an_edit_is_that_of_a_forward_pass_changed_by_hand(site, edit) -> None:
    edit = Edit(site=site, channels=edit.channels, factor=edit.factor, offset=edit.offset)
    model = opened(seeded(InPlace))
    images = noise(model)
    with torch.no_grad():
        found, answer = of_in_place(model.module, prepared(model, images), edit)
    (output,), (there,) = seen(model, images, "fc", site, edits=[edit])
    np.testing.assert_allclose(there, found[site].numpy(), atol=1e-6)
    np.testing.assert_allclose(output, answer.numpy(), atol=1e-5)


def test_the_next_operation_is_given_the_edited_tensor() -> None:
    model = opened(seeded(Plain))
    (inputs,), (outputs,) = seen(model, noise(model), "relu:in", "conv2", edits=[Edit.silence("conv2", 0, 2)])
    np.testing.assert_array_equal(inputs, outputs)
    assert not inputs[:, [0, 2]].any()
    assert inputs[:, [1, 3, 4]].any()


@pytest.mark.parametrize("site", ["skip", "stem"])
def test_an_edit_of_an_identity_branch_leaves_the_other_branch_alone(site) -> None:
    model = opened(seeded(Skip))
    images, edit = noise(model), Edit(site=site, channels=(0, 3), offset=(5.0,))
    module = model.module
    with torch.no_grad():
        stem = module.stem(prepared(model, images))
        branch = changed(stem, edit)
        expected = module.fc((module.conv(branch if site == "stem" else stem) + branch).mean((2, 3)))
    (output,), (conv_in,) = seen(model, images, "fc", "conv:in", edits=[edit])
    np.testing.assert_allclose(output, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(conv_in, (branch if site == "stem" else stem).numpy(), atol=1e-6)


class Discarding(nn.Module):
    """Calls in-place operations for their effect alone, and goes on with the tensor that it had."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.act(x)
        x.mul_(2)
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("site", ["act", "mul"])
@pytest.mark.parametrize("loss", [None, lambda logits, labels: logits.sum(1)])
def test_an_edit_reaches_a_network_that_discards_what_an_in_place_operation_returns(site, loss) -> None:
    model = opened(seeded(Discarding))
    images, edit = noise(model), Edit(site=site, channels=(1, 2), offset=(3.0,))
    module = model.module
    with torch.no_grad():
        act = F.relu(module.conv(prepared(model, images)))
        x = changed(act, edit) * 2 if site == "act" else changed(act * 2, edit)
        expected = module.fc(x.mean((2, 3)))
    np.testing.assert_allclose(seen(model, images, "fc", edits=[edit], loss=loss)[0][0], expected.numpy(), atol=1e-5)


def test_channels_of_tokens_are_edited_along_their_last_axis() -> None:
    model = opened(seeded(Tokens))
    images, edit = noise(model), Edit.silence("mix", 4)
    module = model.module
    with torch.no_grad():
        tokens = module.embed(prepared(model, images)).flatten(2).transpose(1, 2)
        expected = module.head(torch.relu(changed(module.mix(tokens), edit, axis=2)).mean(1))
    np.testing.assert_allclose(seen(model, images, "head", edits=[edit])[0][0], expected.numpy(), atol=1e-5)


def test_several_edits_hold_together_and_one_after_the_other_at_one_site() -> None:
    model = opened(seeded(Plain))
    images = noise(model)
    edits = [Edit.silence("conv1", 0), Edit(site="relu", channels=(1,), factor=2.0),
             Edit(site="relu", channels=(1,), offset=(1.0,), factor=1.0)]  # fmt: skip
    module = model.module
    with torch.no_grad():
        x = module.act(module.bn(changed(module.conv1(prepared(model, images)), edits[0])))
        x = changed(changed(F.relu(module.conv2(x)), edits[1]), edits[2])
        expected = module.fc(x.mean((2, 3)))
    np.testing.assert_allclose(seen(model, images, "fc", edits=edits)[0][0], expected.numpy(), atol=1e-5)


class Attention(nn.Module):
    """A layer that answers with a tuple, of which the first tensor is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.head = nn.MultiheadAttention(3, 1, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return self.head(self.attend(tokens, tokens, tokens)[0].amax(1))


def test_an_edit_of_the_first_tensor_of_a_tuple_reaches_the_rest_of_the_network() -> None:
    model = opened(seeded(Attention), 4)
    images, edit = noise(model, 3), Edit.silence("attend", 0, 1, 2)
    expected = model.module.head(torch.zeros(3, 3)).detach().numpy()
    (output,), (there,) = seen(model, images, "head", "attend", edits=[edit])
    np.testing.assert_allclose(output, expected, atol=1e-6)
    assert not there.any()


def test_an_edit_changes_neither_its_input_nor_the_weights() -> None:
    tensor = torch.ones(2, 3, 4, 4)
    edited = Edit.silence("x", 1).apply(tensor, 1, overwrite=False)
    assert (tensor.min(), edited[:, 1].max(), edited[:, 0].min()) == (1, 0, 1)
    assert Edit.silence("x", 1).apply(tensor, 1, overwrite=True) is tensor


def test_a_container_named_by_an_edit_means_the_site_that_makes_its_output() -> None:
    model = opened(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), nn.Flatten()))
    assert Edit.silence("0", 2).on(model.sites) == Edit.silence("0.1", 2)


def test_an_edit_of_a_site_that_does_not_exist_is_refused_before_the_network_runs() -> None:
    model, ran = opened(seeded(Plain)), []
    images, _ = noise(model), model.sites
    model.module.register_forward_hook(lambda *_: ran.append(1))
    with pytest.raises(UnknownName) as caught:
        seen(model, images, "fc", edits=[Edit.silence("conv3", 0)])
    assert caught.value.given == "Site 'conv3' does not exist"
    assert caught.value.allowed == "There are: conv1, bn, act, conv2, relu, mean, fc"
    assert caught.value.next_step.startswith("Did you mean 'conv2'?")
    assert ran == []


@pytest.mark.parametrize("channel", [5, -1])
def test_an_edit_of_a_channel_that_does_not_exist_is_refused(channel) -> None:
    model = opened(seeded(Plain))
    with pytest.raises(UsageError) as caught:
        seen(model, noise(model), "fc", edits=[Edit.silence("conv2", 0, channel)])
    assert caught.value.given == f"The edit of conv2 names channel {channel}"
    assert caught.value.allowed == "The site has 5 channels, counted from 0"
    assert caught.value.next_step == "Mend the edit's channels"


def test_an_edit_with_another_number_of_offsets_than_channels_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        Edit(site="conv1", channels=(0, 1, 2), offset=(1.0, 2.0)).on(opened(seeded(Plain)).sites)
    assert caught.value.given == "The edit of conv1 has 2 offsets for 3 channels"
    assert caught.value.allowed == "An offset is one number, or one a channel"
    assert caught.value.next_step == "Mend the edit's offset"
