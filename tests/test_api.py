"""What a notebook calls, with images of its own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

import microtome as mt
from toys import Plain, noise, opened, seeded, seen


@pytest.fixture(scope="module")
def model() -> mt.Model:
    return opened(seeded(Plain))


@pytest.fixture(scope="module")
def prepared() -> Tensor:
    return torch.randn(10, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_prepared_tensors_reach_the_network_as_they_are(model: mt.Model, prepared: Tensor) -> None:
    images = mt.open_images(TensorDataset(prepared, torch.arange(10) % 3), like=model)
    ((output,),) = seen(model, images, "fc")
    with torch.no_grad():
        assert np.allclose(output, model.module(prepared).numpy(), atol=1e-6)


def test_a_tensor_may_be_looked_at_at_once(model: mt.Model, prepared: Tensor, tmp_path: Path) -> None:
    run = mt.look(model, prepared, out=tmp_path / "run", analyses=["activity"])
    assert run["activity"].images == 10 and run.info["images"]["broken"] == {}
    assert run.info["images"]["labelling"] == "no labels: an array of images alone"


def test_other_numbers_in_a_tensor_do_not_go_into_the_same_run(
    model: mt.Model, prepared: Tensor, tmp_path: Path
) -> None:
    mt.look(model, prepared, out=tmp_path / "run", analyses=["activity"])
    with pytest.raises(mt.MicrotomeError, match="holds a run of other images"):
        mt.look(model, prepared + 1, out=tmp_path / "run", analyses=["activity"])


def test_options_of_opening_reach_the_images(model: mt.Model) -> None:
    images = mt.open_images(np.zeros((2, 3, 12, 12), np.uint8), model, labels=[0, 2], strict=True, decoders=5)
    assert (images.strict, images.decoders, images.labels.tolist()) == (True, 5, [0, 2])


def test_a_look_whose_first_images_are_broken_sees_the_others(model: mt.Model, tmp_path: Path) -> None:
    whole = noise(model, 40)

    def read(place: int) -> np.ndarray:
        if place < 36:
            raise OSError("broken")
        return whole.read(place)

    images = dataclasses.replace(whole, read=read)
    run = mt.look(model, images, out=tmp_path / "run", analyses=["activity"], batch_size=4)
    assert run["activity"].images == 4 and len(run.info["images"]["broken"]) == 36
    assert set(run["activity"].top_index["conv1"].ravel()) <= {-1, 36, 37, 38, 39}
