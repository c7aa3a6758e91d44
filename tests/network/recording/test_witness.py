import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microtome.network.recording.witness import witness
from toys import InPlace, Plain, opened, seeded

IMAGES = torch.linspace(-1, 1, 2 * 3 * 12 * 12).view(2, 3, 12, 12)


def test_the_steps_are_the_sites_in_their_order() -> None:
    model = opened(seeded(Plain))
    assert [step.call for step in witness(model.module, IMAGES)] == [site.call for site in model.sites.values()]


def test_what_overwrites_its_input_is_told_from_what_does_not() -> None:
    model = opened(seeded(InPlace))
    steps = dict(zip(model.sites, witness(model.module, IMAGES), strict=True))
    overwriting = {"act", "add", "act_1", "relu_"}  # ReLU(inplace=True) twice, +=, relu_
    assert {name for name, step in steps.items() if step.in_place} == overwriting


def test_returning_the_very_input_is_no_overwriting() -> None:
    (step,) = witness(nn.Sequential(nn.Identity()), IMAGES)
    assert not step.in_place


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.relu(x.clone(), inplace=True))


def test_a_function_told_to_work_in_place_is_seen_to_do_so() -> None:
    assert [(s.call.operation, s.in_place) for s in witness(Functional(), IMAGES)] == [
        ("clone", False), ("relu", True), ("relu", False),
    ]  # fmt: skip


def test_fingerprints_differ_exactly_where_the_numbers_do() -> None:
    module = seeded(Plain)
    once, again = witness(module, IMAGES), witness(module, IMAGES)
    assert once == again
    module.conv2.weight.data += 1
    changed = [a.digest != b.digest for a, b in zip(once, witness(module, IMAGES), strict=True)]
    assert changed == [False, False, False, True, True, True, True]


def test_afterwards_no_hook_is_left() -> None:
    module = seeded(Plain)
    witness(module, IMAGES)
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
