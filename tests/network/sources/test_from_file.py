"""A network that a Python file of the user's builds."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import microtome as mt
from microtome.errors import BadModel, UnknownName

NET = """
from torch import nn

SIZE = (12, 10)
MEAN, STD = (0.1, 0.2, 0.3), [1, 2, 3]
CLASS_NAMES = ["cat", "dog"]


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def fails():
    raise ValueError("no luck")


def text():
    return "a network"
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "net.py"


def test_a_factory_gives_the_network_and_its_file_what_it_expects(net: Path) -> None:
    model = mt.open_model(f"file:{net}:Net")
    assert (model.name, model.source, model.weights) == ("Net", f"file:{net}:Net", "random weights (seed 0)")
    assert model.preprocessing.shape == (3, 12, 10)
    assert (model.preprocessing.mean, model.preprocessing.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert model.preprocessing_from == "SIZE, MEAN, STD of net.py"
    assert model.class_names == ("cat", "dog")
    assert not model.module.training
    assert model.sites["0"].shape == (4, 10, 8)


def test_a_file_that_says_nothing_has_a_modules_defaults(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\nbuild = lambda: nn.Conv2d(1, 2, 3)\n")
    model = mt.open_model(f"file:{tmp_path / 'net.py'}:build")
    assert (model.preprocessing.shape, model.preprocessing.mean) == ((1, 224, 224), (0.0,))
    assert (model.preprocessing_from, model.class_names) == ("defaults (net.py says nothing)", ())


def test_random_weights_are_the_same_every_time_and_leave_the_random_state_alone(net: Path) -> None:
    before = torch.get_rng_state()
    assert mt.open_model(f"file:{net}:Net").fingerprint == mt.open_model(f"file:{net}:Net").fingerprint
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_loaded_into_it(net: Path) -> None:
    state = {key: tensor + 1 for key, tensor in mt.open_model(f"file:{net}:Net").module.state_dict().items()}
    save_file(state, net.parent / "a@b.safetensors")
    model = mt.open_model(f"file:{net}:Net@{net.parent / 'a@b.safetensors'}")
    assert model.weights == "a@b.safetensors"
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.module.state_dict().items())


def test_a_path_may_hold_every_sign_of_an_address(tmp_path: Path) -> None:
    folder = tmp_path / "me@work" / "a.py:b"
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(NET)
    assert mt.open_model(f"file:{folder / 'net.py'}:Net").name == "Net"


def test_the_files_beside_it_can_be_imported_and_the_search_path_is_as_before(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "microtome_test_neighbour.py").write_text("from torch import nn\nlayer = nn.Linear(2, 3)\n")
    (tmp_path / "net.py").write_text(
        "def build():\n    from microtome_test_neighbour import layer\n    return layer\n"
    )  # fmt: skip
    before = list(sys.path)
    assert mt.open_model(f"file:{tmp_path / 'net.py'}:build").parameters == 9
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "microtome_test_neighbour")


@pytest.mark.parametrize(
    ("factory", "given", "allowed", "next_step"),
    [
        ("fails", "fails() in net.py raised ValueError: no luck", "A factory is called without arguments",
         "Call it in Python to see the error in place"),
        ("text", "text() in net.py gave something of type str", "A factory gives a torch.nn.Module",
         "Return the network itself"),
    ],
)  # fmt: skip
def test_a_factory_that_gives_no_network_is_refused(net: Path, factory, given, allowed, next_step) -> None:
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"file:{net}:{factory}")
    assert (caught.value.given, caught.value.allowed, caught.value.next_step) == (given, allowed, next_step)


def test_a_factory_that_is_not_there_is_answered_with_those_there_are(net: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        mt.open_model(f"file:{net}:fail")
    assert caught.value.given == "In net.py the factory 'fail' does not exist"
    assert caught.value.allowed == "There are: Net, fails, text"
    assert caught.value.next_step.startswith("Did you mean 'fails'? A factory is a function of the file")


@pytest.mark.parametrize("source", ["file:net.py", "file:net:build", "file:net.py:", "file:.py:build", "file:"])
def test_an_address_without_file_or_factory_is_refused(source) -> None:
    with pytest.raises(BadModel) as caught:
        mt.open_model(source)
    assert caught.value.given == f"{source!r} names no Python file with a factory"
    assert caught.value.allowed == "A network of a file is file:PATH.py:FACTORY"
    assert caught.value.next_step == "Write file:PATH.py:FACTORY or file:PATH.py:FACTORY@WEIGHTS"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.py"
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"file:{path}:build")
    assert caught.value.given == f"There is no file {str(path)!r}"
    assert caught.value.allowed == "A network of a file is file:PATH.py:FACTORY"
    assert caught.value.next_step == "Check the path"


def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    before = list(sys.path)
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"file:{tmp_path / 'broken.py'}:build")
    assert caught.value.given == "broken.py cannot be imported (ZeroDivisionError: division by zero)"
    assert caught.value.allowed == "A network of a file is file:PATH.py:FACTORY"
    assert caught.value.next_step == "Run it with Python to see the error in place"
    assert list(sys.path) == before
    assert "microtome_file_broken" not in sys.modules


SIZES = ("A size is one side in pixels, or rows and columns", "Write for instance 224 or (224, 224)")
NUMBERS = (
    "Mean and std are one number a channel of images in 0..1, and no std is 0 or less",
    "Write for instance (0.5, 0.5, 0.5)",
)
NAMES = ("Class names are texts, in the order of outputs", 'Write for instance ("cat", "dog")')


@pytest.mark.parametrize(
    ("line", "given", "rest"),
    [
        ("SIZE = 'big'", "net.py holds the size 'big'", SIZES),
        ("SIZE = (3, 12, 12)", "net.py holds the size (3, 12, 12)", SIZES),
        ("SIZE = 0", "net.py holds the size 0", SIZES),
        ("MEAN = 0.5", "net.py holds the mean 0.5", NUMBERS),
        ("STD = (1, 0, 1)", "net.py holds the std (1, 0, 1)", NUMBERS),
        ("STD = ('a', 'b', 'c')", "net.py holds the std ('a', 'b', 'c')", NUMBERS),
        ("MEAN = (0.5,)", "net.py holds 1 means and 3 standard deviations",
         ("Both are one number a channel", "Give both with one number a channel")),
        ("CLASS_NAMES = 'cat'", "net.py holds the class names 'cat'", NAMES),
        ("CLASS_NAMES = [1, 2]", "net.py holds the class names [1, 2]", NAMES),
    ],
)  # fmt: skip
def test_what_makes_no_sense_in_the_file_is_refused(net: Path, line, given, rest) -> None:
    net.write_text(f"{NET}\n{line}\n")
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"file:{net}:Net")
    assert (caught.value.given, (caught.value.allowed, caught.value.next_step)) == (given, rest)


def test_what_makes_no_sense_in_a_call_is_refused_with_the_same_words() -> None:
    with pytest.raises(BadModel, match=r"open_model was given the size \(3,\)\. A size is one side"):
        mt.open_model(torch.nn.Conv2d(3, 4, 3), size=(3,))
