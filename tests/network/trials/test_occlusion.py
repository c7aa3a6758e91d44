"""Occlusion against a loop that covers one square after the other, and against what receptive fields promise."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

import microtome as mt
from microtome.errors import NotApplicable, UnknownName, UsageError
from microtome.formulas.squares import squares
from microtome.images.sources import open_images
from microtome.network.trials.occlusion import Squares, occlude, occlude_class
from toys import InPlace, Plain, Tokens, UNet, noise, opened, seeded


def picture(model: mt.Model) -> np.ndarray:
    return noise(model)[4]


def covered(model: mt.Model, size: int, stride: int, fill: str) -> tuple[np.ndarray, Tensor]:
    """All squares, and the picture with each of them covered in turn; the picture itself is last."""
    x = model.preprocessing.normalise(torch.from_numpy(picture(model)[None]))[0]
    boxes = squares(model.preprocessing.size, size, stride)
    other = torch.zeros_like(x)
    if fill == "blur":
        other = torch.stack([torch.from_numpy(gaussian_filter(one.numpy(), size / 2)) for one in x])
    found = []
    for top, left, bottom, right in boxes.reshape(-1, 4):
        mask = torch.zeros(x.shape[1:])
        mask[top:bottom, left:right] = 1
        found.append(x * (1 - mask) + other * mask)
    return boxes, torch.stack([*found, x])


def front(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return F.relu(module.conv2(module.act(module.bn(module.conv1(x)))))


@pytest.mark.parametrize("fill", ["mean", "blur"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (4, 1), (5, 5)])
def test_a_unit_is_followed_at_its_strongest_position(size, stride, fill) -> None:
    model = opened(seeded(Plain))
    how = Squares(size=size, stride=stride, fill=fill)
    found = occlude(model, picture(model), "conv2", 3, how)
    boxes, pictures = covered(model, size, stride, fill)
    maps = front(model.module, pictures)[:, 3]
    row, column = np.unravel_index(int(maps[-1].argmax()), maps[-1].shape)
    assert (found.site, found.channel, found.at) == ("relu", 3, (row, column))
    np.testing.assert_array_equal(found.boxes, boxes)
    assert found.before == pytest.approx(float(maps[-1].max()), abs=1e-6)
    assert found.before > 0
    np.testing.assert_allclose(found.value.ravel(), maps[:-1, row, column], atol=1e-6)


def test_a_position_can_be_given_and_the_largest_value_anywhere_followed() -> None:
    model = opened(seeded(Plain))
    how = Squares(size=3, stride=3)
    maps = front(model.module, covered(model, 3, 3, "mean")[1])[:, 1]
    given = occlude(model, picture(model), "conv2", 1, how, (2, 4))
    assert given.at == (2, 4)
    np.testing.assert_allclose(given.value.ravel(), maps[:-1, 2, 4], atol=1e-6)
    anywhere = occlude(model, picture(model), "conv2", 1, how, "anywhere")
    assert anywhere.at is None and anywhere.seen.all()
    np.testing.assert_allclose(anywhere.value.ravel(), maps[:-1].amax((1, 2)), atol=1e-6)


def test_a_class_is_followed_with_its_probability_and_the_answers() -> None:
    model = opened(seeded(Plain))
    found = occlude_class(model, picture(model), 1, Squares(size=4, stride=2))
    with torch.no_grad():
        logits = model.module(covered(model, 4, 2, "mean")[1])
    shape = found.value.shape
    np.testing.assert_allclose(found.value, logits[:-1, 1].reshape(shape), atol=1e-6)
    np.testing.assert_allclose(found.probability, logits.softmax(1)[:-1, 1].reshape(shape), atol=1e-6)
    np.testing.assert_array_equal(found.answer, logits[:-1].argmax(1).reshape(shape))
    assert found.before == pytest.approx(float(logits[-1, 1]), abs=1e-6)
    assert found.probability_before == pytest.approx(float(logits[-1].softmax(0)[1]), abs=1e-6)
    np.testing.assert_allclose(found.probability_drop, found.probability_before - found.probability)


def test_before_a_softmax_at_the_end_the_logits_are_the_same() -> None:
    plain, ended = opened(seeded(Plain)), opened(nn.Sequential(seeded(Plain), nn.Softmax(1)))
    one, other = (occlude_class(model, picture(plain), 1) for model in (plain, ended))
    np.testing.assert_array_equal(one.value, other.value)
    np.testing.assert_array_equal(one.probability, other.probability)


@pytest.mark.parametrize("at", [(0, 0), (2, 3), (4, 4)])
def test_squares_outside_of_what_a_unit_sees_change_nothing_and_are_not_run(at) -> None:
    model = opened(seeded(Plain))
    found = occlude(model, picture(model), "conv2", 0, Squares(size=2, stride=1), at)
    maps = front(model.module, covered(model, 2, 1, "mean")[1])[:, 0, at[0], at[1]]
    truly = (maps[:-1] != maps[-1]).reshape(found.seen.shape).numpy()
    assert 0 < found.seen.sum() < found.seen.size
    assert not truly[~found.seen].any()
    assert (found.drop[~found.seen] == 0).all()
    top, left, bottom, right = np.moveaxis(found.boxes, -1, 0)
    # conv2 (3 x 3, stride 2) of conv1 (3 x 3, padding 1) sees five rows and columns from 2 y - 1
    low, high = 2 * np.array(at) - 1, 2 * np.array(at) + 4
    expected = (top < high[0]) & (bottom > low[0]) & (left < high[1]) & (right > low[1])
    np.testing.assert_array_equal(found.seen, expected)


def test_the_largest_fall_and_the_control_are_those_of_the_squares_it_can_see() -> None:
    model = opened(seeded(Plain))
    found = occlude(model, picture(model), "conv2", 3, Squares(size=3, stride=2))
    falls = (found.before - found.value)[found.seen]
    assert found.drop[found.largest] == falls.max()
    assert found.control == (pytest.approx(falls.mean()), pytest.approx(falls.std()))
    assert not found.seen.all()


def test_where_every_square_makes_it_rise_the_largest_fall_is_still_one_that_it_can_see() -> None:
    module = nn.Sequential(nn.Conv2d(3, 1, 1))
    module[0].weight.data.fill_(-1)
    module[0].bias.data.zero_()
    model = opened(module)
    white = np.full((3, 12, 12), 255, np.uint8)
    found = occlude(model, white, "0", 0, Squares(size=3, stride=3), (5, 5))
    assert found.before == -3 and found.drop[found.largest] == -3 == found.drop.min()
    assert found.seen.sum() == 1 and found.seen[found.largest]


def test_defaults_are_a_seventh_and_a_fourteenth_of_the_longer_side() -> None:
    assert Squares().of((224, 224)) == (32, 16)
    assert Squares().of((28, 28)) == (4, 2)
    assert Squares().of((4, 4)) == (1, 1)
    assert Squares().of((2, 70)) == (2, 5)  # it has to fit


def test_the_batch_size_changes_nothing(monkeypatch) -> None:
    model = opened(seeded(InPlace))
    whole = occlude_class(model, picture(model), 0, Squares(size=3, stride=3))
    monkeypatch.setattr("microtome.network.trials.occlusion.automatic_batch", lambda sites: 5)
    few = occlude_class(model, picture(model), 0, Squares(size=3, stride=3))
    np.testing.assert_allclose(whole.value, few.value, rtol=1e-6)
    assert whole.value.shape == few.value.shape == (4, 4)


def test_progress_counts_the_squares_that_were_run() -> None:
    class Counting:
        total, done = 0, 0

        def say(self, line: str) -> None: ...

        def bar(self, title: str, total: int, unit: str, done: int = 0):
            from contextlib import nullcontext

            self.total = total
            return nullcontext(self.advance)

        def advance(self, count: int) -> None:
            self.done += count

    model, progress = opened(seeded(Plain)), Counting()
    found = occlude(model, picture(model), "conv2", 3, Squares(size=3, stride=1), progress=progress)
    assert progress.total == progress.done == found.seen.sum() > 1


def test_a_layer_without_positions_and_one_of_tokens_can_be_followed() -> None:
    plain, tokens = opened(seeded(Plain)), opened(seeded(Tokens))
    assert occlude(plain, picture(plain), "fc", 1).at is None
    with torch.no_grad():
        logits = plain.module(covered(plain, 2, 1, "mean")[1])[:-1, 1]
    np.testing.assert_allclose(occlude(plain, picture(plain), "fc", 1).value.ravel(), logits, atol=1e-6)
    found = occlude(tokens, picture(tokens), "mix", 2)
    with torch.no_grad():
        embedded = tokens.module.embed(covered(tokens, 2, 1, "mean")[1]).flatten(2).transpose(1, 2)
        rows = torch.relu(tokens.module.mix(embedded))[..., 2]  # (pictures, tokens)
    strongest = int(rows[-1].argmax())
    assert (found.site, found.at) == ("relu", (strongest,)) and found.before > 0
    np.testing.assert_allclose(found.value.ravel(), rows[:-1, strongest], atol=1e-6)


def test_the_model_comes_back_as_it_was() -> None:
    model = opened(seeded(Plain))
    model.module.train()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    occlude_class(model, picture(model), 0)
    assert all(part.training and not part._forward_hooks for part in model.module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


@pytest.mark.parametrize(
    ("site", "channel", "how", "at", "error", "message"),
    [
        ("conv2", 5, Squares(), "strongest", UnknownName, "Unit 5 of relu does not exist. Its units are 0 to 4."),
        ("conv2", 0, Squares(), (5, 0), UnknownName, "Position 5,0 of relu does not exist. Its positions are 5 x 5."),
        ("fc", 0, Squares(), (0, 0), UnknownName, "Position 0,0 of fc does not exist. Its positions are none."),
        ("conv2", 0, Squares(size=13), "strongest", UsageError, "A square of 13 pixels does not fit into a picture of "
                                                              "12 x 12. Its size is 1 to 12."),
        ("conv2", 0, Squares(stride=0), "strongest", UsageError, "stride is 0. It must be 1 or more."),
        ("conv2", 0, Squares(fill="blurr"), "strongest", UnknownName, "Fill 'blurr' does not exist. There are: mean, "
                                                                      "blur. Did you mean 'blur'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(site, channel, how, at, error, message) -> None:
    model = opened(seeded(Plain))
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        occlude(model, picture(model), site, channel, how, at)


def test_the_class_of_a_network_without_classes_is_refused() -> None:
    model = opened(seeded(UNet))
    with pytest.raises(NotApplicable, match="^UNet gives no row of classes"):
        occlude_class(model, picture(model), 0)


@pytest.mark.data
def test_covering_the_strongest_patch_costs_the_class_more_than_the_mean_one(data_folder) -> None:
    weights = data_folder / "squeezenet1_0_imagenet.safetensors"
    model = mt.open_model(f"torchvision:squeezenet1_0@{weights}")
    images = open_images(data_folder / "imagenet500", model.preprocessing, model.class_names)
    image = images[images.ids.index(next(name for name in images.ids if "tench" in name))]
    found = occlude_class(model, image, 0, Squares(size=56, stride=28))
    mean, spread = found.control
    assert found.probability_before > 0.9 and found.answer_before == 0
    assert found.drop[found.largest] > mean + 2 * spread
    top, left, bottom, right = found.boxes[found.largest]
    assert 60 < (top + bottom) / 2 < 180  # on the fish, which lies across the middle
    unit = occlude(model, image, "features.3.expand3x3", 4)
    assert unit.drop[unit.largest] > unit.before / 2 > 0
    assert unit.seen.mean() < 0.1
