"""The model comes back as it was, bit for bit, whatever happened to it."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.errors import ModelFailed
from microtome.network.recording.untouched import choose_device, untouched
from portrait import differences, portrait
from toys import Answers, InPlace, Plain, Shared, Skip, noise, opened, seeded, seen, without_weights
from untouched_subjects import one_thread


class Dropping(nn.Module):
    """Draws random numbers even in eval mode, and keeps what it computed last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.cache = nn.Conv2d(3, 4, 3), None

    def forward(self, x: Tensor) -> Tensor:
        self.cache = F.dropout(self.conv(x), 0.5, training=True)
        return self.cache.relu().mean((2, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet20": lambda: mt.open_model("zoo:resnet20").module,
    "squeezenet1_0": lambda: without_weights("squeezenet1_0"),
    "densenet121": lambda: without_weights("densenet121"),
    "functional": lambda: seeded(Plain),
    "in-place": lambda: seeded(InPlace),
    "shared": lambda: seeded(Shared),
    "identity": lambda: seeded(Skip),
    "dictionary": lambda: seeded(Answers, dict),
    "tuple": lambda: seeded(Answers, tuple),
}


def unsettled(module: nn.Module) -> nn.Module:
    """In the state in which users bring their models: mixed modes, some weights frozen, some with gradients, hooks."""
    module.train()
    for place, part in enumerate(module.modules()):
        part.training = place % 3 != 0
    for place, parameter in enumerate(module.parameters()):
        parameter.requires_grad = place % 2 == 0
        parameter.grad = torch.ones_like(parameter) if place % 4 == 0 else None
    module.register_forward_hook(lambda *_: None)
    module.register_forward_pre_hook(lambda *_: None, with_kwargs=False)
    return module


def look_at_everything(module: nn.Module, loss: bool) -> None:
    model = opened(module, 32)
    images = noise(model, 3)
    output = model.sites.output
    seen(model, images, model.sites.layers[0].name, f"{output}:in", output, batch_size=2)
    if loss:
        seen(model, images, output, loss=lambda logits, labels: logits.flatten(1).sum(1), batch_size=2)
    mt.Specimen(model=model).receptive_fields  # noqa: B018


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_thread():
        yield


MODES = [torch.enable_grad, torch.no_grad, torch.inference_mode]
SMALL = [name for name in NETWORKS if name not in ("squeezenet1_0", "densenet121")]


@pytest.mark.parametrize(
    ("name", "mode"),
    [*itertools.product(SMALL, MODES), ("squeezenet1_0", torch.inference_mode), ("densenet121", torch.enable_grad)],
)
def test_the_model_comes_back_bit_for_bit_in_whatever_mode_the_caller_is(name, mode) -> None:
    module = unsettled(NETWORKS[name]())
    before = portrait(module)
    with mode():
        look_at_everything(module, loss=name != "densenet121")
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
    assert differences(before, portrait(module)) == []


@pytest.mark.parametrize("name", ["resnet20", "in-place", "shared", "tuple"])
def test_the_model_comes_back_bit_for_bit_when_something_raises_in_the_middle(name) -> None:
    module = unsettled(NETWORKS[name]())
    model = opened(module, 32)
    images, sites, before = noise(model, 4), model.sites, portrait(module)
    loss = {"loss": lambda logits, labels: logits.sum(1) / ("not", "a number")}
    for options in ({"edits": [mt.Edit.silence(sites.layers[0].name, 0)], **loss}, loss):
        with pytest.raises(TypeError):
            seen(model, images, sites.output, batch_size=2, **options)
    assert differences(before, portrait(module)) == []


def test_the_model_comes_back_bit_for_bit_when_the_network_itself_raises() -> None:
    module = unsettled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(7, 4, 1)))
    before = portrait(module)
    with pytest.raises(ModelFailed):
        opened(module).sites  # noqa: B018
    assert differences(before, portrait(module)) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["resnet20", "in-place", "shared", "identity"])
def test_a_training_step_afterwards_is_the_one_without_a_look(name, mode) -> None:
    looked_at, left_alone = NETWORKS[name]().train(), NETWORKS[name]().train()
    with mode():
        look_at_everything(looked_at, loss=True)
    for module in (looked_at, left_alone):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        image = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
        F.cross_entropy(module(image), torch.tensor([0, 1])).backward()
        optimizer.step()
    for one, other in zip(looked_at.state_dict().values(), left_alone.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_random_numbers_drawn_by_the_network_do_not_change_the_callers() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    look_at_everything(seeded(Dropping), loss=False)
    assert torch.equal(torch.rand(3), expected)


def test_a_tensor_that_the_network_keeps_can_be_used_in_training_during_and_after_a_look() -> None:
    module = seeded(Dropping)
    module(torch.ones(2, 3, 4, 4))
    kept = module.cache
    with torch.inference_mode():
        with untouched(module):
            module(torch.ones(2, 3, 4, 4))
            assert not module.cache.is_inference()
        look_at_everything(module, loss=False)
    assert module.cache is kept
    kept.sum().backward()
    assert module.conv.weight.grad.any()


def test_inside_untouched_every_module_is_in_eval_mode_without_gradients() -> None:
    module = unsettled(seeded(Plain))
    with torch.inference_mode(), untouched(module) as same:
        assert same is module
        assert not any(part.training for part in module.modules())
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_inside_untouched_nothing_is_computed_in_mixed_precision_whatever_the_caller_does() -> None:
    module, image = seeded(Plain), torch.ones(2, 3, 12, 12)
    with torch.autocast("cpu"):
        assert module(image).dtype == torch.bfloat16
        with untouched(module):
            assert module(image).dtype == torch.float32
        assert module(image).dtype == torch.bfloat16


def test_the_device_is_the_one_that_is_wished_for_or_the_models_own() -> None:
    module = seeded(Plain)
    assert choose_device(module, "cpu") == torch.device("cpu")
    assert choose_device(module.to("meta")) == torch.device("meta")
