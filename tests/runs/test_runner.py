"""One look: shared passes, the answers of analyses of every kind, and what is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import microtome as mt
from journeys import Energy
from microtome.analysis import Jobs, Pass, Steps, at
from microtome.images.sources import open_images
from microtome.network.open import Model
from microtome.runs.runner import Look
from sketches import Sketch, SketchResult, found_by
from toys import Everything


def negative_log(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.nll_loss(outputs, labels, reduction="none")


@dataclass(frozen=True, kw_only=True)
class Silenced(Sketch):
    """What the network answers without channel 3 of its first layer."""

    name = "silenced"

    def steps(self, specimen: mt.Specimen) -> Steps:
        answers = yield Pass(output=at("log_softmax", Everything()), under=[mt.Edit.silence("conv1", 3)])
        return SketchResult(found={"output": answers["output"][0]})


@dataclass(frozen=True, kw_only=True)
class PrincipalAxes(Sketch):
    """The energy of conv2's inputs along their principal axes: a second pass in a basis from the first."""

    name = "principal_axes"

    def steps(self, specimen: mt.Specimen) -> Steps:
        answers = yield Pass(inputs=at("conv2:in", Everything()))
        vectors = answers["inputs"][0].astype(np.float64).transpose(0, 2, 3, 1).reshape(-1, 32)
        axes = np.linalg.eigh(vectors.T @ vectors)[1]
        answers = yield Pass(energy=at("conv2:in", Energy(axes=axes)))
        return SketchResult(found={"energy": answers["energy"]})


@dataclass(frozen=True, kw_only=True)
class Norms(Sketch):
    """The norm of every kernel, as independent jobs."""

    name = "norms"

    def steps(self, specimen: mt.Specimen) -> Steps:
        kernels = specimen.model.weight("conv1").numpy()

        def norms(items: Sequence[int]) -> list[float]:
            return [float(np.sqrt((kernels[unit].astype(np.float64) ** 2).sum())) for unit in items]

        answers = yield Jobs(key="norms", function=norms, items=tuple(range(len(kernels))), batch=5)
        return SketchResult(found={"norms": np.array(answers)})


@dataclass(frozen=True, kw_only=True)
class Saliency(Sketch):
    """The gradient of the loss at the third layer."""

    name = "saliency"

    def steps(self, specimen: mt.Specimen) -> Steps:
        answers = yield Pass(third=at("conv3", Everything()), loss=negative_log)
        return SketchResult(found={"gradient": answers["third"][1]})


@pytest.fixture(scope="module")
def digits() -> mt.Specimen:
    model = mt.open_model("zoo:simpleconvnet")
    images = open_images("digits", model.preprocessing).limit(20)
    return mt.Specimen(model=model, images=images)


def pixels_of(specimen: mt.Specimen) -> Tensor:
    images = specimen.images
    stacked = torch.from_numpy(np.stack([images[place] for place in range(len(images))])).float()
    return (stacked / 255 - 0.1307) / 0.3081


def digit_network(model: Model, x: Tensor, silenced: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """SimpleConvNet written out."""
    module = model.module
    z1 = module.conv1(x)
    z1 = torch.stack([z1[:, c] * (c not in silenced) for c in range(z1.shape[1])], 1)
    inputs = F.max_pool2d(z1.relu(), 2)
    z3 = module.conv3(F.max_pool2d(module.conv2(inputs).relu(), 2))
    hidden = module.fc4(F.max_pool2d(z3.relu(), 3).flatten(1)).relu()
    return {"conv2:in": inputs, "conv3": z3, "output": module.fc5(hidden).log_softmax(1)}


@pytest.fixture(scope="module")
def found(digits) -> dict[str, dict[str, Any]]:
    return found_by(Look(digits, batch_size=6).run([Silenced(), PrincipalAxes(), Norms(), Saliency()]))


def test_an_analysis_under_an_edit_finds_what_the_changed_network_answers(digits, found) -> None:
    with torch.no_grad():
        expected = digit_network(digits.model, pixels_of(digits), silenced=(3,))["output"]
    np.testing.assert_allclose(found["silenced"]["output"], expected.numpy(), atol=1e-5)


def test_an_analysis_of_two_passes_finds_the_eigenvalues_of_what_it_saw(digits, found) -> None:
    with torch.no_grad():
        inputs = digit_network(digits.model, pixels_of(digits))["conv2:in"].double()
    vectors = inputs.permute(1, 0, 2, 3).flatten(1).numpy()
    expected = np.linalg.svd(vectors, compute_uv=False)[::-1] ** 2
    np.testing.assert_allclose(found["principal_axes"]["energy"], expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_an_analysis_of_jobs_finds_one_answer_an_item_in_their_order(digits, found) -> None:
    expected = digits.model.module.conv1.weight.detach().flatten(1).norm(dim=1)
    np.testing.assert_allclose(found["norms"]["norms"], expected.numpy(), rtol=1e-6)


def test_an_analysis_with_a_loss_finds_autograds_gradient(digits, found) -> None:
    tensors = digit_network(digits.model, pixels_of(digits).requires_grad_())
    losses = negative_log(tensors["output"], torch.from_numpy(digits.images.labels))
    (expected,) = torch.autograd.grad(losses.sum(), tensors["conv3"])
    assert expected.abs().max() > 0
    np.testing.assert_allclose(found["saliency"]["gradient"], expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("alone", [Silenced, PrincipalAxes, Norms, Saliency])
def test_an_analysis_finds_the_same_alone_as_together_with_others(digits, found, alone) -> None:
    for name, values in found_by(Look(digits, batch_size=6).run([alone()]))[alone.name].items():
        np.testing.assert_array_equal(values, found[alone.name][name])
