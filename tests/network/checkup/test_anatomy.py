"""What the doctor says about the build of a network: each toy has one thing planted in it."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import microtome as mt
from microtome.network.checkup.anatomy import remark_anatomy
from microtome.network.remarks import Remark
from toys import InPlace, Plain, Shared, opened, seeded


class Toy(nn.Module):
    """Two convolutions that the toys put together in some odd way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)


class Skips(Toy):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head((F.relu(x) + x).mean((2, 3)))


class Random(Toy):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.conv(x), training=True).mean((2, 3)))


class Branches(Toy):
    def forward(self, x: Tensor) -> Tensor:
        first = x.reshape(-1)[0].item()
        x = self.conv(x)
        x = F.relu(x) if first < 0 else x.abs()
        return self.head(x.mean((2, 3)))


class Refuses(Toy):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().max()) > 2:
            raise ValueError("too bright")
        return self.head(self.conv(x).mean((2, 3)))


class Mixes(Toy):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).mean((2, 3)).reshape(-1, 1, 4)[:1])


class Heads(Toy):
    """A head for training, dropout, an identity that nobody calls, and one used by its weights alone."""

    def __init__(self) -> None:
        super().__init__()
        self.aux, self.drop, self.same = nn.Linear(4, 3), nn.Dropout(), nn.Identity()
        self.borrowed = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> object:
        x = F.conv2d(self.conv(x), self.borrowed.weight).mean((2, 3))
        return (self.head(x), self.aux(x)) if self.training else self.head(x)


class Tied(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.two(self.one(self.conv(x).mean((2, 3)))))


class Attends(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(2).transpose(1, 2)
        return self.head(self.attend(x, x, x)[0].mean(1))


class OfItsBatch(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).mean((2, 3)))


def remarks(build: type[nn.Module]) -> dict[str, Remark]:
    return {remark.name: remark for remark in remark_anatomy(opened(seeded(build)))}


NAMES = ["sites", "repeated_modules", "shared_weights", "read_before_activation", "without_rows", "closed_blocks",
         "random", "control_flow", "batch_statistics", "never_called", "rectifiers"]  # fmt: skip


@pytest.mark.parametrize("build", [Plain, Random, Branches, Refuses, Mixes, Heads, Attends])
def test_every_question_is_answered_for_every_network(build) -> None:
    assert list(remarks(build)) == NAMES


def test_a_plain_network_has_nothing_but_fine_remarks() -> None:
    found = remarks(Plain)
    assert {remark.level for remark in found.values()} == {"fine"}
    assert found["sites"].sentence == "7 sites, 3 layers, 12 units"


@pytest.mark.parametrize("name", ["handnet2", "handnet3"])
def test_weights_that_are_computed_are_neither_shared_nor_hidden(name) -> None:
    found = {remark.name: remark for remark in remark_anatomy(mt.open_model(f"zoo:{name}"))}
    assert found["shared_weights"].sentence == "No two layers share their weights"
    assert found["closed_blocks"].sentence == "Nothing runs hidden inside a block of torch.nn"


def test_a_module_of_computed_weights_that_is_called_twice_shares_them() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3))
    found = {remark.name: remark for remark in remark_anatomy(opened(nn.Sequential(layer, nn.ReLU(), layer).eval()))}
    assert found["shared_weights"].number == 2


@pytest.mark.parametrize(
    ("build", "name", "level", "places", "sentence"),
    [
        (InPlace, "repeated_modules", "note", ("act",),
         "1 module is called more than once; every call is a site of its own: act (act, act_1)"),
        (Shared, "shared_weights", "note", ("first", "first_1", "first_2"),
         "3 layers share weights, and show the same filters: first = first_1 = first_2"),
        (Tied, "shared_weights", "note", ("one", "two"),
         "2 layers share weights, and show the same filters: one = two"),
        (Skips, "read_before_activation", "note", ("conv",),
         "1 layer is read before the activation, because other operations take the same tensor: conv"),
        (Mixes, "without_rows", "warning", ("head",),
         "1 layer gives no row an image, so units cannot be read there: head"),
        (Attends, "closed_blocks", "note", ("attend",),
         "1 block of torch.nn with parts of their own; what runs inside is no site: attend"),
        (Random, "random", "warning", ("dropout",),
         "Two runs on the same images differ, first at dropout: results will not repeat"),
        (Branches, "control_flow", "warning", ("relu",),
         "Control flow depends on values: on other images the network leaves its way at relu, and a look will stop "
         "there"),
        (Refuses, "control_flow", "warning", (),
         "On other images the network raises ValueError: too bright"),
        (OfItsBatch, "batch_statistics", "warning", ("norm",),
         "1 BatchNorm without running statistics: what an image gives depends on the others of its batch, at norm"),
        (Heads, "never_called", "note", ("aux",),
         "1 module is never called when the network predicts (1 Linear; 15 parameters): aux; heads of training, or "
         "branches that lead nowhere"),
    ],
)  # fmt: skip
def test_what_is_planted_is_found(build, name: str, level: str, places: tuple[str, ...], sentence: str) -> None:
    remark = remarks(build)[name]
    assert (remark.sentence, remark.level, remark.places) == (sentence, level, places)


def test_a_skip_that_takes_the_tensor_behind_the_activation_is_no_news() -> None:
    assert remarks(InPlace)["read_before_activation"].level == "fine"


def test_what_is_part_of_a_closed_block_is_not_taken_for_idle() -> None:
    assert remarks(Attends)["never_called"].sentence == "Every module is called"


def test_a_network_that_calls_something_else_every_time_has_no_countable_rectifiers() -> None:
    odd = itertools.cycle((True, False))  # outside of the network, which is put back after every run

    class Restless(Toy):
        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.head((F.relu(x) if next(odd) else x.sin()).mean((2, 3)))

    found = remarks(Restless)
    assert found["rectifiers"].sentence == "Rectifiers cannot be counted: every run calls something else"
    assert found["random"].sentence == "Two runs on the same images differ, first at relu: results will not repeat"


def test_a_network_without_layers_is_warned_of() -> None:
    (first, *_) = remark_anatomy(opened(nn.Sequential(nn.Flatten())))
    assert (first.level, first.sentence) == ("warning", "1 site, 0 layers, 0 units")


def test_random_state_and_mode_are_as_before() -> None:
    module = seeded(Random).train()
    before = torch.get_rng_state()
    remark_anatomy(opened(module))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(part.training for part in module.modules())
