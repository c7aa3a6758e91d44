"""Depth of the data inside the cones of filters: by hand, planted, and on a pretrained network."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

import microtome as mt
from microtome.analyses.cone_depth import ConeDepth, ConeDepthResult
from microtome.errors import NotApplicable
from microtome.runs.runner import Look
from toys import noise, opened, prepared, seeded

DATA = Path(os.environ.get("MICROTOME_DATA", "missing"))
shared = pytest.mark.skipif(not (DATA / "cifar10").is_dir(), reason="needs CIFAR-10 in $MICROTOME_DATA")


class Normed(nn.Module):
    """A convolution in two groups behind which a batch norm and a rectifier stand, and a row of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.conv, self.norm, self.fc = nn.Conv2d(4, 10, 3, groups=2), nn.BatchNorm2d(10), nn.Linear(10, 3)
        nn.init.uniform_(self.norm.weight, -1, 2)
        nn.init.normal_(self.norm.bias)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.norm(self.conv(torch.relu(self.first(x))))).mean((2, 3)))


def look(model: mt.Model, images: mt.Images, **settings: int) -> ConeDepthResult:
    outcome = Look(mt.Specimen(model=model, images=images)).run([ConeDepth(**settings)])
    assert not outcome.skipped, outcome.skipped
    return outcome.results["cone_depth"]


@pytest.fixture(scope="module")
def found() -> tuple[nn.Module, torch.Tensor, ConeDepthResult]:
    model = opened(seeded(Normed))
    images = noise(model, 30)
    return model.module, prepared(model, images), look(model, images)


def test_depth_is_what_the_layer_answers_to_the_mean_image_beside_its_norm(found) -> None:
    """The network's own convolution and batch norm, on an image of the means: no padding, so all places are alike."""
    module, seen, result = found
    with torch.no_grad():
        maps = torch.relu(module.first(seen))
        mean = maps.mean((0, 2, 3))[None, :, None, None].expand(1, -1, 3, 3)
        answer = module.norm(module.conv(mean)).flatten()
        scale = module.norm.weight / torch.sqrt(module.norm.running_var + module.norm.eps)
        norms = (module.conv.weight * scale[:, None, None, None]).flatten(1).norm(dim=1)
        gates = (module.norm(module.conv(maps)) > 0).float().mean((0, 2, 3))
    assert np.allclose(result.depth["conv"], (answer / norms).numpy(), atol=1e-4)
    assert np.allclose(result.gates["conv"], gates.numpy(), atol=1e-6)
    kappa = (module.conv.weight * scale[:, None, None, None]).flatten(1).sum(1) / norms / np.sqrt(18)
    assert np.allclose(result.kappa["conv"], kappa.detach().numpy(), atol=1e-5)


def test_agreement_is_spearmans(found) -> None:
    result = found[2]
    wanted = spearmanr(result.depth["conv"], result.gates["conv"])[0]
    assert result.agreement("conv") == pytest.approx(wanted) and list(result.agreements) == ["conv"]
    assert len(result.shuffled["conv"]) == 200 and abs(np.median(result.shuffled["conv"])) < 0.15


def test_filters_that_are_pushed_into_the_data_go_on_everywhere() -> None:
    module = seeded(Normed)
    with torch.no_grad():
        module.norm.bias[:5] = 50.0
        module.norm.bias[5:] = -50.0
    model = opened(module)
    result = look(model, noise(model, 20))
    assert (result.depth["conv"][:5] > 0).all() and (result.depth["conv"][5:] < 0).all()
    assert result.gates["conv"].tolist() == [1.0] * 5 + [0.0] * 5


def test_networks_without_convolutions_are_refused() -> None:
    model = opened(nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 2)).eval())
    with pytest.raises(NotApplicable, match="has no convolution that is read image by image"):
        ConeDepth().check(mt.Specimen(model=model, images=noise(model, 4)))


@shared
def test_depth_ranks_filters_of_a_trained_network_as_their_gates_do() -> None:
    model = mt.open_model(f"zoo:resnet20@{DATA / 'resnet20_cifar10.safetensors'}")
    images = mt.open_images(DATA / "cifar10" / "test", model).limit(300)
    result = look(model, images)
    assert np.median(list(result.agreements.values())) >= 0.85
    assert (result.kappa["layer3.2.conv1"] < 0).mean() == pytest.approx(0.92, abs=0.02)
    sentence = result.findings()[0]
    assert "median rank correlation of 19 layers" in sentence.sentence and "the bias alone gives" in sentence.control
