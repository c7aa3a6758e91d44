"""How cones of successive layers lie: beside the authors' rule written out, chance, and a pretrained network."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.analyses.channel_cones import ChannelCones, ChannelConesResult
from microtome.errors import NotApplicable, UnknownName
from microtome.formulas.cones.permutation_null import Null
from microtome.formulas.cones.states import State
from microtome.runs.runner import Look
from toys import opened, seeded

DATA = Path(os.environ.get("MICROTOME_DATA", "missing"))
RESNET20 = DATA / "resnet20_cifar10.safetensors"


def look(model: mt.Model, **settings: object) -> ChannelConesResult:
    outcome = Look(mt.Specimen(model=model)).run([ChannelCones(**settings)])
    assert not outcome.skipped, outcome.skipped
    return outcome.results["channel_cones"]


@pytest.fixture(scope="module")
def model() -> mt.Model:
    model = mt.open_model("zoo:lenet9")
    generator = torch.Generator().manual_seed(0)
    for module in model.module.modules():
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight.normal_(generator=generator)
                module.bias.normal_(generator=generator)
    return model


@pytest.fixture(scope="module")
def found(model) -> ChannelConesResult:
    return look(model, shuffles=20)


def seed_rule(model: mt.Model, front: str, behind: str, grid: int) -> np.ndarray:
    """The rule as its authors give it, triple by triple: apex -b / s on the identity line, opening asin(s / |w| N)."""
    layers = [model.module.get_submodule(name) for name in (front, behind)]
    weights = [layer.weight.detach().double().numpy() for layer in layers]
    sums = [weight.sum((2, 3)) for weight in weights]
    apex, opening = [], []
    for layer, weight, s in zip(layers, weights, sums, strict=True):
        bias = layer.bias.detach().double().numpy()[:, None] * s**2 / (s**2).sum(1, keepdims=True)
        apex.append(-bias / s * grid)
        opening.append(np.arcsin(np.abs(s) / (grid * np.sqrt((weight**2).sum((2, 3))))))
    states = np.zeros(sums[1].shape, int)
    for o in range(states.shape[0]):
        for c in range(states.shape[1]):
            a = max(apex[1][o, c] - apex[0][c, p] for p in range(sums[0].shape[1]))
            b = min(opening[1][o, c] - opening[0][c, p] for p in range(sums[0].shape[1]))
            states[o, c] = (1 if b <= 0 else 0) if a >= 0 else (3 if b >= 0 else 2)
    return states


def test_states_are_those_of_the_authors_rule(model, found) -> None:
    assert found.before == ("features.0", "features.5", "features.10")
    for (layer, states), front, grid in zip(found.states.items(), found.before, (32, 16, 8), strict=True):
        assert np.array_equal(states, seed_rule(model, front, layer, grid))
    assert "a pool lies between" in found.left_out[0] and found.grid.tolist() == [[32, 32], [16, 16], [8, 8]]


def test_random_weights_are_within_what_shuffling_gives(found) -> None:
    whole = found.whole
    assert np.abs(whole.z[:4]).max() < 4
    assert whole.items == sum(each.size for each in found.states.values()) and whole.frequency.sum() == pytest.approx(1)
    sentence = found.findings()[0]
    assert "with the filters in front shuffled" in sentence.sentence and "in random order" in sentence.control


def test_filters_that_are_matched_to_what_feeds_them_are_noticed(model) -> None:
    """Behind channels whose filters open widest stand slices that open wider still; shuffled, they do not."""
    planted = mt.open_model("zoo:lenet9")
    planted.module.load_state_dict(model.module.state_dict())
    front, behind = planted.module.features[10], planted.module.features[12]
    with torch.no_grad():
        front.bias.zero_()
        behind.bias.zero_()
        flat = torch.tensor([[-1.0, 1, 0], [0, 0, 0], [0, 0, 0]])
        front.weight.copy_(flat + 0.01)
        front.weight[:32] = 1.0  # as wide as can be
        behind.weight.copy_((flat + 0.2).expand_as(behind.weight))
        behind.weight[:, 32:] = flat + 0.3
    null = look(planted, shuffles=20).null("features.12")
    assert null.frequency[State.OUT_FULL_IN] == 0.5 and null.frequency[State.OUT_PARTIAL_IN] == 0.5
    assert null.z[State.OUT_FULL_IN] == 0, "as many as before are wide, whichever they feed"
    with torch.no_grad():
        behind.weight[:, :32] = 1.0
        behind.weight[:, 32:] = flat + 0.001
    matched = look(planted, shuffles=20).null("features.12")
    assert matched.frequency[State.OUT_FULL_IN] == 1 and matched.z[State.OUT_FULL_IN] > 5


def test_without_biases_nothing_in_front_lies_behind(model) -> None:
    bare = mt.open_model("zoo:lenet9")
    bare.module.load_state_dict(model.module.state_dict())
    with torch.no_grad():
        for module in bare.module.modules():
            if isinstance(module, nn.Conv2d):
                module.bias.zero_()
    whole = look(bare, shuffles=5).whole
    assert whole.observed[State.IN_PARTIAL_OUT] == whole.observed[State.IN_FULL_OUT] == 0
    assert look(model, shuffles=5, biases="zero").whole.observed.tolist() == whole.observed.tolist()


def test_inclusion_is_rarer_than_its_summaries(found) -> None:
    for layer, exact in found.exact.items():
        summary = found.summary[layer]
        assert exact.sum() == summary.sum() and exact[State.OUT_FULL_IN] <= summary[State.OUT_FULL_IN]
    assert any(card.title == "Summaries and inclusion" for card in found.cards())


def test_what_cannot_be_compared_is_refused_and_strange_rules_too() -> None:
    lonely = opened(seeded(nn.Conv2d, 3, 4, 3).eval())
    with pytest.raises(NotApplicable, match="has no two convolutions of several pixels"):
        ChannelCones().check(mt.Specimen(model=lonely))
    with pytest.raises(UnknownName, match="rule for biases 'half' does not exist"):
        ChannelCones(biases="half").check(mt.Specimen(model=lonely))


@pytest.mark.skipif(not RESNET20.is_file(), reason="needs ResNet20's weights in $MICROTOME_DATA")
def test_a_pretrained_network_has_the_frequencies_that_were_measured_before() -> None:
    """Over the nine pairs within blocks, as the study counts them."""
    result = look(mt.open_model(f"zoo:resnet20@{RESNET20}"), shuffles=20)
    nine = Null.pooled([result.null(layer) for layer in result.states if layer.endswith("conv2")])
    assert nine.frequency[:4] == pytest.approx([0.0782, 0.8947, 0.0255, 0.0017], abs=0.001)
    full = sum(each[[1, 3]].sum() for each in result.exact.values()) / sum(each.sum() for each in result.exact.values())
    assert full == pytest.approx(0.0062, abs=0.001)
    assert 60 < result.rotation.mean() < 67 and 60 < result.rotation_null.mean() < 67
