"""Networks from scratch, opened as their like in PyTorch."""

from pathlib import Path

import numpy as np
import pytest
import torch

import microtome as mt
import microtome.scratch as mts
from microtome.errors import BadModel, UnknownName


def written(folder: Path, about: dict[str, object] | None = None) -> tuple[mts.Net, Path]:
    net = mts.cats_net(16, (2, 3, 4, 5), (6, 4), classes=3, random=1).eval()
    net.about = about or {}
    return net, net.export(folder / "small.tnn")


def test_a_file_is_opened_with_what_it_says_about_itself(tmp_path: Path) -> None:
    about = {"name": "my net", "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "class_names": ["a", "b", "c"]}
    net, path = written(tmp_path, about)
    model = mt.open_model(str(path))
    assert (model.name, model.weights, model.class_names) == ("my net", "small.tnn", ("a", "b", "c"))
    assert model.preprocessing.mean == (0.1, 0.2, 0.3) and model.preprocessing.size == (16, 16)
    assert [site for site in model.sites if site.startswith("conv")] == [
        layer.name for layer in net if isinstance(layer, mts.Conv2D)
    ]
    x = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    np.testing.assert_allclose(model.module(torch.from_numpy(x)).detach().numpy(), net(x), rtol=1e-4, atol=1e-6)
    assert mt.open_model(f"scratch:{path}").fingerprint == model.fingerprint


def test_a_file_that_says_nothing_takes_pixels_from_0_to_1(tmp_path: Path) -> None:
    model = mt.open_model(str(written(tmp_path)[1]))
    assert (model.name, model.preprocessing.mean, model.preprocessing.std) == ("small", (0, 0, 0), (1, 1, 1))
    assert model.preprocessing_from == "default (pixels / 255)"


def test_a_recipe_by_name_is_untrained_and_the_same_for_everybody() -> None:
    model = mt.open_model("scratch:mnist-net")
    assert model.fingerprint == mt.open_model("scratch:mnist-net").fingerprint
    assert model.weights == "random" or "random" in model.weights
    assert model.class_names == tuple("0123456789")
    with pytest.raises(UnknownName, match="Network from scratch 'mnistnet' does not exist.*Did you mean 'mnist-net'"):
        mt.open_model("scratch:mnistnet")


def test_what_cannot_look_at_images_is_refused(tmp_path: Path) -> None:
    mts.Net([mts.Linear("fc", 3, 2)]).export(tmp_path / "flat.tnn")
    with pytest.raises(BadModel, match="begins with a convolution"):
        mt.open_model(str(tmp_path / "flat.tnn"))
    with pytest.raises(BadModel, match="Mean and std are one number a channel"):
        mt.open_model(str(written(tmp_path, {"mean": [0.5]})[1]))
    with pytest.raises(BadModel, match=r"There is no file 'none\.tnn'"):
        mt.open_model(str(tmp_path / "none.tnn"))
