"""The doctor as a whole: what it says in words and for machines, and on real weights."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

import microtome as mt
from microtome.analyses import general, registry
from microtome.workflows.doctor import Diagnosis
from toys import Plain, noise, opened, seeded

PLUGIN = '''
from dataclasses import dataclass
from sketches import Sketch

@dataclass(frozen=True, kw_only=True)
class Second(Sketch):
    """Needs what is refused."""

    name = "second"
    requires = ("first",)

    def steps(self, specimen):
        raise AssertionError

@dataclass(frozen=True, kw_only=True)
class First(Sketch):
    """Needs labels."""

    name = "first"
    requires = ("decisions",)

    def steps(self, specimen):
        raise AssertionError
'''


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    model = opened(seeded(Plain))
    return mt.doctor(model, noise(model, 40))


def test_it_says_for_every_analysis_how_far_it_fits(diagnosis) -> None:
    assert set(diagnosis.fits) == set(general(registry()))
    assert {fit.verdict for fit in diagnosis.fits.values()} == {"full"}


def test_its_lines_have_three_chapters_and_every_remark(diagnosis) -> None:
    lines = diagnosis.lines()
    assert [line for line in lines if line and not line.startswith((" ", "-", "!"))][2:] == [
        "Analyses", "Network", "Preprocessing",
    ]  # fmt: skip
    assert all(any(remark.sentence in line for line in lines) for remark in diagnosis.remarks)
    assert f"  {diagnosis.trials.sentence()}" in lines
    table = lines[-len(diagnosis.trials.trials) :]
    assert [line.strip().split("  ")[0] for line in table] == [trial.name for trial in diagnosis.trials.trials]


def test_a_warning_is_marked_and_what_is_approximate_says_what_to_do() -> None:
    module = seeded(Plain)
    module.conv2.weight.data.zero_()
    lines = mt.doctor(opened(module), noise(opened(module), 3)).lines()
    assert "! 1 layer has only zeros for weights: conv2" in lines
    place = next(i for i, line in enumerate(lines) if line.startswith("  twins"))
    assert lines[place].startswith("  twins         approximate: with 3 images, ")
    assert lines[place + 1] == "                for more: Give 30 images or more"


def test_for_machines_it_is_plain_json_without_nan(diagnosis) -> None:
    model = opened(nn.Sequential(nn.Conv2d(3, 3, 12), nn.Flatten()).eval())
    for found in (diagnosis, mt.doctor(model), mt.doctor(model, noise(model, 4))):
        again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert again == json.loads(json.dumps(found.to_dict()))
        assert set(again) == {"model", "weights", "preprocessing", "images", "analyses", "network", "trials"}
    assert mt.doctor(model).to_dict()["trials"] is None
    assert diagnosis.to_dict()["network"]["sites"]["number"] == 7
    assert diagnosis.to_dict()["trials"]["table"][0]["name"] == "the given preprocessing"


def test_a_remark_is_found_by_its_name(diagnosis) -> None:
    assert diagnosis.remark("rectifiers").number == 2
    with pytest.raises(KeyError):
        diagnosis.remark("horoscope")


@pytest.mark.peer
def test_it_says_that_googlenets_rectifiers_are_handled_and_that_two_other_libraries_see_none() -> None:
    for peer in ("captum", "pytorch_grad_cam"):
        pytest.importorskip(peer, reason=f"{peer} is not installed: needs the peers extra")
    lines = "\n".join(mt.doctor("torchvision:googlenet").lines())
    assert "57 of 57 rectifiers are handled by deconvnet and guided" in lines
    assert lines.count(" sees 0 of 57 rectifiers: ") == lines.count(" returns the plain gradient here ") == 2


def test_what_needs_a_refused_result_is_refused_too(tmp_path) -> None:
    (tmp_path / "needy.py").write_text(PLUGIN)
    model = opened(seeded(Plain))
    fits = mt.doctor(model, plugins=[tmp_path / "needy.py"]).fits
    assert fits["first"].reason == f"It needs the result of decisions, which was skipped: {fits['decisions'].reason}"
    assert fits["second"].reason == f"It needs the result of first, which was skipped: {fits['first'].reason}"
    full = mt.doctor(model, noise(model, 40), plugins=[tmp_path / "needy.py"]).fits
    assert (full["first"].verdict, full["second"].verdict) == ("full", "full")


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_model_comes_back_untouched(mode: str) -> None:
    module = getattr(seeded(Plain), mode)()
    module.act.eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    flags = [part.training for part in module.modules()]
    random, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with torch.enable_grad():
        mt.doctor(opened(module), noise(opened(module), 12))
        assert torch.is_grad_enabled()
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == flags
    assert torch.equal(torch.get_rng_state(), random)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())


def without_labels(images: mt.Images) -> mt.Images:
    return dataclasses.replace(images, labels=np.full(len(images), -1))


def with_numbers(model: mt.Model, mean: float, std: float) -> mt.Model:
    numbers = dataclasses.replace(model.preprocessing, mean=(mean,) * 3, std=(std,) * 3)
    return dataclasses.replace(model, preprocessing=numbers)


class BlueFirst(nn.Module):
    """A network as it would be if it had been trained on images with their channels the other way round."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.flip(1))


@pytest.fixture(scope="module")
def resnet20(data_folder) -> tuple[mt.Model, mt.Images]:
    model = mt.open_model(f"zoo:resnet20@{data_folder / 'resnet20_cifar10.safetensors'}")
    return model, mt.open_images(data_folder / "cifar10" / "test", model).limit(200)


@pytest.mark.data
def test_the_preprocessing_of_resnet20_looks_right_with_and_without_labels(resnet20) -> None:
    model, images = resnet20
    labelled, bare = mt.doctor(model, images).trials, mt.doctor(model, without_labels(images)).trials
    assert (labelled.by, labelled.verdict, labelled.best.name) == ("accuracy", "looks right", "the given preprocessing")
    assert (bare.by, bare.verdict, bare.best.name) == ("batch norm", "looks right", "the given preprocessing")
    assert "which is less" in bare.sentence()


@pytest.mark.data
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.5), (0.0, 1 / 255)])
def test_wrong_numbers_for_resnet20_are_found_out_with_and_without_labels(resnet20, mean, std) -> None:
    model, images = resnet20
    wrong = with_numbers(model, mean, std)
    for seen in (images, without_labels(images)):
        trials = mt.doctor(wrong, seen).trials
        assert (trials.verdict, trials.best.name) == ("looks wrong", "ImageNet's mean and std")


@pytest.mark.data
def test_a_resnet20_with_blue_first_is_found_out(resnet20) -> None:
    model, images = resnet20
    numbers = model.preprocessing
    turned = mt.open_model(BlueFirst(model.module), size=32, mean=numbers.mean, std=numbers.std)
    trials = mt.doctor(turned, images).trials
    assert (trials.verdict, trials.best.name) == ("looks wrong", "the given preprocessing, blue first")


@pytest.mark.data
def test_resnet20s_negative_scales_are_those_of_its_file(resnet20, data_folder) -> None:
    from safetensors.torch import load_file

    state = load_file(data_folder / "resnet20_cifar10.safetensors")
    scales = [state[key.replace("running_mean", "weight")] for key in state if key.endswith("running_mean")]
    remark = mt.doctor(resnet20[0]).remark("negative_scales")
    assert remark.number == sum(int((scale < 0).sum()) for scale in scales) > 0


@pytest.mark.data
def test_the_preprocessing_of_squeezenet_looks_right_and_wrong_numbers_do_not(data_folder) -> None:
    model = mt.open_model(f"torchvision:squeezenet1_0@{data_folder / 'squeezenet1_0_imagenet.safetensors'}")
    images = mt.open_images(data_folder / "imagenet500", model).limit(20)
    assert mt.doctor(model, images).trials.verdict == "looks right"
    wrong = mt.doctor(with_numbers(model, 0.0, 1.0), without_labels(images)).trials
    assert (wrong.verdict, wrong.best.name) == ("looks wrong", "ImageNet's mean and std")


def test_random_weights_say_nothing_about_preprocessing() -> None:
    diagnosis = mt.doctor("zoo:simpleconvnet_pruned", "digits")
    assert diagnosis.trials is None
    assert diagnosis.lines()[-1] == "  Random weights are used to no preprocessing: it is tried on a trained network"
    assert "Preprocessing" not in mt.doctor("zoo:simpleconvnet_pruned").lines()
