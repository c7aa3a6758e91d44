"""Activations of given pictures, against plain hooks."""

import numpy as np
import pytest
import torch

from microtome.errors import UnknownName
from microtome.network.activations import activations
from toys import InPlace, Plain, noise, opened, prepared, seeded


def pixels(model, count: int = 3) -> np.ndarray:
    return np.stack([noise(model)[place] for place in range(count)])


def test_activations_are_what_a_plain_hook_sees() -> None:
    model = opened(seeded(Plain))
    seen = []
    handle = model.module.act.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    with torch.no_grad():
        model.module(prepared(model, noise(model, 3)))
    handle.remove()
    found = activations(model, pixels(model), ["act:in", "act"])
    np.testing.assert_allclose(found["act:in"].values, seen[0][0], atol=1e-6)
    np.testing.assert_allclose(found["act"].values, seen[0][1], atol=1e-6)


def test_what_an_in_place_rectifier_overwrites_is_seen_before() -> None:
    model = opened(seeded(InPlace))
    found = activations(model, pixels(model), ["act:in", "act"])
    assert (found["act:in"].values < 0).any()
    np.testing.assert_array_equal(np.maximum(found["act:in"].values, 0), found["act"].values)


def test_a_picture_alone_gives_what_it_gives_in_company() -> None:
    model = opened(seeded(Plain))
    together = activations(model, pixels(model), ["conv2"])["conv2"].values
    alone = activations(model, pixels(model)[1:2], ["conv2"])["conv2"].values
    np.testing.assert_array_equal(alone[0], together[1])


def test_the_model_comes_back_as_it_was() -> None:
    model = opened(seeded(Plain))
    model.module.train()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    activations(model, pixels(model), ["fc"])
    assert all(part.training and not part._forward_hooks for part in model.module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


def test_an_unknown_site_is_refused_before_anything_runs() -> None:
    model = opened(seeded(Plain))
    with pytest.raises(UnknownName, match="Site 'conv9' does not exist"):
        activations(model, pixels(model), ["conv9"])
