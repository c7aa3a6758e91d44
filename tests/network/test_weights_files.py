"""Weights from a file: what fits is loaded, what does not is refused with the keys."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

import microtome as mt
from microtome.errors import BadModel

State = dict[str, Tensor]


def states() -> State:
    """Weights of the zoo's small digit network that no seed gives."""
    module = mt.open_model("zoo:simpleconvnet_pruned").module
    return {key: tensor + 0.25 for key, tensor in module.state_dict().items()}


def assert_loaded(source: str, state: State) -> None:
    loaded = mt.open_model(source).module.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.items())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_a_file_are_loaded_with_or_without_the_wrappers_prefix(tmp_path: Path, prefix) -> None:
    state = states()
    save_file({prefix + key: tensor for key, tensor in state.items()}, tmp_path / "digits.safetensors")
    source = f"zoo:simpleconvnet_pruned@{tmp_path / 'digits.safetensors'}"
    assert_loaded(source, state)
    assert (mt.open_model(source).weights, mt.open_model(source).source) == ("digits.safetensors", source)


def test_weights_of_a_torchvision_network_are_loaded_with_its_preprocessing(tmp_path: Path) -> None:
    state = {key: tensor * 0.5 for key, tensor in models.squeezenet1_1().state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    assert_loaded(f"torchvision:squeezenet1_1@{tmp_path / 'w.safetensors'}", state)
    assert mt.open_model(f"torchvision:squeezenet1_1@{tmp_path / 'w.safetensors'}").preprocessing.size == (224, 224)


def test_counters_that_only_training_reads_may_be_missing(tmp_path: Path) -> None:
    state = mt.open_model("zoo:resnet20").module.state_dict()
    save_file({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path / "w.safetensors")
    assert_loaded(f"zoo:resnet20@{tmp_path / 'w.safetensors'}", state)


@pytest.mark.parametrize("auxiliary", [True, False])
def test_googlenet_from_a_file_transforms_its_input_as_torchvisions_does(tmp_path: Path, auxiliary) -> None:
    with torch.device("meta"):
        module = models.googlenet(aux_logits=auxiliary, init_weights=False)
    state = {key: torch.zeros_like(tensor, device="cpu") for key, tensor in module.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    opened = mt.open_model(f"torchvision:googlenet@{tmp_path / 'w.safetensors'}").module
    assert opened.transform_input
    assert not any(parameter.any() for parameter in opened.parameters())


def without_a_bias(state: State) -> State:
    del state["conv2.bias"]
    return state


FAULTS: list[tuple[Callable[[State], State], str]] = [
    (without_a_bias, "missing: 1 (conv2.bias)"),
    (lambda state: state | {"fc6.weight": torch.zeros(1)}, "unexpected: 1 (fc6.weight)"),
    (lambda state: state | {"fc5.weight": torch.zeros(9, 16)}, "of another shape: 1 (fc5.weight)"),
    (
        lambda state: {"x": torch.zeros(1)},
        "missing: 10 (conv1.bias, conv1.weight, conv2.bias, conv2.weight, conv3.bias, conv3.weight and 4 more); "
        "unexpected: 1 (x)",
    ),
]


@pytest.mark.parametrize(("change", "fault"), FAULTS)
def test_a_file_that_does_not_fit_is_refused_with_the_keys(tmp_path: Path, change, fault) -> None:
    save_file(change(states()), tmp_path / "w.safetensors")
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"zoo:simpleconvnet_pruned@{tmp_path / 'w.safetensors'}")
    assert caught.value.given == f"w.safetensors does not fit the network: {fault}"
    assert caught.value.allowed == "Every parameter and buffer must be there, in its shape"
    assert caught.value.next_step == "Check that the architecture and the file belong together"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "none.safetensors")
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"zoo:resnet20@{path}")
    assert caught.value.given == f"There is no file {path!r}"
    assert (caught.value.allowed, caught.value.next_step) == ("Weights are a .safetensors file", "Check the path")


def test_a_file_of_another_kind_is_refused_and_nothing_in_it_is_executed(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(BadModel) as caught:
        mt.open_model(f"zoo:resnet20@{tmp_path / 'w.pt'}")
    assert caught.value.given.startswith("w.pt is no .safetensors file (")
    assert (caught.value.allowed, caught.value.next_step) == ("Weights are a .safetensors file", "Convert it first")
