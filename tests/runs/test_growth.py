"""A run takes in more images: what can be added is added, the rest is measured again, and the answer is the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import microtome as mt
from bad_inputs import photos
from feeding import feed, hashes_of, parts
from journeys import assert_same, digits
from keyboard import typed
from microtome.errors import BadRun
from microtome.statistics import (
    ClassMeans,
    Confusion,
    Extremes,
    Firing,
    Histogram,
    Moments,
    Predictions,
    Quantiles,
    Rows,
    Statistic,
)  # fmt: skip

GROWING: list[Statistic] = [
    Moments(), Firing(), Extremes(k=4), Quantiles(k=3, images=20), Histogram(images=20), Rows(images=15),
    Rows(what="largest", images=15), ClassMeans(classes=3), Confusion(classes=6), Predictions(k=2),
]  # fmt: skip


@pytest.mark.parametrize("statistic", GROWING, ids=lambda statistic: statistic.key())
def test_images_added_later_anywhere_give_what_all_together_give(statistic: Statistic) -> None:
    tensor = torch.randn(40, 6, 5, 5, generator=torch.Generator().manual_seed(1))
    if isinstance(statistic, Confusion | Predictions):
        tensor = tensor[:, :, 0, 0]
    labels, hashes = np.arange(40) % 3, hashes_of(40)
    there = np.flatnonzero(np.random.default_rng(4).random(40) < 0.5)
    assert statistic.grows
    small = feed(statistic, tensor[there], labels=labels[there], hashes=hashes[there])
    small.move(there)
    added = np.setdiff1d(np.arange(40), there)
    grown = feed(statistic, tensor, [added], labels=labels, hashes=hashes, into=small)
    whole = feed(statistic, tensor, labels=labels, hashes=hashes)
    assert_same(parts(grown.compute()), parts(whole.compute()))


def test_a_shuffle_of_labels_is_one_of_all_labels() -> None:
    assert not ClassMeans(classes=3, shuffle=0).grows


@pytest.fixture(scope="module")
def specimen() -> mt.Specimen:
    return digits()


class Counting:
    """Counts the images that go through a network."""

    def __init__(self, model: mt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
        _ = model.sites, model.receptive_fields
        self.images = 0
        monkeypatch.setattr("microtome.runs.walk.Walk._seconds_an_image", lambda *_: None)
        self.handle = model.module.register_forward_pre_hook(self._count)

    def _count(self, _module: object, args: tuple[torch.Tensor, ...]) -> None:
        self.images += len(args[0])


@pytest.fixture
def counting(specimen, monkeypatch):
    counter = Counting(specimen.model, monkeypatch)
    yield counter
    counter.handle.remove()


@pytest.mark.parametrize(("analysis", "measured"), [("activity", 57), ("preferences", 97)])
def test_a_run_grows_by_the_images_that_are_new(analysis, measured, specimen, counting, tmp_path) -> None:
    some = specimen.images.take(np.sort(np.random.default_rng(0).permutation(97)[:40]))
    mt.look(specimen.model, some, out=tmp_path / "run", analyses=[analysis])
    counting.images = 0
    grown = mt.look(specimen.model, specimen.images, out=tmp_path / "run", analyses=[analysis])
    assert counting.images == measured
    whole = mt.look(specimen.model, specimen.images, out=tmp_path / "whole", analyses=[analysis])
    assert_same(grown[analysis].to_state(), whole[analysis].to_state())
    assert grown.info["images"]["count"] == 97


def test_what_the_run_held_is_found_again_with_its_settings(specimen, tmp_path) -> None:
    some, settings = specimen.images.take(range(30)), {"activity": {"k": 3}}
    mt.look(specimen.model, some, out=tmp_path, analyses=["activity"], settings=settings)
    grown = mt.look(specimen.model, specimen.images, out=tmp_path, analyses=["filters"])
    assert sorted(grown.names) == ["activity", "filters"]
    assert grown["activity"].images == 97
    assert grown["activity"].top_value["conv1"].shape[1] == 3


@pytest.mark.parametrize("change", ["fewer", "another order", "another label"])
def test_images_that_are_not_those_of_the_run_and_more_are_refused(change, specimen, tmp_path) -> None:
    mt.look(specimen.model, specimen.images.take(range(50)), out=tmp_path, analyses=["filters"])
    other = specimen.images.take(range(40) if change == "fewer" else range(97))
    if change == "another order":
        other = specimen.images.take(range(96, -1, -1))
    if change == "another label":
        other.labels[3] = (other.labels[3] + 1) % 10
    with pytest.raises(BadRun, match="holds a run of other images"):
        mt.look(specimen.model, other, out=tmp_path, analyses=["filters"])


def test_a_run_of_few_images_becomes_one_of_all_by_its_folder_alone(tmp_path: Path) -> None:
    photos(tmp_path, 30)
    look = "look zoo:simpleconvnet_pruned photos -q --no-report --analyses activity -o run --limit 12"
    assert typed(look, tmp_path)[0] == 0
    code, _, err = typed("look run --limit 0 --no-report", tmp_path)
    assert code == 0 and "pass for activity: 12 of 30 images are known" in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["images"]["count"] == 30
