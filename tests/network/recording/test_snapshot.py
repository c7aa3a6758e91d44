"""A module is put back as it was, whatever its forward pass does to it."""

from collections import deque

import pytest
import torch
from torch import Tensor, nn

from microtome.errors import BadModel
from microtome.network.recording.snapshot import Snapshot
from microtome.network.recording.untouched import untouched
from portrait import differences, portrait
from toys import Caching, Plain, Shared, seeded

IMAGE = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)


class Keeper(nn.Module):
    """Has one of each kind of thing that can change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("buffer", torch.tensor([1.0, float("nan")]))
        self.things = [1, {"a": deque([torch.zeros(2)])}, {3}, (torch.ones(2), [4])]


CHANGES = {
    "a new attribute": lambda m: setattr(m, "fresh", 1),
    "an attribute that is gone": lambda m: delattr(m, "things"),
    "another object": lambda m: setattr(m, "things", []),
    "a longer list": lambda m: m.things.append(5),
    "an item of a dictionary": lambda m: m.things[1].update(b=1),
    "a shorter deque": lambda m: m.things[1]["a"].clear(),
    "a set": lambda m: m.things[2].add(4),
    "a list in a tuple": lambda m: m.things[3][1].append(1),
    "a tensor in a tuple": lambda m: m.things[3][0].mul_(2),
    "a tensor in a deque": lambda m: m.things[1]["a"][0].add_(1),
    "a tensor behind torch's back": lambda m: m.things[3][0].data.mul_(2),
    "the values of a buffer": lambda m: m.buffer.zero_(),
    "another buffer": lambda m: setattr(m, "buffer", torch.zeros(2)),
    "one more buffer": lambda m: m.register_buffer("more", torch.zeros(2)),
    "one more part": lambda m: m.add_module("more", nn.ReLU()),
    "a part that is gone": lambda m: delattr(m, "conv"),
    "a hook": lambda m: m.conv.register_forward_hook(lambda *_: None),
    "the training flag": lambda m: m.train(not m.training),
    "other memory behind a weight": lambda m: setattr(m.conv.weight, "data", torch.zeros(4, 3, 3, 3)),
    "another weight": lambda m: setattr(m.conv, "weight", nn.Parameter(torch.zeros(4, 3, 3, 3))),
    "a weight that is frozen": lambda m: m.conv.weight.requires_grad_(False),
    "a gradient": lambda m: setattr(m.conv.weight, "grad", None),
    "all in double precision": lambda m: m.double(),
    "all on another device": lambda m: m.to("meta"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_put_back(change) -> None:
    module = seeded(Keeper)
    module.conv.weight.grad = torch.ones_like(module.conv.weight)
    before, snapshot = portrait(module), Snapshot(module)
    CHANGES[change](module)
    assert differences(before, portrait(module)) != []
    snapshot.restore()
    assert differences(before, portrait(module)) == []
    snapshot.restore()  # twice does no harm
    assert differences(before, portrait(module)) == []


@pytest.mark.parametrize("build", [Caching, Shared, Plain])
def test_on_another_device_and_back_everything_is_as_it_was(build) -> None:
    module = seeded(build)
    before = portrait(module)
    with untouched(module, torch.device("meta")) as moved:
        assert {parameter.device.type for parameter in moved.parameters()} == {"meta"}
    assert differences(before, portrait(module)) == []


def test_a_weight_that_is_computed_anew_at_every_call_keeps_its_graph() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3))

    def weigh(part: nn.Conv2d, _: tuple[Tensor]) -> None:
        part.scaled = part.weight * 2

    module[0].register_forward_pre_hook(weigh)
    module(IMAGE)
    kept = module[0].scaled
    with untouched(module):
        module(IMAGE)
        assert module[0].scaled is not kept
    assert module[0].scaled is kept
    kept.sum().backward()
    assert torch.equal(module[0].weight.grad, torch.full((4, 3, 3, 3), 2.0))


def test_a_tensor_from_inference_mode_is_put_back_too() -> None:
    module = seeded(Keeper)
    with torch.inference_mode():
        module.made = torch.ones(3)
    with untouched(module), torch.inference_mode():
        module.made.zero_()
    assert module.made.tolist() == [1, 1, 1]
    assert module.made.is_inference()


def test_an_interrupt_while_everything_is_put_back_does_not_leave_it_half_done(monkeypatch) -> None:
    module, interrupts = seeded(Caching), [KeyboardInterrupt]
    before, equal = portrait(module), torch.equal

    def interrupted(one: Tensor, other: Tensor) -> bool:
        if interrupts:
            raise interrupts.pop()
        return equal(one, other)

    monkeypatch.setattr(torch, "equal", interrupted)
    with pytest.raises(KeyboardInterrupt), untouched(module):
        module(IMAGE)
    assert interrupts == []
    assert differences(before, portrait(module)) == []


def test_a_network_whose_first_call_would_make_its_weights_is_refused() -> None:
    module = nn.Sequential(nn.ReLU(), nn.LazyConv2d(4, 3))
    with pytest.raises(BadModel) as caught, untouched(module):
        pytest.fail("it must not be run")
    assert caught.value.given == "Parameter '1.weight' of Sequential has no shape yet"
    assert caught.value.allowed == "A network that is looked at has all its weights, and comes back as it was"
    assert caught.value.next_step == "Call it once on an image of yours, then look"
