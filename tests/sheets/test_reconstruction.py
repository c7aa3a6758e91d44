"""Reconstructions as a notebook asks for them: against the projector, and against the network itself."""

import json

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.errors import NotApplicable, UnknownName, UsageError
from microtome.formulas.specificity import specificity
from microtome.images.sources import open_images
from microtome.network.backward.projection import Projector, strongest
from microtome.network.backward.tracing import tracing
from microtome.sheets.reconstruction import OTHERS, reconstruct
from toys import Plain, noise, opened, prepared, seeded

SITE = "conv2"


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return mt.open_model("zoo:simpleconvnet")


@pytest.fixture(scope="module")
def images(model: mt.Model) -> mt.Images:
    return open_images("digits", model.preprocessing).limit(6)


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_every_unit_on_every_picture_is_what_the_projector_gives(model, images, method) -> None:
    found = reconstruct(model, [0, 3], [f"{SITE}:5", f"{SITE}:9@2,11"], method=method, images=images)
    assert [entry.unit.partition("@")[0] for entry in found.entries] == [f"{SITE}:5", f"{SITE}:9"] * 2
    assert [entry.picture for entry in found.entries] == [images.ids[0]] * 2 + [images.ids[3]] * 2
    for number, place in enumerate((0, 3)):
        with tracing(model, prepared(model, images.take([place])), SITE) as trace:
            units = [strongest(trace, [0], [5])[0], (0, 9, 2, 11)]
            whole = Projector(trace, method, "never").project(units)
        pair = slice(2 * number, 2 * number + 2)
        np.testing.assert_allclose(found.maps()[pair], whole.maps.numpy(), atol=1e-6 * whole.maps.abs().max())
        assert [entry.activation for entry in found.entries[pair]] == whole.activation.tolist()


def test_specificity_is_that_of_other_units_at_the_same_position(model, images) -> None:
    (entry,) = reconstruct(model, 1, f"{SITE}:5@6,6", images=images).entries
    drawn = [int(c) for c in np.random.default_rng(0).permutation(64) if c != 5][:OTHERS]
    with tracing(model, prepared(model, images.take([1])), SITE) as trace:
        units = [(0, channel, 6, 6) for channel in [5, *drawn]]
        maps = (
            Projector(trace, "deconvnet", "never")
            .project(units, [float(trace.activation[0, 5, 6, 6].sign())] * len(units))
            .maps.numpy()
        )
    assert entry.specificity == pytest.approx(specificity(maps[0], maps[1:]), rel=1e-5)
    assert 0 < entry.specificity < 1 and 0.1 < entry.focus <= 1


def test_units_that_are_seeds_together_are_one_map_and_not_their_sum(model, images) -> None:
    units = [f"{SITE}:5", f"{SITE}:9"]
    together = reconstruct(model, 2, units, images=images, at=(7, 7), joint=True)
    alone = reconstruct(model, 2, units, images=images, at=(7, 7))
    assert len(together.entries) == 1 and " + " in together.entries[0].unit
    with tracing(model, prepared(model, images.take([2])), SITE) as trace:
        expected = Projector(trace, "deconvnet").together([(0, 5, 7, 7), (0, 9, 7, 7)]).numpy()
    np.testing.assert_allclose(together.maps(), expected, atol=1e-6 * np.abs(expected).max())
    assert not np.allclose(together.maps()[0], alone.maps().sum(0), rtol=1e-3, atol=1e-4)


def test_units_of_several_sites_come_from_one_forward_pass_each_in_its_place(model, images) -> None:
    found = reconstruct(model, 0, ["conv1:3", "conv3:7", "conv1:4"], images=images)
    assert sorted(entry.unit.partition("@")[0] for entry in found.entries) == ["conv1:3", "conv1:4", "conv3:7"]
    assert found.handled["conv1"].rectifiers < found.handled["conv3"].rectifiers
    assert found.maps().shape == (3, 1, 28, 28)
    assert found.entries[0].map.shape != found.entries[2].map.shape


def test_a_silent_unit_gives_nothing_and_says_so(images) -> None:
    model = mt.open_model("zoo:simpleconvnet")
    model.module.conv2.bias.data[5] = -1e6
    found = reconstruct(model, 0, "relu_1:5", images=images)
    assert not found.maps().any() and np.isnan(found.entries[0].specificity)
    assert "nothing to lead back" in " ".join(found.sentences())
    assert found.rendered().min() == found.rendered().max() == 128
    json.dumps(found.numbers(), allow_nan=False)


def test_the_answer_names_how_pools_were_gone_back_through(model, images) -> None:
    for pools in ("gradient", "switch"):
        found = reconstruct(model, 0, "conv3:1", images=images, pools=pools)
        assert f"unpooled by {pools}" in found.sentences()[0]


def test_pictures_come_as_arrays_and_stimuli_and_keep_apart(model, images) -> None:
    found = reconstruct(model, [images[0], images[1], "line:45"], f"{SITE}:5")
    assert len({entry.picture for entry in found.entries}) == 3 == len(found.pixels)
    assert found.plot().axes


def test_the_model_comes_back_untouched(model, images) -> None:
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    model.module.train()
    reconstruct(model, 0, f"{SITE}:5", images=images)
    assert model.module.training and all(parameter.grad is None for parameter in model.module.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.module.modules())
    model.module.eval()


@pytest.mark.parametrize(("unit", "at", "error", "words"), [
    ("conv2:64", None, UnknownName, "0 to 63"), ("conv2:1@99,0", None, UsageError, "14 x 14"),
    ("conv2:1", (0, 14), UsageError, "0,14 is not in conv2"), ("conv2", None, UnknownName, "cannot be read"),
    ("nowhere:1", None, UnknownName, "nowhere"),
])  # fmt: skip
def test_what_does_not_exist_is_refused_in_words(model, images, unit, at, error, words) -> None:
    with pytest.raises(error, match=words):
        reconstruct(model, 0, unit, at=at, images=images)


def test_a_network_without_such_a_rule_is_refused_and_its_gradient_is_not() -> None:
    class Smooth(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.act = torch.nn.GELU()

    model = opened(seeded(Smooth))
    picture = noise(model)[0]
    with pytest.raises(NotApplicable, match="gradient"):
        reconstruct(model, picture, "conv2:1")
    assert reconstruct(model, picture, "conv2:1", method="gradient").maps().any()
