"""Weights from a file: what fits is loaded, what does not is refused with the keys."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

import microtome as mt
from microtome.errors import BadModel
from microtome.network.sources.weights import load_weights

State = dict[str, Tensor]


def states() -> State:
    """Weights of the zoo's small digit network that no seed gives."""
    module = mt.open_model("zoo:simpleconvnet_pruned").module
    return {key: tensor + 0.25 for key, tensor in module.state_dict().items()}


def assert_loaded(source: str, state: State) -> None:
    loaded = mt.open_model(source).module.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.items())


PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_weights_of_a_file_are_loaded_with_or_without_the_wrappers_prefixes(tmp_path: Path, prefix) -> None:
    state = states()
    save_file({prefix + key: tensor for key, tensor in state.items()}, tmp_path / "digits.safetensors")
    source = f"zoo:simpleconvnet_pruned@{tmp_path / 'digits.safetensors'}"
    assert_loaded(source, state)
    assert (mt.open_model(source).weights, mt.open_model(source).source) == ("digits.safetensors", source)


def test_a_prefix_that_only_some_keys_have_stays(tmp_path: Path) -> None:
    state = {("module." if "conv" in key else "") + key: tensor for key, tensor in states().items()}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(BadModel, match=r"unexpected: 6 \(module\.conv1\.bias, "):
        mt.open_model(f"zoo:simpleconvnet_pruned@{tmp_path / 'w.safetensors'}")


def test_a_prefix_that_the_network_has_itself_stays(tmp_path: Path) -> None:
    module = nn.Sequential(OrderedDict(module=nn.Linear(2, 3)))
    save_file({key: tensor + 1 for key, tensor in module.state_dict().items()}, tmp_path / "w.safetensors")
    expected = {key: tensor + 1 for key, tensor in module.state_dict().items()}
    load_weights(module, tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, expected[key]) for key, tensor in module.state_dict().items())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".PT"])
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_torch_has_saved_are_loaded(tmp_path: Path, suffix, zipped) -> None:
    state = states()
    torch.save(state, tmp_path / f"w{suffix}", _use_new_zipfile_serialization=zipped)
    assert_loaded(f"zoo:simpleconvnet_pruned@{tmp_path / f'w{suffix}'}", state)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_what_training_scripts_keep_beside_the_weights_is_passed_over(tmp_path: Path, wrapper) -> None:
    state = states()
    wrapped = {f"module.{key}": tensor for key, tensor in state.items()}
    torch.save({"epoch": 3, wrapper: wrapped, "optimizer": {"lr": 0.1}, "best": [1.0]}, tmp_path / "w.pth")
    assert_loaded(f"zoo:simpleconvnet_pruned@{tmp_path / 'w.pth'}", state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_precision_are_cast_to_the_networks(tmp_path: Path, dtype) -> None:
    state = {key: tensor.to(dtype) for key, tensor in states().items()}
    torch.save(state, tmp_path / "w.pt")
    assert_loaded(f"zoo:simpleconvnet_pruned@{tmp_path / 'w.pt'}", {k: v.float() for k, v in state.items()})


def test_a_path_may_hold_the_sign_that_parts_it_from_the_name(tmp_path: Path) -> None:
    (tmp_path / "me@work").mkdir()
    save_file(states(), tmp_path / "me@work" / "w.safetensors")
    assert_loaded(f"zoo:simpleconvnet_pruned@{tmp_path / 'me@work' / 'w.safetensors'}", states())


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
    (lambda state: state | {"fc5.bias": torch.zeros(10, dtype=torch.int64)}, "of another kind: 1 (fc5.bias: int64)"),
    (lambda state: state | {"fc5.bias": torch.zeros(10, dtype=torch.bool)}, "of another kind: 1 (fc5.bias: bool)"),
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
    assert caught.value.allowed == "Every parameter and buffer must be there, in its shape and kind of number"
    assert caught.value.next_step == "Check that the architecture and the file belong together"
