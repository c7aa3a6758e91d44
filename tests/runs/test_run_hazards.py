"""What could quietly go wrong with what is kept: names that meet, growth that is broken off, shares that fail."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import microtome as mt
from journeys import Killed, assert_same, digits, killing
from microtome.analysis import Pass, Steps, at
from microtome.errors import BadImages, BadRun, UsageError
from microtome.runs.answers import Answers
from microtome.runs.runner import Look
from microtome.statistics import Batch, Moments
from microtome.statistics.statistic import Accumulator, Arrays, Statistic, added
from microtome.store import write_tree
from sketches import Sketch, SketchResult
from toys import Plain, noise, opened, seeded


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    return digits()


@pytest.mark.parametrize("name", ["results", "images", "answers"])
def test_a_look_writes_and_removes_nothing_behind_a_link(name, specimen, tmp_path) -> None:
    mt.look(specimen.model, specimen.images, out=tmp_path / "run", analyses=["filters"])
    victim = tmp_path / "thesis"
    victim.mkdir()
    (victim / "thesis.tex").write_text("years of work")
    (tmp_path / "run" / name).rename(tmp_path / "moved")
    (tmp_path / "run" / name).symlink_to(victim)
    with pytest.raises(BadRun, match=f"Run run holds a link, {name}"):
        mt.look(specimen.model, specimen.images, out=tmp_path / "run", analyses=["activity"])
    assert [path.name for path in victim.iterdir()] == ["thesis.tex"]


class Bent(Plain):
    """The same weights, another function."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.conv2(torch.tanh(self.conv1(x)))).mean((2, 3)))


@pytest.mark.parametrize("change", ["mean", "size", "layers", "a buffer of no state"])
def test_the_same_weights_with_something_else_are_another_model(change) -> None:
    model = opened(seeded(Plain))
    other = opened(seeded(Bent) if change == "layers" else seeded(Plain))
    if change == "mean":
        other = dataclasses.replace(model, preprocessing=dataclasses.replace(model.preprocessing, mean=(0.1, 0.5, 0.5)))
    if change == "size":
        other = opened(seeded(Plain), 16)
    if change == "a buffer of no state":
        other.module.register_buffer("scale", torch.ones(1), persistent=False)
    assert model.fingerprint == opened(seeded(Plain)).fingerprint != other.fingerprint


def test_a_network_with_no_parameters_has_a_fingerprint() -> None:
    assert opened(nn.Sequential(nn.Flatten(), nn.Identity())).fingerprint


def test_growth_that_was_broken_off_finds_everything_again(specimen, tmp_path, monkeypatch) -> None:
    some = specimen.images.take(range(1, 97, 2))
    mt.look(specimen.model, some, out=tmp_path / "run", analyses=["activity"])
    with pytest.raises(Killed), killing(monkeypatch, Batch, "__init__", 2, False):
        mt.look(specimen.model, specimen.images, out=tmp_path / "run", analyses=["twins"], batch_size=8)
    grown = mt.look(specimen.model, specimen.images, out=tmp_path / "run", analyses=["twins"])
    whole = mt.look(specimen.model, specimen.images, out=tmp_path / "whole", analyses=["activity"])
    assert_same(grown["activity"].to_state(), whole["activity"].to_state())


def test_a_result_of_fewer_images_that_does_not_apply_any_more_is_gone(specimen, tmp_path) -> None:
    labels = specimen.images.labels.copy()
    labels[90:] = 70
    images = dataclasses.replace(specimen.images, labels=labels)
    mt.look(specimen.model, images.take(range(80)), out=tmp_path, analyses=["decisions", "filters"])
    grown = mt.look(specimen.model, images, out=tmp_path, analyses=["filters"])
    assert grown.names == ["filters"]
    assert set(grown.info["skipped"]) == {"decisions"}
    assert not list((tmp_path / "results").glob("decisions*"))


def test_a_share_that_fails_leaves_the_others_alone(specimen, tmp_path, monkeypatch) -> None:
    share = {"out": tmp_path, "analyses": ["activity"], "batch_size": 16}
    with pytest.raises(Killed), killing(monkeypatch, Batch, "__init__", 1, False):
        mt.look_share(specimen.model, specimen.images, share=(0, 2), **share)
    assert (tmp_path / "plan.json").exists()
    for index in (1, 0):
        mt.look_share(specimen.model, specimen.images, share=(index, 2), **share)
    found = mt.merge(specimen.model, specimen.images, out=tmp_path, analyses=["activity"])
    assert found["activity"].images == 97


def test_a_whole_look_says_that_a_share_is_at_work(specimen, tmp_path) -> None:
    from filelock import FileLock

    mt.look_share(specimen.model, specimen.images, share=(0, 2), out=tmp_path, analyses=["activity"])
    with FileLock(tmp_path / ".lock.1-of-2"), pytest.raises(BadRun, match="Share 1-of-2 .* by another process"):
        mt.look(specimen.model, specimen.images, out=tmp_path, analyses=["activity"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Last(Statistic):
    """The mean of the last tensor that is given: of a gradient."""

    def start(self) -> "LastAccumulator":
        return LastAccumulator()


class LastAccumulator(Accumulator):
    def reduce(self, batch: Batch, *tensors: Tensor) -> Arrays:
        gradient = tensors[-1].double()
        return {"sum": gradient.sum().numpy(), "numbers": np.asarray(gradient.numel())}

    def join(self, parts: list[Arrays]) -> Arrays:
        return added(parts)

    def compute(self) -> float:
        return float(self.seen["sum"] / self.seen["numbers"])


def test_losses_without_a_name_are_told_apart() -> None:
    model = opened(seeded(Plain))

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Factors(Sketch):
        name = "factors"

        def steps(self, specimen: mt.Specimen) -> Steps:
            found = []
            for factor in range(1, 9):
                loss = lambda outputs, labels, factor=factor: factor * outputs.sum(1)  # noqa: E731
                answers = yield Pass(gradient=at("fc", Last()), loss=loss)
                del loss
                found.append(answers["gradient"])
            return SketchResult(found={"factors": found})

    outcome = Look(mt.Specimen(model=model, images=noise(model))).run([Factors()])
    assert outcome.results["factors"].found["factors"] == list(range(1, 9))


def test_a_statistic_of_ones_own_may_be_called_like_one_of_ours(specimen) -> None:
    mine = dataclasses.make_dataclass("Moments", [], bases=(Last,), frozen=True, kw_only=True)
    mine.__module__ = __name__

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Both(Sketch):
        name = "both"

        def steps(self, specimen: mt.Specimen) -> Steps:
            answers = yield Pass(ours=at("conv1", Moments()), mine=at("conv1", mine()))
            return SketchResult(found={"ours": answers["ours"].mean.mean(), "mine": answers["mine"]})

    found = Look(specimen).run([Both()]).results["both"].found
    assert found["mine"] == pytest.approx(found["ours"], rel=1e-5)


def pictures(folder: Path, invert: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for place in range(6):
        pixels = np.random.default_rng(place).integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(255 - pixels if invert else pixels).save(folder / f"{place}.pgm")
    return folder


def test_pictures_replaced_by_others_of_the_same_size_are_other_images(specimen, tmp_path) -> None:
    first, second = (
        mt.open_images(pictures(tmp_path / "photos", invert), specimen.model).fingerprint for invert in (False, True)
    )
    assert first != second


def test_a_strict_look_refuses_what_an_earlier_one_skipped(specimen, tmp_path) -> None:
    folder = pictures(tmp_path / "photos")
    (folder / "3.pgm").write_bytes(b"P5 no image")
    words = {"out": tmp_path / "run", "analyses": ["activity"]}
    mt.look(specimen.model, mt.open_images(folder, specimen.model), **words)
    with pytest.raises(BadImages, match="Image '3.pgm' of photos cannot be read"):
        mt.look(specimen.model, mt.open_images(folder, specimen.model, strict=True), **words)


PLANS = [{"fingerprints": {}}, {"fingerprints": []}, {"settings": [1]}, {"settings": {"a": 1}}, {"units": [1]},
         {"call": 3}]  # fmt: skip


@pytest.mark.parametrize("change", PLANS, ids=str)
def test_a_plan_that_says_something_else_is_refused(change, specimen, tmp_path) -> None:
    mt.look(specimen.model, specimen.images, out=tmp_path, analyses=["filters"])
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadRun, match="The plan of run .* cannot be read"):
        mt.look(specimen.model, specimen.images, out=tmp_path, analyses=["filters"])


@pytest.mark.parametrize("change", [{"probes": 5}, {"broken": [1]}, {"probes": ("a", "b")}, {"states": (1,)}], ids=str)
def test_a_part_that_holds_something_else_is_refused(change, tmp_path) -> None:
    whole = {"probes": ("a",), "states": ({},), "done": 1, "total": 1, "broken": {}}
    write_tree(tmp_path / "passes" / "g-p", whole | change)
    with pytest.raises(BadRun, match="g-p.safetensors holds .* It must hold probes, states"):
        Answers(tmp_path).known("g")


def test_mixed_precision_is_refused_where_something_would_be_measured_without_a_gpu(specimen) -> None:
    with pytest.raises(UsageError, match="Mixed precision was asked for on a CPU"):
        Look(specimen, device="cpu", amp=True).run([])
    assert Look(specimen, device="cpu", amp=True).run([], None).missing == ()
