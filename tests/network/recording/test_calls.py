"""Following a forward pass: which calls are seen, and that nothing is left behind."""

import operator
from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation, SqueezeExcitation

from microtome.network.recording.calls import (
    Call,
    Following,
    Listener,
    first_tensor,
    function_name,
    is_leaf,
    replaced,
    tensors_in,
)
from toys import InPlace, Plain, seeded


class Diary(Listener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.calls: list[Call] = []

    def before(self, call: Call, arguments: tuple) -> None:
        self.lines.append(f"before {call.base}")

    def after(self, call: Call, arguments: tuple, output: object) -> object:
        self.lines.append(f"after {call.base}")
        self.calls.append(call)
        return output

    def leave(self, path: str, output: object) -> None:
        self.lines.append(f"leave {path}")


def diary_of(module: nn.Module, image: Tensor) -> Diary:
    diary = Diary()
    with Following(module, diary):
        module(image)
    return diary


def hooks_of(module: nn.Module) -> list[int]:
    return [len(value) for part in module.modules() for name, value in sorted(vars(part).items()) if "hooks" in name]


@pytest.mark.parametrize(
    ("compute", "name"),
    [
        (lambda a, b: a + b, "add"),
        (lambda a, b: 2 + a, "add"),
        (lambda a, b: torch.add(a, b), "add"),
        (lambda a, b: operator.iadd(a.clone(), b), "add"),
        (lambda a, b: a.clone().add_(b), "add"),
        (lambda a, b: 1 - a, "sub"),
        (lambda a, b: 3 * a, "mul"),
        (lambda a, b: a / b, "truediv"),
        (lambda a, b: 1 / a, "truediv"),
        (lambda a, b: torch.div(a, b), "div"),
        (lambda a, b: a // b, "floordiv"),
        (lambda a, b: 2**a, "pow"),
        (lambda a, b: a[:, ::2], "getitem"),
        (lambda a, b: -a, "neg"),
        (lambda a, b: a @ b, "matmul"),
        (lambda a, b: F.relu(a), "relu"),
        (lambda a, b: a.relu(), "relu"),
        (lambda a, b: torch.cat([a, b]), "cat"),
    ],
)
def test_a_function_is_called_what_torch_fx_calls_it(compute, name) -> None:
    class Toy(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return compute(a, b)

    diary = Diary()
    with Following(toy := Toy(), diary):
        toy(torch.full((2, 2), 2.0), torch.full((2, 2), 3.0))
    assert diary.calls[-1] == Call("", name, False)


def test_the_name_of_a_function_in_another_name_space_is_its_own() -> None:
    assert (function_name(torch.flatten), function_name(F.adaptive_avg_pool2d)) == ("flatten", "adaptive_avg_pool2d")


def test_containers_and_blocks_with_children_are_opened_and_layers_are_leaves() -> None:
    block = Conv2dNormActivation(3, 4)
    leaves = {name: is_leaf(module) for name, module in nn.Sequential(block, nn.Linear(2, 2)).named_modules()}
    assert leaves == {"": False, "0": False, "0.0": True, "0.1": True, "0.2": True, "1": True}
    assert not is_leaf(SqueezeExcitation(4, 2))
    assert not is_leaf(seeded(Plain))
    assert is_leaf(nn.MultiheadAttention(4, 2))


def test_tensors_are_found_in_nested_values_in_order() -> None:
    a, b, c = (torch.tensor(float(value)) for value in range(3))
    assert [float(t) for t in tensors_in({"x": (a, [b, "text"]), "y": {"z": c}, "n": 3})] == [0, 1, 2]
    assert first_tensor((None, {"deep": [b]})) is b
    assert first_tensor(["no", 1]) is None


def test_a_tensor_in_a_nested_value_is_replaced_and_the_value_keeps_its_kind() -> None:
    Pair = namedtuple("Pair", ["first", "second"])
    old, new, other = torch.zeros(1), torch.ones(1), torch.zeros(1)
    value = {"pair": Pair(old, [other, old]), "tuple": (other, 3)}
    found = replaced(value, old, new)
    assert type(found["pair"]) is Pair
    assert found["pair"].first is found["pair"].second[1] is new
    assert found["pair"].second[0] is found["tuple"][0] is other
    assert found["tuple"][1] == 3
    assert value["pair"].first is old


def test_calls_come_in_the_order_in_which_they_run_and_containers_are_left_after_them() -> None:
    lines = diary_of(nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh()), torch.zeros(1)).lines
    assert lines == ["before 0.0", "after 0.0", "leave 0", "before 1", "after 1", "leave "]


def test_what_a_leaf_does_inside_is_no_call() -> None:
    attention = nn.TransformerEncoderLayer(4, 1, 8, dropout=0.0, batch_first=True).eval()
    calls = diary_of(nn.Sequential(attention), torch.zeros(1, 2, 4)).calls
    assert calls == [Call("0", "TransformerEncoderLayer", True)]


def test_what_the_listener_does_with_tensors_is_no_call() -> None:
    class Busy(Diary):
        def after(self, call: Call, arguments: tuple, output: object) -> object:
            _ = first_tensor(output) + 1
            return super().after(call, arguments, output)

    busy = Busy()
    with Following(module := seeded(InPlace), busy):
        module(torch.zeros(1, 3, 6, 6))
    assert len(busy.calls) == len(diary_of(module, torch.zeros(1, 3, 6, 6)).calls) == 8


def test_a_replaced_output_goes_on_through_the_network() -> None:
    class Doubling(Listener):
        def after(self, call: Call, arguments: tuple, output: object) -> object:
            return output * 2 if call.base in ("0", "add") else output

    class Add(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    with Following(module := nn.Sequential(nn.Identity(), Add()), Doubling()):
        assert float(module(torch.tensor(3.0))) == 3 * 2 + 1
    with Following(module := nn.Sequential(nn.Identity(), nn.Sequential()), Doubling()):
        assert float(module(torch.tensor(3.0))) == 6


def test_keyword_arguments_of_a_module_are_seen() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(input=x)

    class Arguments(Diary):
        def before(self, call: Call, arguments: tuple) -> None:
            self.lines += [float(value) for value in tensors_in(arguments)]

    diary = Arguments()
    with Following(module := Named(), diary):
        module(torch.tensor(-4.0))
    assert diary.lines[0] == -4.0


def test_no_hook_and_no_mode_is_left_after_following_even_if_the_network_raised() -> None:
    module, diary = seeded(InPlace), Diary()
    before = hooks_of(module)
    with pytest.raises(RuntimeError, match="channels"), Following(module, diary):
        module(torch.zeros(1, 7, 6, 6))
    assert hooks_of(module) == before
    told = len(diary.lines)
    module(torch.zeros(1, 3, 6, 6))
    assert len(diary.lines) == told


def test_after_a_pass_that_was_broken_off_restart_makes_the_next_one_whole() -> None:
    class Impatient(Diary):
        def after(self, call: Call, arguments: tuple, output: object) -> object:
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().after(call, arguments, output)

    module, image = seeded(InPlace), torch.zeros(1, 3, 6, 6)
    whole = diary_of(module, image).calls
    impatient = Impatient()
    with Following(module, impatient) as following:
        with pytest.raises(KeyboardInterrupt):
            module(image)
        following.restart()
        following.listener = diary = Diary()
        module(image)
    assert diary.calls == whole


def test_functions_called_outside_the_network_are_no_calls() -> None:
    diary = Diary()
    with Following(nn.Sequential(nn.ReLU()), diary):
        _ = torch.ones(2) + 1
    assert diary.lines == []
